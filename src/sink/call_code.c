#include "sink/call_code.h"

#include <string.h>

#define MAX_NAMES 50000 /* then it begins anew */

void code_names_done(struct code_names *n)
{
	arena_done(&n->arena);
	map_done(&n->names);
	n->names = (struct map){0};
	n->arena = (struct arena){0};
}

static struct frame_names *make_names(struct code_names *n, const struct call_process *p, uint64_t pc)
{
	struct value_context context = {.binary = p->binary, .bias = p->bias, .arena = &n->arena};
	const char *names[CODE_FRAMES_MAX];
	size_t count = code_frames(&context, pc, n->with_line, names, ARRAY_SIZE(names));
	struct frame_names *f = arena_alloc(&n->arena, sizeof(*f) + count * sizeof(names[0]));

	f->n = count;
	memcpy(f->names, names, count * sizeof(names[0]));
	return f;
}

const struct frame_names *frame_names(struct code_names *n, const struct call_process *p, uint64_t return_address)
{
	uint64_t pc = return_address - 1; /* within the call, which is what the line is wanted of */
	uint64_t key = pc ^ (uint64_t)p->resource->id << 48; /* user addresses have 47 bits */
	struct frame_names *names = map_get(&n->names, key);

	if (names)
		return names;
	if (n->names.len >= MAX_NAMES)
		code_names_done(n);
	names = make_names(n, p, pc);
	map_set(&n->names, key, names);
	return names;
}
