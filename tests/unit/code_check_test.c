/* plant/code_check: this program's own code, compared with its file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "binary/image.h"
#include "plant/code_check.h"

#define PAGE 4096

/* Three pages of code that nobody runs; the last one begins with the nop that kernels make a call of. */
__asm__(".pushsection .text\n.balign 4096\ncode: .rept 4096\n push %rbp\n pop %rbx\n .endr\n"
	".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n.rept 4091\n push %rsi\n .endr\n.popsection\n");
extern unsigned char code[] __attribute__((visibility("hidden")));

static struct image img;
static uint64_t bias;

static int find_bias(struct dl_phdr_info *object, size_t size, void *arg)
{
	bias = object->dlpi_addr;
	return 1;
}

static int setup(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct err err = {0};

	if (image_open(fd, "self", &img, &err) < 0)
		fail_msg("%s", err.text);
	close(fd);
	dl_iterate_phdr(find_bias, NULL);
	return mprotect(code, 3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int teardown(void **state)
{
	image_close(&img);
	return 0;
}

static const struct plant_probe probes[] = {{.label = "one"}, {.label = "two"}, {.label = "three"}};

static size_t check(const struct image *image, struct code_place *places, size_t n, bool *refused, struct err *errs)
{
	const struct plant_target t = {.pid = getpid(), .bias = bias, .image = image};
	struct verdicts v;
	size_t count;

	for (size_t i = 0; i < n; i++)
		places[i].addr += (uintptr_t)code - bias;
	verdicts_init(&v, probes, ARRAY_SIZE(probes), errs);
	code_check(&t, places, n, &v);
	memcpy(refused, v.refused, ARRAY_SIZE(probes) * sizeof(*refused));
	count = v.nrefused;
	verdicts_done(&v);
	return count;
}

/* How one place of 16 bytes at offset 32 comes out; strict as in struct code_place. */
static bool one_refused(uint32_t strict, const char *says)
{
	struct code_place place = {.addr = 32, .n = 16, .strict = strict, .probe = 1};
	struct err errs[ARRAY_SIZE(probes)] = {0};
	bool refused[ARRAY_SIZE(probes)];
	size_t n = check(&img, &place, 1, refused, errs);

	assert_int_equal(n, refused[1]);
	assert_false(refused[0] || refused[2]);
	if (n && (!strstr(errs[1].text, says) || strncmp(errs[1].text, "two ", 4)))
		fail_msg("\"%s\" does not say \"%s\"", errs[1].text, says);
	return n;
}

static void test_same(void **state)
{
	struct code_place places[] = {{.addr = PAGE - 8, .n = 16}, {.addr = 8, .n = 16, .probe = 1},
				      {.addr = 0, .n = 64, .strict = 64, .probe = 2}};
	bool refused[ARRAY_SIZE(probes)];

	assert_int_equal(check(&img, places, ARRAY_SIZE(places), refused, NULL), 0);
	assert_int_equal(check(NULL, places, ARRAY_SIZE(places), refused, NULL), 0);
	assert_int_equal(check(&img, NULL, 0, refused, NULL), 0);
}

static void test_different(void **state)
{
	for (int at = 32; at < 48; at++) {
		unsigned char old = code[at];

		code[at] ^= 1;
		assert_true(one_refused(0, "is not that of the file that was analysed"));
		assert_true(one_refused(16, "is not that of the file that was analysed"));
		code[at] = old;
	}
	code[31] ^= 1;
	code[48] ^= 1;
	assert_false(one_refused(16, ""));
	code[31] ^= 1;
	code[48] ^= 1;
}

static void test_jump(void **state)
{
	static const unsigned char jumps[][6] = {{0xe9, 1, 2, 3, 4, 0x53}, {0xff, 0x25, 0, 0, 0, 0}};
	unsigned char old[7];

	memcpy(old, code + 32, sizeof(old));
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		memcpy(code + 32, jumps[i], sizeof(jumps[i]));
		assert_true(one_refused(0, "begins with a jump that is not in the file"));
		memcpy(code + 32, old, sizeof(old));
		memcpy(code + 33, jumps[i], sizeof(jumps[i]));
		assert_true(one_refused(0, "is not that of the file that was analysed"));
		memcpy(code + 32, old, sizeof(old));
	}
	assert_false(one_refused(16, ""));
}

/* Whether a uprobe is seen at byte `site` of the place. */
static bool is_shared(uint32_t site)
{
	struct code_place place = {.addr = 32, .n = 16, .site = site};
	bool refused[ARRAY_SIZE(probes)];

	check(&img, &place, 1, refused, NULL);
	return place.shared;
}

static void test_shared(void **state)
{
	unsigned char old = code[40];

	assert_false(is_shared(0) || is_shared(8));
	code[40] = 0xcc;
	assert_true(is_shared(8));
	assert_false(is_shared(0) || is_shared(15));
	code[40] = old ^ 1;
	assert_false(is_shared(8));
	code[40] = old;
}

static void test_breakpoints(void **state)
{
	unsigned char old[16];

	memcpy(old, code + 32, sizeof(old));
	code[32] = 0xcc;
	assert_false(one_refused(0, ""));
	assert_true(one_refused(1, "has a breakpoint of another tool"));
	code[40] = 0xcc;
	assert_false(one_refused(0, ""));
	memcpy(code + 32, old, sizeof(old));
	code[40] = 0xcc;
	assert_false(one_refused(5, ""));
	assert_true(one_refused(9, "has a breakpoint of another tool"));
	memset(code + 32, 0xcc, sizeof(old)); /* padding, more likely */
	assert_true(one_refused(0, "is not that of the file that was analysed"));
	memcpy(code + 32, old, sizeof(old));
	assert_false(one_refused(16, ""));
}

static void test_optimised(void **state)
{
	struct code_place place = {.addr = 2 * PAGE, .n = 16};
	bool refused[ARRAY_SIZE(probes)];
	unsigned char old[5];

	memcpy(old, code + 2 * PAGE, sizeof(old));
	memcpy(code + 2 * PAGE, "\xe8\x11\x22\x33\x44", sizeof(old));
	assert_int_equal(check(&img, &place, 1, refused, NULL), 0);
	assert_true(place.shared);
	place = (struct code_place){.addr = 2 * PAGE, .n = 16, .strict = 5};
	assert_int_equal(check(&img, &place, 1, refused, NULL), 1);
	memcpy(code + 2 * PAGE, old, sizeof(old));
}

/* What cannot be read does not keep what comes after it from being read. */
static void test_unreadable(void **state)
{
	struct code_place places[] = {{.addr = 16, .n = 16}, {.addr = PAGE + 16, .n = 16, .probe = 1},
				      {.addr = 2 * PAGE + 16, .n = 16, .probe = 2}};
	struct err errs[ARRAY_SIZE(probes)] = {0};
	bool refused[ARRAY_SIZE(probes)];

	assert_int_equal(mprotect(code + PAGE, PAGE, PROT_NONE), 0);
	assert_int_equal(check(&img, places, ARRAY_SIZE(places), refused, errs), 1);
	assert_int_equal(mprotect(code + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	assert_true(!refused[0] && refused[1] && !refused[2]);
	assert_non_null(strstr(errs[1].text, "cannot be read"));
}

/* More than one system call takes. */
static void test_many(void **state)
{
	enum { N = 3000 };
	struct code_place *places = calloc(N, sizeof(*places));
	bool refused[ARRAY_SIZE(probes)];

	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < N; i++)
			places[i] = (struct code_place){.addr = (N - i) * 4 % (2 * PAGE), .n = 4, .probe = i % 2};
		code[PAGE + 400] ^= (unsigned char)round;
		assert_int_equal(check(&img, places, N, refused, NULL), round);
		code[PAGE + 400] ^= (unsigned char)round;
	}
	free(places);
}

static void test_file_changed(void **state)
{
	char path[] = "/tmp/earshot-code-XXXXXX", bytes[PAGE];
	struct code_place place = {.addr = 16, .n = 16, .probe = 2};
	bool refused[ARRAY_SIZE(probes)];
	struct err errs[ARRAY_SIZE(probes)] = {0};
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = mkstemp(path);
	struct image copy;
	ssize_t n;

	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(to, bytes, (size_t)n), n);
	assert_int_equal(image_open(to, "copy", &copy, NULL), 0);
	assert_int_equal(check(&copy, &place, 1, refused, errs), 0);
	assert_int_equal(ftruncate(to, (off_t)copy.size + 1), 0);
	place.addr = 16;
	assert_int_equal(check(&copy, &place, 1, refused, errs), 1);
	assert_true(refused[2]);
	assert_string_equal(errs[2].text, "three is not probed: its file has changed since it was analysed");
	image_close(&copy);
	close(from);
	close(to);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),       cmocka_unit_test(test_different),
		cmocka_unit_test(test_jump), cmocka_unit_test(test_breakpoints), cmocka_unit_test(test_optimised),
		cmocka_unit_test(test_shared),     cmocka_unit_test(test_unreadable), cmocka_unit_test(test_many),
		cmocka_unit_test(test_file_changed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
