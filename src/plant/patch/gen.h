/*
 * What the files of the x86-64 code generator share: gen.c (what all are made of), code.c (the program), reserve.c
 * (room in the ring), ops.c (instructions), strings.c, mapstr.c, image.c, walk.c, chain.c, saved.c, marks.c (and
 * what marks.h says), inject.c, lend.c, sums.c.
 */
#ifndef PLANT_PATCH_GEN_H
#define PLANT_PATCH_GEN_H

#include "binary/arch_x86_64.h"
#include "plant/patch/code.h"
#include "plant/patch/groups.h"
#include "plant/patch/x86.h"

/* Registers with a fixed meaning. RAX, RCX, RDX, RSI and RDI are each construct's own (the site's are saved). */
enum { REG_SLOT = R13, REG_RECORD = R12 };
enum { KEPT_RAX, KEPT_RCX, KEPT_RDX, KEPT_RSI, KEPT_RDI, KEPT_COUNT }; /* where slot.gpr has the site's */

#define SLOT(field) MEM(REG_SLOT, offsetof(struct patch_slot, field))
#define SLOT_AT(field, i) MEM(REG_SLOT, offsetof(struct patch_slot, field) + 8 * (size_t)(i))
#define CHUNK(reg, field) MEM(reg, offsetof(struct event_chunk, field))
#define HEAD(field) MEM(REG_RECORD, offsetof(struct event_header, field))

enum { DROP_SILENT = PATCH_LOSSES,
       DROP_ENDED, /* a call's return that did not pass: its end is told, nothing else; or an entry that did not */
       DROP_COUNT };

/* A status that failures of a region set, out of its straight line. */
struct code_fail {
	int label, resume;
	uint16_t slot;
	enum slot_status status;
};

/* Where the segment has no room, and where to go on once there is another. */
struct code_refill {
	int label, resume, full; /* labels: where a chunk is taken; on with it; there is none */
};

struct code {
	struct x86 x;
	const struct capture_program *p;
	const struct patch_env *env;
	uint32_t probe_id;
	bool in_filter, in_mark, in_region;
	bool goroutine_known;         /* slot.goid and slot.depth are there already: the program has marks */
	uint16_t slot;                /* of the region */
	int *labels;                  /* the IR's */
	int fail[SLOT_STATUS_COUNT];  /* labels of the region, -1: not used yet */
	int ended;                    /* label of DROP_ENDED; -1: none */
	int drop[DROP_COUNT];         /* labels of the program, -1: not used yet */
	VEC(struct code_fail) fails;
	VEC(struct code_refill) refills;
	int fault;                    /* the label that slot.fault holds here, -1: unknown */
	uint32_t cached;              /* the virtual register that RAX holds too, or IR_NO_REG */
	uint32_t max_size;            /* of a record */
	uint32_t known_size;          /* what slot.size is here, 0: that depends on strings */
	bool may_overflow;            /* strings could exceed EVENT_MAX_DATA */
	int impatient, patient;       /* labels: it is time to look whether somebody listens, and on; -1: none */
	int spill, spilled;           /* labels: the ring has no room, but aggregates want the record; and on */
	struct err *err;
};

/* ---- gen.c ---- */

/* The label to jump to when this happens here. */
int code_fail(struct code *g, enum slot_status s);
int code_drop(struct code *g, unsigned drop);
bool code_writes_record(const struct code *g);
unsigned code_not_passed(const struct code *g); /* the drop of an event whose condition is false */
/* From here on a read that faults goes to the label. Clobbers RDX. */
void code_fault(struct code *g, int label);
/* Control comes together here: nothing is known of slot.fault and RAX. */
void code_join(struct code *g, int label);

/* Virtual registers. get keeps the other registers; put is of RAX. */
void code_get(struct code *g, uint8_t dst, uint16_t vreg);
void code_put(struct code *g, uint16_t vreg);
void code_forget(struct code *g); /* RAX is about to change */
struct x86_mem code_slot(uint16_t slot, unsigned off);

/* ---- the other files ---- */

/* code.c: makes slot.goid and slot.depth known. Clobbers RAX, RCX, RDX. */
void code_know_goroutine(struct code *g);
/* reg = slot.goid, slot.depth: of this call, which are known. */
void code_goid(struct code *g, uint8_t reg);
void code_depth(struct code *g, uint8_t reg);
void code_now(struct code *g);    /* RAX = the time-stamp counter. Clobbers RDX */

/* reserve.c: REG_RECORD = room for the largest record in the ring; to full when there is none. */
void code_reserve(struct code *g, int full);
void code_refills(struct code *g); /* the ways to another chunk, out of line */

/* ops.c */
int code_insn(struct code *g, const struct ir_insn *i);
/* The function gets RAX as its argument in that register (arch.h); false: arguments lie in others. */
bool code_set_argument(struct code *g, uint8_t reg);

