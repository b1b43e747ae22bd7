/* Whole files: headers, segments, relocations, moduledata, build info. */
#include "fuzz/replay.h"
#include "lib/tiny_go.h"
#include "lib/touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binary *b = NULL;
	struct err err = {0};
	int fd = memory_file(data, size);

	if (fd < 0)
		return 0;
	if (binary_open_fd(fd, "input", &b, &err) == 0)
		touch_binary(b, 1, 1000, true);
	else if (!err.text[0])
		__builtin_trap();
	binary_free(b);
	close(fd);
	return 0;
}
