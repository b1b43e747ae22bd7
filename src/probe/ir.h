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
 *   before the first region the event is dropped and LOSS_NO_GOROUTINE counted
 * IR_FILTER stands in the filter region only (any number of times); its a == 0 drops and counts nothing.
 * Jumps and labels stay within their region. A register is written before it is read on every path, and
 * never lives from one region into another; the result register of an instruction is never one of its
 * operands, except that IR_MOVE and IR_BIN may overwrite a register that an earlier path also wrote.
 */
#ifndef PROBE_IR_H
#define PROBE_IR_H

#include "base/buf.h"
#include "binary/binary.h"
#include "event/event.h"

#define IR_MAX_REGS 40   /* virtual registers alive at once; numbers may be reused by regions */

enum ir_op {
	/* dst = ... */
	IR_CONST,    /* imm */
	IR_ARG_REG,  /* the general register `reg` (GPR_*) at the site, `size` bytes, sign- or zero-extended */
	IR_ARG_STACK,/* memory at entry SP + imm, `size` bytes, likewise. Fails: unreadable */
	IR_ARG_XMM,  /* the low `size` (4, 8) bytes of XMM register `reg` (0…14) at the site: raw bits, zero-
		      * extended. Only where capture_request.xmm_readable says that the planter can */
	IR_G,        /* address of the current g (planter knows: R14 at the site) */
	IR_PC_RET,   /* return address of the call (at entry SP) */
	IR_LOAD,     /* memory at a + imm, `size` bytes, likewise. Fails: a == 0 → nil; unreadable */
	IR_ADDR,     /* a + imm. Fails: a == 0 → nil. (address of a field or a header) */
	IR_INDEX,    /* a + b * imm, after b < c unsigned. Fails: range. (a base, b index, c length) */
	IR_TYPE,     /* run-time address of the descriptor at image address imm (load bias added) */
	IR_MAP_STR,  /* address of the value of key `str` (strlen imm) in the map whose header address is a
		      * (indirect elements are followed). `map` has the layout. Fails: nil, no key, busy,
		      * unreadable */
	IR_BIN,      /* a `bin` b (64-bit): arithmetic, and comparisons that give 0 or 1. Shift counts are
		      * 0…63; SHR shifts zeros in */
	IR_NOT,      /* a == 0 */
	IR_STR_EQ,   /* 1 when the b bytes at a equal `str` (strlen imm, 1…IR_MAX_STR), else 0. When the
		      * length b alone decides, nothing is read. Fails: unreadable */
	IR_STR_PREFIX, IR_STR_SUFFIX, IR_STR_CONTAINS, /* likewise; CONTAINS looks at the first 256 bytes */
	IR_SAVED,    /* value number imm that a program with IR_SAVE left for this goroutine and save_group.
		      * Not in the filter. Fails: absent, when there is none */
	IR_MOVE,     /* a (joins of && and ||) */
	/* control */
	IR_JUMP,     /* to label */
	IR_JUMP_IF0, /* to label when a == 0 */
	IR_LABEL,    /* label number `label`, each placed once, after every jump to it */
	IR_REQUIRE,  /* a must not be 0, else fails with status imm (enum slot_status) */
	IR_FILTER,   /* drop the event silently when a == 0 */
	IR_REGION,   /* a capture of slot `slot`, or the filter (IR_SLOT_FILTER), begins */
	IR_END,
	/* emit: inside the region of that slot */
	IR_EMIT,     /* slot `slot` = a (scalar), status OK */
	IR_EMIT_STR, /* slot `slot` = b bytes at a, at most imm are copied */
	IR_SAVE,     /* keep a as value number imm of this goroutine and save_group, in place of what was kept
		      * before; values that are not saved in a run of the program become absent. A pointer
		      * into the goroutine's own stack is not kept: the stack may move. In a region */
	IR_GOROUTINE,/* take a as the g whose goid and depth the record carries, instead of the current one;
		      * depth is then stack.hi - b (b: a stack pointer), or 0 when b is IR_NO_REG. Before
		      * the first region, once at most */
};

#define IR_MAX_SAVED 4
#define IR_NO_REG 0xffff
#define IR_SLOT_FILTER 0xffff
#define IR_MAX_STR 128   /* longest text that a condition or a map key compares with */

enum ir_bin { BIN_ADD, BIN_SUB, BIN_MUL, BIN_AND, BIN_OR, BIN_XOR, BIN_SHL, BIN_SHR,
	      BIN_EQ, BIN_NE, BIN_LT, BIN_LE, BIN_GT, BIN_GE,       /* signed */
	      BIN_ULT, BIN_ULE, BIN_UGT, BIN_UGE };

enum { IR_SIGNED = 1 }; /* flags */

struct ir_insn {
	uint8_t op;      /* enum ir_op */
	uint8_t size;    /* 1, 2, 4, 8 */
	uint8_t flags;
	uint8_t bin;     /* enum ir_bin */
	uint8_t reg;     /* IR_ARG_REG */
	uint16_t dst, a, b, c;
	uint16_t slot, label;
	int64_t imm;
	const char *str; /* strlen equals imm: no NUL inside */
	const struct map_layout *map;
};

enum value_kind { VALUE_INT, VALUE_UINT, VALUE_BOOL, VALUE_FLOAT32, VALUE_FLOAT64, VALUE_POINTER,
		  VALUE_STRING, VALUE_TYPE /* a type word: the descriptor's run-time address */ };

struct ir_slot {
	const char *name;           /* the capture's name */
	enum value_kind kind;
	const struct type *type;    /* Go type of the expression, NULL if it has none */
};

struct capture_program {
	struct ir_insn *insns;
	size_t ninsns;
	struct ir_slot *slots;      /* in the order of the record */
	size_t nslots;
	uint16_t nregs, nlabels;
	bool needs_bias;            /* has an IR_TYPE */
	uint32_t save_group;        /* programs that share saved values have the same number */
	struct goroutine_layout g;  /* where goid and stack bounds are */
};

/* Checks the rules above (register and label numbers, regions, emits); planters call it first. */
int capture_verify(const struct capture_program *p, struct err *err);
/* The program as text, an instruction a line, for `inspect --ir` and tests. */
void capture_print(const struct capture_program *p, struct buf *out);

#endif
