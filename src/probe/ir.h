/*
 * The capture program: what a probe does when it fires, in a form that knows nothing of how it is
 * planted. Straight-line code over virtual 64-bit registers with forward jumps only; planters turn it
 * into BPF or x86-64 instructions.
 *
 * A program is: the goroutine part (ends with IR_GOROUTINE; may be missing), the filter region (may be
 * missing), then one region a slot, in the order of the slots. All slots begin as SLOT_ABSENT.
 *
 * Where an instruction fails, with the enum slot_status that it names:
 *   in a capture's region   the slot gets that status, and control goes on behind the region's IR_END
 *   in the filter region    (slot IR_SLOT_FILTER) the event is dropped. SLOT_UNREADABLE,
 *                           SLOT_NOT_RESIDENT and SLOT_MAP_BUSY count LOSS_FILTER_UNREADABLE; the
 *                           others (nil, other type, range, no key) mean that the condition is false
 *                           and count nothing
 *   in a region of marks    (slot IR_SLOT_MARK, any number of them, between the filter and the captures) control
 *                           goes on behind the region's IR_END
 *   before the first region the event is dropped and LOSS_NO_GOROUTINE counted
 * IR_FILTER stands in the filter region only (any number of times); its a == 0 drops and counts nothing.
 * Jumps and labels stay within their region. A register is written before it is read on every path, and
 * never lives from one region into another; the result register of an instruction is never one of its
 * operands, except that IR_MOVE and IR_BIN may overwrite a register that an earlier path also wrote.
 */
#ifndef PROBE_IR_H
#define PROBE_IR_H

#include "base/buf.h"
#include "binary/arch.h"
#include "binary/binary.h"
#include "binary/context_types.h"
#include "event/event.h"
#include "event/inject.h"
#include "probe/inject_form.h"
#include "probe/mark.h"
#include "probe/shape.h"

#define IR_MAX_REGS 40   /* virtual registers alive at once; numbers may be reused by regions */

