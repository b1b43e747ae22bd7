#include "cmd/trace_outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sink/call_sinks.h"

/* for_sinks(s, l): each output in turn. */
#define for_sinks(s, l) for (size_t i_ = 0; i_ < (l)->len && ((s) = (l)->data[i_], true); i_++)

static int open_output(const char *path, struct err *err)
{
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
		      : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_set(err, -errno, "cannot write to %s: %s", path ? path : "standard output", strerror(errno));
	return fd;
}

static bool use_colour(int fd)
{
	return isatty(fd) && !getenv("NO_COLOR");
}

static int add_text(const struct trace_options *o, call_sink_list *l, struct err *err)
{
	struct call_text_options text = {.show_process = o->show_process,
					 .no_calls = !o->graph && (o->perfetto || o->folded || o->pprof)};
	struct call_sink **sink = vec_add(l);
	int r, fd = open_output(o->output, err);

	if (fd < 0)
		r = fd;
	else if (o->json)
		r = call_json_new(fd, sink, err);
	else if ((text.color = use_colour(fd)), o->graph)
		r = call_graph_new(fd, &text, sink, err);
	else
		r = call_line_new(fd, &text, sink, err);
	if (r < 0)
		l->len--;
	return r;
}

static int add_file(call_sink_list *l, const char *path,
		    int (*make)(const char *, struct call_sink **, struct err *), struct err *err)
{
	struct call_sink *sink;
	int r = path ? make(path, &sink, err) : 0;

	if (path && r >= 0)
		vec_push(l, sink);
	return r;
}

int trace_outputs_open(const struct trace_options *o, call_sink_list *ret, struct err *err)
{
	int r = add_text(o, ret, err);

	if (r >= 0)
		r = add_file(ret, o->perfetto, call_perfetto_new, err);
	if (r >= 0)
		r = add_file(ret, o->folded, call_folded_new, err);
	if (r >= 0)
		r = add_file(ret, o->pprof, call_pprof_new, err);
	return r;
}

void trace_outputs_call(const call_sink_list *l, const struct call_record *c)
{
	struct call_sink *s;

	for_sinks(s, l)
		s->ops->call(s, c);
}

void trace_outputs_groups(const call_sink_list *l, const struct call_group *g, size_t n, bool last)
{
	struct call_sink *s;

	for_sinks(s, l)
		if (s->ops->groups && (n || last))
			s->ops->groups(s, g, n, last);
}

void trace_outputs_lost(const call_sink_list *l, const struct losses *lost)
{
	struct call_sink *s;

	for_sinks(s, l)
		if (s->ops->lost)
			s->ops->lost(s, lost);
}

void trace_outputs_tick(const call_sink_list *l)
{
	struct call_sink *s;

	for_sinks(s, l)
		if (s->ops->tick)
			s->ops->tick(s);
}

bool trace_outputs_want_running(const call_sink_list *l)
{
	struct call_sink *s;

	for_sinks(s, l)
		if (s->ops->running)
			return true;
	return false;
}

void trace_outputs_running(const call_sink_list *l, const struct call_running *r, size_t n)
{
	struct call_sink *s;

	for_sinks(s, l)
		if (s->ops->running)
			s->ops->running(s, r, n);
}

bool trace_outputs_gone(const call_sink_list *l)
{
	struct call_sink *s;
	size_t gone = 0;

	for_sinks(s, l)
		gone += s->ops->gone && s->ops->gone(s);
	return l->len && gone == l->len;
}

void trace_outputs_losses(const call_sink_list *l, struct losses *ret)
{
	struct call_sink *s;

	for_sinks(s, l)
		if (s->ops->losses)
			s->ops->losses(s, ret);
}

void trace_outputs_summary(const call_sink_list *l, const struct call_summary *sum)
{
	struct call_sink *s;

	for_sinks(s, l)
		if (s->ops->summary)
			s->ops->summary(s, sum);
}

const char *trace_outputs_trouble(const call_sink_list *l, size_t *pos)
{
	const char *text = NULL;

	while (!text && *pos < l->len) {
		struct call_sink *s = l->data[(*pos)++];

		text = s->ops->trouble ? s->ops->trouble(s) : NULL;
	}
	return text;
}

void trace_outputs_close(call_sink_list *l)
{
	struct call_sink *s;

	for_sinks(s, l)
		s->ops->close(s);
	vec_done(l);
}
