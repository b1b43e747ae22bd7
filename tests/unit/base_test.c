/* base/: containers, JSON, durations, the event loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/copy.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/parallel.h"
#include "base/vec.h"

static void count_visit(void *arg, size_t i)
{
	((unsigned char *)arg)[i]++;
}

static void test_parallel(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 100, 5000};

	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		for (unsigned threads = 0; threads < 1000; threads = threads * 10 + 1) {
			unsigned char *seen = xcalloc(sizes[k] + 1, 1);

			parallel_each(sizes[k], threads, count_visit, seen);
			for (size_t i = 0; i < sizes[k]; i++)
				assert_int_equal(seen[i], 1);
			assert_int_equal(seen[sizes[k]], 0);
			free(seen);
		}
	}
}

static void test_map(void **state)
{
	struct map m = {0};
	static int values[5000];

	assert_null(map_get(&m, 7));
	assert_null(map_del(&m, 7));
	for (uintptr_t i = 0; i < 5000; i++)
		assert_null(map_set(&m, i * 7919, &values[i]));
	assert_int_equal(m.len, 5000);
	for (uintptr_t i = 0; i < 5000; i += 2)
		assert_ptr_equal(map_del(&m, i * 7919), &values[i]);
	for (uintptr_t i = 0; i < 5000; i++)
		assert_ptr_equal(map_get(&m, i * 7919), i % 2 ? &values[i] : NULL);
	assert_int_equal(m.len, 2500);
	map_done(&m);
}

static void test_map_walk(void **state)
{
	struct map m = {0};
	uint64_t key, sum = 0;
	int v;

	for (uint64_t i = 1; i <= 100; i++)
		map_set(&m, i, &v);
	for (size_t pos = 0; map_next(&m, &pos, &key, NULL);)
		sum += key;
	assert_int_equal(sum, 5050);
	map_done(&m);
}

static void test_strmap(void **state)
{
	struct strmap m = {0};
	static char keys[2000][16];
	int v;

	for (int i = 0; i < 2000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
		assert_null(strmap_set(&m, keys[i], strlen(keys[i]), &keys[i]));
	}
	for (int i = 0; i < 2000; i++)
		assert_ptr_equal(strmap_get(&m, keys[i], strlen(keys[i])), &keys[i]);
	assert_null(strmap_get(&m, "key-", 4));
	assert_ptr_equal(strmap_set(&m, "key-5", 5, &v), &keys[5]);
	assert_ptr_equal(strmap_get(&m, "key-5", 5), &v);
	strmap_done(&m);
}

static void test_arena(void **state)
{
	struct arena a = {0};
	char *big = arena_alloc(&a, 100000), *s;

	memset(big, 1, 100000);
	s = arena_printf(&a, "%s-%d", "x", 42);
	assert_string_equal(s, "x-42");
	assert_int_equal((uintptr_t)arena_alloc(&a, 3) % 16, 0);
	arena_done(&a);
	arena_done(&a);
}

static void test_vec_and_buf(void **state)
{
	VEC(int) v = {0};
	struct buf b = {0};

	for (int i = 0; i < 100; i++)
		vec_push(&v, i);
	assert_int_equal(v.data[99], 99);
	vec_done(&v);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i % 10);
	assert_int_equal(b.len, 2000);
	assert_int_equal(strlen(b.data), 2000);
	buf_reset(&b);
	assert_string_equal(b.data, "");
	buf_done(&b);
	{
		_cleanup_(cleanup_free) char *empty = buf_take(&b);

		assert_string_equal(empty, "");
	}
}

static void test_int(void **state)
{
	static const int64_t values[] = {0, 7, -7, 10, 99, 100, -123456789, INT64_MAX, INT64_MIN};
	struct buf b = {0};
	char want[32];

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		buf_reset(&b);
		buf_int(&b, values[i]);
		snprintf(want, sizeof(want), "%lld", (long long)values[i]);
		assert_string_equal(b.data, want);
	}
	buf_done(&b);
}

static void json_is(const char *expected, struct buf *out)
{
	assert_string_equal(out->data, expected);
	buf_reset(out);
}

static void test_json(void **state)
{
	struct buf out = {0};
	struct json j = {.out = &out};

	json_open(&j, '{');
	json_key(&j, "a");
	json_int(&j, -3);
	json_key(&j, "b");
	json_open(&j, '[');
	json_str(&j, "x\"\\\n\x01");
	json_bool(&j, true);
	json_str(&j, NULL);
	json_double(&j, 0.5);
	json_double(&j, NAN);
	json_close(&j, ']');
	json_key(&j, "c");
	json_open(&j, '{');
	json_close(&j, '}');
	json_close(&j, '}');
	json_is("{\"a\":-3,\"b\":[\"x\\\"\\\\\\n\\u0001\",true,null,0.5,\"NaN\"],\"c\":{}}", &out);
	j.comma = false;
	json_strn(&j, "gr\xc3\xbc\xc3\x9f\xff e\xe2\x82", 11);
	json_is("\"gr\xc3\xbc\xc3\x9f\xef\xbf\xbd e\xef\xbf\xbd\xef\xbf\xbd\"", &out);
	buf_done(&out);
}

static void test_utf8(void **state)
{
	assert_int_equal(utf8_valid("\xc0\x80", 2), 0);     /* overlong */
	assert_int_equal(utf8_valid("\xed\xa0\x80", 3), 0); /* surrogate */
	assert_int_equal(utf8_valid("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(utf8_valid("\xf0\x9f\x98\x80", 4), 4);
	assert_int_equal(utf8_valid("\xf0\x9f\x98\x80", 3), 0);
	assert_int_equal(utf8_valid("\xe0\xa4\xb9", 3), 3);
}

static void test_duration(void **state)
{
	struct err err = {0};
	uint64_t ns = 1;

	assert_int_equal(duration_parse("1m30s", &ns, &err), 0);
	assert_int_equal(ns, 90000000000u);
	assert_int_equal(duration_parse("1.5h", &ns, &err), 0);
	assert_int_equal(ns, 5400000000000u);
	assert_int_equal(duration_parse("250us", &ns, &err), 0);
	assert_int_equal(ns, 250000);
	assert_int_equal(duration_parse("10", &ns, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"10\""));
	assert_int_equal(duration_parse("", &ns, &err), -EINVAL);
	assert_int_equal(duration_parse("-1s", &ns, &err), -EINVAL);
	assert_int_equal(duration_parse("1d", &ns, &err), -EINVAL);
	assert_int_equal(ns, 250000);
}

static void test_err(void **state)
{
	struct err e = {0};

	assert_int_equal(err_set(&e, -5, "x %d", 1), -5);
	assert_int_equal(err_prefix(&e, "file"), -5);
	assert_string_equal(e.text, "file: x 1");
	assert_int_equal(err_set(NULL, -7, "ignored"), -7);
}

struct loop_state {
	struct loop *loop;
	int reads, ticks, signals;
	int fd;
	struct loop_source *source;
};

static void on_read(void *arg, uint32_t events)
{
	struct loop_state *s = arg;
	char c;

	assert_int_equal(read(s->fd, &c, 1), 1);
	s->reads++;
	loop_remove(s->loop, s->source);
}

static void on_tick(void *arg, uint32_t events)
{
	struct loop_state *s = arg;

	if (++s->ticks == 3)
		kill(getpid(), SIGUSR1);
}

static void on_signal(void *arg, uint32_t sig)
{
	struct loop_state *s = arg;

	assert_int_equal(sig & ~LOOP_SIGNAL_FROM_KERNEL, SIGUSR1);
	assert_int_equal(sig & LOOP_SIGNAL_FROM_KERNEL, 0);
	s->signals++;
	loop_quit(s->loop);
}

static void test_loop(void **state)
{
	struct loop_state s = {0};
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	s.fd = fds[0];
	assert_int_equal(loop_new(&s.loop), 0);
	assert_int_equal(loop_add_fd(s.loop, fds[0], EPOLLIN, on_read, &s, &s.source), 0);
	assert_int_equal(loop_add_timer(s.loop, 1000000, 1000000, on_tick, &s, NULL), 0);
	assert_int_equal(loop_add_signal(s.loop, SIGUSR1, on_signal, &s), 0);
	assert_int_equal(write(fds[1], "ab", 2), 2);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.reads, 1);
	assert_int_equal(s.signals, 1);
	assert_true(s.ticks >= 3);
	loop_free(s.loop);
	close(fds[0]);
	close(fds[1]);
}

