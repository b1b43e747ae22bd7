/* The input takes the place of the pclntab and of the funcdata behind it. */
#include "fuzz/replay.h"
#include "lib/tiny_go.h"
#include "lib/touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tiny tiny;
	const size_t from = TINY_PCLNTAB, room = TINY_TYPES - from;
	struct binary *b = NULL;
	int fd;

	/* The low bits of the size choose the form of the program around the input. */
	tiny_build(&tiny, (struct tiny_options){.old_funcs = size & 1, .old_map = size & 2});
	memcpy(tiny.data + from, data, size < room ? size : room);
	fd = memory_file(tiny.data, sizeof(tiny.data));
	if (fd < 0)
		return 0;
	if (binary_open_fd(fd, "input", &b, NULL) == 0)
		touch_binary(b, 1, 1000, true);
	binary_free(b);
	close(fd);
	return 0;
}
