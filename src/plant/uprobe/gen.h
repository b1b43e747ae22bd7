/* What the files of the BPF code generator share: compile.c (the program), ops.c (instructions), mapstr.c. */
#ifndef PLANT_UPROBE_GEN_H
#define PLANT_UPROBE_GEN_H

#include "plant/uprobe/compile.h"

/*
 * The BPF stack, from FP - 512 up: virtual registers; a read buffer; a few words of bookkeeping.
 * A small record is built between the registers in use and the buffer. All are written as whole words, or
 * the verifier takes what a word held before for alive, and walks on for each.
 */
#define STACK_REGS (-512)
/*
 * Where there are subprograms: older kernels give each 32 bytes, though ours use none, and 512 are there for all.
 */
#define STACK_REGS_SHARED (-480)
#define STACK_BUF (-24 - STACK_BUF_SIZE)
#define STACK_BUF_SIZE 128
_Static_assert(STACK_REGS_SHARED + 8 * IR_MAX_REGS <= STACK_BUF, "the BPF stack has 512 bytes");
_Static_assert(IR_MAX_STR <= STACK_BUF_SIZE, "texts are compared in the buffer");
enum { BK_KEY = -8, BK_OFFSET = -8, BK_G = -16, BK_SP = -24,
       BK_CALL = BK_G, BK_BASE = BK_SP }; /* once the goroutine is known: see calls.c */

/* Registers that live through the program; R8 and R9 are each construct's own and survive calls. */
enum { REG_CTX = R6, REG_RECORD = R7 };

#define HEAD(field) ((int)offsetof(struct event_header, field))
#define SCRATCH_WORK_OFF                                                                           \
	((int)offsetof(struct scratch, work) - (int)offsetof(struct scratch, record)) /* from R7 */
#define SCRATCH_WORDS_OFF                                                                          \
	((int)offsetof(struct scratch, words) - (int)offsetof(struct scratch, record))
#define SCRATCH_CANDIDATES_OFF                                                                     \
	((int)offsetof(struct scratch, candidates) - (int)offsetof(struct scratch, record))
#define SCRATCH_VALID_OFF                                                                          \
	((int)offsetof(struct scratch, window_valid) - (int)offsetof(struct scratch, record))
#define SCRATCH_WINDOW_OFF                                                                         \
	((int)offsetof(struct scratch, window) - (int)offsetof(struct scratch, record))
#define SCRATCH_SAVED_OFF                                                                          \
	((int)offsetof(struct scratch, saved) - (int)offsetof(struct scratch, record))
#define SCRATCH_KEPT_OFF                                                                           \
	((int)offsetof(struct scratch, kept) - (int)offsetof(struct scratch, record))
#define SCRATCH_COOKIE_OFF                                                                         \
	((int)offsetof(struct scratch, cookie) - (int)offsetof(struct scratch, record))
#define SCRATCH_CONSTANT(field, n)                                                                 \
	((int)(offsetof(struct scratch, constants[0].field) + (n) * sizeof(((struct scratch *)NULL)->constants[0])) - \
	 (int)offsetof(struct scratch, record))
#define SCRATCH_AHEAD(field)                                                                       \
	((int)offsetof(struct scratch, ahead.field) - (int)offsetof(struct scratch, record))
#define SCRATCH_STATE(field)                                                                       \
	((int)(offsetof(struct scratch, state) + offsetof(struct call_state, field)) -             \
	 (int)offsetof(struct scratch, record))
#define SCRATCH_CALL(field)                                                                        \
	((int)(offsetof(struct scratch, call) + offsetof(struct open_call_head, field)) -          \
	 (int)offsetof(struct scratch, record))
#define SCRATCH_WALK(field)                                                                        \
	((int)(offsetof(struct scratch, walk) + offsetof(struct walk_state, field)) -              \
	 (int)offsetof(struct scratch, record))
#define SCRATCH_GROUP_OFF                                                                          \
	((int)offsetof(struct scratch, group) - (int)offsetof(struct scratch, record))
#define SCRATCH_BUSY_OFF (-(int)offsetof(struct scratch, record))

