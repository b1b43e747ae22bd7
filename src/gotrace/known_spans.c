#include "gotrace/known_spans.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text_view.h"
#include "base/vec.h"
#include "gotrace/breakdown.h"

#define LINE_MAX_BYTES (16u << 20) /* with its end */
#define FIRST_RESOURCE 2 /* 1 is the trace's own */

struct known_spans {
	char *path;
	int fd;
	VEC(struct known_span) spans;
	VEC(struct resource *) resources;
	struct arena arena; /* of resources */
	uint64_t pid;       /* of the spans until now */
	char *service;      /* of the first one */
};

DEFINE_CLEANUP(json_t *, json, json_decref)

/* ---- fields of a line ---- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* False: it is missing, no integer, or negative. */
static bool number_of(const json_t *o, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

static bool id_of(const json_t *o, const char *key, uint8_t *ret, size_t n)
{
	const char *s = text_of(o, key);

	if (strlen(s) != 2 * n || strspn(s, "0123456789abcdefABCDEF") != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++)
		ret[i] = (uint8_t)(hex_digit(s[2 * i]) << 4 | hex_digit(s[2 * i + 1]));
	return true;
}

static json_t *parse(const char *line, size_t len)
{
	return json_loadb(line, len, JSON_ALLOW_NUL, NULL);
}

/* ---- reading all of them ---- */

static int bad_line(const struct known_spans *k, uint64_t line, const char *what, struct err *err)
{
	return err_set(err, -EINVAL,
		       "line %" PRIu64 " of %s %s: what `earshot run -o json` or `earshot attach -o json` writes was "
		       "expected",
		       line, k->path, what);
}

static int add_line(struct known_spans *k, uint64_t want_pid, uint64_t number, const char *line, size_t len,
		    uint64_t at, struct err *err)
{
	_cleanup_(cleanup_json) json_t *o = parse(line, len);
	struct known_span s = {.at = at, .len = (uint32_t)len};
	uint64_t pid;

	if (!json_is_object(o))
		return bad_line(k, number, "is no JSON object", err);
	if (!json_object_get(o, "span_id"))
		return 0;
	if (!id_of(o, "trace_id", s.trace_id, 16) || !id_of(o, "span_id", s.span_id, 8) ||
	    !number_of(o, "start_unix_ns", &s.start_unix_ns) || !number_of(o, "duration_ns", &s.duration_ns) ||
	    !number_of(o, "pid", &pid) || !number_of(o, "goid", &s.goid))
		return bad_line(k, number, "is a span without its ids, times, pid or goid", err);
	if (json_object_get(json_object_get(o, "attributes"), BREAKDOWN_KEY))
		return bad_line(k, number, "is of `earshot convert`, which has joined it already", err);
	if (want_pid && pid != want_pid)
		return 0;
	if (k->spans.len && pid != k->pid)
		return err_set(err, -EINVAL,
			       "%s has spans of several processes (%" PRIu64 " and %" PRIu64
			       " are two): say with --pid "
			       "which of them wrote the trace",
			       k->path, k->pid, pid);
	k->pid = pid;
	if (!k->service)
		k->service = xstrdup(text_of(o, "service"));
	vec_push(&k->spans, s);
	return 0;
}

static int read_lines(struct known_spans *k, uint64_t pid, FILE *f, struct err *err)
{
	_cleanup_(cleanup_free) char *line = xmalloc(LINE_MAX_BYTES + 1);
	uint64_t number = 0, at = 0;
	int r = 0;

	while (r >= 0 && fgets(line, LINE_MAX_BYTES + 1, f)) {
		size_t n = strlen(line);
		bool whole = n && line[n - 1] == '\n';

		number++;
		if (!whole && !feof(f))
			return bad_line(k, number, "has more than 16 MiB, or bytes that are 0", err);
		if (whole && n > 1)
			r = add_line(k, pid, number, line, n, at, err);
		at += n; /* a last line without an end is one that was being written */
	}
	return r < 0 ? r : ferror(f) ? err_set(err, -EIO, "%s cannot be read", k->path) : 0;
}

static int by_goroutine(const void *a, const void *b)
{
	const struct known_span *x = a, *y = b;

	if (x->goid != y->goid)
		return x->goid < y->goid ? -1 : 1;
	if (x->start_unix_ns != y->start_unix_ns)
		return x->start_unix_ns < y->start_unix_ns ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

int known_spans_read(const char *path, uint64_t pid, struct known_spans **ret, struct err *err)
{
	struct known_spans *k = xcalloc(1, sizeof(*k));
	FILE *f = fopen(path, "re");
	int r;

	k->path = xstrdup(path);
	k->fd = f ? fcntl(fileno(f), F_DUPFD_CLOEXEC, 3) : -1;
	if (k->fd < 0)
		r = err_set(err, -errno, "%s cannot be opened: %s", path, strerror(errno));
	else if (lseek(k->fd, 0, SEEK_CUR) < 0)
		r = err_set(err, -EINVAL, "%s is no file, but a pipe: its spans are read twice", path);
	else
		r = read_lines(k, pid, f, err);
	if (f)
		fclose(f);
	if (r < 0) {
		known_spans_free(k);
		return r;
	}
	if (k->spans.len)
		qsort(k->spans.data, k->spans.len, sizeof(*k->spans.data), by_goroutine);
	*ret = k;
	return 0;
}

void known_spans_free(struct known_spans *k)
{
	if (!k)
		return;
	close_fd(k->fd);
	free(k->path);
	free(k->service);
	vec_done(&k->spans);
	vec_done(&k->resources);
	arena_done(&k->arena);
	free(k);
}

/* ---- finding them ---- */

struct known_span *known_spans_all(struct known_spans *k, size_t *ret_n)
{
	*ret_n = k->spans.len;
	return k->spans.data;
}

struct known_span *known_spans_of(struct known_spans *k, uint64_t goid, size_t *ret_n)
{
	size_t low = 0, high = k->spans.len, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->spans.data[middle].goid < goid)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < k->spans.len && k->spans.data[low + n].goid == goid)
		n++;
	*ret_n = n;
	return k->spans.data + low;
}

