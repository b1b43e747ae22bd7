/* The executable that notes are added to: headers, segments, sections, stubs, semaphores. */
#include <stdio.h>

#include "fuzz/replay.h"
#include "lib/made_executable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct made_executable made;
	static char path[64];
	struct err err = {0};
	size_t n = 0;

	if (!*path)
		snprintf(path, sizeof(path), "/tmp/earshot-usdt-fuzz-%d", (int)getpid());
	made_executable(&made, (struct made_options){.stubs = 2, .semaphores = 2});
	/* Pairs of a place and a byte. */
	for (size_t i = 0; i + 3 <= size; i += 3)
		made.bytes[(data[i] | (size_t)data[i + 1] << 8) % sizeof(made.bytes)] = (char)data[i + 2];
	made_write(&made, path);
	if (usdt_write_notes(path, &n, &err) < 0 && !err.text[0])
		__builtin_trap();
	unlink(path);
	return 0;
}