/* Where failures go: the statuses of a capture, or the reasons to drop the event. */
enum drop { DROP_SILENT = LOSS_KERNEL_COUNT, DROP_NO_CALL /* silent, too: the return has no call */, DROP_COUNT };

struct gen_label {
	int label;  /* the emitter's */
	bool used;  /* something jumps to it */
};

/* Part of a struct that is read ahead (windows.c). */
struct load_window {
	uint16_t base;               /* which pointer, in the analysis's numbers */
	uint8_t reg;                 /* it is this argument register … */
	const struct load_window *parent; /* … or, not NULL, the word at `field` of that pointer */
	int64_t field, low;          /* low: the window's first byte, from the pointer */
	uint32_t size, off;          /* off: in scratch.window */
	bool reused;                 /* only slots look at it that may be what they were (reuse.c) */
};
struct windows {
	struct load_window list[WINDOWS_MAX];
	unsigned n;
	uint32_t used;
	const struct load_window **of_insn; /* for each IR_LOAD that a window serves */
	const struct load_window *key; /* has, at key_at, the word of all IR_REUSE; NULL: none has */
	int64_t key_at;
	const struct load_window *goroutine; /* has the record's goroutine: id and stack bound; NULL: none has */
};

struct gen {
	struct emit *e;
	const struct capture_program *p;
	const struct arch *arch;    /* the program's */
	const struct uprobe_env *env;
	struct site_shape shape;
	uint32_t probe_id;
	bool on_stack;              /* the record lies on the BPF stack */
	int stack_regs;             /* where the virtual registers begin */
	bool in_call;               /* at this point, a return has found its call */
	int unwind;                 /* calls.c: label of the callback that takes away stale calls, -1: none */
	int walk;                   /* walk.c: label of the callback that looks at an edge, -1: none */
	bool holds_scratch;         /* at this point of the program */
	bool knows_cookie;          /* likewise: it lies in the scratch element */
	bool in_filter, in_mark, in_region;
	uint16_t slot;              /* of the region */
	struct gen_label *labels;   /* the IR's */
	bool dead;                  /* what follows is not reached (the verifier refuses such code) */
	int fail[SLOT_STATUS_COUNT];/* labels of the region, -1: not used yet */
	int behind;                 /* likewise: its end */
	int leave;                  /* label of the end that runs a RET, -1: not used yet */
	int drop[2][DROP_COUNT];    /* labels, by holds_scratch; -1: not used yet */
	struct windows windows;
	const struct map_layout *shared_map; /* mapstr.c: several searches are in maps of this layout; or NULL */
	struct err *err;
};

/* The label to jump to when this happens here. */
int gen_fail(struct gen *g, enum slot_status s);
int gen_drop(struct gen *g, unsigned drop);
/* dst = the number of the thread. */
void gen_thread(struct gen *g, uint8_t dst);
/* Behind the region. */
int gen_behind(struct gen *g);

/* A word of the scratch element: off as of SCRATCH_STATE(), HEAD() …, from REG_RECORD on. */
void state_load(struct gen *g, uint8_t reg, int off);
void state_store(struct gen *g, int off, uint8_t reg);
void state_store_imm(struct gen *g, int off, int32_t imm);

/* windows.c: chosen before code is made, read once the scratch element is ours. */
void windows_choose(struct windows *w, const struct capture_program *p);
void windows_done(struct windows *w);
void windows_read(struct gen *g);
/* R8 = goid, R9 = stack.hi, to unread where they cannot be had so; false when no window has them. Call it first. */
bool windows_goroutine(struct gen *g, int unread);
/* R0 = the field (zero-extended), to slow if its window is invalid; false when no window has it. */
bool windows_load(struct gen *g, const struct ir_insn *i, int slow);

/* saved.c: what one program keeps for another (IR_SAVE, IR_SAVED). */
void saved_begin(struct gen *g);
void saved_end(struct gen *g);
int gen_saved(struct gen *g, const struct ir_insn *i);
int gen_save(struct gen *g, const struct ir_insn *i);

/*
 * reuse.c: slots that are not read again (IR_REUSE). The first four are saved.c's, in this order: before the entry is
 * looked for; it is at R0; before it is written; it is at R0 again.
 */
