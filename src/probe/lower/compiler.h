/*
 * Inside the compiler (compile.c, eval.c, arithmetic.c, call.c, compare.c, place.c,
 * names.c, emit.c): nothing else includes this.
 *
 * An expression becomes a `struct value`: mostly a place (a parameter's pieces, or memory behind a
 * register) whose words are loaded only when something needs them, so that `req.URL.Path` costs a load a
 * pointer and a string two words at the end.
 */
#ifndef PROBE_COMPILER_H
#define PROBE_COMPILER_H

#include "base/vec.h"
#include "probe/lower/compile.h"

struct compiler {
	const struct capture_scope *scope;
	struct binary *binary;
	struct arena *arena;
	struct err *err;
	const char *text;       /* the expression at work, for columns */
	int column;             /* where it is, in messages about all of it */
	bool xmm_readable;
	struct shape_table *shapes;
	bool whole, images;     /* of the item at work; images: it is the turn of those */
	bool has_images;
	struct unread unread;   /* of the item at work */
	uint32_t max_bytes;
	uint32_t depth;         /* of the item at work: as in capture_item */
	const struct type *captured; /* of the value that was emitted last */
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
	enum expr_op constant;       /* EXPR_INT, _FLOAT, _STRING, _BOOL, _NIL */
	int64_t number;
	bool big;                    /* EXPR_INT: a uint64 above the largest int64 */
	double real;
	const char *text;
	size_t len;
};

