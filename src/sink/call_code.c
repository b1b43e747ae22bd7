#include "sink/call_code.h"

#define MAX_NAMES 50000 /* then it begins anew */

void code_names_done(struct code_names *n)
{
	arena_done(&n->arena);
	map_done(&n->names);
	n->names = (struct map){0};
	n->arena = (struct arena){0};
}

const char *frame_name(struct code_names *n, const struct call_process *p, uint64_t return_address)
{
	uint64_t pc = return_address - 1; /* within the call, which is what the line is wanted of */
	uint64_t key = pc ^ (uint64_t)p->target << 48; /* user addresses have 47 bits */
	struct value_context context = {.binary = p->binary, .bias = p->bias, .arena = &n->arena};
	const char *name = map_get(&n->names, key);

	if (name)
		return name;
	if (n->names.len >= MAX_NAMES)
		code_names_done(n);
	name = code_name(&context, pc, n->with_line);
	map_set(&n->names, key, (void *)name);
	return name;
}
