/* The capabilities in effect for this process: bits of linux/capability.h, 0 when the kernel does not tell. */
#ifndef BASE_CAPS_H
#define BASE_CAPS_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>

uint64_t caps_effective(void);

static inline bool caps_have(uint64_t caps, int cap)
{
	return caps >> cap & 1;
}

/* Why a process may not be looked into or traced: otherwise, unless the capability that would allow it is there. */
const char *caps_ptrace_advice(const char *otherwise);

#endif
