/*
 * Recordings: spans come back as they were, old ones go as a whole, and a file says what it has, whatever was done to
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "record/recording_file.h"
#include "unit/spans.h"

static struct segment_memory memory;
static struct buf given; /* what was handed over, as text */
static struct span last, *copy; /* last: a copy's, where one is wanted */
static char dir[40], path[64];

static int setup(void **state)
{
	strcpy(dir, "/tmp/earshot-recording-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ring", dir);
	return 0;
}

static int teardown(void **state)
{
	_cleanup_(cleanup_free) char *command = xasprintf("rm -r %s", dir);

	segment_memory_done(&memory);
	memory = (struct segment_memory){0};
	buf_reset(&given);
	free(TAKE(copy));
	return system(command);
}

static void print_attrs(const struct attr *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(&given, " %s=", a[i].key);
		if (a[i].kind == ATTR_STRING)
			buf_printf(&given, "%zu:%s", a[i].len, a[i].s);
		else if (a[i].kind == ATTR_DOUBLE)
			buf_printf(&given, "%g", a[i].d);
		else if (a[i].kind == ATTR_BOOL)
			buf_str(&given, a[i].b ? "true" : "false");
		else
			buf_int(&given, a[i].i);
	}
}

static void give(void *arg, const struct span *s)
{
	size_t bytes;

	free(copy);
	copy = span_copy(s, &bytes);
	last = *copy;
	buf_printf(&given, "%s %s[%d] %s %d", s->name, s->resource->service, s->resource->pid, s->pack, s->kind);
	print_attrs(s->attrs, s->nattrs);
	for (size_t i = 0; i < s->nevents; i++) {
		buf_printf(&given, " !%s", s->events[i].name);
		print_attrs(s->events[i].attrs, s->events[i].nattrs);
	}
	buf_char(&given, '\n');
}

static void count(void *arg, const struct span *s)
{
}

static const struct segment_reading reading = {.span = give, .memory = &memory}, counting = {.span = count,
											       .memory = &memory};

static struct recording *begin(uint64_t last_ns, const char *file)
{
	const struct recording_options o = {.last_ns = last_ns, .max_bytes = RECORDING_LEAST, .file = file};
	struct recording *r;
	struct err err = {0};
	bool kept;

	if (recording_new(&o, &r, &kept, &err) < 0)
		fail_msg("%s", err.text);
	return r;
}

static void all_of_a_span(void **state)
{
	static const struct attr about[] = {STR("service.name", "stock")};
	static const struct resource process = {.id = 7, .pid = 12, .name = "stockd", .service = "stock",
						.attrs = about, .nattrs = 1};
	static const char with_nul[] = "a\0b";
	const struct attr attrs[] = {STR("url.path", "/cart"), INT("n", -3),
				     {.key = "d", .kind = ATTR_DOUBLE, .d = 1.5},
				     {.key = "b", .kind = ATTR_BOOL, .b = true},
				     {.key = "z", .kind = ATTR_STRING, .s = with_nul, .len = 3}};
	const struct attr message[] = {STR("url.path", "no")};
	const struct span_event events[] = {{"log", SPAN_START + 9, message, 1}, {"mark", 1, NULL, 0}};
	struct span s = span_make("GET /cart", 412007, attrs, 5);
	struct recording *r = begin(0, NULL);
	struct recording_about about_it;

	s.resource = &process;
	s.events = events;
	s.nevents = 2;
	s.status = SPAN_STATUS_ERROR;
	s.status_text = "panic";
	s.trace_state = "a=1";
	s.parent = SPAN_PARENT_REMOTE;
	s.parent_source = PARENT_THREAD; /* the last one */
	recording_span(r, &s);
	recording_span(r, &s);
	recording_read(r, 0, &reading, &about_it);
	assert_string_equal(given.data, "GET /cart stock[12] net-http 2 url.path=5:/cart n=-3 d=1.5 b=true z=3:a !log "
					"url.path=2:no !mark\n"
					"GET /cart stock[12] net-http 2 url.path=5:/cart n=-3 d=1.5 b=true z=3:a !log "
					"url.path=2:no !mark\n");
	assert_memory_equal(last.attrs[4].s, with_nul, 4);
	assert_memory_equal(last.trace_id, s.trace_id, 16);
	assert_memory_equal(last.span_id, s.span_id, 8);
	assert_true(last.start_unix_ns == s.start_unix_ns && last.duration_ns == 412007 && last.goid == 17);
	assert_true(last.parent == SPAN_PARENT_REMOTE && last.parent_source == PARENT_THREAD);
	assert_string_equal(last.status_text, "panic");
	assert_string_equal(last.trace_state, "a=1");
	assert_string_equal(last.resource->name, "stockd");
	assert_string_equal(last.resource->attrs[0].s, "stock");
	assert_true(last.events[0].unix_ns == SPAN_START + 9);
	assert_int_equal(last.summary->n, s.summary->n);
	for (size_t i = 0; i < s.summary->n; i++) {
		assert_int_equal(last.summary->parts[i].n, s.summary->parts[i].n);
		for (size_t j = 0; j < s.summary->parts[i].n; j++) {
			assert_int_equal(last.summary->parts[i].items[j].op, s.summary->parts[i].items[j].op);
			assert_string_equal(last.summary->parts[i].items[j].text, s.summary->parts[i].items[j].text);
		}
	}
	assert_true(about_it.spans == 2 && about_it.from_start && !about_it.damaged);
	recording_free(r);
}

