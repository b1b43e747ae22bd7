#include "cmd/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/file_sink.h"

/* for_kinds(k): each kind of sink in turn. for_sinks(s, l): each sink. */
#define for_kinds(k) for (const struct sink_kind *const *p_ = sink_kinds, *k; (k = *p_); p_++)
#define for_sinks(s, l)                                                                                                \
	for (size_t i_ = 0; i_ < (l)->len; i_++)                                                                       \
		for (struct sink *s = (l)->data[i_]; s; s = NULL)

/* ---- options ---- */

static size_t place_of(const struct sink_kind *kind)
{
	size_t at = 0;

	for_kinds(k) {
		if (k == kind)
			break;
		at += ALIGN_UP(k->options_size, 8);
	}
	if (at + kind->options_size > OUTPUT_OPTION_BYTES)
		abort(); /* a new sink's options: the constant is too small */
	return at;
}

static const void *options_of(const struct output_options *o, const struct sink_kind *k)
{
	return o->of_kinds + place_of(k);
}

/* Whether its first option is given. */
static bool asked_for(const struct output_options *o, const struct sink_kind *k)
{
	const void *first = options_of(o, k);

	if (!k->options)
		return false;
	return k->options[0].kind == OPT_FLAG ? *(const bool *)first : *(const char *const *)first != NULL;
}

/* skip_choice: without the options that choose what prints. */
static void kind_rows(unsigned takes, bool skip_choice, size_t base, option_rows_fn give, void *arg)
{
	for_kinds(k) {
		size_t at = base + offsetof(struct output_options, of_kinds) + place_of(k);

		if (k->options && k->takes & takes)
			give(arg, k->options + (skip_choice && k->prints), at);
	}
}

/* "line (default), tree, json, none", or with other words between. */
static const char *forms(const char *behind_first, const char *before_last)
{
	static char text[160];
	const char *between = "", *last = NULL;
	size_t n = 0;

	for_kinds(k)
		last = k->prints ? k->name : last;
	for_kinds(k) {
		if (!k->prints || n >= sizeof(text))
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s",
				      k->name == last && n ? before_last : between, k->name, n ? "" : behind_first);
		between = ", ";
	}
	return text;
}

static char form_help[200];
static const struct option_def form_row[] = {
	{'o', "output", "FORM", form_help, OPT_STRING, offsetof(struct output_options, form)},
	{0},
};
static const struct option_def file_row[] = {
	{'o', "output", "FILE", "print to this file instead of standard output", OPT_STRING,
	 offsetof(struct output_options, file)},
	{0},
};

void outputs_span_rows(size_t base, option_rows_fn give, void *arg)
{
	snprintf(form_help, sizeof(form_help), "what to print of each span: %s", forms(" (default)", ", "));
	give(arg, form_row, base);
	kind_rows(SINK_SPANS, true, base, give, arg);
}

void outputs_call_rows(size_t base, option_rows_fn give, void *arg)
{
	give(arg, file_row, base);
	kind_rows(SINK_CALLS, false, base, give, arg);
}

/* What may be chosen for a dump. */
static bool is_dump_form(const struct sink_kind *k)
{
	return k->takes & SINK_SPANS && (k->prints || k->writes_file);
}

/* "json (default), line, …" */
static const char *dump_forms(void)
{
	static char text[160];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s (default)", OUTPUTS_DUMP_FORM);

	for_kinds(k)
		if (is_dump_form(k) && strcmp(k->name, OUTPUTS_DUMP_FORM) && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, ", %s", k->name);
	return text;
}

static const struct option_def dump_form_row[] = {
	{'o', "output", "FORM", form_help, OPT_STRING, offsetof(struct output_options, form)},
	{0},
};

/* Kinds that are asked for by their own options. */
static void sender_rows(size_t base, option_rows_fn give, void *arg)
{
	for_kinds(k)
		if (k->options && k->takes & SINK_SPANS && !is_dump_form(k))
			give(arg, k->options, base + offsetof(struct output_options, of_kinds) + place_of(k));
}

void outputs_dump_rows(size_t base, option_rows_fn give, void *arg)
{
	snprintf(form_help, sizeof(form_help), "what is written: %s", dump_forms());
	give(arg, dump_form_row, base);
	sender_rows(base, give, arg);
}

/* ---- the manual pages ---- */

static void print_roff(const char *text, struct buf *out)
{
	for (; *text; text++) {
		if (*text == '-')
			buf_char(out, '\\');
		buf_char(out, *text);
	}
}

static void print_option(const struct option_def *d, const char *manual, struct buf *out)
{
	buf_str(out, d->letter || d->arg ? ".TP\n.BR " : ".TP\n.B ");
	if (d->letter)
		buf_printf(out, "\\-%c \", \" ", d->letter);
	buf_str(out, "\\-\\-");
	print_roff(d->name, out);
	if (d->arg)
		buf_printf(out, " \" \" \\fI%s\\fR", d->arg);
	buf_printf(out, "\n%s\n", manual);
}