const char *known_spans_service(const struct known_spans *k)
{
	return k->service && *k->service ? k->service : NULL;
}

uint64_t known_spans_pid(const struct known_spans *k)
{
	return k->pid;
}

bool known_spans_range(const struct known_spans *k, uint64_t *ret_from, uint64_t *ret_to)
{
	*ret_from = UINT64_MAX;
	*ret_to = 0;
	for (size_t i = 0; i < k->spans.len; i++) {
		const struct known_span *s = &k->spans.data[i];

		*ret_from = MIN(*ret_from, s->start_unix_ns);
		*ret_to = MAX(*ret_to, s->start_unix_ns + s->duration_ns);
	}
	return k->spans.len > 0;
}

/* ---- one of them, whole ---- */

static const char *copy(struct arena *arena, const json_t *v)
{
	return arena_strndup(arena, json_string_value(v), json_string_length(v));
}

/* False: it is of no kind that attributes have. */
static bool attr_of(const char *key, const json_t *v, struct arena *arena, struct attr *ret)
{
	*ret = (struct attr){.key = arena_strdup(arena, key)};
	if (json_is_string(v)) {
		ret->kind = ATTR_STRING;
		ret->s = copy(arena, v);
		ret->len = json_string_length(v);
	} else if (json_is_integer(v)) {
		ret->kind = ATTR_INT;
		ret->i = json_integer_value(v);
	} else if (json_is_real(v)) {
		ret->kind = ATTR_DOUBLE;
		ret->d = json_real_value(v);
	} else if (json_is_boolean(v)) {
		ret->kind = ATTR_BOOL;
		ret->b = json_is_true(v);
	} else {
		return false;
	}
	return true;
}

/* Those of the object, but for where the parent is known from, which sinks add. Room for so many more. */
static struct attr *attrs_of(json_t *o, size_t room, struct arena *arena, size_t *ret_n)
{
	struct attr *attrs = arena_array(arena, struct attr, json_object_size(o) + room + 1);
	const char *key;
	json_t *v;

	*ret_n = 0;
	json_object_foreach(o, key, v) {
		if (strcmp(key, PARENT_SOURCE_KEY) && attr_of(key, v, arena, &attrs[*ret_n]))
			(*ret_n)++;
	}
	return attrs;
}