void reuse_begin(struct gen *g);
void reuse_found(struct gen *g);
void reuse_keep(struct gen *g);
void reuse_write(struct gen *g);
void reuse_unless_all(struct gen *g, int other); /* to other, unless all are what they were, if R1 is their word */
int gen_reuse(struct gen *g, const struct ir_insn *i);

/*
 * calls.c: the calls that are open, kept from entry to return. R8 = goid, R9 = depth at the first two's beginning;
 * they are kept.
 */
bool calls_used(const struct capture_program *p);
void calls_enter(struct gen *g);   /* entry: what nothing can return from any more is unwound, the level found */
void calls_push(struct gen *g);    /* its end: the call is kept */
void calls_find(struct gen *g);    /* return: the call it belongs to, or a silent end. Takes the scratch element */
/* A return that is dropped since no scratch element is free: its call ends without being reported as unwound. */
void calls_return_dropped(struct gen *g);
void calls_append(struct gen *g);  /* the entry's record, behind ours */
void calls_end(struct gen *g);     /* its end, on every way out */
void calls_unwind(struct gen *g);  /* all there is to PROGRAM_UNWIND and PROGRAM_EXIT */
void calls_callbacks(struct gen *g); /* the subprograms that the above need */
int gen_call_saved(struct gen *g, const struct ir_insn *i);
int gen_call_save(struct gen *g, const struct ir_insn *i);
int gen_latency(struct gen *g, const struct ir_insn *i);

/* calls.c and unwind.c: the maps of calls. */
void call_map(struct gen *g, int map, int helper);     /* helper(map, R2, …) */
void call_lookup(struct gen *g);                       /* R0 = the call of level R1, or 0 */
void call_record(struct gen *g, uint8_t call, int none); /* R0 = its record; the state has its key */
void call_delete(struct gen *g);                       /* that of the state's key; its flags are in R9 */

/* walk.c, stack.c */
bool walk_used(const struct capture_program *p);
void walk_chunks(struct gen *g);   /* what the record's images lead to */
void walk_callback(struct gen *g);
int gen_image(struct gen *g, const struct ir_insn *i);
int gen_emit_stack(struct gen *g, const struct ir_insn *i);
/* The slot gets as many words as the register says, which lie at the record's end; it begins at R1. Changes both. */
void gen_finish_words(struct gen *g, uint16_t slot, uint8_t count);
void gen_load_bias(struct gen *g); /* R0 = the process's load bias */

/* chain.c */
int gen_emit_chain(struct gen *g, const struct ir_insn *i);
/* R9 = how many links the chain has, whose words lie behind the record: so many bytes are free there, else to full. */
int gen_chain_links(struct gen *g, const struct ir_insn *i, unsigned bytes, int full);

/* marks.c: what is in a region of marks, once the record has been begun. */
void marks_begin(struct gen *g);
int gen_mark(struct gen *g, const struct ir_insn *i); /* what ir_is_mark */
int gen_mark_word(struct gen *g, const struct ir_insn *i);
int gen_emit_mark(struct gen *g, const struct ir_insn *i);
/* mark_state.c: R9 = the struct mark_state of the run's mark; to none. Clobbers R0 to R5. */
void gen_find_state(struct gen *g, int none);
/* reg, callee-saved, = that which was found; to gone where it is not the mark's any more. Likewise. */
void gen_found_state(struct gen *g, uint8_t reg, int gone);

/* control.c, aggregate.c */
void control_hit(struct gen *g);
void control_pass(struct gen *g);  /* of a point or an entry, once its condition is true */
int aggregate_update(struct gen *g);
bool aggregate_wants_entry(const struct capture_program *p);

void ahead_begin(struct gen *g); /* ops.c: before the first text of a record */

/* compile.c */
void gen_target(struct gen *g);    /* R0 = the process's number */
void gen_release(struct gen *g);   /* the scratch element is anyone's again */
void gen_count_loss(struct gen *g, unsigned loss);
void gen_take_scratch(struct gen *g);
void gen_return(struct gen *g);
/*
 * R0 = how often the callback at the label ran: until it gives 1, at most max times. It finds R7 at *R2; word: where on
 * the stack that lies meanwhile.
 */
