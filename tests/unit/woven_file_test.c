/* Woven programs: what their files say, and what their memory may be, without a program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "plant/woven.h"
#include "plant/woven/memory.h"

/* ---- what a file has ---- */

#define HEAD "earshot.woven.1\n"
#define POINT "point\tnethttp\tserver\tstart\t1\tentry\tnet/http.(*conn).serve\n"

static const char whole[] = HEAD POINT "pack\t0123456789abcdef\nslot\t3\tstring\turl.path\nslot\t-\tuint\tours\n"
				       "need\ttype\t*net.conn\nneed\tfield\tnet.conn\tfd\t*net.netFD\n"
				       "left\t4\tclient.address\tnot of a type that is known\n"
				       "refused\tgin\tnethttp/server\troute\tgin.f\tit is generic\nend\n";

static void test_points_are_read(void **state)
{
	struct arena arena = {0};
	struct woven_point p;

	(void)state;
	assert_int_equal(woven_point_parse(whole, sizeof(whole), &arena, &p), sizeof(whole) - 1);
	assert_string_equal(p.pack, "nethttp");
	assert_string_equal(p.span, "server");
	assert_string_equal(p.point, "start");
	assert_int_equal(p.variant, 1);
	assert_false(p.at_return);
	assert_string_equal(p.func, "net/http.(*conn).serve");
	assert_string_equal(p.pack_hash, "0123456789abcdef");
	assert_int_equal(p.nslots, 2);
	assert_int_equal(p.slots[0].capture, 3);
	assert_string_equal(p.slots[0].kind, "string");
	assert_string_equal(p.slots[0].name, "url.path");
	assert_int_equal(p.slots[1].capture, -1);
	assert_int_equal(p.nfacts, 2);
	assert_string_equal(p.facts[0].type, "*net.conn");
	assert_null(p.facts[0].field);
	assert_int_equal(p.facts[0].key, fnv1a(FNV1A_BASIS, "type\t*net.conn", strlen("type\t*net.conn")));
	assert_string_equal(p.facts[1].type, "net.conn");
	assert_string_equal(p.facts[1].field, "fd");
	assert_string_equal(p.facts[1].field_type, "*net.netFD");
	assert_int_equal(p.nleft, 1);
	assert_string_equal(p.left[0].name, "client.address");
	assert_string_equal(p.left[0].kind, "not of a type that is known");
	assert_int_equal(p.nrefused, 1);
	assert_string_equal(p.refused[0].pack, "gin");
	assert_string_equal(p.refused[0].span, "nethttp/server");
	assert_string_equal(p.refused[0].why, "it is generic");
	arena_done(&arena);
}

static const char of_a_call[] = HEAD "point\tcalls\tmain.(*T).F\tentry\t0\tentry\tmain.(*T).F\nslot\t-\tint\targ0\n"
				     "call\t1\nvar\t-\tt\t\t*main.T\nvar\t0\t\tint64\ttime.Duration\nend\n";

static void test_variables_are_read(void **state)
{
	struct arena arena = {0};
	struct woven_point p;

	(void)state;
	assert_int_equal(woven_point_parse(of_a_call, sizeof(of_a_call), &arena, &p), sizeof(of_a_call) - 1);
	assert_true(p.every_call);
	assert_true(p.has_receiver);
	assert_int_equal(p.nvariables, 2);
	assert_int_equal(p.variables[0].slot, -1);
	assert_string_equal(p.variables[0].name, "t");
	assert_string_equal(p.variables[0].form, "");
	assert_string_equal(p.variables[0].type, "*main.T");
	assert_int_equal(p.variables[1].slot, 0);
	assert_string_equal(p.variables[1].name, "");
	assert_string_equal(p.variables[1].form, "int64");
	assert_string_equal(p.variables[1].type, "time.Duration");
	arena_done(&arena);
}

