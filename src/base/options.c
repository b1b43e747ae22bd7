#include "base/options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

#define HELP_VALUE 1
#define FIRST_VALUE 256

struct flat {
	const struct option_def *def;
	size_t offset;
};

typedef VEC(struct flat) flat_vec;

static void add_rows(void *arg, const struct option_def *defs, size_t base)
{
	flat_vec *all = arg;

	for (const struct option_def *d = defs; d && d->name; d++)
		vec_push(all, ((struct flat){d, base + d->offset}));
}

static void flatten_group(const struct option_group *g, flat_vec *ret)
{
	add_rows(ret, g->defs, g->base);
	if (g->rows)
		g->rows(g->base, add_rows, ret);
}

static void flatten(const struct option_group *groups, flat_vec *ret)
{
	for (const struct option_group *g = groups; g->title; g++)
		flatten_group(g, ret);
}

static int parse_number(const struct option_def *d, const char *value, void *into, struct err *err)
{
	char *end;

	errno = 0;
	if (d->kind == OPT_UINT) {
		unsigned long long v = strtoull(value, &end, 0);

		if (errno || end == value || *end || *value == '-')
			return err_set(err, -EINVAL, "--%s expects a whole number, not \"%s\"", d->name, value);
		*(uint64_t *)into = v;
	} else {
		double v = strtod(value, &end);

		if (errno || end == value || *end || !(v >= 0 && v <= 1))
			return err_set(err, -EINVAL, "--%s expects a ratio from 0 to 1, not \"%s\"", d->name, value);
		*(double *)into = v;
	}
	return 0;
}

static int store(const struct option_def *d, const char *value, void *into, struct err *err)
{
	switch (d->kind) {
	case OPT_FLAG:
		*(bool *)into = true;
		return 0;
	case OPT_STRING:
		*(const char **)into = value;
		return 0;
	case OPT_LIST:
		vec_push((string_list *)into, value);
		return 0;
	case OPT_DURATION:
		if (duration_parse(value, into, err) < 0)
			return err_prefix(err, "--%s", d->name);
		return 0;
	default:
		return parse_number(d, value, into, err);
	}
}

static const struct flat *by_value(const flat_vec *all, int value)
{
	for (size_t i = 0; i < all->len; i++)
		if (value == all->data[i].def->letter || value == FIRST_VALUE + (int)i)
			return &all->data[i];
	return NULL;
}

static int parse_all(const flat_vec *all, const struct option *longs, const char *shorts, void *into, int argc,
		     char **argv, struct err *err)
{
	int value;

	optind = 0;
	opterr = 0;
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct flat *f;
		int r;

		if (value == HELP_VALUE || value == 'h')
			return 1;
		if (value == ':')
			return err_set(err, -EINVAL, "option %s needs a value; see --help", argv[optind - 1]);
		f = by_value(all, value);
		if (!f && optopt && optopt < FIRST_VALUE)
			return err_set(err, -EINVAL, "there is no option -%c; see --help", optopt);
		if (!f)
			return err_set(err, -EINVAL, "there is no option %s; see --help", argv[optind - 1]);
		r = store(f->def, optarg, (char *)into + f->offset, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int options_parse(const struct option_group *groups, enum options_flags flags, void *into, int argc, char **argv,
		  int *ret_rest, struct err *err)
{
	flat_vec all = {0};
	VEC(struct option) longs = {0};
	struct buf shorts = {0};
	int r;

	flatten(groups, &all);
	buf_str(&shorts, flags & OPTIONS_STOP_AT_OPERAND ? "+:h" : ":h");
	for (size_t i = 0; i < all.len; i++) {
		const struct option_def *d = all.data[i].def;

		vec_push(&longs, ((struct option){d->name, d->arg ? required_argument : no_argument, NULL,
						  FIRST_VALUE + (int)i}));
		if (d->letter)
			buf_printf(&shorts, "%c%s", d->letter, d->arg ? ":" : "");
	}
	vec_push(&longs, ((struct option){"help", no_argument, NULL, HELP_VALUE}));
	vec_push(&longs, ((struct option){0}));
	r = parse_all(&all, longs.data, shorts.data, into, argc, argv, err);
	*ret_rest = optind;
	vec_done(&all);
	vec_done(&longs);
	buf_done(&shorts);
	return r;
}

static void print_row(const struct option_def *d, FILE *out)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s--%s%s%s", d->letter ? '-' : ' ', d->letter ? d->letter : ' ',
		 d->letter ? ", " : "  ", d->name, d->arg ? " " : "", d->arg ? d->arg : "");
	fprintf(out, "  %-28s %s\n", left, d->help);
}

void options_print(const struct option_group *groups, FILE *out)
{
	for (const struct option_group *g = groups; g->title; g++) {
		flat_vec rows = {0};

		flatten_group(g, &rows);
		if (g == groups || strcmp(g->title, g[-1].title) != 0)
			fprintf(out, "\n%s:\n", g->title);
		for (size_t i = 0; i < rows.len; i++)
			print_row(rows.data[i].def, out);
		vec_done(&rows);
	}
	fprintf(out, "  %-28s %s\n", "-h, --help", "this text");
}

void options_done(const struct option_group *groups, void *into)
{
	flat_vec all = {0};

	flatten(groups, &all);
	for (size_t i = 0; i < all.len; i++)
		if (all.data[i].def->kind == OPT_LIST)
			vec_done((string_list *)((char *)into + all.data[i].offset));
	vec_done(&all);
}

int options_split(int argc, char **argv, char ***ret_command)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			*ret_command = argv + i + 1;
			argv[i] = NULL;
			return i;
		}
	return argc;
}