/* Some 270 bytes each. */
static void record_many(struct recording *r, unsigned from, unsigned to)
{
	char text[200];

	memset(text, 'x', sizeof(text));
	for (unsigned i = from; i < to; i++) {
		const struct attr attrs[] = {INT("n", i), {.key = "t", .kind = ATTR_STRING, .s = text, .len = 199}};
		struct span s = span_make("work", 1000, attrs, 2);

		text[199] = 0;
		s.start_unix_ns = clock_realtime_ns();
		recording_span(r, &s);
	}
}

static int64_t first_n;
static uint64_t seen;

static void follow(void *arg, const struct span *s)
{
	if (seen++)
		assert_int_equal(s->attrs[0].i, last.attrs[0].i + 1);
	else
		first_n = s->attrs[0].i;
	((struct attr *)(uintptr_t)last.attrs)[0].i = s->attrs[0].i;
}

static uint64_t read_following(const struct recording *r, struct recording_file *f, uint64_t from,
			       struct recording_about *ret)
{
	struct attr n = INT("n", 0);
	const struct segment_reading to = {.span = follow, .memory = &memory};

	last.attrs = &n;
	seen = 0;
	if (f)
		assert_int_equal(recording_file_read(f, from, &to, ret, NULL), 0);
	else
		recording_read(r, from, &to, ret);
	assert_int_equal(seen, ret->spans);
	return seen;
}

/* What memory bounds: the last spans are there, without a gap, and it is said since when. */
static void bound_by_memory(void **state)
{
	struct recording *r = begin(0, NULL);
	struct recording_about about;
	uint64_t most;

	record_many(r, 0, 10000);
	assert_true(recording_bytes(r, &most) == most && most == RECORDING_LEAST);
	read_following(r, NULL, 0, &about);
	assert_int_equal(first_n + (int64_t)seen, 10000);
	assert_true(seen > 2500 && seen < 5000 && !about.from_start);
	recording_free(r);
}

static void bound_by_time(void **state)
{
	struct recording *r = begin(1000000000, NULL);
	const uint64_t now = clock_monotonic_ns();
	struct recording_about about;
	uint64_t most, middle;

	recording_tick(r, now);
	record_many(r, 0, 1500);
	middle = clock_realtime_ns();
	recording_tick(r, now + 500000000);
	record_many(r, 1500, 3000);
	recording_tick(r, now + 900000000);
	read_following(r, NULL, 0, &about);
	assert_int_equal(seen, 3000);
	assert_true(about.from_start);
	read_following(r, NULL, middle, &about); /* an end is a microsecond behind its start here */
	assert_true(seen >= 1500 && seen < 1600 && about.begun_unix_ns == middle && !about.from_start);
	recording_tick(r, now + 1200000000);
	read_following(r, NULL, 0, &about);
	assert_true(seen < 2600 && first_n + (int64_t)seen == 3000 && !about.from_start);
	recording_tick(r, now + 9000000000);
	assert_int_equal(recording_bytes(r, &most), SEGMENT_BYTES);
	recording_free(r);
}

static void losses_of_that_time(void **state)
{
	struct recording *r = begin(0, NULL);
	struct recorded_losses l = {.spans = 2, .losses.count = {[LOSS_RING_FULL] = 5}};
	struct recording_about about;

	recording_losses(r, &l);
	recording_read(r, 0, &counting, &about);
	assert_int_equal(about.lost.losses.count[LOSS_RING_FULL], 5);
	record_many(r, 0, 10000); /* that segment is gone */
	l.losses.count[LOSS_RING_FULL] = 7;
	l.losses.count[LOSS_BUSY] = 1;
	l.spans = 3;
	recording_losses(r, &l);
	recording_read(r, 0, &counting, &about);
	assert_int_equal(about.lost.losses.count[LOSS_RING_FULL], 2);
	assert_int_equal(about.lost.losses.count[LOSS_BUSY], 1);
	assert_int_equal(about.lost.spans, 1);
	recording_free(r);
}

static void too_large(void **state)
{
	static char text[SEGMENT_BYTES];
	const struct attr attrs[] = {{.key = "t", .kind = ATTR_STRING, .s = text, .len = sizeof(text) - 1}};
	struct recording *r = begin(0, NULL);
	struct span s = span_make("large", 1, attrs, 1);
	struct recording_about about;

	memset(text, 'x', sizeof(text) - 1);
	record_many(r, 0, 3);
	recording_span(r, &s);
	record_many(r, 3, 5);
	assert_int_equal(recording_too_large(r), 1);
	assert_int_equal(read_following(r, NULL, 0, &about), 5);
	assert_int_equal(about.damaged, 0);
	recording_free(r);
}

