/* Where the test's own program has something in its file, as uprobes need it. */
#ifndef TESTS_SELF_OFFSET_H
#define TESTS_SELF_OFFSET_H

#include <stdint.h>
#include <stdio.h>

static inline uint64_t self_offset(const volatile void *addr)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t at = (uintptr_t)addr, ret = 0;
	unsigned long long from, to, off;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %*s %llx", &from, &to, &off) == 3 && at >= from && at < to)
			ret = at - from + off;
	fclose(f);
	return ret;
}

#endif