enum ir_op {
	/* dst = ... */
	IR_CONST,    /* imm */
	IR_ARG_REG,  /* the general register `reg` (of arch.h) at the site, `size` bytes, sign- or zero-extended */
	IR_ARG_STACK,/* memory at entry SP + imm, `size` bytes, extended. Fails: unreadable */
	IR_ARG_FLOAT,/* the low `size` (4, 8) bytes of floating-point register `reg` at the site: raw bits, zero-
		      * extended. Only for a planter that can (planter_caps.reads_float_regs) */
	IR_SP,       /* the stack pointer at the function's entry, + imm: where a parameter on the stack lies */
	IR_G,        /* address of the current g (planter knows: arch.g at the site) */
	IR_PC_RET,   /* return address of the call (at entry SP) */
	IR_SITE,     /* run-time address of the site's instruction, + imm. This and the next two only for a planter
		      * that can (planter_caps.probes_any) */
	IR_THREAD,   /* number of the thread, as the kernel has it */
	IR_STR_LEN,  /* bytes before the first NUL at a, as in C; EVENT_MAX_STRING + 1 where there is none among so
		      * many. Fails: a == 0 → nil; unreadable */
	IR_LOAD,     /* memory at a + imm, `size` bytes, extended. Fails: a == 0 → nil; unreadable */
	IR_ADDR,     /* a + imm. Fails: a == 0 → nil. (address of a field or a header) */
	IR_INDEX,    /* a + b * imm, after b < c unsigned. Fails: range. (a base, b index, c length) */
	IR_TYPE,     /* run-time address of the descriptor at image address imm (load bias added) */
	IR_MAP_STR,  /* address of the value of key `str` (strlen imm) in the map whose header address is a
		      * (indirect elements are followed). `map` has the layout. Fails: nil, no key, unreadable,
		      * busy (not among the first IR_MAP_GROUPS or IR_MAP_BUCKETS, and there are more) */
	IR_MAP_KEY,  /* IR_MAP_STR for a key whose parts (`key`) are in registers from b on: a word for each part, of
		      * a text its address and length. A text of more than IR_MAX_STR bytes fails: busy */
	IR_BIN,      /* a `bin` b (64-bit): arithmetic, and comparisons that give 0 or 1. Shift counts are
		      * 0…63; SHR shifts zeros in. DIV and MOD are unsigned. They fail: b == 0 → unreadable */
	IR_NOT,      /* a == 0 */
	IR_STR_EQ,   /* 1 when the b bytes at a equal `str` (strlen imm, 1…IR_MAX_STR), else 0. When the
		      * length b alone decides, nothing is read. Fails: unreadable */
	IR_STR_PREFIX, IR_STR_SUFFIX, IR_STR_CONTAINS, /* as IR_STR_EQ; CONTAINS looks at the first 256 bytes, and fails
		      * (unreadable) where it finds nothing in these and there are more */
	IR_STR_ORDER,/* -1, 0 or 1: how the b bytes at a are ordered to `str`, as Go orders strings. Fails:
		      * unreadable */
	IR_MEM_ORDER,/* IR_STR_ORDER of the c bytes at a to as many at b. Fails: unreadable, also where the first
		      * IR_MAX_ORDER are equal and there are more */
	IR_ANY_KEY,  /* 1 when one of the keys, texts, of the map whose header address is a (0: of none) is `str`
		      * (strlen imm, letters a to z only), in either case of the letters; else 0. Searched as by
		      * IR_MAP_STR. Fails: unreadable, busy */
	IR_ANY_STR,  /* 1 when one of the b elements at a, of `at` bytes each, begins with a text (address, length)
		      * that is `str` (strlen imm, letters a to z only), in either case of the letters; else 0.
		      * Fails: unreadable; busy, when b is more than IR_MAX_ELEMENTS, where nothing is read */
	IR_INJECT,   /* appends a trace context to what the program is about to send, in the form imm (enum
		      * inject_form); dst = enum inject_outcome, and where that is INJECT_WRITTEN enum inject_state,
		      * INJECT_STATE_SHIFT bits higher. The registers from a on, INJECT_WORDS of them, say where and
		      * which (enum inject_word). The only instruction that changes the program's memory, and it
		      * changes nothing unless the outcome is INJECT_WRITTEN. Only for a planter that can
		      * (planter_caps.injects). Fails: unreadable */
	IR_LEND,     /* likewise, but what the program has there stays as it is: the call gets a copy with the trace
		      * context in it (forms from INJECT_FORMS on), which is lent to it until IR_RELEASE of the same
		      * `call`. `given` is the parameter that is told of it. At an entry, behind all other probes there,
		      * which are not to see what the call gets. Only for a planter that can (planter_caps.lends) */
	IR_SAVED,    /* value number imm that a program with IR_SAVE left: of this goroutine and save_group
		      * (not in the filter then), or, where the role is PROGRAM_RETURN, of this call.
		      * Fails: absent, when there is none */
	IR_LATENCY,  /* ns since the call's entry. PROGRAM_RETURN only */
	IR_MARK_WORD,/* word imm (enum mark_word) of the run's mark. In any region but the filter. Fails: absent, where
		      * the run has none */
	IR_MOVE,     /* a (joins of && and ||) */
	/* control */
	IR_JUMP,     /* to label */
	IR_JUMP_IF0, /* to label when a == 0 */
	IR_LABEL,    /* label number `label`, each placed once, after every jump to it */
	IR_REQUIRE,  /* a must not be 0, else fails with status imm (enum slot_status) */
	IR_FILTER,   /* drop the event silently when a == 0 */
	IR_RELEASE,  /* what was lent to this call (of function `call`) is given back; the event is dropped silently.
		      * Alone in the filter, at a return, where the call has the depth that it had at its entry */
	IR_REGION,   /* a capture of slot `slot`, or the filter (IR_SLOT_FILTER), begins */
	IR_END,
	/* emit: inside the region of that slot */
	IR_EMIT,     /* slot `slot` = a (scalar), status OK */
	IR_EMIT_STR, /* slot `slot` = b bytes at a, at most imm are copied */
	IR_SAVE,     /* keep a as value number imm of this goroutine and save_group, in place of what was kept
		      * before; values that are not saved in a run of the program become absent. A pointer
		      * into the goroutine's own stack is not kept: the stack may move. In a region.
		      * In a PROGRAM_ENTRY it belongs to the call, and any word is kept */
	IR_REUSE,    /* with the word a that is not 0: slot `slot` may be what it was when a program of this probe ran
		      * last on the goroutine, if a was the same word then; control then goes on behind the region.
		      * At the beginning of a region without IR_SAVE, of a PROGRAM_POINT, in IR_MAX_REUSED of them at
		      * most. A planter may pass it over */
	IR_EMIT_STACK,/* slot `slot` = the return addresses of the frames, innermost first, at most imm of them,
		      * 8 bytes each: a string slot by form. Begins with the caller's (the function itself is
		      * known); Go keeps frame pointers, and the frame pointer is the site's */
	IR_EMIT_CHAIN,/* slot `slot` = the chain (event.h) of the context whose type word (the descriptor's run-time
		      * address; 0: nil) is a and whose data word is b: at most imm links, each as its type in the
		      * program's `contexts` says (context_types.h). A string slot by form. What goes wrong on the way
		      * is the chain's end; where imm is 1, any is that of a chain that has its link. SLOT_CUT, without
		      * bytes, where the record has no room for imm links. Only for a planter that can
		      * (planter_caps.follows_contexts) */
	IR_IMAGE,    /* slot `slot` = a new chunk of `shape` with imm bytes, cleared, for a value at address a
		      * (IR_NO_REG: none, it lies in registers). Slots with images come behind all others. `at`: 1 +
		      * how deep it is followed; 0: as deep as the table of shapes goes */
	IR_IMAGE_PUT,/* the `size` bytes of a, at offset imm of the slot's image */
	IR_IMAGE_COPY,/* imm bytes of memory at a, at offset `at` of the slot's image. Fails: unreadable; at 0, which
		      * is where a is the image's address, only if nothing can be read: see event_chunk.status */
	IR_IMAGE_TYPE,/* the slot's image is of the type whose descriptor's run-time address is the word at a + imm:
		      * of its shape (shape_table.dynamic). Where that word cannot be read, or the table does not
		      * have it, the image stays as it is. Never fails */
	/*
	 * Marks (mark.h), in regions of IR_SLOT_MARK. Those that find do so only where the run has no mark yet, and
	 * IR_MARK_ONLY has not said otherwise. What they find is the run's mark: of a span that begins its parent.
	 */
	IR_MARK_HEADER,/* the b bytes at a, if they are a valid traceparent: a mark of its trace, with its flag */
	IR_MARK_CHAIN,/* the nearest of at most imm links of the context with type word a and data word b (as of
		      * IR_EMIT_CHAIN) that is the own context (MARK_CONTEXT) of a mark. A link that is CHAIN_POOLED
		      * counts only if that mark's goroutine is the record's */
	IR_MARK_GOROUTINE,/* one on the record's goroutine: imm is enum mark_which, `group` and `call` whose it is */
	IR_MARK_CREATOR,/* of those on goroutine a the deepest one within which the record's was created */
	IR_MARK_FIND,/* by the word a (0: none), of kind imm and `group`. With IR_MARK_ONLY nothing else is found from
		      * here on if a is not 0. With IR_MARK_NEED it is only asked whether there is one; if not, nothing
		      * is found from here on */
	IR_MARK_BEGIN,/* a span of `group`, begun by `call`, gets its mark, which is the run's from here on: a new span
		      * id; trace and flags are the parent's. Without a parent the trace is new, and sampled if it is
		      * kept by the threshold imm (mark_kept), with IR_MARK_CHILD undecided, too. Where a header is the
		      * parent, with IR_MARK_BY_RATIO the threshold decides instead of its flag. a, b, c: the epoch, or
		      * IR_NO_REG */
	IR_MARK_STATE,/* the b bytes at a, if they are a valid tracestate, came with the header that is the parent of
		      * the run's mark, just begun: that mark and those below it have them while it has not ended. Of
		      * more than MARK_STATE_MAX they have the length alone. Nothing where a header is not the parent,
		      * or where that mark has one already */
	IR_MARK_PUT, /* the run's mark is found by the word a (0: none), of kind imm and `group`, and no other mark is
		      * by that. MARK_KEY: this run has keyed it */
	IR_MARK_PUT_CHAIN,/* by the first link (IR_EMIT_CHAIN) of the context with type word a and data word b, as
		      * MARK_CONTEXT; by nothing where it has none */
	IR_MARK_PUSH,/* the run's mark, just begun, is on the record's goroutine; with IR_MARK_UNLESS_KEYED not one that
		      * this run has keyed */
	IR_MARK_LEAVE,/* the run's mark, if this run has keyed it, is on no goroutine from here on */
	IR_MARK_END, /* the run's mark has ended; with IR_MARK_UNLESS_KEYED not one that this run has keyed. It stays
		      * the run's */
	IR_MARK_UNWIND,/* all marks on the record's goroutine that are deeper than the record have ended; imm 1: all of
		      * them */
	IR_MARK_ADMIT,/* drop the event, as IR_FILTER, where the run's mark is neither sampled nor undecided. With
		      * IR_MARK_COUNT it counts as a start that was left out */
	IR_EMIT_MARK,/* slot `slot` (VALUE_CONTEXT) = the ids of the run's mark, with its flags and imm. Absent, where
		      * the run has none. Inside the region of that slot */
	IR_GOROUTINE,/* take a as the g whose goid and depth the record carries, instead of the current one;
		      * depth is then stack.hi - b (b: a stack pointer), or 0 when b is IR_NO_REG. Before
		      * the first region, once at most */
};

