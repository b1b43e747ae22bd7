/* Opening and closing; each part is read by the file that knows it. */
#include "binary/binary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "binary/inline.h"
#include "binary/internal.h"

#define HEADERS_MAX 32
#define REMEMBERED_MAX 50000

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
	b->names = xcalloc(1, sizeof(*b->names));
	r = image_open(fd, b->name, &b->img, err);
	if (r == 0) {
		r = open_tables(b, err);
		if (image_check(&b->img, b->name, err) < 0) /* whatever was found in it */
			r = -ESTALE;
	}
	if (r < 0) {
		binary_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

int binary_open_as(const char *path, const char *name, struct binary **ret, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(err, -errno, "%s cannot be opened: %s", name, strerror(errno));
	return binary_open_fd(fd, name, ret, err);
}

int binary_open(const char *path, struct binary **ret, struct err *err)
{
	return binary_open_as(path, path, ret, err);
}

/* Sections that Go's linker makes. */
static const char *const go_sections[] = {".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".note.go.buildid"};

bool binary_section_is_go(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(go_sections); i++)
		if (!strcmp(name, go_sections[i]))
			return true;
	return false;
}

bool binary_file_is_go(const char *path)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct image img;
	struct section s;
	bool is = false;

	if (fd < 0 || image_open(fd, path, &img, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(go_sections) && !is; i++)
		is = image_section(&img, go_sections[i], &s);
	image_close(&img);
	return is;
}

void binary_free(struct binary *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->kept.len; i++)
		b->kept.data[i].release(b->kept.data[i].data);
	vec_done(&b->kept);
	inline_host_free(b->inline_host);
	inline_index_free(b->inline_index);
	disasm_done(&b->last_code);
	dwarf_free(b->dwarf);
	type_index_free(b->index);
	map_done(&b->types);
	vec_done(&b->fresh);
	strmap_done(&b->named);
	vec_done(&b->declared);
	map_done(&b->dictionaries);
	map_done(&b->remembered);
	map_done(&b->never_returns);
	strmap_done(&b->variables);
	image_close(&b->img);
	map_done(&b->names->by_address);
	arena_done(&b->names->arena);
	free(b->names);
	arena_done(&b->arena);
	free(b);
}

const char *binary_name(const struct binary *b)
{
	return b->name;
}

bool binary_intact(const struct binary *b)
{
	return image_intact(&b->img);
}

int binary_check(struct binary *b, struct err *err)
{
	b->checked = true;
	return image_check(&b->img, b->name, err);
}

void *binary_keep(struct binary *b, const void *key, void *(*make)(struct binary *b), void (*release)(void *data))
{
	void *data;

	for (size_t i = 0; i < b->kept.len; i++)
		if (b->kept.data[i].key == key)
			return b->kept.data[i].data;
	data = make(b);
	vec_push(&b->kept, ((struct kept){key, data, release}));
	return data;
}

const char *binary_remembered(const struct binary *b, uint64_t key)
{
	return map_get(&b->remembered, key);
}

void binary_remember(struct binary *b, uint64_t key, const char *text)
{
	if (b->remembered.len < REMEMBERED_MAX)
		map_set(&b->remembered, key, arena_strdup(&b->arena, text));
}

void binary_func_keep(struct binary *b, struct func *f)
{
	const char *symbol = arena_strdup(&b->arena, f->symbol);

	f->name = f->name == f->symbol ? symbol : arena_strdup(&b->arena, f->name);
	f->symbol = symbol;
}

const struct image *binary_image(const struct binary *b)
{
	return &b->img;
}

const struct arch *binary_arch(const struct binary *b)
{
	return b->img.arch;
}

struct arena *binary_arena(struct binary *b)
{
	return &b->arena;
}
