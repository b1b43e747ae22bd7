/*
 * Programs with marks, as packs' points have them: one for every kind of point, which finds all that it needs in a
 * block of words behind RAX. What is run (the reference interpreter, or a planter's code) is the including test's
 * affair.
 */
#ifndef TESTS_MARK_SHOTS_H
#define TESTS_MARK_SHOTS_H

#include <string.h>

#include "base/macro.h"
#include "binary/arch_x86_64.h"
#include "probe/ir.h"

/* The words that a shot reads. 0: there is none. */
struct shot_words {
	uint64_t header, header_len;
	uint64_t parent_type, parent;  /* a context */
	uint64_t own_type, own;        /* … the span's */
	uint64_t creator;
	uint64_t epoch[3];
	uint64_t key, carrier, needed;
	uint64_t state, state_len;     /* a tracestate, */
	uint64_t other, other_len;     /* or by another name */
};

enum shot_kind { SHOT_START, SHOT_START_DETACHED, SHOT_NOTE, SHOT_END, SHOT_END_OF_CALL, SHOT_DETACH, SHOT_UNWIND,
		 SHOT_EXIT, SHOT_INJECT, SHOT_INJECT_NEEDS, SHOT_KINDS };

struct shot {
	enum shot_kind kind;
	uint32_t group, call;
	uint64_t threshold;
	unsigned flags;                /* of IR_MARK_BEGIN */
	struct ir_insn insns[128];
	size_t n;
};

static struct ir_insn *shot_add(struct shot *s, enum ir_op op)
{
	struct ir_insn *i = &s->insns[s->n++];

	*i = (struct ir_insn){.op = (uint8_t)op, .size = 8};
	return i;
}

/* Register k = the k-th of these words. */
static void shot_region(struct shot *s, uint16_t slot, size_t n, const size_t *offsets)
{
	shot_add(s, IR_REGION)->slot = slot;
	for (size_t k = 0; k < n; k++) {
		struct ir_insn *base = shot_add(s, IR_ARG_REG), *load;

		base->reg = GPR_RAX;
		base->dst = 7;
		load = shot_add(s, IR_LOAD);
		load->a = 7;
		load->dst = (uint16_t)k;
		load->imm = (int64_t)offsets[k];
	}
}

#define WORD(field) offsetof(struct shot_words, field)
#define SHOT_REGION(s, ...)                                                                        \
	shot_region(s, IR_SLOT_MARK, sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), (size_t[]){__VA_ARGS__})

/* The instruction and its region's end. */
static void shot_op(struct shot *s, enum ir_op op, int64_t imm, unsigned flags)
{
	struct ir_insn *i = shot_add(s, op);

	i->a = 0;
	i->b = 1;
	i->c = 2;
	i->imm = imm;
	i->flags = (uint8_t)flags;
	i->group = op == IR_MARK_GOROUTINE || op == IR_MARK_BEGIN || imm == MARK_KEY ? s->group : 0;
	i->call = op == IR_MARK_GOROUTINE || op == IR_MARK_BEGIN ? s->call : 0;
	shot_add(s, IR_END);
}

static void shot_start(struct shot *s)
{
	unsigned unless = s->kind == SHOT_START_DETACHED ? IR_MARK_UNLESS_KEYED : 0;

	SHOT_REGION(s, WORD(header), WORD(header_len));
	shot_op(s, IR_MARK_HEADER, 0, 0);
	SHOT_REGION(s, WORD(parent_type), WORD(parent));
	shot_op(s, IR_MARK_CHAIN, EVENT_MAX_CHAIN, 0);
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_GOROUTINE, MARK_AROUND, 0);
	SHOT_REGION(s, WORD(creator));
	shot_op(s, IR_MARK_CREATOR, 0, 0);
	SHOT_REGION(s, WORD(epoch[0]), WORD(epoch[1]), WORD(epoch[2]));
	shot_op(s, IR_MARK_BEGIN, (int64_t)s->threshold, s->flags);
	SHOT_REGION(s, WORD(state), WORD(state_len));
	shot_op(s, IR_MARK_STATE, 0, 0);
	SHOT_REGION(s, WORD(other), WORD(other_len));
	shot_op(s, IR_MARK_STATE, 0, 0);
	SHOT_REGION(s, WORD(own_type), WORD(own));
	shot_op(s, IR_MARK_PUT_CHAIN, 0, 0);
	SHOT_REGION(s, WORD(carrier));
	shot_op(s, IR_MARK_PUT, MARK_CARRIER, 0);
	SHOT_REGION(s, WORD(key));
	shot_op(s, IR_MARK_PUT, MARK_KEY, 0);
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_PUSH, 0, unless);
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_ADMIT, 0, IR_MARK_COUNT);
}

