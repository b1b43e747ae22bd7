#include "call/symbolize.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "binary/binary.h"
#include "binary/image.h"

#define PAGE UINT64_C(4096)

struct binary_symbolizer {
	struct symbolizer symbolizer;
	struct binary *binary;
	uint64_t bias;
};

/* The frames at pc as they are remembered: "function\tline file" each, the innermost first; "" where none is known. */
static const char *read_frames(const struct binary *b, uint64_t pc, struct arena *arena)
{
	struct pc_frame frames[CODE_FRAMES_MAX];
	size_t n = binary_pc_frames(b, pc, frames, ARRAY_SIZE(frames));
	_cleanup_(buf_done) struct buf text = {0};

	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%s\t%d %s\n", frames[i].function, frames[i].line, frames[i].file);
	return arena_strdup(arena, text.len ? text.data : "");
}

static size_t parse_frames(const char *text, struct arena *arena, struct code_frame *ret, size_t max)
{
	size_t n = 0;

	for (; *text && n < max; text = strchr(text, '\n') + 1) {
		const char *tab = strchr(text, '\t'), *file = strchr(tab, ' ') + 1;

		ret[n++] = (struct code_frame){.function = arena_strndup(arena, text, (size_t)(tab - text)),
					       .file = arena_strndup(arena, file, strcspn(file, "\n")),
					       .line = atoi(tab + 1)};
	}
	return n;
}

static size_t unknown(const char *text, struct code_frame *ret)
{
	*ret = (struct code_frame){.function = text, .file = ""};
	return 1;
}

/* What was found out before is still right when the file has changed; what is read then is of another program. */
size_t symbolize(struct binary *b, uint64_t bias, uint64_t address, struct arena *arena, struct code_frame *ret,
		 size_t max)
{
	uint64_t pc = address - bias;
	const char *text = b ? binary_remembered(b, pc) : NULL;

	if (text)
		return parse_frames(text, arena, ret, max);
	text = b ? read_frames(b, pc, arena) : "";
	if (b && !binary_intact(b))
		return unknown(arena_printf(arena, "0x%" PRIx64 " (its file has changed)", address), ret);
	if (!*text)
		return unknown(arena_printf(arena, "0x%" PRIx64, address), ret);
	binary_remember(b, pc, text);
	return parse_frames(text, arena, ret, max);
}

size_t code_frames(const struct resource *r, uint64_t address, struct arena *arena, struct code_frame *ret, size_t max)
{
	return r->symbolizer ? r->symbolizer->frames(r->symbolizer, address, arena, ret, max)
			     : symbolize(NULL, 0, address, arena, ret, max);
}

const char *code_frame_text(const struct code_frame *f, bool with_line, struct arena *arena)
{
	return with_line && *f->file ? arena_printf(arena, "%s %s:%d", f->function, f->file, f->line) : f->function;
}

static size_t symbolizer_frames(const struct symbolizer *s, uint64_t address, struct arena *arena,
				struct code_frame *ret, size_t max)
{
	const struct binary_symbolizer *b = (const struct binary_symbolizer *)s;

	return symbolize(b->binary, b->bias, address, arena, ret, max);
}

static void find_mapping(struct binary_symbolizer *b, const struct image *image)
{
	struct symbolizer *s = &b->symbolizer;

	for (size_t i = 0; i < image->nsegments && !s->end; i++) {
		const struct image_segment *g = &image->segments[i];

		if (!(g->flags & 1)) /* PF_X */
			continue;
		s->start = (g->vaddr + b->bias) & ~(PAGE - 1);
		s->end = ALIGN_UP(g->vaddr + g->memsz + b->bias, PAGE);
		s->offset = g->offset & ~(PAGE - 1);
	}
}

struct symbolizer *symbolizer_new(struct arena *arena, struct binary *b, uint64_t bias, const char *name)
{
	struct binary_symbolizer *s = arena_new(arena, struct binary_symbolizer);
	const char *path = binary_name(b);

	*s = (struct binary_symbolizer){.symbolizer.frames = symbolizer_frames, .binary = b, .bias = bias};
	find_mapping(s, binary_image(b));
	/* Not by the link of a process that will have ended when a profile is read. */
	s->symbolizer.file = arena_strdup(arena, name && !strncmp(path, "/proc/", 6) ? name : path);
	return &s->symbolizer;
}