#define IR_MAX_SAVED 4
#define IR_MAX_REUSED 4
#define IR_MAX_IMAGE 4096 /* bytes of a value that is not behind a pointer; the rest is cut */
#define IR_MAX_STACK 64   /* frames */
#define IR_NO_REG 0xffff
#define IR_SLOT_FILTER 0xffff
#define IR_SLOT_MARK 0xfffe
#define IR_MAX_STR 128   /* longest text that a condition or a map key compares with */
#define IR_MAX_ORDER 1024 /* bytes that are compared of two texts */
#define IR_MAX_KEY 8     /* parts of a map's key */
#define IR_MAX_ELEMENTS 128 /* that IR_ANY_STR looks at */
#define IR_MAP_GROUPS 16 /* that are searched of a Swiss map; of an old one so many buckets: */
#define IR_MAP_BUCKETS 20

enum ir_bin { BIN_ADD, BIN_SUB, BIN_MUL, BIN_AND, BIN_OR, BIN_XOR, BIN_SHL, BIN_SHR,
	      BIN_EQ, BIN_NE, BIN_LT, BIN_LE, BIN_GT, BIN_GE,       /* signed */
	      BIN_ULT, BIN_ULE, BIN_UGT, BIN_UGE,
	      BIN_DIV, BIN_MOD };

