/* Calls made by hand. */
#ifndef TESTS_UNIT_CALLS_H
#define TESTS_UNIT_CALLS_H

#include <string.h>

#include "call/call.h"
#include "call/symbolize.h"

#define CALL_START UINT64_C(1700000000123456789) /* 22:13:20.123 UTC */

/* Addresses have names without a binary: 0x1001 is in main.f1, file f1.go. */
static inline size_t test_frames(const struct symbolizer *s, uint64_t address, struct arena *arena,
				 struct code_frame *ret, size_t max)
{
	unsigned n = (unsigned)(address & 0xfff);

	*ret = (struct code_frame){.function = arena_printf(arena, "main.f%u", n),
				   .file = arena_printf(arena, "/src/f%u.go", n),
				   .line = (int)n * 10};
	return 1;
}

static const struct symbolizer test_symbolizer = {.frames = test_frames};
static const struct resource shop = {.id = 1, .pid = 4711, .name = "shop", .symbolizer = &test_symbolizer};
static const struct resource cart = {.id = 2, .pid = 80, .name = "cart", .symbolizer = &test_symbolizer};
static const struct call_function add_function = {.name = "main.(*Cart).Add", .takes_all = true};

static inline struct value_node a_string(const char *s)
{
	return (struct value_node){.form = FORM_STRING, .text = s, .len = strlen(s), .full_len = strlen(s)};
}

static inline struct value_node a_text(const char *s)
{
	return (struct value_node){.form = FORM_TEXT, .text = s, .len = strlen(s)};
}

static inline struct value_node an_int(int64_t i)
{
	return (struct value_node){.form = FORM_INT, .i = i};
}

/* A call of (*Cart).Add; values must hold three. */
static inline struct call_record a_call(struct call_value *values, const char *user, int n, uint64_t duration_ns)
{
	values[0] = (struct call_value){.kind = CALL_ARG, .name = "user", .value = a_string(user)};
	values[1] = (struct call_value){.kind = CALL_ARG, .name = "n", .value = an_int(n)};
	values[2] = (struct call_value){.kind = CALL_RESULT, .name = "err", .value = {.form = FORM_NIL}};
	return (struct call_record){.function = &add_function, .resource = &shop, .end = CALL_RETURNED,
				    .start_unix_ns = CALL_START, .start_ns = 5000000000, .duration_ns = duration_ns,
				    .goid = 17, .depth = 0x200, .values = values, .nvalues = 3};
}

static inline void call_ended(struct call_record *c, struct call_value *values, enum call_end end)
{
	c->end = end;
	c->duration_ns = end == CALL_POINT ? 0 : c->duration_ns;
	values[2].value = (struct value_node){.form = FORM_UNREADABLE};
}

#endif
