/* A process and what it starts, against the kernel's own word. Needs CAP_PERFMON; skips by name without. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/family.h"

/* A child that is told to go on, has a child that ends at once, says its number, and ends. */
static pid_t child(int *ret_go, int *ret_told)
{
	int go[2], told[2];
	pid_t pid;

	assert_int_equal(pipe(go) | pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		pid_t inner;
		char c;

		close(go[1]);
		(void)!read(go[0], &c, 1);
		inner = fork();
		if (inner == 0)
			_exit(0);
		waitpid(inner, NULL, 0);
		(void)!write(told[1], &inner, sizeof(inner));
		_exit(0);
	}
	close(go[0]);
	close(told[1]);
	*ret_go = go[1];
	*ret_told = told[0];
	return pid;
}

static pid_t let_go(pid_t pid, int go, int told)
{
	pid_t inner = 0;

	assert_int_equal(write(go, "x", 1), 1);
	assert_int_equal(read(told, &inner, sizeof(inner)), sizeof(inner));
	waitpid(pid, NULL, 0);
	close(go);
	close(told);
	return inner;
}

static void test_gone_before_asked(void **state)
{
	int go[2], told[2];
	pid_t ours = child(&go[0], &told[0]), others = child(&go[1], &told[1]), inner[2];
	struct err err = {0};
	struct family *f;

	(void)state;
	if (family_new("/proc", &f, &err)) {
		family_free(f);
		let_go(ours, go[0], told[0]);
		let_go(others, go[1], told[1]);
		printf("# skipped: %s\n", err.text);
		skip();
	}
	family_add(f, ours);
	inner[0] = let_go(ours, go[0], told[0]);
	inner[1] = let_go(others, go[1], told[1]);
	assert_true(family_has(f, ours));
	assert_true(family_has(f, inner[0]));
	assert_false(family_has(f, others));
	assert_false(family_has(f, inner[1]));
	assert_false(family_has(f, getpid()));
	family_free(f);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Each level is forked on another processor than the one before, and is gone when it is asked for. */
static pid_t last_of_line(int levels, int told)
{
	pid_t pid = fork();

	if (pid) {
		waitpid(pid, NULL, 0);
		return pid;
	}
	pin(levels % 2 ? 0 : 1);
	if (levels)
		last_of_line(levels - 1, told);
	pid = getpid();
	if (!levels)
		(void)!write(told, &pid, sizeof(pid));
	_exit(0);
}

static void test_over_processors(void **state)
{
	enum { ROUNDS = 20, LEVELS = 4 };
	struct err err = {0};
	struct family *f;
	int told[2];

	(void)state;
	if (family_new("/proc", &f, &err) || sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		family_free(f);
		printf("# skipped: %s\n", err.code ? err.text : "there is one processor");
		skip();
	}
	assert_int_equal(pipe(told), 0);
	family_add(f, getpid());
	for (int i = 0; i < ROUNDS; i++) {
		pid_t last = 0;

		last_of_line(LEVELS, told[1]);
		assert_int_equal(read(told[0], &last, sizeof(last)), sizeof(last));
		assert_true(family_has(f, last));
	}
	close(told[0]);
	close(told[1]);
	family_free(f);
}

static void test_running_already(void **state)
{
	int go, told;
	pid_t pid = child(&go, &told);
	struct err err = {0};
	struct family *f;

	(void)state;
	(void)family_new("/proc", &f, &err);
	family_add(f, getpid());
	assert_true(family_has(f, pid));
	assert_false(family_has(f, getppid()));
	let_go(pid, go, told);
	family_free(f);
}

static void short_life(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* More than there is room for, while nobody reads. */
static void test_lost_records(void **state)
{
	enum { MANY = 30000 };
	struct err err = {0};
	struct family *f;

	(void)state;
	if (family_new("/proc", &f, &err)) {
		family_free(f);
		printf("# skipped: %s\n", err.text);
		skip();
	}
	family_update(f);
	assert_int_equal(family_lost(f), 0);
	for (int i = 0; i < MANY; i++)
		short_life();
	family_update(f);
	for (int i = 0; i < 100 && !family_lost(f); i++) { /* it is told with the next record of that CPU */
		short_life();
		family_update(f);
	}
	assert_true(family_lost(f) > 0);
	family_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone_before_asked),
		cmocka_unit_test(test_over_processors), cmocka_unit_test(test_lost_records),
		cmocka_unit_test(test_running_already),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