static void kinds_manual(unsigned takes, bool skip_choice, struct buf *out)
{
	for_kinds(k)
		for (size_t i = skip_choice && k->prints; k->options && k->takes & takes && k->options[i].name; i++)
			print_option(&k->options[i], k->manual ? k->manual[i] : k->options[i].help, out);
}

/* "line (one aligned line, the default), tree (whole traces, indented) or none." */
static void print_forms(struct buf *out)
{
	const struct sink_kind *last = NULL, *before = NULL;
	bool first = true;

	for_kinds(k)
		if (k->prints)
			before = last, last = k;
	for_kinds(k) {
		const char *end = k == last ? "." : k == before ? " or" : ",";

		if (!k->prints)
			continue;
		if (k->form)
			buf_printf(out, "\n.B %s\n(%s%s)%s", k->name, k->form, first ? ", the default" : "", end);
		else
			buf_printf(out, k == before ? "\n.B %s\n%s" : "\n.BR %s %s", k->name, end + (*end == ' '));
		first = false;
	}
}

void outputs_span_manual(struct buf *out)
{
	_cleanup_(buf_done) struct buf text = {0};

	buf_str(&text, "what to print of each span:");
	print_forms(&text);
	print_option(form_row, text.data, out);
	kinds_manual(SINK_SPANS, true, out);
}

void outputs_call_manual(struct buf *out)
{
	print_option(file_row, "print to this file instead of standard output.", out);
	kinds_manual(SINK_CALLS, false, out);
}

void outputs_dump_manual(struct buf *out)
{
	_cleanup_(buf_done) struct buf text = {0};

	buf_printf(&text, "what is written of spans: %s.", dump_forms());
	print_option(dump_form_row, text.data, out);
	for_kinds(k)
		for (size_t i = 0; k->options && k->takes & SINK_SPANS && !is_dump_form(k) && k->options[i].name; i++)
			print_option(&k->options[i], k->manual ? k->manual[i] : k->options[i].help, out);
}

/* ---- what is asked for ---- */

bool outputs_ask_for(const struct output_options *o, const char *name)
{
	for_kinds(k)
		if (!strcmp(k->name, name))
			return asked_for(o, k);
	return false;
}

int outputs_check(const struct output_options *o, struct err *err)
{
	const struct sink_kind *first = NULL;

	for_kinds(k) {
		if (!k->prints || !asked_for(o, k))
			continue;
		if (first)
			return err_set(err, -EINVAL, "--%s and --%s are two forms of the same output: choose one",
				       k->options[0].name, first->options[0].name);
		first = k;
	}
	return 0;
}

unsigned outputs_needs(const struct output_options *o)
{
	unsigned needs = 0;

	for_kinds(k)
		if (asked_for(o, k) || (k->prints && o->form && !strcmp(k->name, o->form)))
			needs |= k->needs;
	return needs;
}

/* ---- opening ---- */

/* The kind that prints; NULL, with a sentence, where there is none of the name. */
static const struct sink_kind *printing(const struct output_options *o, struct err *err)
{
	const struct sink_kind *first = NULL;

	for_kinds(k) {
		if (!k->prints)
			continue;
		if (o->form ? !strcmp(k->name, o->form) : asked_for(o, k))
			return k;
		first = first ? first : k;
	}
	if (o->form)
		err_set(err, -EINVAL, "-o expects %s, not \"%s\"", forms("", " or "), o->form);
	return o->form ? NULL : first;
}

static int open_file(const char *path, struct err *err)
{
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
		      : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_set(err, -errno, "cannot write to %s: %s", path ? path : "standard output", strerror(errno));
	return fd;
}

static int open_kind(const struct output_options *o, const struct sink_kind *k, struct sink_setup *setup,
		     sink_list *ret, struct err *err)
{
	struct sink *sink = NULL;
	int r;

	setup->options = options_of(o, k);
	r = k->open(setup, &sink, err);
	if (r >= 0 && sink)
		vec_push(ret, sink);
	return r;
}

static int open_printing(const struct output_options *o, const struct sink_kind *k, struct sink_setup *setup,
			 sink_list *ret, struct err *err)
{
	setup->fd = open_file(o->file, err);
	if (setup->fd < 0)
		return setup->fd;
	setup->colour = isatty(setup->fd) && !getenv("NO_COLOR");
	for_kinds(other)
		setup->calls_elsewhere |= !other->prints && other->takes & SINK_CALLS && asked_for(o, other);
	if (asked_for(o, k))
		setup->calls_elsewhere = false;
	return open_kind(o, k, setup, ret, err);
}

int outputs_open(const struct output_options *o, const struct sink_setup *with, sink_list *ret, struct err *err)
{
	const struct sink_kind *prints = printing(o, err);
	struct sink_setup setup = *with;
	int r = prints ? open_printing(o, prints, &setup, ret, err) : -EINVAL;

	setup.fd = -1;
	for_kinds(k)
		if (r >= 0 && !k->prints && k->takes & with->gives && (k->by_env || asked_for(o, k)))
			r = open_kind(o, k, &setup, ret, err);
	return r;
}