static void test_points_that_break_the_rules(void **state)
{
	static const char *const broken[] = {
		HEAD, HEAD "end\n", HEAD POINT, HEAD POINT "end", HEAD POINT POINT "end\n", HEAD "point\ta\tb\nend\n",
		HEAD "point\ta\tb\tc\tx\tentry\tf\nend\n", HEAD "point\ta\tb\tc\t1\tmiddle\tf\nend\n",
		HEAD "point\ta\tb\tc\t1\tentry\t\nend\n", HEAD POINT "slot\t99999\tint\tn\nend\n",
		HEAD POINT "slot\t1\tint\nend\n", HEAD POINT "what\nend\n", HEAD POINT "slot\t1\tint\tn\001\nend\n",
		HEAD POINT "need\ttype\nend\n", HEAD POINT "need\tfield\tT\tf\nend\n",
		HEAD POINT "refused\ta\tb\tc\td\nend\n", HEAD POINT "need\twhat\tT\nend\n",
		HEAD POINT "a\tb\tc\td\te\tf\tg\th\nend\n",
		/* Variables without a call, of a slot that there is not, a receiver that is none of them. */
		HEAD POINT "var\t-\tn\t\tint\nend\n", HEAD POINT "call\t0\nvar\t0\tn\tint\tint\nend\n",
		HEAD POINT "call\t1\nend\n", HEAD POINT "call\t2\nend\n", HEAD POINT "call\t0\ncall\t0\nend\n",
		HEAD POINT "call\nend\n", HEAD POINT "call\t0\nvar\t-\tn\tint\nend\n",
		"earshot.woven.2\n" POINT "end\n", "",
	};
	struct arena arena = {0};
	struct woven_point p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		if (woven_point_parse(broken[i], strlen(broken[i]), &arena, &p))
			fail_msg("text %zu is read", i);
	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		assert_int_equal(woven_point_parse(whole, n, &arena, &p), 0);
	arena_done(&arena);
}

/* ---- what its memory may be ---- */

static struct woven_area good_area(uint64_t *ret_bytes)
{
	struct woven_area a = {.ring = {.magic = WOVEN_MAGIC, .size = sizeof(a), .procs = 8, .extra = 8, .chunks = 64,
					.table_len = 64, .slot_bytes = 532480, .links_off = 4096 + 524288,
					.slots_off = 4096 + 524288 + 4096 + 131072 + 24576 + 8192},
			       .wanted_off = 4096,
			       .plans_off = 4096 + 524288 + 4096,
			       .marks_off = 4096 + 524288 + 4096 + 131072 + 3520,
			       .marks = 64};

	a.ring.bytes = a.ring.pool_off = a.ring.slots_off + 16 * a.ring.slot_bytes;
	*ret_bytes = a.ring.pool_off + 64 * RING_CHUNK;
	return a;
}

static void test_memory_is_checked(void **state)
{
	uint64_t bytes;
	struct woven_area good = good_area(&bytes), a;
	struct err err = {0};

	(void)state;
	if (woven_area_check(&good, bytes, &err))
		fail_msg("%s", err.text);
#define REFUSED(member, value)                                                                                         \
	do {                                                                                                           \
		a = good;                                                                                              \
		a.member = (value);                                                                                    \
		err.text[0] = 0;                                                                                       \
		assert_int_equal(woven_area_check(&a, bytes, &err), -EPROTO);                                          \
		assert_true(err.text[0]);                                                                              \
	} while (0)
	REFUSED(ring.magic, 1);
	REFUSED(ring.size, sizeof(a) + 8);
	REFUSED(ring.procs, 0);
	REFUSED(ring.procs, UINT32_MAX);
	REFUSED(ring.extra, 0);
	REFUSED(ring.extra, UINT32_MAX);
	REFUSED(ring.chunks, 0);
	REFUSED(ring.chunks, 65);
	REFUSED(ring.table_len, 63);
	REFUSED(ring.table_len, 32);
	REFUSED(ring.table_len, 1u << 31);
	REFUSED(ring.slot_bytes, 4096);
	REFUSED(ring.slot_bytes, 532481);
	REFUSED(ring.slots_off, good.ring.slots_off + 8);
	REFUSED(ring.slots_off, UINT64_MAX & ~UINT64_C(4095));
	REFUSED(plans_off, good.ring.links_off);
	REFUSED(plans_off, good.plans_off + 4);
	REFUSED(marks_off, good.plans_off);
	REFUSED(marks_off, good.marks_off + 64);
	REFUSED(marks_off, UINT64_MAX & ~UINT64_C(7));
	REFUSED(marks, 0);
	REFUSED(marks, 63);
	REFUSED(marks, 1u << 31);
	REFUSED(ring.links_off, 4096);
	REFUSED(ring.links_off, good.ring.slots_off);
	REFUSED(ring.bytes, good.ring.bytes - 4096);
	REFUSED(ring.pool_off, good.ring.pool_off + 4096);
	REFUSED(ring.pool_off, good.ring.pool_off - 4096);
	REFUSED(contexts_off, 1);
	REFUSED(contexts_off, 8);
	REFUSED(contexts_off, good.wanted_off);
	REFUSED(facts_off, 4096);
	REFUSED(facts_off, UINT64_MAX & ~UINT64_C(7));
	REFUSED(wanted_off, 0);
	REFUSED(wanted_off, 8192);
	REFUSED(wanted_off, UINT64_MAX - 7);
	assert_int_equal(woven_area_check(&good, bytes - 1, &err), -EPROTO);
	assert_int_equal(woven_area_check(&good, UINT64_C(1) << 50, &err), -EPROTO);
}

