/*
 * Damaged copies of real Go programs: cut short anywhere, bytes flipped in the headers, the
 * pclntab, moduledata and the types. Each is opened from memory and asked everything; nothing may
 * crash or hang. HOSTILE_CASES=N sets how many cases there are (3,000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "lib/tiny_go.h"
#include "lib/touch.h"

#define FUNC_STRIDE 499 /* of the functions, this many apart are asked */
#define TYPES	    60	/* so many types are asked in most cases */

struct region {
	const char *name;
	uint64_t offset, size;
};

struct victim {
	const unsigned char *data; /* the file as it was */
	size_t size;
	int fd; /* the copy that is damaged */
	struct region regions[6];
	size_t nregions;
};

static uint64_t rng = 1;

static uint64_t random_below(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static size_t cases(void)
{
	const char *n = getenv("HOSTILE_CASES");

	return n ? strtoul(n, NULL, 10) : 3000;
}

static void add_region(struct victim *v, const struct binary *b, const char *name, uint64_t addr,
		       uint64_t size)
{
	struct region r = {name, 0, size};

	if (image_offset(&b->img, addr, &r.offset))
		v->regions[v->nregions++] = r;
}

static void victim_open(struct victim *v, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct binary *b = NULL;
	struct stat st;

	*v = (struct victim){0};
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	v->size = (size_t)st.st_size;
	v->data = mmap(NULL, v->size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(v->data != MAP_FAILED);
	close(fd);
	v->fd = memory_file(v->data, v->size);
	assert_true(v->fd >= 0);
	assert_int_equal(binary_open(path, &b, NULL), 0);
	v->regions[v->nregions++] = (struct region){"headers", 0, 0x400};
	add_region(v, b, "pclntab header", b->pcln.addr, 0x80);
	add_region(v, b, "functions", b->img.pie ? b->pcln.addr : b->pcln.addr + 0x80,
		   b->pcln.funcs_len);
	add_region(v, b, "moduledata", b->md.addr, 0x280);
	add_region(v, b, "types", b->md.types, b->md.etypes - b->md.types);
	add_region(v, b, "pc tables", b->pcln.addr + (uint64_t)(b->pcln.pcs - b->pcln.names),
		   0x4000);
	binary_free(b);
}

static void victim_close(struct victim *v)
{
	munmap((void *)v->data, v->size);
	close(v->fd);
}

/* Whether it still opened. */
static bool ask(struct victim *v, bool thorough)
{
	struct binary *b = NULL;
	struct err err = {0};
	int r = binary_open_fd(v->fd, "damaged", &b, &err);

	if (r < 0) {
		assert_int_equal(r, -ENOEXEC);
		assert_true(err.text[0]);
		return false;
	}
	touch_binary(b, thorough ? 3 : FUNC_STRIDE, thorough ? SIZE_MAX : TYPES, true);
	binary_free(b);
	return true;
}

static size_t cut_short(struct victim *v, size_t n)
{
	size_t opened = 0;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(ftruncate(v->fd, (off_t)(v->size - v->size / n * i)), 0);
		opened += ask(v, i == 0);
	}
	assert_int_equal(ftruncate(v->fd, (off_t)v->size), 0);
	assert_int_equal(pwrite(v->fd, v->data, v->size, 0), v->size);
	return opened;
}

static void put(struct victim *v, uint64_t at, const void *p, size_t n)
{
	if (at + n <= v->size)
		assert_int_equal(pwrite(v->fd, p, n, (off_t)at), n);
}

static uint64_t bad_number(void)
{
	static const uint64_t numbers[] = {0,	       1,	  0x7f,	      0x80,
					   0xff,       0xffff,	  INT32_MAX,  UINT32_MAX,
					   1ull << 32, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};

	return numbers[random_below(ARRAY_SIZE(numbers))];
}

static size_t damage_region(struct victim *v, const struct region *r, size_t n)
{
	size_t opened = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t at[16];
		size_t hits = 1 + random_below(r->size > 0x1000 ? ARRAY_SIZE(at) : 2);

		for (size_t k = 0; k < hits; k++) {
			uint64_t value = bad_number();
			size_t bytes = (size_t)1 << random_below(4);

			at[k] = r->offset + random_below(r->size) / bytes * bytes;
			if (at[k] + 8 > v->size)
				at[k] = r->offset;
			if (random_below(2))
				value = v->data[at[k]] ^ (1u << random_below(8)), bytes = 1;
			put(v, at[k], &value, bytes);
		}
		opened += ask(v, i % 512 == 0);
		for (size_t k = 0; k < hits; k++)
			put(v, at[k], v->data + at[k], 8);
	}
	return opened;
}

static void torture(const char *path, size_t n)
{
	struct timespec from, to;
	struct victim v;
	size_t opened;

	clock_gettime(CLOCK_MONOTONIC, &from);
	victim_open(&v, path);
	opened = cut_short(&v, n / 8);
	for (size_t i = 0; i < v.nregions; i++)
		opened += damage_region(&v, &v.regions[i], n * 7 / 8 / v.nregions);
	victim_close(&v);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%s: %zu cases, %zu opened, %ld s\n", strrchr(path, '/') + 1, n, opened,
	       (long)(to.tv_sec - from.tv_sec));
}

/* The smallest of each kind there is. */
static void test_real_programs(void **state)
{
	static const char *const patterns[] = {"bin/shop", "bin/oneshot-go1.19-sw",
					       "bin/httpd-go1.2*-pie", "bin/httpd-go1.19-plain"};
	static const unsigned percent[] = {75, 15, 6, 4};
	size_t done = 0;

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		glob_t files;

		if (go_binaries(patterns[i], &files)) {
			torture(files.gl_pathv[0], cases() * percent[i] / 100);
			done++;
		}
		globfree(&files);
	}
	if (!done)
		skip();
}

/* No section headers at all, as after sstrip: all must be found all the same. */
static void test_without_sections(void **state)
{
	glob_t files;
	size_t n = go_binaries("bin/httpd-go1.*-sw", &files);

	for (size_t i = 0; i < n; i++) {
		struct victim v;
		struct binary *b = NULL;
		struct err err = {0};
		static const uint8_t zeroes[16];

		victim_open(&v, files.gl_pathv[i]);
		put(&v, offsetof(Elf64_Ehdr, e_shoff), zeroes, 8);
		put(&v, offsetof(Elf64_Ehdr, e_shnum), zeroes, 4);
		if (binary_open_fd(v.fd, "stripped", &b, &err) < 0)
			fail_msg("%s", err.text);
		assert_non_null(binary_type(b, "net/http.Request"));
		assert_memory_equal(binary_build_info(b)->go_version, "go1.", 4);
		binary_free(b);
		victim_close(&v);
	}
	globfree(&files);
	if (!n)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_programs),
		cmocka_unit_test(test_without_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
