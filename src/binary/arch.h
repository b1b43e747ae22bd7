/*
 * What is the machine's own about a Go program: its registers and which of them the calling convention uses, what a
 * function's entry looks like, its instructions, and where a uprobe's program finds the registers. One file an
 * architecture (arch_x86_64.c) and one row in arch.c. An architecture's own names of registers are in a header of
 * its own (arch_x86_64.h), for code that is made for that machine alone.
 *
 * All of them are 64-bit and little-endian: a pointer, an int and a word of the stack have 8 bytes.
 *
 * A register is a number: the general ones count from 0 on, in an order that is each architecture's own; the
 * floating-point ones are REG_FLOAT + n.
 */
#ifndef BINARY_ARCH_H
#define BINARY_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REG_FLOAT = 32, REG_NONE = 0xff };

struct disasm;
struct insn;
struct insn_effect;
struct prologue;

struct arch {
	const char *name;            /* as messages say it: "x86-64" */
	uint16_t elf_machine;        /* EM_… */
	uint32_t elf_relative;       /* R_…_RELATIVE: a word becomes the load bias and an addend */

	bool refers_by_distance;     /* code names an address by its distance, in 4 bytes, from behind these */
	uint8_t pc_unit;             /* bytes of the smallest instruction: what pclntab counts in */

	/* ---- registers ---- */
	const char *const *registers;/* names of the general ones, in lower case */
	uint8_t nregisters;
	const char *float_name;      /* … and of the floating-point ones: what their numbers follow */
	const char *go_float_name;   /* … and in Go's assembler */
	uint8_t sp, fp;              /* stack and frame pointer */
	uint8_t g;                   /* the goroutine, wherever Go code of the register convention runs */
	uint8_t context;             /* the closure object, at a closure's entry */
	uint8_t link;                /* the return address at an entry and a return; REG_NONE: it is at [sp] there */

	/* ---- arguments (Go's ABIInternal) ---- */
	const uint8_t *int_args;     /* of integers and pointers, in order, of arguments and of results */
	uint8_t nint_args;
	uint8_t nfloat_args;         /* floats have REG_FLOAT … REG_FLOAT + nfloat_args - 1 */
	uint8_t stack_args;          /* at a function's entry: the first stack argument, from SP */

	/* ---- DWARF ---- */
	const uint8_t *dwarf_registers; /* register by DWARF's number; REG_NONE: one that holds no value of Go's */
	uint8_t ndwarf_registers;
	uint8_t frame_address;       /* at a function's entry: its call frame (DW_OP_call_frame_cfa), from SP */

	/* ---- what the kernel hands to a uprobe's program: offsets in its registers, a word each ---- */
	const uint16_t *saved_registers; /* of the general registers */
	uint16_t saved_pc, saved_flags;

	/*
	 * ---- instructions: insn.h says what is asked ----
	 * One at offset off of the code ; false when the bytes are none.
	 */
	bool (*decode)(const struct disasm *c, uint64_t off, struct insn *ret);
	bool (*effect)(const struct disasm *c, const struct insn *i, struct insn_effect *ret);
	void (*text)(const struct disasm *c, const struct insn *i, char *buf, size_t size);
	void (*prologue)(const struct disasm *c, struct prologue *ret);
	/* Bits of the flags' low byte: if any is set a branch of this insn.cond is taken. 0: not that simple. */
	uint8_t (*taken_flags)(uint8_t cond);
	/* False when no return instruction is in the bytes; a quick look, which may be true for nothing. */
	bool (*may_return)(const unsigned char *code, size_t size);
	/* Whether it chooses between two values without a branch; is a NOP as the compiler itself puts one. */
	bool (*is_select)(const struct disasm *c, const struct insn *i);
	bool (*is_mark)(const struct disasm *c, const struct insn *i);
};

/* By e_machine; NULL when there is none. */
const struct arch *arch_of_machine(uint16_t elf_machine);
/* Of the machine that Earshot runs on. */
const struct arch *arch_host(void);
/* By DWARF's number of a register; REG_NONE. */
uint8_t arch_dwarf_register(const struct arch *a, uint64_t number);
/* The register as messages name it: "R14", "X3". */
enum { ARCH_REGISTER_TEXT = 16 };
void arch_register_text(const struct arch *a, uint8_t reg, char ret[ARCH_REGISTER_TEXT]);

#endif
