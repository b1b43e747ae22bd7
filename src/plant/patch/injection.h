/* What the code of IR_INJECT (inject.c) and of IR_LEND (lend.c) is made of. */
#ifndef PLANT_PATCH_INJECTION_H
#define PLANT_PATCH_INJECTION_H

#include "event/inject.h"
#include "plant/patch/gen.h"

/* The instruction's k-th word (enum inject_word), where its struct ir_insn is i. */
#define WORD(k) SLOT_AT(regs, i->a + (unsigned)(k))
struct injection {
	struct code *g;
	struct x86 *x;
	const struct ir_insn *insn;
	uint64_t bytes;          /* IR_INJECT: that are written */
	int to[INJECT_OUTCOMES]; /* labels; -1: not used yet */
};

/* A read that faults is the slot's status from here on. */
void injection_begin(struct injection *j, struct code *g, const struct ir_insn *i);
void injection_jump(struct injection *j, enum x86_cc cc, enum inject_outcome o);
void injection_check_ids(struct injection *j);
/* The bytes, in slot.work. Clobbers RAX, RCX, RDX, RSI, RDI. */
void injection_text(struct injection *j, enum inject_form form);
/* All is written, and RAX is the outcome of that; the instruction's result. */
void injection_end(struct injection *j);

#endif
