/* Code addresses of a process as functions and lines. */
#ifndef CALL_SYMBOLIZE_H
#define CALL_SYMBOLIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "target/resource.h"

struct binary;

#define CODE_FRAMES_MAX 64 /* of one address: all that there are */

struct code_frame {
	const char *function;      /* "0x…" where none is known, maybe with a reason behind it */
	const char *file;          /* "" where that is not known */
	int line;
};

/* What a process's addresses mean; of its resource. */
struct symbolizer {
	/*
	 * The functions that the instruction at a run-time address belongs to, the innermost inlined one first. Fills
	 * up to max (CODE_FRAMES_MAX: all), returns how many, at least one. The texts are arena's.
	 */
	size_t (*frames)(const struct symbolizer *s, uint64_t address, struct arena *arena, struct code_frame *ret,
			 size_t max);
	/* Where its code is mapped: run-time addresses, the offset in the file. start 0: not known. */
	uint64_t start, end, offset;
	const char *file;
};

/* Of a process that runs b, at this bias. name: of the file where its path ends with the process. Lives in arena. */
struct symbolizer *symbolizer_new(struct arena *arena, struct binary *b, uint64_t bias, const char *name);
/* As symbolizer.frames, of a process; also where nobody knows its addresses. */
size_t code_frames(const struct resource *r, uint64_t address, struct arena *arena, struct code_frame *ret, size_t max);
/* As symbolizer.frames, of b at that bias. b NULL: nothing is known. */
size_t symbolize(struct binary *b, uint64_t bias, uint64_t address, struct arena *arena, struct code_frame *ret,
		 size_t max);
/* "main.handle", with_line "main.handle main.go:17" where that is known. */
const char *code_frame_text(const struct code_frame *f, bool with_line, struct arena *arena);

#endif