/* A map's key as what is compared of it: padding and blank fields are not. */
struct ir_key_part {
	uint32_t offset;
	uint8_t size;    /* 1, 2, 4, 8: a word; 0: a text, address and length */
};
struct ir_key {
	struct ir_key_part parts[IR_MAX_KEY];
	size_t n;        /* 1 at least; of texts there is one at most */
};

enum { IR_SIGNED = 1, /* flags */
       IR_CONSTANT = 64, /* of an IR_LOAD of 8 bytes: what lies there never changes while the program runs, so a planter
			  * may remember it */
       IR_MARK_ONLY = 2, IR_MARK_CHILD = 4, IR_MARK_BY_RATIO = 8, IR_MARK_UNLESS_KEYED = 16, IR_MARK_COUNT = 32,
       IR_MARK_NEED = 128 };

/*
 * Of the run's mark: memory order, so the ids' bytes in the order of the traceparent. Of its tracestate the bytes,
 * MARK_STATE_MAX + 1 where that is too long, 0 where there is none.
 */
enum mark_word { MARK_TRACE_ID_0, MARK_TRACE_ID_1, MARK_SPAN_ID, MARK_FLAGS, MARK_STATE, MARK_WORD_COUNT };

/* A parameter: where its words lie, of a slice its address, length and capacity. */
struct ir_given {
	struct {
		bool on_stack;
		uint8_t reg;     /* as of IR_ARG_REG */
		int32_t stack;   /* from the stack pointer at the entry on */
	} word[3];
	size_t nwords;
	uint32_t bytes, list;    /* INJECT_RECORD: of the struct, a multiple of 8; offset of the list in it */
};

