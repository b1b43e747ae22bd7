/*
 * Bytes as the tables of groups in a program's memory, which may write anything there: whoever reads them stays within,
 * hands over groups whose parts are there, and leaves an empty table.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "plant/patch/patch.h"

static struct ir_insn insns[] = {{.op = IR_EMIT_STR, .slot = 1, .imm = AGG_KEY_STR},
				 {.op = IR_EMIT_STACK, .slot = 2, .imm = 5}};
static struct ir_slot slots[] = {{.kind = VALUE_UINT}, {.kind = VALUE_STRING}, {.kind = VALUE_STACK}};
static const struct ir_aggregate all[] = {
	{.kind = AGG_HIST, .is_unsigned = true, .keys = {{.slot = 1}, {.slot = 0}}, .nkeys = 2},
	{.kind = AGG_COUNT, .keys = {{.slot = 2}}, .nkeys = 1},
	{.kind = AGG_SUM},
	{.kind = AGG_LINEAR, .high = 20, .step = 10, .keys = {{.slot = 0}}, .nkeys = 1},
};
static const struct capture_program program = {.role = PROGRAM_POINT, .aggregates = all, .naggregates = ARRAY_SIZE(all),
					       .no_record = true, .insns = insns, .ninsns = ARRAY_SIZE(insns),
					       .slots = slots, .nslots = ARRAY_SIZE(slots)};

static const struct plant_control *no_control(void *arg, uint32_t probe)
{
	return NULL;
}

static void on_group(void *arg, const struct plant_group *g)
{
	unsigned *total = arg;

	for (size_t i = 0; i < AGG_MAX_KEYS; i++)
		for (size_t k = 0; k < g->keys[i].len; k++)
			*total += ((const uint8_t *)g->keys[i].bytes)[k];
	for (size_t i = 0; i < g->nbuckets; i++)
		*total += (unsigned)g->buckets[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct plant_probe probe = {.id = 1, .program = &program};
	struct aggregates *into = aggregates_new(100);
	struct patch_forms forms;
	struct patch_area layout, *area;
	struct patch_table *t;
	uint32_t id = 1;
	uint64_t damaged = 0;
	volatile unsigned sink;
	unsigned total = 0;

	if (size < 16 || patch_area_layout(1, 1, 1, 1, PATCH_SAVED_WAYS, &layout, NULL) ||
	    patch_forms_make(&probe, 1, no_control, NULL, &forms, NULL)) {
		aggregates_free(into);
		return 0;
	}
	aggregates_add_kept(into, 1, &program, NULL);
	patch_forms_layout(&forms, 8, &layout);
	area = calloc(1, layout.ring.bytes);
	*area = layout;
	patch_forms_begin(&forms, area, &layout, (uintptr_t)area);
	t = (struct patch_table *)(uintptr_t)patch_area_slot(area, 1)->table[1];
	memcpy(&t->used, data, 8);
	memcpy(&t->ngroups, data + 8, 8);
	if (*data % 2)
		t->used = MIN(size - 16, layout.extra_table_bytes - layout.entries_off);
	memcpy((char *)t + layout.entries_off, data + 16,
	       MIN(size - 16, layout.extra_table_bytes - layout.entries_off));
	patch_table_take(&forms, area, &layout, 1, 1, &id, 7, into, &damaged);
	aggregates_read(into, true, on_group, &total);
	damaged = 0;
	patch_table_take(&forms, area, &layout, 1, 1, &id, 7, into, &damaged);
	if (damaged)
		abort();
	patch_forms_done(&forms);
	aggregates_free(into);
	free(area);
	sink = total;
	(void)sink;
	return 0;
}
