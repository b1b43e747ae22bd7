#include "sink/frame_names.h"

#include "call/symbolize.h"

#define MAX_NAMES 50000 /* then it begins anew */

void frame_names_done(struct frame_names *n)
{
	arena_done(&n->arena);
	map_done(&n->names);
	n->names = (struct map){0};
	n->arena = (struct arena){0};
}

static struct frame_texts *make_names(struct frame_names *n, const struct resource *p, uint64_t pc)
{
	struct code_frame frames[CODE_FRAMES_MAX];
	struct arena scratch = {0};
	size_t count = code_frames(p, pc, &scratch, frames, ARRAY_SIZE(frames));
	struct frame_texts *f = arena_alloc(&n->arena, sizeof(*f) + count * sizeof(f->names[0]));

	f->n = count;
	for (size_t i = 0; i < count; i++)
		f->names[i] = arena_strdup(&n->arena, code_frame_text(&frames[i], n->with_line, &scratch));
	arena_done(&scratch);
	return f;
}

const struct frame_texts *frame_names_at(struct frame_names *n, const struct resource *p, uint64_t return_address)
{
	uint64_t pc = return_address - 1; /* within the call, which is what the line is wanted of */
	uint64_t key = pc ^ (uint64_t)p->id << 48; /* user addresses have 47 bits */
	struct frame_texts *names = map_get(&n->names, key);

	if (names)
		return names;
	if (n->names.len >= MAX_NAMES)
		frame_names_done(n);
	names = make_names(n, p, pc);
	map_set(&n->names, key, names);
	return names;
}

void frame_names_json(struct frame_names *n, const struct call_record *c, struct json *j)
{
	json_key(j, "stack");
	json_open(j, '[');
	for (size_t i = 0; i < c->nstack; i++) {
		const struct frame_texts *f = frame_names_at(n, c->resource, c->stack[i]);

		for (size_t k = 0; k < f->n; k++)
			json_str(j, f->names[k]);
	}
	json_close(j, ']');
}
