#include "base/caps.h"

#include <sys/syscall.h>
#include <unistd.h>

uint64_t caps_effective(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

const char *caps_ptrace_advice(const char *otherwise)
{
	return caps_have(caps_effective(), CAP_SYS_PTRACE)
		       ? "earshot has CAP_SYS_PTRACE, so the process is in another user namespace, or a security "
			 "module protects it"
		       : otherwise;
}