/* A key means the span that has it, and nobody else. */
static void shot_own(struct shot *s)
{
	SHOT_REGION(s, WORD(key));
	shot_op(s, IR_MARK_FIND, MARK_KEY, IR_MARK_ONLY);
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_GOROUTINE, s->kind == SHOT_END_OF_CALL ? MARK_OF_CALL : MARK_OF_GROUP, 0);
}

static void shot_detach(struct shot *s)
{
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_GOROUTINE, MARK_OF_CALL, 0);
	SHOT_REGION(s, WORD(key));
	shot_op(s, IR_MARK_FIND, MARK_KEY, 0);
	SHOT_REGION(s, WORD(key));
	shot_op(s, IR_MARK_PUT, MARK_KEY, 0);
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_LEAVE, 0, 0);
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_END, 0, IR_MARK_UNLESS_KEYED);
}

/* Behind the marks come the slots: their ids, words of them. */
static void shot_make(struct shot *s)
{
	struct ir_insn *emit;

	s->n = 0;
	switch (s->kind) {
	case SHOT_START:
	case SHOT_START_DETACHED:
		shot_start(s);
		break;
	case SHOT_DETACH:
		shot_detach(s);
		break;
	case SHOT_UNWIND:
	case SHOT_EXIT:
		shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
		shot_op(s, IR_MARK_UNWIND, s->kind == SHOT_EXIT, 0);
		break;
	case SHOT_INJECT_NEEDS:
		SHOT_REGION(s, WORD(needed));
		shot_op(s, IR_MARK_FIND, MARK_CARRIER, IR_MARK_NEED);
		/* fall through */
	case SHOT_INJECT:
		SHOT_REGION(s, WORD(carrier));
		shot_op(s, IR_MARK_FIND, MARK_CARRIER, 0);
		break;
	default:
		shot_own(s);
	}
	if (s->kind == SHOT_END || s->kind == SHOT_END_OF_CALL) {
		shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
		shot_op(s, IR_MARK_END, 0, 0);
	}
	shot_add(s, IR_REGION)->slot = IR_SLOT_MARK;
	shot_op(s, IR_MARK_ADMIT, 0, 0);
	shot_add(s, IR_REGION)->slot = 0;
	emit = shot_add(s, IR_EMIT_MARK);
	emit->slot = 0;
	shot_add(s, IR_END);
	shot_add(s, IR_REGION)->slot = 1;
	emit = shot_add(s, IR_MARK_WORD);
	emit->imm = MARK_SPAN_ID;
	emit = shot_add(s, IR_EMIT);
	emit->slot = 1;
	shot_add(s, IR_END);
	shot_add(s, IR_REGION)->slot = 2;
	emit = shot_add(s, IR_MARK_WORD);
	emit->imm = MARK_STATE;
	emit = shot_add(s, IR_EMIT);
	emit->slot = 2;
	shot_add(s, IR_END);
}

static struct ir_slot shot_slots[] = {{.name = "context", .kind = VALUE_CONTEXT}, {.name = "id", .kind = VALUE_UINT},
				      {.name = "state", .kind = VALUE_UINT}};

static struct capture_program shot_program(struct shot *s, const struct context_table *contexts,
					   struct goroutine_layout g)
{
	shot_make(s);
	return (struct capture_program){.insns = s->insns, .ninsns = s->n, .slots = shot_slots,
					.nslots = ARRAY_SIZE(shot_slots), .nregs = 8, .contexts = contexts, .g = g};
}

#endif
