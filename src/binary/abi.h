/*
 * Go's register calling convention (ABIInternal), computed from types: which words a value is made of and where each
 * lies when a function begins or returns. Which registers these are is the architecture's (arch.h).
 */
#ifndef BINARY_ABI_H
#define BINARY_ABI_H

#include "binary/insn.h"

#define SHAPE_WORDS 24     /* more than there are registers: such a value is in memory */

enum word_class { WORD_INT, WORD_POINTER, WORD_FLOAT, WORD_UNKNOWN };

struct word {
	uint32_t offset;   /* within the value */
	uint8_t size;
	uint8_t class;
};

/* A value as the calling convention sees it. */
struct abi_shape {
	struct word words[SHAPE_WORDS];
	size_t nwords;
	uint64_t size;
	uint32_t align;
	bool memory;       /* never in registers: an array of two or more, or too many words */
	bool cut;          /* has more words than are listed */
};
/* False when some part of t is unknown. */
bool type_shape(struct binary *b, const struct type *t, struct abi_shape *ret);
void shape_word(struct abi_shape *ret, unsigned size, enum word_class class); /* a single word */

/* Where one value was put. */
struct abi_place {
	bool registers;
	uint8_t regs[SHAPE_WORDS]; /* of each word */
	uint64_t offset;           /* in the stack arguments, or in the spill area for registers */
};
/* One sequence of parameters or of results. Zero it; set arch, and stack to where the stack part begins. */
struct assign {
	const struct arch *arch;
	unsigned ints, floats;
	uint64_t stack, spill;
};
void abi_assign(struct assign *a, const struct abi_shape *s, bool is_result, struct abi_place *ret);

/* The ArgInfo that the compiler writes for a value of type t at offset: appended to ret. */
void arginfo_expect(struct binary *b, const struct type *t, uint64_t offset, struct arginfo *ret);

#endif
