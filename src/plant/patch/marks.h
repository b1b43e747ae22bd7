/*
 * What the files of marks share (marks.c says how they lie in the area): mark_table.c, which finds and takes entries;
 * marks.c, what leads to marks; mark_begin.c, what they are of; mark_state.c, the tracestates that came in with them.
 */
#ifndef PLANT_PATCH_MARKS_H
#define PLANT_PATCH_MARKS_H

#include "plant/patch/gen.h"

enum { MARK_BUSY = 1 };          /* bit of a key: its entry is being written */
enum { MARK_TEMP = REG_RECORD }; /* free before a record is begun */
/* slot.mark_state. CAME_IN: the run has begun its mark, whose parent is a header */
enum { HAS = 1, SEALED = 2, KEYED = 4, BY_HEADER = 8, CAME_IN = 16 };
enum { MARK_TRIES = 40 };        /* at entries that others take as well */

/* Of every kind of entry, key, tsc and self are at the same place. */
#define ENTRY(reg, field) MEM(reg, offsetof(struct patch_mark, field))
#define STATE SLOT(mark_state)

/* A table of sets: where it is in the area, its entries, the bytes and the links of one. */
struct mark_table {
	uint64_t off, n;
	size_t bytes;
	unsigned links;
};
struct mark_table mark_names(const struct code *g);
struct mark_table mark_stacks(const struct code *g);

/* RDI, which is mixed, becomes a key: not 0, not busy. */
void mark_make_key(struct code *g);
/* RDI = the key of the word (or the goroutine) in RAX, RCX the number of its set. Clobbers RAX, RDX. */
void mark_key_of_word(struct code *g, int64_t kind, uint32_t group);
void mark_key_of_goroutine(struct code *g);
/* RDX = the set of the number in RCX. Clobbers RCX. */
void mark_find_set(struct code *g, const struct mark_table *t);
/* RSI = the entry of the key in RDI, in the set at RDX, to found; falls out where there is none. */
void mark_find_entry(struct code *g, const struct mark_table *t, int found);
/* RSI, RDI = the mark that the word's entry at RSI, of key RDI, leads to, and its key; to none. Clobbers RCX, RDX. */
void mark_follow(struct code *g, int none);
/* The mark at RSI, of key RDI, becomes the run's; to none where it is gone. Clobbers RAX. */
void mark_take(struct code *g, int none);
/* The mark of key RDI at RSI ends; nothing if it has. Clobbers RAX, RDX. */
void mark_end(struct code *g);

/*
 * RSI = an entry with the key RDI and MARK_BUSY, of the set RCX: that of the key itself, to own; else another one. To
 * none where there is none to be had: others may be at the same set, so it is tried again, but not for ever. Clobbers
 * all but RDI.
 */
void mark_claim(struct code *g, const struct mark_table *t, int own, int none);
/*
 * The entry at RSI gets the key RDI with MARK_BUSY in exchange for RAX; to lost, with what it has in RAX, where that is
 * another one by now. Clobbers RCX.
 */
void mark_exchange_key(struct code *g, int lost);
void mark_release(struct code *g); /* the entry at RSI is written */
/* The link at reg leads to the run's mark. Clobbers RAX. */
void mark_link_to_own(struct code *g, uint8_t reg);
void mark_count_full(struct code *g); /* LOSS_MARKS_FULL. Clobbers RCX */

/* To label where the run's state has one of the bits; where it has none of them; where it has no mark of its own. */
void mark_unless(struct code *g, uint8_t bits, int label);
void mark_only_in(struct code *g, uint8_t bits, int label);
void mark_needs_own(struct code *g, int label);

/* mark_begin.c: the instructions. To end, where nothing is left to do. */
void mark_header(struct code *g, const struct ir_insn *i, int end);
void mark_begin(struct code *g, const struct ir_insn *i, int end);
void mark_ended(struct code *g, const struct ir_insn *i, int end);
void mark_admit(struct code *g, const struct ir_insn *i, int end);

/* mark_state.c: IR_MARK_STATE; and which tracestate the run's mark hands on to one that begins: slot.mark_root. */
void mark_state(struct code *g, const struct ir_insn *i, int end);
void mark_state_of_parent(struct code *g);

#endif
