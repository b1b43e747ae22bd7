#include "plant/patch/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char name[16];
	unsigned long n, seen;
} fault;

void fault_init(void)
{
	const char *s = getenv("EARSHOT_FAULT"), *colon = s ? strchr(s, ':') : NULL;

	if (!colon || (size_t)(colon - s) >= sizeof(fault.name))
		return;
	memcpy(fault.name, s, (size_t)(colon - s));
	fault.n = strtoul(colon + 1, NULL, 10);
}

bool fault_now(const char *name)
{
	if (strcmp(fault.name, name))
		return false;
	return ++fault.seen == fault.n || !fault.n;
}

void fault_slow(const char *name)
{
	if (!strcmp(fault.name, name))
		usleep((useconds_t)fault.n * 1000);
}

void fault_die(int pid)
{
	if (fault_now("die"))
		kill(pid, SIGKILL);
}
