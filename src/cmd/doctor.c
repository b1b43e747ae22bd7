/* earshot doctor: what this kernel and these privileges allow, and what a probe costs here. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "cmd/verb.h"
#include "plant/planters.h"
#include "target/exec.h"

struct doctor_options {
	bool json;
};

static const struct option_def doctor_defs[] = {
	{0, "json", NULL, "one JSON object instead of text", OPT_FLAG, offsetof(struct doctor_options, json)},
	{0},
};
static const struct option_group doctor_groups[] = {{.title = "options", .defs = doctor_defs}, {0}};

struct check {
	const char *name;
	bool ok, needed;
	char text[640];
};

typedef VEC(struct check) check_vec;

static struct check *add(check_vec *all, const char *name, bool ok, bool needed, const char *text)
{
	struct check *c = vec_add(all);

	*c = (struct check){.name = name, .ok = ok, .needed = needed};
	snprintf(c->text, sizeof(c->text), "%s", text);
	return c;
}

static void check_exec_events(check_vec *all)
{
	struct exec_watch *w = NULL;
	struct err err = {0};
	int r = exec_watch_new(&w, &err);

	add(all, "program starts", r >= 0, false,
	    r >= 0 ? "the kernel tells of every exec" : err.text);
	exec_watch_free(w);
}

struct price {
	const struct planter_ops *planter;
	const struct price_class *class;
	double ns; /* 0: not known */
};

struct report {
	check_vec checks;
	VEC(struct price) prices;
	const struct planter_ops *planter; /* that is asked */
};

static void on_check(void *arg, const char *name, bool ok, bool needed, const char *text)
{
	struct report *r = arg;

	add(&r->checks, name, ok, needed, text);
}

static void on_price(void *arg, const struct price_class *c, double ns)
{
	struct report *r = arg;

	vec_push(&r->prices, ((struct price){r->planter, c, ns}));
}

static void ask_planters(struct report *r)
{
	const struct planter_report report = {on_check, on_price, r};

	for (size_t i = 0; planters[i]; i++) {
		r->planter = planters[i];
		planters[i]->check(&report);
	}
}

static void print_price(const struct price *p)
{
	const char *where = p->class->where;

	if (!*where)
		printf("  %7.3f \xc2\xb5s\n", p->ns / 1000);
	else if (p->ns > 0)
		printf("  %7.2f \xc2\xb5s  %s\n", p->ns / 1000, where);
	else
		printf("  unknown     %s\n", where);
}

static void report_text(const struct report *r, const struct utsname *u)
{
	const struct planter_ops *last = NULL;

	printf("earshot " EARSHOT_VERSION ", %s %s, %s\n\n", u->sysname, u->release, u->machine);
	for (size_t i = 0; i < r->checks.len; i++) {
		const struct check *c = &r->checks.data[i];

		printf("  %-16s %-8s %s\n", c->name, c->ok ? "ok" : c->needed ? "MISSING" : "no", c->text);
	}
	for (size_t i = 0; i < r->prices.len; i++) {
		const struct price *p = &r->prices.data[i];

		if (p->planter != last)
			printf("%s%s:\n", last ? "" : "\n", p->planter->prices_title);
		last = p->planter;
		print_price(p);
	}
}

static void report_json(const struct report *r, const struct utsname *u)
{
	struct buf out = {0};
	struct json j = {.out = &out};

	json_open(&j, '{');
	json_key(&j, "version");
	json_str(&j, EARSHOT_VERSION);
	json_key(&j, "kernel");
	json_str(&j, u->release);
	json_key(&j, "checks");
	json_open(&j, '[');
	for (size_t i = 0; i < r->checks.len; i++) {
		const struct check *c = &r->checks.data[i];

		json_open(&j, '{');
		json_key(&j, "name");
		json_str(&j, c->name);
		json_key(&j, "ok");
		json_bool(&j, c->ok);
		json_key(&j, "needed");
		json_bool(&j, c->needed);
		json_key(&j, "text");
		json_str(&j, c->text);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_key(&j, "price_ns");
	json_open(&j, '{');
	for (size_t i = 0; i < r->prices.len; i++)
		if (r->prices.data[i].ns > 0) {
			json_key(&j, r->prices.data[i].class->name);
			json_double(&j, r->prices.data[i].ns);
		}
	json_close(&j, '}');
	json_close(&j, '}');
	puts(out.data);
	buf_done(&out);
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct doctor_options o = {0};
	struct report report = {0};
	struct err err = {0};
	struct utsname u;
	int rest, code = EXIT_DONE, r = options_parse(v->groups, 0, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0 && rest < argc)
		r = err_set(&err, -EINVAL, "doctor takes no operand");
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	uname(&u);
	ask_planters(&report);
	check_exec_events(&report.checks);
	(o.json ? report_json : report_text)(&report, &u);
	for (size_t i = 0; i < report.checks.len; i++)
		if (report.checks.data[i].needed && !report.checks.data[i].ok)
			code = EXIT_FAILED;
	vec_done(&report.checks);
	vec_done(&report.prices);
	return code;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.synopsis = "[--json]",
	.summary = "say what this kernel and these privileges allow, and what a probe costs here",
	.groups = doctor_groups,
	.run = run,
};