#define IR_LOAN_BYTES 4096 /* that can be lent to a call: the copy and what is added */
enum inject_word {
	INJECT_BUFFER,         /* the address of its first byte */
	INJECT_FILLED,         /* bytes in it */
	INJECT_CAPACITY,       /* bytes that it can have */
	INJECT_LENGTH_AT,      /* the address of the word that says how many are filled; it is changed last */
	INJECT_TRACE,          /* two words, then one, with the ids as they lie in memory (struct event_context) */
	INJECT_SPAN = INJECT_TRACE + 2,
	INJECT_FLAGS,          /* the low byte: W3C's */
	INJECT_BLOCK,          /* INJECT_FRAME: bytes of the frame's block, and its stream; else anything */
	INJECT_STREAM,
	INJECT_STATE,          /* enum inject_state_wanted */
	INJECT_WORDS
};

struct ir_insn {
	uint8_t op;      /* enum ir_op */
	uint8_t size;    /* 1, 2, 4, 8 */
	uint8_t flags;
	uint8_t bin;     /* enum ir_bin */
	uint8_t reg;     /* IR_ARG_REG */
	uint16_t dst, a, b, c;
	uint16_t slot, label;
	union {
		uint32_t shape;  /* IR_IMAGE */
		uint32_t group;  /* IR_MARK_*: number of a span's definition; 0: of none */
	};
	union {
		uint32_t at;     /* IR_IMAGE, IR_IMAGE_COPY */
		uint32_t call;   /* IR_MARK_*, IR_LEND, IR_RELEASE: number of a function; 0: none that is known */
	};
	int64_t imm;
	const char *str; /* strlen equals imm: no NUL inside */
	const struct map_layout *map;
	union {
		const struct ir_key *key;     /* IR_MAP_KEY */
		const struct ir_given *given; /* IR_LEND */
	};
};

enum value_kind { VALUE_INT, VALUE_UINT, VALUE_BOOL, VALUE_FLOAT32, VALUE_FLOAT64, VALUE_POINTER,
		  VALUE_STRING, VALUE_TYPE, /* a type word: the descriptor's run-time address */
		  VALUE_PC,                 /* a code address, run-time */
		  VALUE_STACK,              /* return addresses (IR_EMIT_STACK) */
		  VALUE_IMAGE,              /* a chunk (IR_IMAGE) of `type` */
		  VALUE_CHAIN,              /* struct event_chain (IR_EMIT_CHAIN) */
		  VALUE_CONTEXT             /* struct event_context (IR_EMIT_MARK) */ };

struct ir_slot {
	const char *name;           /* the capture's name */
	enum value_kind kind;
	const struct type *type;    /* Go type of the expression, NULL if it has none */
};

/*
 * What happens when the program has run to its end.
 *
 * A traced function has two programs with the same call_group. The entry's record, its saved words and the time
 * are kept with the planter, as one more open call of the goroutine; the return finds them by goroutine, depth
 * and group. So a condition or an aggregate at the return can use what the entry saw, only what passes is
 * written, and recursion pairs exactly. A return that finds no such call (its entry did not pass, or was before
 * us) does nothing and counts nothing. An entry, a return or an unwind that finds open calls at its own depth
 * or deeper (deeper only, for the last two) ends those as EVENT_UNWOUND: nothing else can have happened to them.
 */
enum program_role {
	PROGRAM_POINT,   /* a record EVENT_POINT is written */
	PROGRAM_ENTRY,   /* a call begins: the record becomes its EVENT_CALL */
	PROGRAM_RETURN,  /* it ends: EVENT_RETURN, EVENT_CALL */
	PROGRAM_UNWIND,  /* all calls of the goroutine deeper than the depth end (no slots) */
	PROGRAM_EXIT,    /* all calls of the goroutine end (no slots) */
};