/* ---- files ---- */

static struct recording_file *open_file(void)
{
	struct recording_file *f;
	struct err err = {0};

	if (recording_file_open(path, &f, &err) < 0)
		fail_msg("%s", err.text);
	return f;
}

/* The file as it is when the recorder was killed after its last tick. */
static void a_file_outlives_it(void **state)
{
	struct recording *r = begin(0, path);
	struct recording_about about;
	struct recording_file *f;

	record_many(r, 0, 700);
	recording_tick(r, clock_monotonic_ns());
	record_many(r, 700, 750);
	f = open_file();
	assert_int_equal(read_following(NULL, f, 0, &about), 700);
	assert_true(about.from_start && !about.damaged && !about.cut);
	recording_tick(r, clock_monotonic_ns());
	assert_int_equal(read_following(NULL, f, 0, &about), 750);
	record_many(r, 750, 20000);
	recording_tick(r, clock_monotonic_ns());
	read_following(NULL, f, 0, &about);
	assert_int_equal(first_n + (int64_t)seen, 20000);
	assert_true(seen > 2500 && !about.from_start && !about.damaged && !about.left_out);
	recording_file_free(f);
	recording_free(r);
}

static void refused(const char *part)
{
	struct recording_file *f = NULL;
	struct err err = {0};

	assert_int_equal(recording_file_open(path, &f, &err), -EBADMSG);
	if (!strstr(err.text, part) || strchr(err.text, '\n'))
		fail_msg("%s", err.text);
}

static void change(off_t at, const void *bytes, size_t n)
{
	const int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static void alien_files(void **state)
{
	const uint32_t two = 2, one = 1;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	close(fd);
	refused("is no recording");
	change(0, "EARSHOTRxxxxxxxxxxxxxxxxxxxxxxxx", 8);
	refused("is no recording");
	unlink(path);
	recording_free(begin(0, path));
	change(8, &two, 4);
	refused("format 2");
	change(8, &one, 4);
	change(16, &one, 4);
	refused("damaged");
}

static void damaged_files(void **state)
{
	struct recording *r = begin(0, path);
	struct recording_about about;
	struct recording_file *f;

	record_many(r, 0, 3000);
	recording_free(r);
	f = open_file();
	change(RECORDING_HEADER + SEGMENT_BYTES + 5000, "?", 1);
	recording_file_read(f, 0, &counting, &about, NULL);
	assert_true(about.damaged == 1 && about.spans > 1500 && about.spans < 2900);
	change(RECORDING_HEADER + SEGMENT_BYTES + 8, "?", 1); /* its head: what is before it does not follow any more */
	recording_file_read(f, 0, &counting, &about, NULL);
	assert_true(about.damaged == 0 && about.left_out == 1 && about.spans > 500 && about.spans < 1500);
	assert_int_equal(truncate(path, RECORDING_HEADER + SEGMENT_BYTES / 2), 0);
	recording_file_read(f, 0, &counting, &about, NULL);
	assert_true(about.damaged == 1 && about.cut == RECORDING_LEAST - SEGMENT_BYTES / 2 && about.spans > 300);
	recording_file_free(f);
}

static void what_is_there_is_kept(void **state)
{
	const struct recording_options o = {.max_bytes = RECORDING_LEAST, .file = path};
	struct recording *r = begin(0, path), *second;
	struct recording_about about;
	struct recording_file *f;
	struct err err = {0};
	bool kept = false;

	record_many(r, 0, 10);
	assert_int_equal(recording_new(&o, &second, &kept, &err), -EWOULDBLOCK);
	assert_non_null(strstr(err.text, "another recorder"));
	recording_free(r);
	assert_int_equal(recording_new(&o, &second, &kept, &err), 0);
	assert_true(kept);
	recording_free(second);
	assert_int_equal(recording_new(&o, &second, &kept, &err), 0); /* one without spans takes nobody's place */
	assert_false(kept);
	recording_free(second);
	strcat(path, ".old");
	f = open_file();
	assert_int_equal(read_following(NULL, f, 0, &about), 10);
	recording_file_free(f);
	change(0, "#!/bin/sh", 8);
	assert_int_equal(recording_new(&o, &second, &kept, &err), -EEXIST);
	assert_non_null(strstr(err.text, "no recording"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_a_span, setup, teardown),
		cmocka_unit_test_setup_teardown(bound_by_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(bound_by_time, setup, teardown),
		cmocka_unit_test_setup_teardown(losses_of_that_time, setup, teardown),
		cmocka_unit_test_setup_teardown(too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_outlives_it, setup, teardown),
		cmocka_unit_test_setup_teardown(alien_files, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_files, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_there_is_kept, setup, teardown),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	buf_done(&given);
	return r;
}
