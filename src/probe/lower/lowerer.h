/*
 * Inside lower/: nothing else includes this.
 *
 * A node becomes a `struct value`: mostly a place (a parameter's pieces, or memory behind a register) whose words are
 * loaded only when something needs them, so that `req.URL.Path` costs a load a pointer and a string two words at the
 * end. That it has the right type is known: what fails here has no place.
 */
#ifndef PROBE_LOWERER_H
#define PROBE_LOWERER_H

#include "base/vec.h"
#include "probe/lower/lower.h"

struct lowerer {
	const struct bound_program *program;
	const struct places *places;
	struct binary *binary;
	struct arena *arena;
	struct err *err;
	const char *text;       /* the expression at work, for columns */
	int column;             /* where it is, in messages about all of it */
	bool reads_float_regs, follows_contexts, injects, lends, carries_states;
	const struct lower_marks *marks;
	struct shape_table *shapes;
	const struct bound_capture *capture; /* at work */
	bool has_images;
	const struct context_table *contexts; /* of the chains so far */
	struct unread unread;   /* of the capture at work */
	struct goroutine_layout g;
	VEC(struct ir_insn) insns;
	VEC(struct ir_slot) slots;
	uint16_t next_reg, nregs, nlabels;
};

enum place {
	PLACE_CONST,  /* `constant` */
	PLACE_REG,    /* register `reg` holds all of it */
	PLACE_MEMORY, /* at register `reg` + offset */
	PLACE_PARAM,  /* in `param`, from offset on */
	PLACE_WORDS,  /* a part of a string or slice: address, length, capacity in words[] */
	PLACE_LITERAL,/* a struct or an array of constants and values: see literal.c. It has no bytes */
};

struct value {
	enum place place;
	const struct type *type;     /* NULL: an untyped constant */
	const struct expr *expr;     /* where it came from, for messages */
	uint16_t reg;
	uint64_t offset;
	uint16_t words[3];
	const struct param *param;
	unsigned dict_word;          /* of all of a parameter or captured variable: as in struct param */
	struct constant constant;
	const struct bound *literal;
	const struct type *held;     /* as in struct bound */
};