static void take_events(json_t *list, struct arena *arena, struct span *ret)
{
	struct span_event *events = arena_array(arena, struct span_event, json_array_size(list) + 1);
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o) {
		events[i].name = arena_strdup(arena, text_of(o, "name"));
		number_of(o, "unix_ns", &events[i].unix_ns);
		events[i].attrs = attrs_of(json_object_get(o, "attributes"), 0, arena, &events[i].nattrs);
	}
	ret->events = events;
	ret->nevents = json_array_size(list);
}

static const struct resource *resource_of(struct known_spans *k, const char *service)
{
	struct resource *r;
	struct attr *attrs;

	for (size_t i = 0; i < k->resources.len; i++)
		if (!strcmp(k->resources.data[i]->service, service))
			return k->resources.data[i];
	r = arena_new(&k->arena, struct resource);
	attrs = arena_array(&k->arena, struct attr, 2);
	r->id = FIRST_RESOURCE + (uint32_t)k->resources.len;
	r->pid = (int)k->pid;
	r->name = r->service = arena_strdup(&k->arena, service);
	attrs[0] = (struct attr){.key = "service.name", .kind = ATTR_STRING, .s = r->service, .len = strlen(service)};
	attrs[1] = (struct attr){.key = "process.pid", .kind = ATTR_INT, .i = r->pid};
	r->attrs = attrs;
	r->nattrs = 2;
	vec_push(&k->resources, r);
	return r;
}

static void take_parent(const json_t *o, struct span *ret)
{
	const char *source = text_of(json_object_get(o, "attributes"), PARENT_SOURCE_KEY);

	for (enum parent_source p = PARENT_UNKNOWN; p <= PARENT_SDK; p++)
		if (!strcmp(parent_source_text(p), source))
			ret->parent_source = p;
	ret->parent = ret->parent_source == PARENT_NONE ? SPAN_PARENT_NONE : SPAN_PARENT_UNKNOWN;
	if (id_of(o, "parent_span_id", ret->parent_id, 8))
		ret->parent = ret->parent_source == PARENT_HEADER ? SPAN_PARENT_REMOTE : SPAN_PARENT_LOCAL;
}

static const char *optional(const json_t *o, const char *key, struct arena *arena)
{
	const char *s = text_of(o, key);

	return *s ? arena_strdup(arena, s) : NULL;
}

static void take_fields(struct known_spans *k, json_t *o, struct arena *arena, struct span *ret)
{
	const char *kind = text_of(o, "kind");

	take_parent(o, ret);
	ret->trace_state = optional(o, "trace_state", arena);
	ret->name = arena_strdup(arena, text_of(o, "name"));
	ret->pack = arena_strdup(arena, text_of(o, "pack"));
	for (int i = SPAN_INTERNAL; i <= SPAN_CONSUMER; i++)
		if (!strcmp(span_kind_text((enum span_kind)i), kind))
			ret->kind = (enum span_kind)i;
	ret->status = strcmp(text_of(o, "status"), "error") ? SPAN_STATUS_UNSET : SPAN_STATUS_ERROR;
	ret->status_text = optional(o, "status_text", arena);
	take_events(json_object_get(o, "events"), arena, ret);
	ret->resource = resource_of(k, text_of(o, "service"));
}

int known_spans_load(struct known_spans *k, const struct known_span *s, size_t room, struct arena *arena,
		     struct span *ret, struct attr **ret_attrs, struct err *err)
{
	_cleanup_(cleanup_free) char *line = xmalloc(s->len);
	_cleanup_(cleanup_json) json_t *o = NULL;

	if (pread(k->fd, line, s->len, (off_t)s->at) == (ssize_t)s->len)
		o = parse(line, s->len);
	if (!json_is_object(o))
		return err_set(err, -ESTALE, "%s has changed while it was read", k->path);
	*ret = (struct span){.start_unix_ns = s->start_unix_ns, .duration_ns = s->duration_ns, .goid = s->goid};
	memcpy(ret->trace_id, s->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, s->span_id, sizeof(ret->span_id));
	take_fields(k, o, arena, ret);
	*ret_attrs = attrs_of(json_object_get(o, "attributes"), room, arena, &ret->nattrs);
	ret->attrs = *ret_attrs;
	return 0;
}
