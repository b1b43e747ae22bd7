/* The arguments of a USDT note: a text, in the syntax of the machine's assembler, as the compiler has written it. */
#ifndef USDT_OPERAND_H
#define USDT_OPERAND_H

#include "base/arena.h"
#include "base/text_view.h"
#include "usdt/notes.h"

enum { USDT_ARGS_MAX = 64 }; /* <sys/sdt.h> has at most 12 */

/* Where a symbol lies. False, with why it is not told: a text that ret_why's owner keeps. */
typedef bool (*usdt_symbol_fn)(void *arg, struct text_view name, uint64_t *ret_address, uint64_t *ret_size,
			       const char **ret_why);

struct usdt_operands {
	uint16_t machine;
	bool is_fixed;         /* addresses of the file are those at run time */
	struct arena *arena;   /* of all that is returned */
	usdt_symbol_fn symbol;
	void *arg;
};

/*
 * Reads text, "8@%rdi -4@$5 …". Each argument that cannot be read is USDT_REFUSED alone. -E2BIG: more than
 * USDT_ARGS_MAX, and none is returned.
 */
int usdt_operands_parse(const struct usdt_operands *o, struct text_view text, struct usdt_arg **ret, size_t *ret_n);
/* Text for people: bytes that are not printable ASCII become \xNN. */
const char *usdt_printable(struct arena *a, struct text_view text);

#endif
