/* Bytes as samples: whatever becomes of them is a whole call or a counted loss. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "unit/value_stub.h"

#include "call/decode.h"

static const struct ir_slot slots[] = {
	{.name = "a", .kind = VALUE_STRING}, {.name = "b", .kind = VALUE_INT}, {.name = "c", .kind = VALUE_STACK}};
static const struct shown shown[] = {
	{.name = "a", .kind = SHOWN_ARG, .at_entry = true, .slot = 0},
	{.name = "b", .kind = SHOWN_ARG, .at_entry = true, .slot = 1},
	{.name = "d", .kind = SHOWN_RESULT, .slot = 0},
	{.name = "e", .kind = SHOWN_RESULT, .slot = 2},
};
static const struct call_plan plan = {
	.name = "main.f", .has_return = true, .prints = true, .shown = shown, .nshown = 4, .stack_slot = 2,
	.entry = {.slots = (struct ir_slot *)slots, .nslots = 3},
	.ret = {.slots = (struct ir_slot *)slots, .nslots = 3},
};
static const struct resource resource = {.id = 1, .pid = 4711, .name = "shop"};
static const struct call_process process = {.resource = &resource};

static void use(void *arg, const struct call_record *c)
{
	struct buf *out = arg;

	for (size_t i = 0; i < c->nvalues; i++)
		if (c->values[i].value.form != FORM_UNREADABLE || c->values[i].value.text)
			value_print(&c->values[i].value, out);
	for (size_t i = 0; i < c->nstack; i++)
		buf_printf(out, "%" PRIx64, c->stack[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t *copy = malloc(size ? size : 1); /* aligned, and of exactly that size for the sanitizer */
	struct run_summary sum = {0};
	struct call_decoder *d;
	struct buf out = {0};

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	d = call_decoder_new(&(struct call_decoder_options){.emit = use, .arg = &out});
	call_decoder_add_plan(d, &plan, NULL, 10, 11);
	call_decoder_add_process(d, &process);
	call_decoder_sample(d, copy, size);
	call_decoder_open(d, copy, size, CALL_OPEN, 5000);
	call_decoder_losses(d, &sum);
	if (sum.events != 2)
		abort();
	call_decoder_free(d);
	buf_done(&out);
	free(copy);
	return 0;
}
