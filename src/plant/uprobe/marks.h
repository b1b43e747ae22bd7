/*
 * What the files of marks share (marks.c says how they lie in the map): mark_table.c, which finds and takes entries;
 * marks.c, what leads to marks; mark_begin.c, what they are of; mark_state.c, the tracestates that came in with them.
 */
#ifndef PLANT_UPROBE_MARKS_H
#define PLANT_UPROBE_MARKS_H

#include "plant/uprobe/gen.h"

/* mark_run.state. CAME_IN: the run has begun its mark, whose parent is a header */
enum { HAS = 1, SEALED = 2, KEYED = 4, BY_HEADER = 8, CAME_IN = 16 };
enum { BUSY = 1 }; /* bit of a key: its entry is being written */

#define RUN(field)                                                                                 \
	((int)(offsetof(struct scratch, mark) + offsetof(struct mark_run, field)) -                \
	 (int)offsetof(struct scratch, record))
#define ENTRY(field) ((int)offsetof(struct mark_entry, field))

/* To label where the run's state has one of the bits; where it has none of them. Clobber R1. */
void marks_unless(struct gen *g, int32_t bits, int label);
void marks_only_in(struct gen *g, int32_t bits, int label);
void marks_add(struct gen *g, int32_t bits); /* to the state. Clobbers R1 */
void marks_remove(struct gen *g, int32_t bits); /* from it. Clobbers R1 */
void marks_needs_own(struct gen *g, int end); /* to end where the run has no mark of its own process. Clobbers R1 */

/* R8, which is mixed, becomes a key: not 0, not busy. */
void marks_make_key(struct gen *g);
/* R8 = the key of the word in R1; of the goroutine whose id that is. Clobber R1, R2. */
void marks_key_of_word(struct gen *g, int64_t kind, uint32_t group);
void marks_key_of_goroutine(struct gen *g);
/* R9 = the entry of the key in R8; to none where there is none. */
void marks_find_entry(struct gen *g, int none);
/* reg = the entry at run.place, which is not 0. Clobbers R0 to R5. */
void marks_entry_at(struct gen *g, uint8_t reg, int none);
/* R9, R8 = the mark that the word's entry at R9, of key R8, leads to, and its key; to none. run.place is its place. */
void marks_follow(struct gen *g, int none);
/* The mark at R9, of key R8, at run.place, becomes the run's; to none where it is gone. */
void marks_take(struct gen *g, int none);
/* The mark at reg whose key is in R0 ends; nothing if it has. */
void marks_end(struct gen *g, uint8_t reg);

/*
 * R9 = an entry with the key R8 and BUSY: that of the key itself, to own; else one that was free, or dead, or the
 * oldest, which is counted; that one's links behind the first lead nowhere. To none where there is none to be had.
 * run.way is which of its set it is.
 */
void marks_claim(struct gen *g, int own, int none);
void marks_release(struct gen *g); /* the entry at R9, of key R8, is written */
/* run.at, run.key = the entry that was claimed for the key in R8, which is the run's mark. */
void marks_note_place(struct gen *g);
/* The link at that offset of the entry at R9 leads to the run's mark. */
void marks_link_to_own(struct gen *g, int off);

/* mark_begin.c: the instructions. To end, where nothing is left to do. */
void marks_header(struct gen *g, const struct ir_insn *i, int end);
void marks_start(struct gen *g, const struct ir_insn *i, int end);
void marks_end_own(struct gen *g, const struct ir_insn *i, int end);
void marks_admit(struct gen *g, const struct ir_insn *i, int end);

/* mark_state.c: IR_MARK_STATE; and which tracestate the run's mark hands on to one that begins: run.root. */
void marks_state(struct gen *g, const struct ir_insn *i, int end);
void marks_state_of_parent(struct gen *g);

#endif