static const struct sink_kind *dump_kind(const struct output_options *o)
{
	const char *name = o->form ? o->form : OUTPUTS_DUMP_FORM;

	for_kinds(k)
		if (is_dump_form(k) && !strcmp(k->name, name))
			return k;
	return NULL;
}

int outputs_check_dump(const struct output_options *o, struct err *err)
{
	return dump_kind(o) ? 0 : err_set(err, -EINVAL, "-o expects one of %s, not \"%s\"", dump_forms(), o->form);
}

static int open_dump_form(const struct output_options *o, const char *path, struct sink_setup *setup, sink_list *ret,
			  struct err *err)
{
	const struct file_options file = {strcmp(path, "-") ? path : "/dev/stdout"};
	const struct sink_kind *k = dump_kind(o);
	struct output_options to = *o;

	if (k->prints) {
		to.file = strcmp(path, "-") ? path : NULL;
		return open_printing(&to, k, setup, ret, err);
	}
	memcpy(to.of_kinds + place_of(k), &file, sizeof(file));
	return open_kind(&to, k, setup, ret, err);
}

int outputs_open_dump(const struct output_options *o, const char *path, const struct sink_setup *with, sink_list *ret,
		      struct err *err)
{
	struct sink_setup setup = *with;
	int r = outputs_check_dump(o, err);

	if (r >= 0)
		r = open_dump_form(o, path, &setup, ret, err);
	setup.fd = -1;
	for_kinds(k)
		if (r >= 0 && !is_dump_form(k) && k->takes & with->gives && (k->by_env || asked_for(o, k)))
			r = open_kind(o, k, &setup, ret, err);
	return r;
}

/* ---- all of them ---- */

void outputs_dump(const sink_list *l, const struct dump_note *n)
{
	for_sinks(s, l)
		if (s->ops->dump)
			s->ops->dump(s, n);
}

void outputs_span(const sink_list *l, const struct span *span)
{
	for_sinks(s, l)
		if (s->ops->span)
			s->ops->span(s, span);
}

void outputs_call(const sink_list *l, const struct call_record *c)
{
	for_sinks(s, l)
		if (s->ops->call)
			s->ops->call(s, c);
}

void outputs_groups(const sink_list *l, const struct call_group *g, size_t n, bool last)
{
	for_sinks(s, l)
		if (s->ops->groups && (n || last))
			s->ops->groups(s, g, n, last);
}

void outputs_lost(const sink_list *l, const struct losses *lost)
{
	for_sinks(s, l)
		if (s->ops->lost)
			s->ops->lost(s, lost);
}

void outputs_tick(const sink_list *l)
{
	for_sinks(s, l)
		if (s->ops->tick)
			s->ops->tick(s);
}

bool outputs_want_running(const sink_list *l)
{
	for_sinks(s, l)
		if (s->ops->running)
			return true;
	return false;
}

void outputs_running(const sink_list *l, const struct call_running *r, size_t n)
{
	for_sinks(s, l)
		if (s->ops->running)
			s->ops->running(s, r, n);
}

bool outputs_gone(const sink_list *l)
{
	for_sinks(s, l)
		if (!s->ops->gone || !s->ops->gone(s))
			return false;
	return l->len > 0;
}

static bool any_full(const sink_list *l)
{
	for_sinks(s, l)
		if (s->ops->full && s->ops->full(s))
			return true;
	return false;
}

bool outputs_wait_for_room(const sink_list *l, unsigned timeout_ms)
{
	uint64_t until = 0;

	while (any_full(l)) {
		if (!until)
			until = clock_monotonic_ns() + timeout_ms * UINT64_C(1000000);
		if (clock_monotonic_ns() > until)
			return false;
		outputs_tick(l);
		usleep(2000);
	}
	return true;
}

void outputs_finish(const sink_list *l, unsigned timeout_ms, struct losses *ret)
{
	for_sinks(s, l) {
		if (s->ops->finish)
			s->ops->finish(s, timeout_ms);
		if (s->ops->losses)
			s->ops->losses(s, ret);
	}
}

void outputs_summary(const sink_list *l, const struct run_summary *sum)
{
	for_sinks(s, l)
		if (s->ops->summary)
			s->ops->summary(s, sum);
}

const char *outputs_trouble(const sink_list *l, size_t *pos)
{
	while (*pos < l->len) {
		struct sink *s = l->data[(*pos)++];
		const char *text = s->ops->trouble ? s->ops->trouble(s) : NULL;

		if (text)
			return text;
	}
	return NULL;
}

void outputs_close(sink_list *l, unsigned timeout_ms)
{
	for_sinks(s, l)
		if (s->ops->close)
			s->ops->close(s, timeout_ms);
	vec_done(l);
}
