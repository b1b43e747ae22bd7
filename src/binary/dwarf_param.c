/*
 * Parameters, results and captured variables in DWARF, and where they lie.
 *
 * Results are DW_TAG_formal_parameter with DW_AT_variable_parameter, and often written twice, one
 * entry for each place they live in. Names that the compiler made up begin with a tilde.
 *
 * A location holds for a range of pcs; it is a register, a place in the frame (counted from the
 * call frame's address, the word above the return address), or pieces of these in the order of the
 * value's words, without its padding. A piece without a place is a part that the optimiser dropped
 * (cmd/compile/internal/ssa/debug.go). A value of several words that is described by one register
 * has lost the others, too.
 *
 * In generic functions the type of a variable that depends on type parameters is a typedef with
 * DW_AT_go_dict_index: the typedef leads to the shape, the index to the word of the dictionary that
 * points to the descriptor of the real type.
 *
 * DW_AT_go_closure_offset (since Go 1.23) marks the captured variables of a closure by their offset
 * in the closure object. One that is captured by reference has a name with an ampersand and the
 * type of the pointer.
 */
#include <errno.h>
#include <string.h>

#include "binary/abi.h"
#include "binary/dwarf.h"
#include "binary/dwarf_die.h"

#define PARAMS_MAX 256

/* ---- locations ---- */

#define WHY_NOWHERE "the compiler keeps it nowhere at this place in the code"
#define WHY_PARTLY  "the compiler keeps only a part of it at this place in the code"
#define WHY_STRANGE "DWARF gives its place in a way that is not understood"

struct location {
	const struct arch *arch;
	struct dwarf_param *p;
	uint32_t offset; /* of the next piece within the value */
	struct piece piece;
	bool have;
	const char *why;
};

static void end_piece(struct location *l, uint64_t size)
{
	struct piece *x = &l->p->pieces[l->p->npieces];
	uint64_t most = l->piece.where == IN_REG    ? 8
	                : l->piece.where == IN_FLOAT_REG ? 16
	                                           : INT32_MAX / 2;

	if (!l->have || size > most) {
		l->why = WHY_PARTLY;
	} else if (l->p->npieces == DWARF_PIECES) {
		l->why = WHY_STRANGE;
	} else {
		*x = l->piece;
		x->offset = l->offset;
		x->bytes = (uint32_t)size;
		x->size = (uint8_t)MIN(size, 255u);
		l->p->npieces++;
	}
	l->offset += (uint32_t)MIN(size, (uint64_t)INT32_MAX / 2);
	l->have = false;
}

static void location_op(struct location *l, const Dwarf_Op *op)
{
	uint8_t r;

	if (op->atom == DW_OP_piece) {
		end_piece(l, op->number);
	} else if (op->atom == DW_OP_call_frame_cfa || op->atom == DW_OP_fbreg) {
		l->piece = (struct piece){.where = ON_STACK, .stack = l->arch->frame_address};
		if (op->atom == DW_OP_fbreg)
			l->piece.stack += (int32_t)op->number;
		l->have = true;
	} else if (op->atom == DW_OP_consts || op->atom == DW_OP_plus_uconst) {
		l->piece.stack += (int32_t)op->number;
	} else if ((op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) || op->atom == DW_OP_regx) {
		r = arch_dwarf_register(l->arch, op->atom == DW_OP_regx ? op->number
									: (Dwarf_Word)op->atom - DW_OP_reg0);
		l->piece = (struct piece){.where = r >= REG_FLOAT ? IN_FLOAT_REG : IN_REG, .reg = r};
		l->have = r != REG_NONE;
	} else if (op->atom != DW_OP_plus) {
		l->why = WHY_STRANGE;
	}
}

/* Pieces come without the padding between them: the offsets are those of the value's words. */
static const char *place_pieces(struct binary *b, struct dwarf_param *p)
{
	struct abi_shape s;

	if (p->npieces == 1 && p->pieces[0].where == ON_STACK)
		return NULL;
	if (!p->type || !type_shape(b, p->type, &s))
		return p->npieces > 1 ? WHY_STRANGE : NULL;
	if (s.nwords != p->npieces)
		return WHY_PARTLY;
	for (size_t i = 0; i < p->npieces; i++) {
		if (s.words[i].size != p->pieces[i].bytes)
			return WHY_STRANGE;
		p->pieces[i].offset = s.words[i].offset;
	}
	return NULL;
}

static const char *read_location(struct binary *b, Dwarf_Die *die, uint64_t pc,
                                 struct dwarf_param *p)
{
	struct location l = {.arch = b->img.arch, .p = p};
	Dwarf_Attribute a;
	Dwarf_Op *ops;
	size_t n;

	if (!die || !dwarf_attr(die, DW_AT_location, &a) ||
	    dwarf_getlocation_addr(&a, pc, &ops, &n, 1) != 1 || !n)
		return WHY_NOWHERE;
	if (n > 64)
		return WHY_STRANGE;
	for (size_t i = 0; i < n; i++)
		location_op(&l, &ops[i]);
	if (l.have)
		end_piece(&l, p->type ? p->type->size : 8);
	if (!l.why && !p->npieces)
		return WHY_NOWHERE;
	return l.why ? l.why : place_pieces(b, p);
}

/* ---- variables ---- */

