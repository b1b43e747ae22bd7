/*
 * woven-dump PID: the records of all woven points of a process, as they come, a JSON line each, until it ends or
 * standard input does. For tests: what is woven, without what packs make of it. Of itself it says "attached", or why it
 * cannot be.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "plant/woven.h"
#include "probe/ir.h"

enum { TARGET = 1, DRAIN_MS = 20 };

struct dump {
	struct arena arena;
	struct woven_point *points;
	size_t n;
};

static enum value_kind kind_of(const char *name)
{
	static const char *const names[] = {
	    [VALUE_INT] = "int",         [VALUE_UINT] = "uint",       [VALUE_BOOL] = "bool",
	    [VALUE_FLOAT32] = "float32", [VALUE_FLOAT64] = "float64", [VALUE_POINTER] = "pointer",
	    [VALUE_STRING] = "string",   [VALUE_TYPE] = "type"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name))
			return (enum value_kind)i;
	return VALUE_UINT;
}

/* Each point is a probe by its place among them, from 1, with all of its slots. */
static struct woven_probe *probes_of(struct dump *d)
{
	struct woven_probe *all = arena_array(&d->arena, struct woven_probe, d->n + 1);

	for (size_t i = 0; i < d->n; i++) {
		const struct woven_point *p = &d->points[i];
		struct capture_program *program = arena_new(&d->arena, struct capture_program);
		int *slots = arena_array(&d->arena, int, p->nslots + 1);

		program->slots = arena_array(&d->arena, struct ir_slot, p->nslots + 1);
		program->nslots = p->nslots;
		for (size_t k = 0; k < p->nslots; k++) {
			program->slots[k] = (struct ir_slot){p->slots[k].name, kind_of(p->slots[k].kind), NULL};
			slots[k] = (int)k;
		}
		all[i] = (struct woven_probe){.key = p->key, .id = (uint32_t)i + 1, .program = program, .slots = slots};
	}
	return all;
}

static void print_slot(struct json *j, const struct woven_field *f, const struct event *e, size_t i)
{
	const struct event_slot *s = &e->slots[i];
	size_t len = 0;
	const char *text = event_bytes(e, i, &len);

	if (s->status != SLOT_OK && s->status != SLOT_CUT)
		return;
	json_open(j, '[');
	json_str(j, f->name);
	if (kind_of(f->kind) == VALUE_STRING)
		json_strn(j, text ? text : "", len);
	else
		json_int(j, (int64_t)s->value);
	json_close(j, ']');
}

static void on_sample(void *arg, const void *sample, size_t size)
{
	const struct dump *d = arg;
	_cleanup_(buf_done) struct buf out = {0};
	struct json j = {.out = &out};
	const struct woven_point *p;
	struct event e[2];
	size_t n;

	if (!event_decode_sample(sample, size, e, &n) || !e[0].head->probe || e[0].head->probe > d->n) {
		puts("{\"bad\":true}");
		return;
	}
	p = &d->points[e[0].head->probe - 1];
	json_open(&j, '{');
	json_key(&j, "point");
	json_str(&j, p->point);
	json_key(&j, "pack");
	json_str(&j, p->pack);
	json_key(&j, "func");
	json_str(&j, p->func);
	json_key(&j, "goid");
	json_uint(&j, e[0].head->goid);
	json_key(&j, "depth");
	json_uint(&j, e[0].head->depth);
	json_key(&j, "ts");
	json_uint(&j, e[0].head->time_ns);
	json_key(&j, "slots");
	json_open(&j, '[');
	for (size_t i = 0; i < p->nslots && i < e[0].head->slots; i++)
		print_slot(&j, &p->slots[i], &e[0], i);
	json_close(&j, ']');
	json_close(&j, '}');
	puts(out.data);
}

static int read_points(struct dump *d, const char *pid)
{
	_cleanup_(cleanup_fd) int fd = open(arena_printf(&d->arena, "/proc/%s/exe", pid), O_RDONLY | O_CLOEXEC);
	struct image img;
	struct err err = {0};
	size_t broken;

	if (fd < 0 || image_open(fd, pid, &img, &err) < 0) {
		fprintf(stderr, "woven-dump: %s\n", err.code ? err.text : strerror(errno));
		return 1;
	}
	woven_points(&img, &d->arena, &d->points, &d->n, &broken);
	image_close(&img);
	if (broken)
		fprintf(stderr, "woven-dump: %zu broken points\n", broken);
	return broken || !d->n;
}

static void drain(struct dump *d, struct woven *w)
{
	struct event_source *s = woven_source(w);

	while (s->ops->drain(s, on_sample, d) > 0)
		;
	fflush(stdout);
}

/* Until standard input ends; then what was written until now. */
static void dump(struct dump *d, struct woven *w)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

	while (poll(&in, 1, DRAIN_MS) <= 0)
		drain(d, w);
	woven_detach(w, TARGET);
	for (int i = 0; i < 10; i++) {
		usleep(DRAIN_MS * 1000);
		drain(d, w);
	}
}

enum { ATTACH_TRIES = 2000, ATTACH_US = 5000 };

/* One that was just started makes its memory in a moment. */
static int attach(struct dump *d, struct woven *w, const struct woven_target *target, struct err *err)
{
	int r = -ENODATA;

	for (int i = 0; r == -ENODATA && i < ATTACH_TRIES; i++) {
		if (i)
			usleep(ATTACH_US);
		r = woven_attach(w, target, probes_of(d), d->n, err);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct woven_options o = {.procfs = "/proc", .sysfs = "/sys"};
	struct woven_target target = {.id = TARGET};
	struct dump d = {0};
	struct woven *w;
	struct err err = {0};

	target.pid = argc == 2 ? atoi(argv[1]) : 0;
	if (argc != 2 || read_points(&d, argv[1]))
		return 1;
	if (woven_open(&o, &w, &err) || attach(&d, w, &target, &err)) {
		fprintf(stderr, "woven-dump: %s\n", err.text);
		return 1;
	}
	puts("attached");
	fflush(stdout);
	dump(&d, w);
	woven_close(w);
	arena_done(&d.arena);
	return 0;
}