/* An aggregate is kept by the planter where it can, else computed from records (plant/aggregate.h). */
enum aggregate_kind { AGG_COUNT, AGG_SUM, AGG_MIN, AGG_MAX, AGG_AVG, AGG_HIST /* log2 */, AGG_LINEAR };
#define AGG_MAX_KEYS 4
#define AGG_KEY_STR 64    /* bytes of a text that tell groups apart; longer ones are cut */
#define AGG_BUCKETS 66    /* AGG_HIST: 0 is for negative values, 1 for 0, 2 + k for 2^k … 2^(k+1) - 1 */
struct ir_slot_ref {
	bool at_entry;   /* in a PROGRAM_RETURN: a slot of the call's entry record */
	uint16_t slot;
};
struct ir_aggregate {
	enum aggregate_kind kind;
	bool is_unsigned;                       /* the value's 64 bits: no sign */
	struct ir_slot_ref value;               /* VALUE_INT, UINT or BOOL; not for AGG_COUNT */
	struct ir_slot_ref keys[AGG_MAX_KEYS];  /* scalars, strings, VALUE_STACK */
	size_t nkeys;
	int64_t low, high, step;                /* AGG_LINEAR: bucket 0 is below low, the last from high on,
	                                         * and so all unsigned values from 1<<63 on */
};

struct capture_program {
	enum program_role role;
	const struct arch *arch;    /* of the registers; NULL: arch_host() */
	uint32_t call_group;        /* ENTRY and RETURN of one function and question: the same, never 0 */
	const struct ir_aggregate *aggregates; /* POINT and RETURN: updated with each event that passes */
	size_t naggregates;
	bool no_record;             /* only the aggregates are wanted: nothing goes into the ring */
	bool unwound_unseen;        /* ENTRY: nobody asks for the call if it is unwound: EVENT_UNWOUND may
				     * be left out */
	bool controlled;            /* hits are counted, and plant_control applies (ENTRY and POINT) */
	const struct shape_table *shapes; /* of the images; NULL without any */
	const struct context_table *contexts; /* of the chains; NULL without any */
	struct ir_insn *insns;
	size_t ninsns;
	struct ir_slot *slots;      /* in the order of the record */
	size_t nslots;
	uint16_t nregs, nlabels;
	bool needs_bias;            /* has an IR_TYPE, or a chain */
	bool threads;               /* POINT: of any program, not only Go's. The record's goroutine is the thread's
				     * number, its target the process's, as the kernel has them; its depth is 0 - SP */
	uint32_t save_group;        /* programs that share saved values have the same number */
	struct goroutine_layout g;  /* where goid and stack bounds are */
};

static inline const struct arch *capture_arch(const struct capture_program *p)
{
	return p->arch ? p->arch : arch_host();
}

static inline unsigned ir_image_depth(const struct ir_insn *i, const struct shape_table *t)
{
	return i->at ? i->at - 1 : t->limits.depth;
}

/* Whether it belongs into a region of marks. */
static inline bool ir_is_mark(const struct ir_insn *i)
{
	return i->op >= IR_MARK_HEADER && i->op <= IR_MARK_ADMIT;
}

/* Whether the instruction sets its register dst. */
bool ir_has_result(const struct ir_insn *i);
/* Checks the rules above (register and label numbers, regions, emits); planters call it first. */
int capture_verify(const struct capture_program *p, struct err *err);
/* The first instruction of this kind, or NULL. */
const struct ir_insn *capture_find(const struct capture_program *p, enum ir_op op);
bool capture_has(const struct capture_program *p, enum ir_op op);
bool capture_has_filter(const struct capture_program *p);
bool capture_follows(const struct capture_program *p);   /* … an instruction that follows a chain */
bool capture_has_marks(const struct capture_program *p); /* it has a region of marks */
/* Bytes of a record before its data: the header and the slots. */
uint32_t capture_head_bytes(const struct capture_program *p);
/* The most bytes of the stack in this slot; 0 where it is none. */
uint32_t capture_stack_bytes(const struct capture_program *p, uint16_t slot);
/* The most bytes of the chain in this slot; 0 where it is none. */
uint32_t capture_chain_bytes(const struct capture_program *p, uint16_t slot);
/* What capture_passes knows: IR_LATENCY and IR_SAVED (bits of valid: those that there are). */
struct capture_known {
	uint64_t latency_ns;
	uint64_t saved[IR_MAX_SAVED];
	unsigned valid;
};
/*
 * Runs the filter of a program that needs no memory, here: whether the event passes. False also where it needs more
 * than is known.
 */
bool capture_passes(const struct capture_program *p, const struct capture_known *known);
/* The program as text, an instruction a line, for `inspect --ir` and tests. */
void capture_print(const struct capture_program *p, struct buf *out);

#endif
