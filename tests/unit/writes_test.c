/* What kernels say of programs that write to user memory, and what it means. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "plant/uprobe/writes.h"

#define LINUX_6_1 "unknown func bpf_probe_write_user#36\nprocessed 6 insns\n"
#define LINUX_6_18 "program of this type cannot use helper bpf_probe_write_user#36\nprocessed 6 insns\n"
#define UNLOCKED "[none] integrity confidentiality\n"

static const uint64_t bpf_and_perfmon = 3ull << 38, root = (3ull << 38) | (1ull << CAP_SYS_ADMIN);

static void check(int want, const char *mentions, int loaded, const char *log, uint64_t caps, const char *lockdown)
{
	struct err err = {0};

	assert_int_equal(uprobe_writes_verdict(loaded, log, caps, lockdown, &err), want);
	assert_true(mentions ? strstr(err.text, mentions) != NULL : !*err.text);
}

static void test_allowed(void **state)
{
	check(0, NULL, 0, "", root, UNLOCKED);
	check(0, NULL, 7, "", root, "");
}

static void test_capability(void **state)
{
	check(-EPERM, "missing CAP_SYS_ADMIN", -EINVAL, LINUX_6_1, bpf_and_perfmon, UNLOCKED);
	check(-EPERM, "missing CAP_SYS_ADMIN", -EINVAL, LINUX_6_18, bpf_and_perfmon, "");
	check(-EPERM, "missing CAP_SYS_ADMIN", -EPERM, "", 0, UNLOCKED);
}

static void test_lockdown(void **state)
{
	check(-EACCES, "kernel lockdown forbids", -EINVAL, LINUX_6_1, root, "none [integrity] confidentiality\n");
	check(-EACCES, "kernel lockdown forbids", -EINVAL, LINUX_6_1, root, "none integrity [confidentiality]\n");
	/* Where its level cannot be read it is what is left, or nearly. */
	check(-EACCES, "kernel lockdown or a security module", -EINVAL, LINUX_6_18, root, "");
	/* The capability alone would not do. */
	check(-EACCES, "kernel lockdown forbids", -EINVAL, LINUX_6_18, bpf_and_perfmon,
	      "none [integrity] confidentiality\n");
}

static void test_other(void **state)
{
	check(-EPERM, "refuses", -EPERM, "", root, UNLOCKED);
	check(-ENOMEM, "Cannot allocate memory", -ENOMEM, "", root, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_capability),
		cmocka_unit_test(test_lockdown),
		cmocka_unit_test(test_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