/* Reports at e's column; returns -EINVAL. */
int fail(struct compiler *c, const struct expr *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Likewise, -ENODATA: nothing is wrong with the expression, but its value cannot be had. */
int fail_unreadable(struct compiler *c, const struct expr *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *type_text(struct compiler *c, const struct value *v); /* for messages */
const char *type_with_article(struct compiler *c, const struct value *v); /* "an int", "a string" */
const char *with_article(struct arena *arena, const char *noun);
const char *expr_text(struct compiler *c, const struct expr *e);

/* ---- emit.c: instructions, registers, labels ---- */

struct emit_mark {
	size_t insns, slots;
	uint16_t next_reg, nlabels;
};
struct emit_mark emit_mark(const struct compiler *c);
void emit_rollback(struct compiler *c, struct emit_mark m);

uint16_t reg_new(struct compiler *c);
uint16_t label_new(struct compiler *c);
struct ir_insn *emit(struct compiler *c, enum ir_op op);
uint16_t emit_const(struct compiler *c, int64_t number);
uint16_t ir_emit_load(struct compiler *c, uint16_t base, int64_t offset, unsigned size, bool is_signed);
uint16_t emit_bin(struct compiler *c, enum ir_bin bin, uint16_t a, uint16_t b);
void emit_bin_to(struct compiler *c, uint16_t dst, enum ir_bin bin, uint16_t a, uint16_t b);
void emit_not_to(struct compiler *c, uint16_t dst, uint16_t a);
void emit_move(struct compiler *c, uint16_t dst, uint16_t a);
void emit_const_to(struct compiler *c, uint16_t dst, int64_t number);
void emit_require(struct compiler *c, uint16_t a, enum slot_status status);
void ir_emit_jump(struct compiler *c, uint16_t label);
void emit_jump_if0(struct compiler *c, uint16_t a, uint16_t label);
void ir_emit_label(struct compiler *c, uint16_t label);

/* ---- names.c: parameters, results, built-in names ---- */

int name_value(struct compiler *c, const struct expr *e, struct value *ret);
/* saved.NAME: whether e is one, and then its value or an error. */
bool is_saved_name(const struct compiler *c, const struct expr *e);
int saved_value(struct compiler *c, const struct expr *e, struct value *ret);
/* Whether e was saved at the call's entry as it is, and then its value. */
bool is_kept(const struct compiler *c, const struct expr *e);
void kept_value(struct compiler *c, const struct expr *e, struct value *ret);
extern const struct type code_address_type, stack_type; /* of `caller`, `stack` */
const char *func_package(struct compiler *c); /* import path of the probed function */
bool name_is_known(const struct compiler *c, const char *name); /* a parameter, a result, a name of ours */

/* ---- place.c: from a value to its parts ---- */

const struct type *basic_type(enum type_kind kind); /* predeclared types, made here: without descriptors */
extern const struct type type_word_type;            /* what typeof gives */
bool is_made_here(const struct type *t);
bool is_pointer_shaped(const struct type *t);

/* `size` bytes at offset into v, in a register. */
int value_word(struct compiler *c, const struct value *v, uint64_t offset, unsigned size, bool is_signed,
	       uint16_t *ret);
/* All of an integer, a bool, a pointer. */
int value_scalar(struct compiler *c, const struct value *v, uint16_t *ret);
int value_deref(struct compiler *c, const struct value *v, const struct expr *e, struct value *ret);
int value_field(struct compiler *c, const struct value *v, const struct expr *e, struct value *ret);
int value_index(struct compiler *c, const struct value *v, const struct value *index, const struct expr *e,
		struct value *ret);
/* The interface's type word in a register; nil is 0, without a failure. */
int value_type_word(struct compiler *c, const struct value *v, const struct expr *e, uint16_t *ret);
/* x.(T): the type word, whether it is T's (1 or 0), and x's value as a T, to be used where it is only. */
int value_assert(struct compiler *c, const struct value *v, const struct expr *e, uint16_t *ret_word,
		 uint16_t *ret_matches, struct value *ret);
/* The part of v at offset that has type t. */
struct value value_part(const struct value *v, uint64_t offset, const struct type *t, const struct expr *e);
struct value value_memory(uint16_t base, const struct type *t, const struct expr *e);
int eval_slice(struct compiler *c, const struct expr *e, struct value *ret); /* a[low:high] */
int emit_type(struct compiler *c, const struct expr *e, const char *go_type, uint16_t *ret,
	      const struct type **ret_type);

/* ---- map_key.c ---- */

/* m[key]: the element's place. */
int index_map(struct compiler *c, const struct value *v, const struct value *key, const struct expr *e,
	      struct value *ret);

/* ---- literal.c: Point{1, 2} ---- */

int literal_value(struct compiler *c, const struct expr *e, struct value *ret);
/* Element i of an array, or the field of a struct: what was written for it, or its zero. */
int literal_element(struct compiler *c, const struct value *v, size_t i, struct value *ret);
int literal_field(struct compiler *c, const struct value *v, size_t i, const struct type_field *f, struct value *ret);

/* ---- global.c: constants and variables of packages ---- */

/* Whether e, a name or pkg.Name, is one; that nothing else has the name is the caller's to see. */
bool is_global(struct compiler *c, const struct expr *e);
int global_value(struct compiler *c, const struct expr *e, struct value *ret);

/* ---- image.c: whole values ---- */

enum { IMAGE_STACK_MAX = 512 }; /* bytes of a value that is passed on the stack; the rest is cut */

bool wants_image(const struct compiler *c, const struct value *v);
int emit_image(struct compiler *c, const struct value *v, uint16_t slot);

/* ---- image_generic.c ---- */

/* A whole value whose real type the dictionary knows; where the dictionary is known. */
bool is_generic(const struct compiler *c, const struct value *v);
int emit_generic(struct compiler *c, const struct value *v, uint16_t slot);

/* ---- eval.c ---- */

int eval(struct compiler *c, const struct expr *e, struct value *ret);
int eval_bool(struct compiler *c, const struct expr *e, uint16_t *ret);
/* Drops the event, or jumps to the label, when e is false. */
int emit_filter(struct compiler *c, const struct expr *e);
int emit_jump_if_false(struct compiler *c, const struct expr *e, uint16_t label);

/* ---- arithmetic.c ---- */

/* A constant as a value of type t: range and kind are checked. */
int const_convert(struct compiler *c, const struct value *v, const struct type *t, struct value *ret);
struct value reg_value(const struct expr *e, uint16_t reg, enum type_kind kind);
struct value const_value(const struct expr *e, enum expr_op op, int64_t number);
uint16_t emit_narrow(struct compiler *c, uint16_t reg, const struct type *t); /* to t's width, as Go wraps */
int eval_arithmetic(struct compiler *c, const struct expr *e, struct value *ret); /* a + b … */
int eval_negation(struct compiler *c, const struct expr *e, struct value *ret);   /* -a */
int eval_plus(struct compiler *c, const struct expr *e, struct value *ret);       /* +a */
int eval_complement(struct compiler *c, const struct expr *e, struct value *ret); /* ^a */

/* ---- call.c ---- */

int eval_call(struct compiler *c, const struct expr *e, struct value *ret);

/* ---- compare.c ---- */

bool is_comparison(const struct expr *e);
/* e is a comparison; the result (0 or 1) goes to dst. A constant result is in *ret instead. */
int compare(struct compiler *c, const struct expr *e, uint16_t dst, struct value *ret);
int compare_text(struct compiler *c, const struct expr *call, uint16_t dst); /* hasprefix & co. */
int compare_values(struct compiler *c, const struct expr *e, struct value *a, struct value *b, uint16_t dst,
		   struct value *ret);
int only_equality(struct compiler *c, const struct expr *e, const struct value *v);
bool is_const(const struct value *v, enum expr_op op);
bool is_text(const struct value *v);
enum ir_bin comparison_bin(const struct expr *e, bool is_signed);
bool is_equality(const struct expr *e);
bool is_equal(const struct expr *e);

/* ---- text.c: texts, of which one may be a constant ---- */

/* dst = a `bin` b, of texts. */
int compare_texts(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b, uint16_t dst);
/* dst = whether v begins (or ends) with part, neither a constant. */
int text_affix(struct compiler *c, const struct value *v, const struct value *part, bool suffix, uint16_t dst);

/* ---- equal.c: what has parts, and interfaces ---- */

bool has_parts(const struct value *v); /* structs, arrays, complex numbers */
int compare_parts(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b, uint16_t dst);
int compare_interface(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b,
		      uint16_t dst);
/* Whether values of t are equal just where their bytes are. */
bool is_plain_memory(struct compiler *c, const struct type *t);

/* ---- caller.c ---- */

/* dst = whether `caller`, an address, lies in a function of which test(name, text) holds. */
int compare_caller(struct compiler *c, const struct expr *e, const struct value *caller, const struct value *text,
		   bool (*test)(const char *name, const char *text, size_t len), uint16_t dst);
bool name_equals(const char *name, const char *text, size_t len);

/* ---- convert_float.c ---- */

/* Between numbers, at least one of the types a float. */
int convert_float(struct compiler *c, const struct expr *e, const struct value *v, const struct type *to,
		  struct value *ret);

/* ---- compare_float.c ---- */

/* dst = a `bin` b, one of them a float, the other a float or a constant. */
int compare_floats(struct compiler *c, const struct expr *e, enum ir_bin bin, const struct value *a,
		   const struct value *b, uint16_t dst);

#endif