static int make_file(const struct woven_area *a, uint64_t bytes, int seals)
{
	int fd = memfd_create(WOVEN_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(pwrite(fd, a, MIN(bytes, sizeof(*a)), 0), MIN(bytes, sizeof(*a)));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void refused(const struct woven_area *a, uint64_t bytes, int seals, int code, const char *words)
{
	int fd = make_file(a, bytes, seals);
	struct woven_memory m;
	struct err err = {0};

	assert_int_equal(woven_memory_open("/proc", getpid(), &m, &err), code);
	if (!strstr(err.text, words))
		fail_msg("%s", err.text);
	close(fd);
}

/* Files of that name that are none, of this very process. */
static void test_files_that_are_refused(void **state)
{
	const int both = F_SEAL_SHRINK | F_SEAL_GROW;
	struct woven_area zero = {0}, good, older;
	struct woven_memory m, second;
	struct err err = {0};
	uint64_t bytes;
	int fd;

	(void)state;
	good = good_area(&bytes);
	good.pid = (uint64_t)getpid();
	older = good;
	older.ring.magic -= 1 << 24;
	assert_int_equal(woven_memory_open("/proc", getpid(), &m, &err), -ENODATA);
	refused(&good, bytes, F_SEAL_GROW, -EPROTO, "not sealed");
	refused(&good, 100, both, -EPROTO, "too short");
	refused(&good, bytes - 1, both, -EPROTO, "not what a recorder makes");
	refused(&good, WOVEN_HEAD, both, -EPROTO, "not what a recorder makes");
	refused(&zero, bytes, both, -ENODATA, "has not begun");
	refused(&older, bytes, both, -EPROTO, "another version");
	good.pid++;
	refused(&good, bytes, both, -ENODATA, "was forked");
	good.pid--;
	fd = make_file(&good, bytes, both);
	assert_int_equal(woven_memory_open("/proc", getpid(), &m, &err), 0);
	assert_int_equal(woven_memory_open("/proc", getpid(), &second, &err), -EBUSY);
	woven_memory_close(&m);
	assert_int_equal(woven_memory_open("/proc", getpid(), &second, &err), 0);
	woven_memory_close(&second);
	close(fd);
	fd = memfd_create(WOVEN_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (fd >= 0) { /* else this kernel has no huge pages */
		assert_int_equal(ftruncate(fd, 1 << 30), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, both), 0);
		assert_int_equal(woven_memory_open("/proc", getpid(), &m, &err), -EPROTO);
		assert_non_null(strstr(err.text, "not of ordinary pages"));
		close(fd);
	}
	assert_int_equal(woven_memory_open("/proc", 0x7ffffff, &m, &err), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points_are_read),
		cmocka_unit_test(test_variables_are_read),
		cmocka_unit_test(test_points_that_break_the_rules),
		cmocka_unit_test(test_memory_is_checked),
		cmocka_unit_test(test_files_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