/* strings.c */
int code_str(struct code *g, const struct ir_insn *i);
int code_emit_str(struct code *g, const struct ir_insn *i);
/* Whether letters count in either case. */
static inline bool code_folds(const struct ir_insn *i)
{
	return i->op == IR_ANY_STR || i->op == IR_ANY_KEY;
}
/* To differs when the bytes at reg are not the text, at once. Clobbers RAX and tmp. */
void code_match(struct code *g, uint8_t reg, uint8_t tmp, const struct ir_insn *i, int differs);
/* Copies RDX bytes from RSI to RDI, of which at most max. Clobbers RAX and RCX; RSI and RDI when it is much. */
void code_copy(struct code *g, int64_t max);
/*
 * For a chunk of which the bytes could not be copied: RDI is its place, RSI where they lie. They are copied page by
 * page, with zeros and a bit of its status for those that cannot be read. To none when all are such. Clobbers RAX, RCX,
 * RDX.
 */
void code_copy_pages(struct code *g, int none);
/* reg = the record's size so far. */
void code_size(struct code *g, uint8_t reg);
/* Bytes that a record may have, in all. */
uint32_t code_record_limit(const struct capture_program *p);
void code_any_str(struct code *g, const struct ir_insn *i);
void code_str_order(struct code *g, const struct ir_insn *i);
void code_mem_order(struct code *g, const struct ir_insn *i);
/* mapstr.c */
int code_map(struct code *g, const struct ir_insn *i);

/* image.c: stacks and images; walk.c: what images lead to. */
void code_emit_stack(struct code *g, const struct ir_insn *i);
/*
 * The words from the record's end on up to RDI are the slot's; to none (a label, or less than 0) where there are none.
 * Clobbers RAX, RCX, RDX, RDI.
 */
void code_put_words(struct code *g, uint16_t slot, int none);
void code_image(struct code *g, const struct ir_insn *i);
void code_image_put(struct code *g, const struct ir_insn *i);
void code_image_copy(struct code *g, const struct ir_insn *i);
void code_image_type(struct code *g, const struct ir_insn *i);
void code_walk(struct code *g);   /* all regions are done */

/* inject.c */
void code_inject(struct code *g, const struct ir_insn *i);

/* lend.c */
int code_lend(struct code *g, const struct ir_insn *i);
void code_release(struct code *g, const struct ir_insn *i); /* and the event is dropped */

/* chain.c */
void code_emit_chain(struct code *g, const struct ir_insn *i);
/*
 * The chain of the context whose words are in the registers type and data, at most max links, from REG_RECORD +
 * slot.size on: RDI is behind it then. Its room is 8 (max + 1) + EVENT_CHAIN_SPAN_BYTES.
 */
void code_chain(struct code *g, uint16_t type, uint16_t data, int64_t max);

/* marks.c: slot.goid and slot.depth are known. */
void code_mark_begin(struct code *g);  /* before the first region of marks */
void code_mark(struct code *g, const struct ir_insn *i); /* what ir_is_mark */
void code_mark_word(struct code *g, const struct ir_insn *i);
void code_emit_mark(struct code *g, const struct ir_insn *i);
/* mark_state.c: RSI = the struct patch_state of the run's mark; to none. Clobbers RAX, RCX, RDX, RDI. */
void code_find_state(struct code *g, int none);
/* To gone where what was read of it since then may be another's. Clobbers RAX, RCX. */
void code_check_state(struct code *g, int gone);

/* saved.c: what one program keeps for another. */
void code_saved_begin(struct code *g);  /* goid and depth are known, nothing else yet */
void code_saved_claim(struct code *g);  /* the captures begin: RSI and slot.held = the call's place, ours */
void code_saved_end(struct code *g);    /* the record is complete, but not handed over */
void code_saved(struct code *g, const struct ir_insn *i);
void code_save(struct code *g, const struct ir_insn *i);
void code_latency(struct code *g, const struct ir_insn *i);
bool code_saved_early(const struct capture_program *p); /* before the filter */
void code_saved_release(struct code *g); /* a return is through */
void code_saved_erase(struct code *g);  /* an entry that did not pass: no return may find what an earlier call left */

/* sums.c: aggregates. */
void code_admit(struct code *g);        /* the event passed its filter */
void code_sums(struct code *g);           /* the record is complete */
void code_keep_parts(struct code *g);     /* of an entry, from its record, with the call at RSI, which it keeps */
/* Whether an entry's slots are captured where they are kept: they are all kept, and no record wants them. */
bool code_keeps_directly(const struct code *g);
void code_kept_record(struct code *g);    /* then, with the call at RSI: REG_RECORD so that code_slot is right */
int32_t code_kept_text(const struct code *g, uint16_t slot); /* where the text's bytes are from there */
bool code_holds_call(const struct code *g); /* a return stays the owner of what its call keeps until it is through */
void code_hold_call(struct code *g);       /* the call at RSI is ours */
void code_scratch_record(struct code *g); /* REG_RECORD = room outside of the ring */

#endif