void gen_loop(struct gen *g, int callback, int max, int word);
int gen_record_limit(const struct gen *g); /* bytes */
/* R9 bytes at R7 go into the ring; to full when there is no room. */
void gen_output(struct gen *g, int full);

/* dst = a general register of the site; SP at the function's entry + off. */
void gen_site_reg(struct gen *g, uint8_t dst, uint8_t reg);
void gen_entry_sp(struct gen *g, uint8_t dst, int64_t off);

/* Virtual registers. */
int gen_reg_off(const struct gen *g, uint16_t vreg);
void gen_get(struct gen *g, uint8_t dst, uint16_t vreg);
void gen_put(struct gen *g, uint16_t vreg, uint8_t src);
int gen_slot_off(const struct gen *g, uint16_t slot);

/*
 * Reads size bytes at the user address in R3 to the stack; to label when that cannot be. Clobbers R0–R5, and R8 where
 * pages can be brought in: what is not there is read once more.
 */
void gen_read_stack(struct gen *g, int off, unsigned size, int fault);
/* Its parts, for where they are not repeated. */
void gen_clear_stack(struct gen *g, int off, unsigned size);
void gen_read_uncleared(struct gen *g, int off, unsigned size, int fault);
/* Reads R2 bytes at the user address in R3 to R1; to label when that cannot be. */
void gen_read_user(struct gen *g, int fault);
/* Reads as many bytes as R2 says at the user address in R3 to the work area; to label when that cannot be. */
void gen_read_work(struct gen *g, int fault);

/* pieces.c: for what could not be read at once. bpf_probe_read_user reads all of it, or gives zeros for all. */
struct pieces {
	uint8_t dst;        /* register, callee-saved: the bytes go behind it + dst_off */
	int dst_off;
	uint8_t size;       /* register, callee-saved: how many bytes */
	unsigned max;       /* the most that they can be */
	uint8_t addr;       /* FP or REG_RECORD: the address is the word behind it + addr_off */
	int addr_off;
	int pages;          /* a word behind REG_RECORD: |= event_chunk.status's bits of pages that could not be read */
};
/* Reads page by page; to none when nothing could be. Clobbers R0–R5. */
void gen_read_pieces(struct gen *g, const struct pieces *p, int none);
/* R0 = the helper's result for R1, R2 and R3: it brings pages in, where this kernel's programs can. */
void gen_call_reader(struct gen *g);

/*
 * R4 = 0 when the n bytes (at least one) at base + off are str; fold: in either case of the letters, and str has small
 * ones only. Clobbers R2, R3.
 */
void gen_difference(struct gen *g, uint8_t base, int off, const char *str, size_t n, bool fold);
/* reg = reg == 0, without a branch. */
void gen_is_zero(struct gen *g, uint8_t reg, uint8_t tmp);

/* strings.c: IR_STR_EQ, _PREFIX, _SUFFIX, _CONTAINS; IR_STR_ORDER; IR_MEM_ORDER. As gen_insn. */
int gen_str(struct gen *g, const struct ir_insn *i);
int gen_str_order(struct gen *g, const struct ir_insn *i);
int gen_mem_order(struct gen *g, const struct ir_insn *i);
int gen_any_str(struct gen *g, const struct ir_insn *i);
int gen_str_len(struct gen *g, const struct ir_insn *i);

/* inject.c: IR_INJECT, by the helper that writes to the program's memory. */
int gen_inject(struct gen *g, const struct ir_insn *i);

/* One IR instruction (or a run of loads): returns how many were consumed, or a negative errno. */
int gen_insn(struct gen *g, const struct ir_insn *i, size_t left);
int gen_map(struct gen *g, const struct ir_insn *i);
void map_choose(struct gen *g); /* before code is made */
void map_begin(struct gen *g);  /* once the scratch element is ours */

/* Whether an instruction needs the scratch element (rather than the stack alone). */
bool ir_needs_scratch(const struct ir_insn *i);

#endif