static const char *given_name(struct binary *b, Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);

	if (!name || name[0] == '~' || !strcmp(name, "_"))
		return "";
	return arena_strdup(&b->arena, name);
}

/* Through the typedefs that stand for a type which depends on type parameters. */
static const struct type *variable_type(struct binary *b, Dwarf_Die *die, unsigned *ret_dict_word)
{
	Dwarf_Die t, next;
	uint64_t index;

	*ret_dict_word = 0;
	if (!attr_die(die, DW_AT_type, &t))
		return NULL;
	if (dwarf_tag(&t) == DW_TAG_typedef && attr_number(&t, AT_GO_DICT_INDEX, &index) &&
	    index < UINT16_MAX && attr_die(&t, DW_AT_type, &next)) {
		*ret_dict_word = (unsigned)index + 1;
		t = next;
	}
	return die_type(b, &t);
}

void die_param(struct binary *b, Dwarf_Die *described, Dwarf_Die *located, uint64_t pc,
               struct dwarf_param *ret)
{
	*ret = (struct dwarf_param){.name = given_name(b, described),
	                            .result = attr_flag(described, DW_AT_variable_parameter)};
	ret->type = variable_type(b, described, &ret->dict_word);
	ret->why = read_location(b, located, pc, ret);
	ret->located = !ret->why;
}

/* Go's names of parameters and results differ, but for blank ones. */
static bool repeats(Dwarf_Die *die, const char *const *names, size_t n)
{
	const char *name = dwarf_diename(die);

	for (size_t i = 0; name && strcmp(name, "_") && i < n; i++)
		if (names[i] && !strcmp(names[i], name))
			return true;
	return false;
}

static bool function_die(struct binary *b, const struct func *f, Dwarf_Die *ret)
{
	struct dwarf *d = dwarf_get(b);
	const struct func_die *x = d ? dwarf_find_function(d, f->entry) : NULL;

	return x && dwarf_offdie(d->dw, x->off, ret);
}

int dwarf_function(struct binary *b, const struct func *f, const struct dwarf_param **ret,
                   size_t *ret_n)
{
	VEC(struct dwarf_param) v = {0};
	VEC(const char *) names = {0};
	Dwarf_Die die, child;

	if (!function_die(b, f, &die))
		return -ENODATA;
	if (!dwarf_child(&die, &child)) {
		do {
			if (dwarf_tag(&child) != DW_TAG_formal_parameter ||
			    repeats(&child, names.data, names.len))
				continue;
			vec_push(&names, dwarf_diename(&child));
			die_param(b, &child, &child, f->entry, vec_add(&v));
		} while (v.len < PARAMS_MAX && !dwarf_siblingof(&child, &child));
	}
	*ret = v.len ? arena_memdup(&b->arena, v.data, v.len * sizeof(*v.data)) : NULL;
	*ret_n = v.len;
	vec_done(&v);
	vec_done(&names);
	return 0;
}

/* ---- captured variables ---- */

static bool closure_var(struct binary *b, Dwarf_Die *die, struct closure_var *ret)
{
	struct closure_var x = {0};
	const char *name;
	uint64_t offset;

	if (dwarf_tag(die) != DW_TAG_variable || !attr_number(die, AT_GO_CLOSURE_OFFSET, &offset) ||
	    offset > UINT32_MAX)
		return false;
	name = given_name(b, die);
	x.by_reference = name[0] == '&';
	x.name = name + x.by_reference;
	x.offset = (uint32_t)offset;
	x.type = variable_type(b, die, &x.dict_word);
	if (x.by_reference)
		x.type = x.type && x.type->kind == KIND_POINTER ? x.type->elem : NULL;
	*ret = x;
	return true;
}

struct captured {
	VEC(struct closure_var) vars;
};

static bool captured_has(const struct captured *c, uint32_t offset)
{
	for (size_t i = 0; i < c->vars.len; i++)
		if (c->vars.data[i].offset == offset)
			return true;
	return false;
}

/* A captured variable may be written in an inner block, and once for each place it lives in. */
static void find_captured(struct binary *b, Dwarf_Die *parent, unsigned depth, struct captured *c)
{
	struct closure_var x;
	Dwarf_Die die;

	if (depth == DIE_DEPTH || dwarf_child(parent, &die))
		return;
	do {
		if (dwarf_tag(&die) == DW_TAG_lexical_block)
			find_captured(b, &die, depth + 1, c);
		else if (closure_var(b, &die, &x) && !captured_has(c, x.offset))
			vec_push(&c->vars, x);
	} while (c->vars.len < PARAMS_MAX && !dwarf_siblingof(&die, &die));
}

int binary_closure_vars(struct binary *b, const struct func *f, const struct closure_var **ret,
                        size_t *ret_n, struct err *err)
{
	struct captured c = {0};
	Dwarf_Die die;

	if (!function_die(b, f, &die))
		return err_set(err, -ENODATA,
		               "%s has no debug information in %s, so what it captures is not "
		               "known: build the program without -w",
		               f->name, b->name);
	find_captured(b, &die, 0, &c);
	if (!c.vars.len)
		return err_set(err, -ENODATA,
		               "the debug information marks no variable of %s as captured (Go "
		               "marks them since 1.23)",
		               f->name);
	*ret = arena_memdup(&b->arena, c.vars.data, c.vars.len * sizeof(*c.vars.data));
	*ret_n = c.vars.len;
	vec_done(&c.vars);
	return 0;
}
