/*
 * Aggregates: what of an event goes into counts, sums and histograms, in the kernel. The key of a group is put together
 * in the scratch element; groups lie in a hash map that is found through a map of maps, so that user space can take a
 * whole map away without losing what comes meanwhile (groups.c). An event whose value could not be read counts in none.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>

#include "event/loss.h"
#include "plant/uprobe/groups.h"

#define SLOT(field) ((int)offsetof(struct event_slot, field))
#define PART(field) ((int)offsetof(struct group_part, field))
#define VALUE(field) ((int)offsetof(struct group_value, field))
#define TRIES 16 /* other CPUs that set a new minimum or maximum at the same moment */

bool aggregate_wants_entry(const struct capture_program *p)
{
	for (size_t i = 0; i < p->naggregates; i++) {
		const struct ir_aggregate *a = &p->aggregates[i];

		if (a->kind != AGG_COUNT && a->value.at_entry)
			return true;
		for (size_t k = 0; k < a->nkeys; k++)
			if (a->keys[k].at_entry)
				return true;
	}
	return false;
}

/* R9 = the record that a slot is in. */
static void record_of(struct gen *g, const struct ir_slot_ref *ref, int skip)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_MOV, R9, REG_RECORD);
	if (!ref->at_entry)
		return;
	emit_load(e, 4, R1, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R1, EVENT_MAX_SIZE, skip);
	emit_alu(e, BPF_ADD, R9, R1);
}

static void key_scalar(struct gen *g, int slot, int part)
{
	struct emit *e = g->e;
	int done = emit_label_new(e);

	emit_load(e, 1, R1, R9, slot);
	emit_store(e, 8, REG_RECORD, part, R1);
	emit_store_imm(e, 8, REG_RECORD, part + PART(word), 0);
	emit_jump_if_imm(e, BPF_JNE, R1, SLOT_OK, done);
	emit_load(e, 8, R1, R9, slot + SLOT(value));
	emit_store(e, 8, REG_RECORD, part + PART(word), R1);
	emit_label(e, done);
}

static void key_text(struct gen *g, int slot, int part, int max)
{
	struct emit *e = g->e;
	int done = emit_label_new(e), text = emit_label_new(e), within = emit_label_new(e);

	for (int i = 0; i < max; i += 8)
		emit_store_imm(e, 8, REG_RECORD, part + (int)sizeof(struct group_part) + i, 0);
	emit_load(e, 1, R1, R9, slot);
	emit_store(e, 8, REG_RECORD, part, R1);
	emit_store_imm(e, 8, REG_RECORD, part + PART(word), 0);
	emit_jump_if_imm(e, BPF_JEQ, R1, SLOT_OK, text);
	emit_jump_if_imm(e, BPF_JNE, R1, SLOT_CUT, done);
	emit_label(e, text);
	emit_load(e, 4, R1, R9, slot + SLOT(len));
	emit_store(e, 8, REG_RECORD, part + PART(word), R1);
	emit_load(e, 2, R2, R9, slot + SLOT(copied));
	emit_jump_if_imm(e, BPF_JLE, R2, max, within);
	emit_alu_imm(e, BPF_MOV, R2, max);
	emit_label(e, within);
	emit_store(e, 2, REG_RECORD, part + PART(len), R2);
	emit_load(e, 8, R3, R9, slot + SLOT(value));
	emit_jump_if_imm(e, BPF_JGT, R3, EVENT_MAX_SIZE, done);
	emit_alu(e, BPF_ADD, R3, R9);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, part + (int)sizeof(struct group_part));
	emit_call(e, BPF_FUNC_probe_read_kernel);
	emit_label(e, done);
}

static void make_key(struct gen *g, size_t n, const struct group_layout *l, int skip)
{
	const struct ir_aggregate *a = &g->p->aggregates[n];
	struct emit *e = g->e;

	emit_store_imm(e, 4, REG_RECORD, SCRATCH_GROUP_OFF, (int32_t)g->probe_id);
	emit_load(e, 4, R1, REG_RECORD, HEAD(target));
	emit_store(e, 4, REG_RECORD, SCRATCH_GROUP_OFF + (int)offsetof(struct group_key_head, target), R1);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_GROUP_OFF + (int)offsetof(struct group_key_head, aggregate),
		       (int32_t)n);
	for (size_t i = 0; i < a->nkeys; i++) {
		int slot = gen_slot_off(g, a->keys[i].slot), part = SCRATCH_GROUP_OFF + (int)l->keys[i].off;

		record_of(g, &a->keys[i], skip);
		if (l->keys[i].text)
			key_text(g, slot, part, (int)l->keys[i].text);
		else
			key_scalar(g, slot, part);
	}
}

