/*
 * The instructions of one Go function: where they begin, where control goes, and what the prologue says (stack check,
 * morestack block, spilled argument registers).
 */
#ifndef BINARY_INSN_H
#define BINARY_INSN_H

#include "base/vec.h"
#include "binary/arch.h"
#include "binary/binary.h"

enum insn_kind {
	INSN_PLAIN,
	INSN_JUMP,          /* direct; target is set */
	INSN_BRANCH,        /* conditional; target is set */
	INSN_CALL,          /* target is 0 when indirect */
	INSN_RET,
	INSN_JUMP_INDIRECT, /* a jump table, or a tail jump through a register */
	INSN_TRAP,          /* int3, ud2, hlt: control does not go on */
};

struct insn {
	uint64_t addr, target;
	uint8_t len;
	uint8_t kind;       /* enum insn_kind */
	uint8_t cond;       /* INSN_BRANCH: the architecture's number of the condition */
};

/* All instructions of [addr, addr + size), by linear sweep: Go puts no data between them. */
struct disasm {
	const struct arch *arch;
	const unsigned char *bytes;
	uint64_t addr, size;
	struct insn *insns;
	size_t n;
	uint64_t bad;       /* address of the first byte that does not decode, 0 if all do */
	size_t *users;      /* of insns, when they are shared (func_disasm) */
};
void disasm_make(const struct arch *arch, const unsigned char *bytes, uint64_t size, uint64_t addr, struct disasm *ret);
void disasm_done(struct disasm *c);
/* The instruction that begins at addr, NULL if none does. */
const struct insn *disasm_at(const struct disasm *c, uint64_t addr);
bool disasm_contains(const struct disasm *c, uint64_t addr);

/* What an instruction does to registers and memory. */
struct insn_effect {
	uint32_t written;    /* general registers, 1 << number (narrow writes too) */
	uint32_t written_float; /* 1 << n */
	bool loads, stores;
	bool may_fault;      /* touches memory other than the stack, the goroutine or a global */
	bool sp_known;       /* … and then SP changes by sp_change */
	int32_t sp_change;
	/* The memory operand, when there is exactly one explicit one. */
	bool has_mem;
	uint8_t mem_base;    /* REG_NONE: none, or mem_disp counts from the end of the instruction */
	bool mem_tls;        /* thread-local */
	bool mem_indexed;
	int64_t mem_disp;
	uint32_t mem_size;
	/* The first register operand, and the second; REG_NONE. */
	uint8_t reg, reg2;
	int64_t imm;
	enum { EFFECT_OTHER, EFFECT_MOVE, EFFECT_LEA, EFFECT_CMP, EFFECT_SUB, EFFECT_PUSH,
	       EFFECT_NOP } what;
};
bool insn_effect(const struct disasm *c, const struct insn *i, struct insn_effect *ret);

/*
 * Whether control leaves the function at i for another function, which then returns for it: by a jump out of its code,
 * or an indirect jump. A jump table, which the compiler reads with an index, is not such a one.
 */
bool insn_is_tail(const struct disasm *c, const struct insn *i);

/* In the usual syntax of the architecture, e.g. "jbe 0x65a8f4". */
void insn_text(const struct disasm *c, const struct insn *i, char *buf, size_t size);

/* A register argument as the morestack block saves it. */
struct spill {
	uint8_t reg;
	uint8_t size;        /* 1, 2, 4, 8, 16 */
	int32_t stack;       /* from SP at function entry */
};

struct prologue {
	bool checked;        /* there is a stack check */
	bool abi0;           /* loads the goroutine itself: arguments are on the stack, g is not in its register yet */
	size_t check;        /* index of the check's last branch */
	uint64_t morestack;  /* its target */
	uint64_t restart;    /* the jump that returns from there to the function's entry */
	struct spill spills[32];
	size_t nspills;
};
/* Never fails: what is not recognised is no stack check. */
void disasm_prologue(const struct disasm *c, struct prologue *ret);

/* The decoded body of f; -EPROTO with a sentence when it is outside of the file or too large. */
int func_disasm(struct binary *b, const struct func *f, struct disasm *ret, struct err *err);
/* Why no probe is put anywhere in f, whose code c is: -ENOTSUP, -EPROTO with a sentence; 0. */
int disasm_refused(const struct func *f, const struct disasm *c, struct err *err);

/* ---- argmeta.c: what FUNCDATA says about a function's arguments ---- */

#define ARGINFO_MAX 16

struct arg_component {
	uint8_t offset;      /* from the first stack argument (arch.stack_args) */
	uint8_t size;
};
struct arg_item {            /* one parameter, receiver included, in order */
	bool aggregate;      /* string, slice, interface, struct, array, complex */
	bool cut;            /* has parts that are not listed (too deep, too many, too far) */
	uint8_t first, n;    /* components */
};
struct arginfo {
	struct arg_item items[ARGINFO_MAX];
	struct arg_component components[ARGINFO_MAX];
	size_t nitems, ncomponents;
	size_t counted;      /* components with those that have no bytes: the compiler stops at ten */
	bool cut;            /* more parameters follow */
};
/* Parses the blob in p (at most size bytes). False when it is malformed. */
bool arginfo_parse(const unsigned char *p, size_t size, struct arginfo *ret);
/* FUNCDATA_ArgInfo of f; false when there is none or it is malformed. */
bool func_arginfo(const struct binary *b, const struct func *f, struct arginfo *ret);

/* The pointer words of the argument area at function entry. */
struct ptrmap {
	const unsigned char *bits;
	uint32_t nbits;
};
bool func_ptrmap(const struct binary *b, const struct func *f, struct ptrmap *ret);
/* Whether the word at offset from the first stack argument is a pointer. */
bool ptrmap_get(const struct ptrmap *m, uint32_t offset);

#endif
