/* Opening and closing; each part is read by the file that knows it. */
#include "binary/binary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "binary/internal.h"

#define HEADERS_MAX 32

static int open_tables(struct binary *b, struct err *err)
{
	struct pclntab_header h;
	uint64_t pos = 0;

	/* An honest file has one header and perhaps those of a program it embeds. */
	for (unsigned i = 0; i < HEADERS_MAX && pclntab_next(&b->img, &pos, &h); i++)
		if (moduledata_open(&b->img, &h, &b->md, &b->pcln) == 0) {
			image_trim(&b->img);
			return 0;
		}
	return pclntab_missing(&b->img, b->name, err);
}

int binary_open_fd(int fd, const char *name, struct binary **ret, struct err *err)
{
	struct binary *b = xcalloc(1, sizeof(*b));
	int r;

	b->name = arena_strdup(&b->arena, name);
	r = image_open(fd, b->name, &b->img, err);
	if (r == 0)
		r = open_tables(b, err);
	if (r < 0) {
		binary_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

int binary_open(const char *path, struct binary **ret, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(err, -errno, "%s cannot be opened: %s", path, strerror(errno));
	return binary_open_fd(fd, path, ret, err);
}

void binary_free(struct binary *b)
{
	if (!b)
		return;
	code_done(&b->last_code);
	dwarf_free(b->dwarf);
	type_index_free(b->index);
	map_done(&b->types);
	strmap_done(&b->named);
	map_done(&b->dictionaries);
	strmap_done(&b->variables);
	image_close(&b->img);
	arena_done(&b->arena);
	free(b);
}

const char *binary_name(const struct binary *b)
{
	return b->name;
}

const struct image *binary_image(const struct binary *b)
{
	return &b->img;
}

struct arena *binary_arena(struct binary *b)
{
	return &b->arena;
}
