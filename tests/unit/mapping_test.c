/* binary/mapping: a file that others cut, overwrite, link and rename while it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "binary/internal.h"
#include "binary/mapping.h"
#include "lib/tiny_go.h"

#define PAGE 4096
#define PAGES 200
#define TRIES 10000

static char path[] = "/tmp/earshot-mapping-XXXXXX", other[sizeof(path) + 4];

static int make_file(void **state)
{
	char bytes[PAGE];
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	snprintf(other, sizeof(other), "%s.2", path);
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), i * PAGE), sizeof(bytes));
	*state = (void *)(intptr_t)fd;
	return 0;
}

static int remove_file(void **state)
{
	close((int)(intptr_t)*state);
	unlink(path);
	unlink(other);
	return 0;
}

static struct mapping *map(void **state)
{
	struct mapping *m = NULL;

	assert_int_equal(mapping_new((int)(intptr_t)*state, &m), 0);
	assert_true(mapping_intact(m));
	assert_int_equal(m->data[0], 'x');
	return m;
}

/* Until the change time has moved: kernels before Linux 6.13 tell times apart by ticks of their clock. */
static void write_byte(int fd, off_t at, char c)
{
	struct stat before, after;

	assert_int_equal(fstat(fd, &before), 0);
	for (int i = 0; i < TRIES; i++) {
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		assert_int_equal(fstat(fd, &after), 0);
		if (after.st_ctim.tv_nsec != before.st_ctim.tv_nsec || after.st_ctim.tv_sec != before.st_ctim.tv_sec)
			return;
		usleep(1000);
	}
	fail_msg("the change time does not move");
}

static void test_cut(void **state)
{
	struct mapping *m = map(state);
	volatile unsigned char *data = m->data;
	unsigned sum = 0;

	data[150 * PAGE] = 'y'; /* our own pages go as well */
	assert_int_equal(ftruncate((int)(intptr_t)*state, 100 * PAGE), 0);
	for (size_t i = 0; i < PAGES; i++)
		sum += data[i * PAGE];
	assert_int_equal(sum, 100 * 'x');
	assert_int_equal(data[150 * PAGE], 0);
	data[150 * PAGE] = 1;
	assert_int_equal(data[m->size], 0); /* a page of zeros behind it */
	assert_false(mapping_intact(m));
	assert_int_equal(ftruncate((int)(intptr_t)*state, PAGES * PAGE), 0);
	assert_false(mapping_intact(m)); /* for good */
	mapping_free(m);
}

static void test_grown(void **state)
{
	struct mapping *m = map(state);

	assert_int_equal(ftruncate((int)(intptr_t)*state, 2 * PAGES * PAGE), 0);
	assert_false(mapping_intact(m));
	mapping_free(m);
}

static void test_overwritten(void **state)
{
	struct mapping *m = map(state);

	write_byte((int)(intptr_t)*state, 7, 'x');
	assert_false(mapping_intact(m));
	mapping_free(m);
}

/* As cp -p does, and images that are built to be the same: size and modification time are what they were. */
static void test_times_restored(void **state)
{
	int fd = (int)(intptr_t)*state;
	struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	struct mapping *m;

	assert_int_equal(futimens(fd, times), 0);
	m = map(state);
	write_byte(fd, 7, 'y');
	assert_int_equal(futimens(fd, times), 0);
	assert_false(mapping_intact(m));
	mapping_free(m);
}

static void test_linked(void **state)
{
	struct mapping *m = map(state);
	int64_t before = m->id.changed_ns;

	usleep(20000);
	assert_int_equal(link(path, other), 0);
	assert_true(mapping_intact(m));
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_true(mapping_intact(m));
	assert_int_equal(unlink(path), 0);
	assert_true(mapping_intact(m));
	assert_true(m->id.changed_ns > before);
	write_byte((int)(intptr_t)*state, 0, 'y');
	assert_false(mapping_intact(m));
	mapping_free(m);
}

static void test_two(void **state)
{
	struct mapping *a = map(state), *b = map(state);
	volatile unsigned char *data = a->data;

	assert_int_equal(ftruncate((int)(intptr_t)*state, 1), 0);
	assert_int_equal(data[PAGE], 0);
	mapping_free(a);
	data = b->data;
	assert_int_equal(data[(PAGES - 1) * PAGE], 0);
	assert_false(mapping_intact(b));
	mapping_free(b);
}

static void test_refused(void **state)
{
	struct mapping *m = NULL;
	int fd = open("/", O_RDONLY | O_CLOEXEC);

	assert_int_equal(mapping_new(fd, &m), -ENOEXEC);
	close(fd);
	assert_int_equal(mapping_new(-1, &m), -EBADF);
	assert_int_equal(ftruncate((int)(intptr_t)*state, 0), 0);
	assert_int_equal(mapping_new((int)(intptr_t)*state, &m), -ENOEXEC);
	assert_null(m);
	mapping_free(NULL);
}

/* A program that was analysed, and then another lies in its place: nothing more is said of it, what was said stays. */
static void test_binary(void **state)
{
	static struct tiny tiny;
	struct binary *b = NULL;
	const struct type *known;
	struct err err = {0};
	struct func f = {0};
	char *name;
	int fd;

	tiny_build(&tiny, (struct tiny_options){0});
	fd = memory_file(tiny.data, sizeof(tiny.data));
	assert_int_equal(binary_open_fd(fd, "prog", &b, &err), 0);
	assert_true(binary_func(b, 0, &f));
	binary_func_keep(b, &f);
	name = strdup(f.name);
	known = binary_type_at(b, tiny.t_func);
	assert_non_null(known);
	for (size_t i = 0; i < sizeof(tiny.data); i++)
		tiny.data[i] ^= 0x5a;
	assert_int_equal(pwrite(fd, tiny.data, sizeof(tiny.data), 0), sizeof(tiny.data));
	write_byte(fd, 0, 'x');
	assert_int_equal(binary_check(b, &err), -ESTALE);
	assert_string_equal(err.text, "prog was overwritten or cut while it was read; try again");
	assert_string_equal(f.name, name);
	assert_ptr_equal(binary_type_at(b, tiny.t_func), known);
	for (uint64_t at = tiny.base; at < tiny.base + sizeof(tiny.data); at++) {
		const void *had = map_get(&b->types, at);

		assert_ptr_equal(binary_type_at(b, at), had);
		binary_func_at(b, at, &f);
	}
	binary_free(b);
	close(fd);
	free(name);
}

/* Somebody else's fault is not ours. */
static sigjmp_buf escape;

static void on_bus(int sig)
{
	siglongjmp(escape, sig);
}

static void test_others(void **state)
{
	volatile char *data = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, (int)(intptr_t)*state, 0);
	struct mapping *m;

	signal(SIGBUS, on_bus);
	m = map(state);
	assert_true(data != MAP_FAILED);
	assert_int_equal(ftruncate((int)(intptr_t)*state, 0), 0);
	if (!sigsetjmp(escape, 1)) {
		(void)data[0];
		fail_msg("no fault");
	}
	munmap((void *)data, PAGE);
	mapping_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_grown, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_overwritten, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_times_restored, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_linked, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_two, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_refused, make_file, remove_file),
		cmocka_unit_test(test_binary),
		cmocka_unit_test_setup_teardown(test_others, make_file, remove_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