/* Reports at e's column; returns -EINVAL. */
int lower_fail(struct lowerer *l, const struct expr *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Reports at e's column that nothing is wrong with the expression, but its value cannot be had; returns -ENODATA. */
int lower_fail_unreadable(struct lowerer *l, const struct expr *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *value_with_article(struct lowerer *l, const struct value *v); /* "an int", "a string" */
const char *expr_text(struct lowerer *l, const struct expr *e);

/* ---- emit.c: instructions, registers, labels ---- */

struct emit_mark {
	size_t insns, slots;
	uint16_t next_reg, nlabels;
};
struct emit_mark emit_mark(const struct lowerer *l);
void emit_rollback(struct lowerer *l, struct emit_mark m);

uint16_t reg_new(struct lowerer *l);
uint16_t label_new(struct lowerer *l);
struct ir_insn *emit(struct lowerer *l, enum ir_op op);
uint16_t emit_const(struct lowerer *l, int64_t number);
uint16_t ir_emit_load(struct lowerer *l, uint16_t base, int64_t offset, unsigned size, bool is_signed);
/* What `op` (IR_ARG_…) reads: register reg, or the stack at imm. */
uint16_t emit_arg(struct lowerer *l, enum ir_op op, uint8_t reg, int64_t imm, unsigned size, bool is_signed);
uint16_t emit_addr(struct lowerer *l, uint16_t base, uint64_t offset);
uint16_t emit_type(struct lowerer *l, uint64_t image_address); /* its run-time address */
uint16_t emit_bin(struct lowerer *l, enum ir_bin bin, uint16_t a, uint16_t b);
void emit_bin_to(struct lowerer *l, uint16_t dst, enum ir_bin bin, uint16_t a, uint16_t b);
void emit_not_to(struct lowerer *l, uint16_t dst, uint16_t a);
void emit_move(struct lowerer *l, uint16_t dst, uint16_t a);
void emit_const_to(struct lowerer *l, uint16_t dst, int64_t number);
void emit_require(struct lowerer *l, uint16_t a, enum slot_status status);
void ir_emit_jump(struct lowerer *l, uint16_t label);
void emit_jump_if0(struct lowerer *l, uint16_t a, uint16_t label);
void ir_emit_label(struct lowerer *l, uint16_t label);
/* The order of n bytes at a to as many at b. */
uint16_t emit_mem_order(struct lowerer *l, uint16_t a, uint16_t b, uint16_t n);
void emit_mem_order_to(struct lowerer *l, uint16_t dst, uint16_t a, uint16_t b, uint16_t n);

/* ---- place.c: words, and steps from a value to its parts ---- */

/* `size` bytes at offset into v, in a register. */
int value_word(struct lowerer *l, const struct value *v, uint64_t offset, unsigned size, bool is_signed,
	       uint16_t *ret);
/* All of an integer, a bool, a pointer. */
int value_scalar(struct lowerer *l, const struct value *v, uint16_t *ret);
/* The interface's type word in a register; nil is 0, without a failure. */
int value_type_word(struct lowerer *l, const struct value *v, const struct expr *e, uint16_t *ret);
/* Of an interface: the type word, whether it is t's (1 or 0), and its value as a t, to be used where it is only. */
int value_assert(struct lowerer *l, const struct value *v, const struct expr *e, const struct type *t,
		 uint16_t *ret_word, uint16_t *ret_matches, struct value *ret);
/* The value of type t that an interface with that data word holds. */
struct value value_held(uint16_t data, const struct type *t, const struct expr *e);
/* The part of v at offset that has type t. */
struct value value_part(const struct value *v, uint64_t offset, const struct type *t, const struct expr *e);
struct value value_memory(uint16_t base, const struct type *t, const struct expr *e);
struct value value_reg(const struct expr *e, uint16_t reg, const struct type *t);
struct value value_constant(const struct bound *n);

int lower_deref(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_field(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_index(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_slice(struct lowerer *l, const struct bound *n, struct value *ret);

/* ---- map_key.c, call.c, caller.c ---- */

int lower_key(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_length(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_convert(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_has_name(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_typeof(struct lowerer *l, const struct bound *n, struct value *ret);
/* dst = whether `caller`, an address, lies in a function of which test(name, text) holds. */
int compare_caller(struct lowerer *l, const struct expr *e, const struct value *caller, const struct constant *text,
		   bool (*test)(const char *name, const char *text, size_t len), uint16_t dst);
bool name_equals(const char *name, const char *text, size_t len);

/* ---- usdt.c: arguments of USDT probes ---- */

struct value usdt_argument(struct lowerer *l, const struct bound *n);
int lower_c_text(struct lowerer *l, const struct bound *n, struct value *ret);

/* ---- literal.c: Point{1, 2} ---- */

/* Element i of an array, or field i of a struct, of type t: what was written for it, or its zero. */
int literal_part(struct lowerer *l, const struct value *v, size_t i, const struct type *t, struct value *ret);

/* ---- image.c: whole values ---- */

enum { IMAGE_STACK_MAX = 512 }; /* bytes of a value that is passed on the stack; the rest is cut */

int emit_image(struct lowerer *l, const struct value *v, uint16_t slot);

/* ---- lineage.c ---- */

/* The type word and the data word of a context. */
int chain_words(struct lowerer *l, const struct value *v, uint16_t *ret_type, uint16_t *ret_data);
int emit_chain(struct lowerer *l, const struct value *v, uint16_t slot);
uint16_t emit_load_fact(struct lowerer *l, enum runtime_fact fact, const struct lineage_layout *at);
int emit_fact(struct lowerer *l, enum runtime_fact fact, uint16_t slot);

/* ---- inject.c ---- */

/* A region of marks, which comes before all captures. */
int emit_carrier(struct lowerer *l, const struct bound_inject *n);
int emit_inject(struct lowerer *l, const struct bound_inject *n, uint16_t slot);

/* ---- marks.c ---- */

void lower_all_marks(struct lowerer *l);
void emit_ids(struct lowerer *l, uint16_t slot);

/* ---- program.c ---- */

void begin_region(struct lowerer *l, uint16_t slot);
int end_region(struct lowerer *l);
void begin_text(struct lowerer *l, const struct bound_text *t); /* messages are about it from now on */

/* ---- image_generic.c ---- */

/* A whole value whose real type the dictionary knows; where the dictionary is known. */
bool is_generic(const struct lowerer *l, const struct value *v);
int emit_generic(struct lowerer *l, const struct value *v, uint16_t slot);

/* ---- lower.c ---- */

int lower(struct lowerer *l, const struct bound *n, struct value *ret);
/* Drops the event, or jumps to the label, when n is false. */
int emit_filter(struct lowerer *l, const struct bound *n);
int emit_jump_if_false(struct lowerer *l, const struct bound *n, uint16_t label);

/* ---- arithmetic.c ---- */

uint16_t emit_narrow(struct lowerer *l, uint16_t reg, const struct type *t); /* to t's width, as Go wraps */
int lower_arithmetic(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_negate(struct lowerer *l, const struct bound *n, struct value *ret);
int lower_complement(struct lowerer *l, const struct bound *n, struct value *ret);

/* ---- compare.c ---- */

/* What is asked of two values: how, by which operator, where (for messages). */
struct comparison {
	const struct expr *e;
	const char *sign;            /* "==" … */
	const struct type *held;     /* as in struct bound */
};
/* The result (0 or 1) goes to dst; one that is known goes to *ret instead. */
int lower_compare(struct lowerer *l, const struct bound *n, uint16_t dst, struct value *ret);
int lower_text_call(struct lowerer *l, const struct bound *n, uint16_t dst); /* hasprefix & co. */
/* dst = a `sign` b, not both constants. */
int compare_values(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
		   uint16_t dst);
bool is_value_const(const struct value *v, enum expr_op kind);
enum ir_bin comparison_bin(const char *sign, bool is_signed);
bool is_equality_sign(const char *sign);
bool is_equal_sign(const char *sign);

/* ---- text.c: texts, of which one may be a constant ---- */

/* dst = a `sign` b, of texts. */
int compare_texts(struct lowerer *l, const char *sign, const struct value *a, const struct value *b, uint16_t dst);
/* dst = whether v begins (or ends) with part, neither a constant. */
int text_affix(struct lowerer *l, const struct value *v, const struct value *part, bool suffix, uint16_t dst);

/* ---- equal.c: what has parts, and interfaces ---- */

int compare_parts(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
		  uint16_t dst);
int compare_interface(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
		      uint16_t dst);
/* Whether values of t are equal just where their bytes are. */
bool is_plain_memory(struct lowerer *l, const struct type *t);

/* ---- convert_float.c, compare_float.c ---- */

/* Between numbers, at least one of the types a float. */
int convert_float(struct lowerer *l, const struct expr *e, const struct value *v, const struct type *to,
		  struct value *ret);
/* dst = a `bin` b, one of them a float, the other a float or a constant. */
int compare_floats(struct lowerer *l, enum ir_bin bin, const struct value *a, const struct value *b, uint16_t dst);

#endif