static void array_get(struct gen *g, int map, int index, int none)
{
	struct emit *e = g->e;

	emit_store_imm(e, 8, FP, BK_KEY, index);
	emit_map_fd(e, R1, map);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, BK_KEY);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
}

static void group_get(struct gen *g)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_MOV, R1, R9);
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R2, SCRATCH_GROUP_OFF);
	emit_call(e, BPF_FUNC_map_lookup_elem);
}

/* R0 = the group's value, made if it is new. Keeps R8. */
static void find_group(struct gen *g, size_t n, int skip)
{
	const struct group_maps *maps = g->env->groups;
	struct emit *e = g->e;
	int found = emit_label_new(e);

	array_get(g, maps->outer[n], 0, skip);
	emit_alu(e, BPF_MOV, R9, R0);
	group_get(g);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, found);
	array_get(g, maps->init, g->p->aggregates[n].is_unsigned ? GROUP_UNSIGNED : GROUP_SIGNED, skip);
	emit_alu(e, BPF_MOV, R3, R0);
	emit_alu(e, BPF_MOV, R1, R9);
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R2, SCRATCH_GROUP_OFF);
	emit_alu_imm(e, BPF_MOV, R4, BPF_NOEXIST);
	emit_call(e, BPF_FUNC_map_update_elem);
	group_get(g);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, found);
	gen_count_loss(g, LOSS_GROUPS_FULL);
	emit_jump(e, skip);
	emit_label(e, found);
}

/* The word at off of R9 becomes R8, unless R8 is `worse` (a jump) or the same. */
static void update_extreme(struct gen *g, int off, uint8_t worse)
{
	struct emit *e = g->e;
	int done = emit_label_new(e);

	for (int i = 0; i < TRIES; i++) {
		emit_load(e, 8, R0, R9, off);
		emit_jump_if(e, worse, R8, R0, done);
		emit_alu(e, BPF_MOV, R1, R0);
		emit_alu(e, BPF_MOV, R2, R8);
		emit_atomic(e, BPF_CMPXCHG, R9, off, R2);
		emit_jump_if(e, BPF_JEQ, R0, R1, done);
	}
	emit_label(e, done);
}

/*
 * R8 is added to the 128 bits of the sum. Two CPUs may each carry into the upper word, in any order: it comes out right
 * when both are done, which is when user space reads it.
 */
static void update_sum(struct gen *g, bool is_unsigned)
{
	struct emit *e = g->e;
	int carried = emit_label_new(e);

	emit_alu(e, BPF_MOV, R1, R8);
	emit_atomic(e, BPF_ADD | BPF_FETCH, R9, VALUE(sum), R1);
	emit_alu(e, BPF_MOV, R2, R8);
	if (is_unsigned)
		emit_alu_imm(e, BPF_MOV, R2, 0);
	else
		emit_alu_imm(e, BPF_ARSH, R2, 63);
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu(e, BPF_ADD, R3, R8);
	emit_jump_if(e, BPF_JGE, R3, R1, carried);
	emit_alu_imm(e, BPF_ADD, R2, 1);
	emit_label(e, carried);
	emit_atomic(e, BPF_ADD, R9, VALUE(sum_high), R2);
}

/* R1 = 2 + log2 of R8, without a branch: 0 is for negative values, 1 for 0. */
static void log2_bucket(struct gen *g, bool is_unsigned)
{
	struct emit *e = g->e;
	int done = emit_label_new(e);

	emit_alu_imm(e, BPF_MOV, R1, 0);
	if (!is_unsigned)
		emit_jump_if_imm(e, BPF_JSLT, R8, 0, done);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_jump_if_imm(e, BPF_JEQ, R8, 0, done);
	emit_alu(e, BPF_MOV, R2, R8);
	emit_alu_imm(e, BPF_MOV, R1, 2);
	for (int shift = 5; shift >= 0; shift--) {
		emit_alu(e, BPF_MOV, R3, R2);
		emit_alu_imm(e, BPF_RSH, R3, 1 << shift);
		emit_alu(e, BPF_MOV, R4, R3);
		emit_neg(e, R4);
		emit_alu(e, BPF_OR, R3, R4);
		emit_alu_imm(e, BPF_RSH, R3, 63);
		emit_alu_imm(e, BPF_LSH, R3, shift);
		emit_alu(e, BPF_ADD, R1, R3);
		emit_alu(e, BPF_RSH, R2, R3);
	}
	emit_label(e, done);
}

