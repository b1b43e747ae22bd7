/* Which file is meant by a mapping: of a made procfs, where numbers and names say what they like. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/mapped.h"

/* Of another filesystem, as far as anybody can tell: the number is the same, and the name is not. */
static void test_same_number(void **state)
{
	char dir[] = "/tmp/mapped_test.XXXXXX", path[4][128], found[MAPPED_PATH_MAX];
	struct mapped_file m = {.path = (char *)"/memfd:app", .is_deleted = true};
	struct stat st;
	int fd, opened;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path[0], sizeof(path[0]), "%s/7", dir);
	snprintf(path[1], sizeof(path[1]), "%s/7/fd", dir);
	snprintf(path[2], sizeof(path[2]), "%s/7/fd/3", dir);
	snprintf(path[3], sizeof(path[3]), "%s/other", dir);
	assert_int_equal(mkdir(path[0], 0700) | mkdir(path[1], 0700) | symlink(path[3], path[2]), 0);
	fd = open(path[3], O_CREAT | O_WRONLY, 0600);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	m.inode = st.st_ino;
	assert_int_equal(mapped_file_open(dir, 7, &m, found, &opened), -ENOENT);
	unlink(path[3]);
	unlink(path[2]);
	rmdir(path[1]);
	rmdir(path[0]);
	rmdir(dir);
}

/* A process's own: a file in memory that it has open and mapped, by a path that others can open. */
static void test_own_memfd(void **state)
{
	int fd = memfd_create("mapped_test", MFD_CLOEXEC), opened = -1;
	char found[MAPPED_PATH_MAX];
	struct stat own, other;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(fstat(fd, &own), 0);
	assert_int_equal(mapped_file_open("/proc", getpid(), &(struct mapped_file){
		.path = (char *)"/memfd:mapped_test", .is_deleted = true, .inode = own.st_ino}, found, &opened), 0);
	assert_int_equal(fstat(opened, &other), 0);
	assert_true(own.st_ino == other.st_ino && own.st_dev == other.st_dev);
	close(opened);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_number), cmocka_unit_test(test_own_memfd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
