/*
 * The build info blob that the linker puts near the start of the data segment: magic
 * "\xff Go buildinf:", pointer size, flags; flag 2 says that two strings (varint length, bytes)
 * follow at +32: the Go version and the module list between two 16-byte marks. Without the flag
 * (before Go 1.18) the header holds pointers to two Go strings. The list is lines of tab-separated
 * words: "path P", "mod P V [sum]", "dep P V [sum]", "=> P V [sum]" (replaces the one before),
 * "build K=V". Distributions that build without module mode leave it empty. Sources:
 * debug/buildinfo, runtime/debug/mod.go.
 */
#include <elf.h>
#include <string.h>

#include "base/vec.h"
#include "binary/internal.h"

static const char magic[] = "\xff Go buildinf:"; /* 14 bytes */
#define MAGIC_SIZE  14
#define HEADER_SIZE 32
#define ALIGNMENT   16
#define FRAME	    16 /* the marks around the module list */

struct text {
	const char *p;
	size_t n;
};

static bool is_blob(const struct image *img, uint64_t addr)
{
	const char *p = image_at(img, addr, HEADER_SIZE);

	return p && !memcmp(p, magic, MAGIC_SIZE) && p[MAGIC_SIZE] == 8;
}

static uint64_t find_in_segment(const struct image *img, const struct image_segment *s)
{
	const unsigned char *start = img->data + s->offset, *end = start + s->filesz, *p = start;

	for (; (p = memmem(p, (size_t)(end - p), magic, MAGIC_SIZE)); p++) {
		uint64_t addr = s->vaddr + (uint64_t)(p - start);

		if (addr % ALIGNMENT == 0 && is_blob(img, addr))
			return addr;
	}
	return 0;
}

/* Of the segments whose write flag is as given. */
static uint64_t find_in_segments(const struct image *img, uint32_t writable)
{
	uint64_t addr = 0;

	for (size_t i = 0; i < img->nsegments && !addr; i++)
		if ((img->segments[i].flags & PF_W) == writable)
			addr = find_in_segment(img, &img->segments[i]);
	return addr;
}

uint64_t build_info_find(const struct image *img)
{
	struct section hint;
	uint64_t addr;

	if (image_section(img, ".go.buildinfo", &hint) && is_blob(img, hint.addr))
		return hint.addr;
	addr = find_in_segments(img, PF_W);
	return addr ? addr : find_in_segments(img, 0);
}

static bool read_inline(const struct image *img, uint64_t *addr, struct text *ret)
{
	uint64_t len = 0;
	uint8_t byte = 0x80;

	for (unsigned shift = 0; byte & 0x80; shift += 7) {
		if (shift > 28 || !image_u8(img, (*addr)++, &byte))
			return false;
		len |= (uint64_t)(byte & 0x7f) << shift;
	}
	*ret = (struct text){image_at(img, *addr, len), len};
	*addr += len;
	return len == 0 || ret->p;
}

static bool read_pointed(const struct image *img, uint64_t addr, struct text *ret)
{
	uint64_t string, p, n;

	if (!image_u64(img, addr, &string) || !image_u64(img, string, &p) ||
	    !image_u64(img, string + 8, &n))
		return false;
	*ret = (struct text){image_at(img, p, n), n};
	return n == 0 || ret->p;
}

static void read_strings(const struct image *img, uint64_t blob, struct text *ret_version,
			 struct text *ret_list)
{
	uint64_t at = blob + HEADER_SIZE;
	uint8_t flags = 0;
	bool ok;

	image_u8(img, blob + MAGIC_SIZE + 1, &flags);
	if (flags & 2)
		ok = read_inline(img, &at, ret_version) && read_inline(img, &at, ret_list);
	else
		ok = read_pointed(img, blob + 16, ret_version) &&
		     read_pointed(img, blob + 24, ret_list);
	if (!ok)
		*ret_list = (struct text){0};
	if (ret_list->n < 2 * FRAME + 1 || ret_list->p[ret_list->n - FRAME - 1] != '\n')
		*ret_list = (struct text){0};
	else
		*ret_list = (struct text){ret_list->p + FRAME, ret_list->n - 2 * FRAME};
}

/* Takes the next word of a tab-separated line. */
static struct text next_word(struct text *line)
{
	const char *tab = line->n ? memchr(line->p, '\t', line->n) : NULL;
	struct text word = {line->p, tab ? (size_t)(tab - line->p) : line->n};
	size_t skip = word.n + (tab != NULL);

	*line = (struct text){line->p + skip, line->n - skip};
	return word;
}

static bool text_is(struct text t, const char *s)
{
	return t.n == strlen(s) && !memcmp(t.p, s, t.n);
}

static const char *text_dup(struct binary *b, struct text t)
{
	return arena_strndup(&b->arena, t.p, t.n);
}

typedef VEC(struct module) module_vec;

static void read_line(struct binary *b, struct text line, struct build_info *info, module_vec *deps)
{
	static const char mode[] = "-buildmode=";
	struct text key = next_word(&line), path = next_word(&line), version = next_word(&line);
	struct module m = {"", ""};

	if (text_is(key, "path")) {
		info->main_package = text_dup(b, path);
		return;
	}
	if (text_is(key, "build") && path.n > strlen(mode) && !memcmp(path.p, mode, strlen(mode))) {
		info->build_mode = arena_strndup(&b->arena, path.p + strlen(mode), path.n - strlen(mode));
		return;
	}
	if (!text_is(key, "mod") && !text_is(key, "dep") && !text_is(key, "=>"))
		return;
	m = (struct module){text_dup(b, path), text_dup(b, version)};
	if (text_is(key, "mod"))
		info->main = m;
	else if (text_is(key, "dep"))
		vec_push(deps, m);
	/* A replacement keeps the name it is imported by; its version is what was built. */
	else if (deps->len && *m.version)
		deps->data[deps->len - 1].version = m.version;
}

static void read_list(struct binary *b, struct text list, struct build_info *info)
{
	module_vec deps = {0};

	while (list.n) {
		const char *nl = memchr(list.p, '\n', list.n);
		struct text line = {list.p, nl ? (size_t)(nl - list.p) : list.n};
		size_t skip = line.n + (nl != NULL);

		read_line(b, line, info, &deps);
		list = (struct text){list.p + skip, list.n - skip};
	}
	info->deps = arena_memdup(&b->arena, deps.data, deps.len * sizeof(*deps.data));
	info->ndeps = deps.len;
	vec_done(&deps);
}

static struct build_info *build_info_read(struct binary *b)
{
	struct build_info *info = arena_new(&b->arena, struct build_info);
	uint64_t blob = build_info_find(&b->img);
	struct text version = {0}, list = {0};
	struct section s;

	*info = (struct build_info){
		.go_version = "unknown",
		.main_package = "",
		.build_mode = "",
		.main = {"", ""},
		.has_symtab = image_section(&b->img, ".symtab", &s) && s.size,
		.has_dwarf = (image_section(&b->img, ".debug_info", &s) ||
			      image_section(&b->img, ".zdebug_info", &s)) &&
			     s.size,
	};
	if (!blob)
		return info;
	read_strings(&b->img, blob, &version, &list);
	if (version.p && version.n)
		info->go_version = text_dup(b, version);
	read_list(b, list, info);
	return info;
}

const struct build_info *binary_build_info(struct binary *b)
{
	if (!b->info)
		b->info = build_info_read(b);
	return b->info;
}