static void linear_bucket(struct gen *g, const struct ir_aggregate *a, size_t nbuckets)
{
	struct emit *e = g->e;
	int done = emit_label_new(e);

	if (a->is_unsigned) {
		emit_alu_imm(e, BPF_MOV, R1, (int32_t)nbuckets - 1);
		emit_jump_if_imm(e, BPF_JSLT, R8, 0, done);
	}
	emit_alu_imm(e, BPF_MOV, R1, 0);
	emit_imm(e, R2, a->low);
	emit_jump_if(e, BPF_JSLT, R8, R2, done);
	emit_alu_imm(e, BPF_MOV, R1, (int32_t)nbuckets - 1);
	emit_imm(e, R3, a->high);
	emit_jump_if(e, BPF_JSGE, R8, R3, done);
	emit_alu(e, BPF_MOV, R1, R8);
	emit_alu(e, BPF_SUB, R1, R2);
	emit_imm(e, R3, a->step);
	emit_alu(e, BPF_DIV, R1, R3);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	emit_label(e, done);
}

static void update_bucket(struct gen *g, const struct ir_aggregate *a, size_t nbuckets, int skip)
{
	struct emit *e = g->e;

	if (a->kind == AGG_HIST)
		log2_bucket(g, a->is_unsigned);
	else
		linear_bucket(g, a, nbuckets);
	emit_jump_if_imm(e, BPF_JGE, R1, (int32_t)nbuckets, skip);
	emit_alu_imm(e, BPF_LSH, R1, 3);
	emit_alu(e, BPF_ADD, R9, R1);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_atomic(e, BPF_ADD, R9, VALUE(buckets), R1);
}

/* R1 is the status of a value that is none: counted where memory is the reason, and not what the program holds. */
static void count_unread(struct gen *g, int skip)
{
	struct emit *e = g->e;
	int unread = emit_label_new(e);

	emit_jump_if_imm(e, BPF_JEQ, R1, SLOT_UNREADABLE, unread);
	emit_jump_if_imm(e, BPF_JEQ, R1, SLOT_NOT_RESIDENT, unread);
	emit_jump_if_imm(e, BPF_JNE, R1, SLOT_MAP_BUSY, skip);
	emit_label(e, unread);
	gen_count_loss(g, LOSS_AGGREGATE_UNREADABLE);
}

static int update(struct gen *g, size_t n)
{
	const struct ir_aggregate *a = &g->p->aggregates[n];
	struct emit *e = g->e;
	struct group_layout l;
	int skip = emit_label_new(e), none = emit_label_new(e), slot = gen_slot_off(g, a->value.slot);
	int r = group_layout_of(a, g->p, g->env->entry, &l, g->err);

	if (r < 0)
		return r;
	emit_alu_imm(e, BPF_MOV, R8, 0);
	if (a->kind != AGG_COUNT) {
		record_of(g, &a->value, skip);
		emit_load(e, 1, R1, R9, slot);
		emit_jump_if_imm(e, BPF_JNE, R1, SLOT_OK, none);
		emit_load(e, 8, R8, R9, slot + SLOT(value));
	}
	make_key(g, n, &l, skip);
	find_group(g, n, skip);
	emit_alu(e, BPF_MOV, R9, R0);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_atomic(e, BPF_ADD, R9, VALUE(count), R1);
	if (a->kind != AGG_COUNT)
		update_sum(g, a->is_unsigned);
	if (a->kind == AGG_MIN || l.nbuckets)
		update_extreme(g, VALUE(min), a->is_unsigned ? BPF_JGE : BPF_JSGE);
	if (a->kind == AGG_MAX || l.nbuckets)
		update_extreme(g, VALUE(max), a->is_unsigned ? BPF_JLE : BPF_JSLE);
	if (l.nbuckets)
		update_bucket(g, a, l.nbuckets, skip);
	if (a->kind != AGG_COUNT) {
		emit_jump(e, skip);
		emit_label(e, none);
		count_unread(g, skip);
	}
	emit_label(e, skip);
	emit_checkpoint(e);
	return 0;
}

int aggregate_update(struct gen *g)
{
	int r = 0;

	for (size_t i = 0; i < g->p->naggregates && r == 0; i++)
		r = update(g, i);
	return r;
}
