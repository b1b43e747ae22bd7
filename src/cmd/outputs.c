#include "cmd/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sink/sinks.h"

static int add_output(const struct session_options *so, sink_list *ret, struct err *err)
{
	const char *form = so->output ? so->output : "line";
	struct line_options o = {.out = stdout, .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
				 .show_service = so->show_service};
	struct winsize w;

	if (o.colour && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		o.width = w.ws_col;
	if (!strcmp(form, "line"))
		vec_push(ret, sink_line_new(&o));
	else if (!strcmp(form, "tree"))
		vec_push(ret, sink_tree_new(&o));
	else if (!strcmp(form, "json"))
		vec_push(ret, sink_json_new(stdout));
	else if (strcmp(form, "none"))
		return err_set(err, -EINVAL, "-o expects line, tree, json or none, not \"%s\"", form);
	return 0;
}

/* "--otlp-header NAME=VALUE" → "NAME: VALUE", after those of the environment. */
static int make_headers(const string_list *given, struct otel_env *env, const char *const **ret, struct err *err)
{
	VEC(const char *) all = {0};

	for (const char *const *h = env->headers; h && *h; h++)
		vec_push(&all, *h);
	for (size_t i = 0; i < given->len; i++) {
		const char *eq = strchr(given->data[i], '=');

		if (!eq || eq == given->data[i]) {
			vec_done(&all);
			return err_set(err, -EINVAL, "--otlp-header expects NAME=VALUE, not \"%s\"", given->data[i]);
		}
		vec_push(&all, arena_printf(&env->arena, "%.*s: %s", (int)(eq - given->data[i]), given->data[i],
					    eq + 1));
	}
	vec_push(&all, NULL);
	*ret = arena_memdup(&env->arena, all.data, all.len * sizeof(char *));
	vec_done(&all);
	return 0;
}

static int add_otlp(const struct session_options *so, struct otel_env *env, sink_list *ret, struct err *err)
{
	struct otlp_options o = {.endpoint = so->otlp, .gzip = env->gzip, .timeout_ms = env->timeout_ms};
	struct sink *sink;
	int r;

	if (!o.endpoint && !env->disabled)
		o.endpoint = env->endpoint;
	if (!o.endpoint)
		return 0;
	r = make_headers(&so->otlp_headers, env, &o.headers, err);
	if (r >= 0)
		r = sink_otlp_new(&o, &sink, err);
	if (r >= 0)
		vec_push(ret, sink);
	return r;
}

int outputs_open(const struct session_options *o, struct otel_env *env, sink_list *ret, struct err *err)
{
	int r = add_output(o, ret, err);

	return r < 0 ? r : add_otlp(o, env, ret, err);
}

void outputs_span(const sink_list *l, const struct span *span)
{
	for (size_t i = 0; i < l->len; i++)
		l->data[i]->ops->span(l->data[i], span);
}

void outputs_tick(const sink_list *l)
{
	for (size_t i = 0; i < l->len; i++)
		if (l->data[i]->ops->tick)
			l->data[i]->ops->tick(l->data[i]);
}

bool outputs_gone(const sink_list *l)
{
	for (size_t i = 0; i < l->len; i++)
		if (!l->data[i]->ops->gone || !l->data[i]->ops->gone(l->data[i]))
			return false;
	return l->len > 0;
}

void outputs_finish(const sink_list *l, unsigned timeout_ms, struct losses *ret)
{
	for (size_t i = 0; i < l->len; i++) {
		struct sink *sink = l->data[i];

		if (sink->ops->finish)
			sink->ops->finish(sink, timeout_ms);
		if (sink->ops->losses)
			sink->ops->losses(sink, ret);
	}
}

void outputs_summary(const sink_list *l, const struct run_summary *sum)
{
	for (size_t i = 0; i < l->len; i++)
		if (l->data[i]->ops->summary)
			l->data[i]->ops->summary(l->data[i], sum);
}

const char *outputs_trouble(const sink_list *l, size_t *pos)
{
	while (*pos < l->len) {
		struct sink *sink = l->data[(*pos)++];
		const char *text = sink->ops->trouble ? sink->ops->trouble(sink) : NULL;

		if (text)
			return text;
	}
	return NULL;
}

void outputs_close(sink_list *l, unsigned timeout_ms)
{
	for (size_t i = 0; i < l->len; i++)
		l->data[i]->ops->close(l->data[i], timeout_ms);
	vec_done(l);
}