static void test_wall_offset(void **state)
{
	int64_t wall = (int64_t)clock_monotonic_ns() + clock_wall_offset_ns();
	int64_t diff = wall - (int64_t)clock_realtime_ns();

	assert_true(diff < 1000000000 && diff > -1000000000);
}

static void test_wall_clock(void **state)
{
	struct wall_clock c = {0};
	uint64_t now = clock_monotonic_ns();
	int64_t diff = (int64_t)(wall_clock_ns(&c, now, now) - clock_realtime_ns());

	assert_true(diff < 1000000000 && diff > -1000000000);
	c = (struct wall_clock){.offset = 7, .measured_at = now}; /* young: as it was measured */
	assert_int_equal(wall_clock_ns(&c, 5, now), 12);
	assert_int_equal(wall_clock_ns(&c, 5, now - 2000000000), 12); /* what was a little before is no reason */
	c.measured_at = now - 2000000000;
	assert_true(wall_clock_ns(&c, 5, now) > 12);
	assert_true(c.measured_at >= now);
}

static void test_copy(void **state)
{
	char from[100], to[sizeof(from) + 2];

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 37 + 1);
	for (size_t n = 0; n <= sizeof(from); n++) {
		memset(to, 'x', sizeof(to));
		copy_short(to + 1, n ? from + sizeof(from) - n : NULL, n);
		assert_memory_equal(to + 1, from + sizeof(from) - n, n);
		assert_int_equal(to[0], 'x');
		assert_int_equal(to[n + 1], 'x');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map),	    cmocka_unit_test(test_map_walk),
		cmocka_unit_test(test_strmap),	    cmocka_unit_test(test_arena),
		cmocka_unit_test(test_vec_and_buf), cmocka_unit_test(test_int),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_utf8),	    cmocka_unit_test(test_duration),
		cmocka_unit_test(test_err),	    cmocka_unit_test(test_loop),
		cmocka_unit_test(test_wall_offset), cmocka_unit_test(test_wall_clock), cmocka_unit_test(test_copy),
		cmocka_unit_test(test_parallel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
