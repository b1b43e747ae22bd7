/*
 * DWARF through elfutils: what types and names the binary has when nobody stripped it. Versions 4
 * and 5, compressed or not, are libdw's business; what follows is what Go writes into it.
 *
 * One compile unit a package. A function that was inlined somewhere has an abstract DIE
 * (DW_AT_inline) with its name and parameters, and its out-of-line copy and its inlined instances
 * refer to that by DW_AT_abstract_origin. Results are DW_TAG_formal_parameter with
 * DW_AT_variable_parameter. Types are read in dwarf_type.c.
 *
 * Results are often written twice, one entry for each place they live in.
 *
 * One pass at the first question indexes functions by address, types by name, and inlined
 * instances. The input is not trusted: the pass is bounded by the size of the file, recursion by
 * DIE_DEPTH.
 */
#include <errno.h>
#include <string.h>

#include "binary/dwarf.h"
#include "binary/dwarf_die.h"

/* ---- attributes ---- */

bool attr_number(Dwarf_Die *die, unsigned at, uint64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Word v;

	if (!dwarf_attr(die, at, &a))
		return false;
	if (dwarf_whatform(&a) == DW_FORM_addr || dwarf_whatform(&a) == DW_FORM_addrx)
		return !dwarf_formaddr(&a, ret);
	if (dwarf_formudata(&a, &v))
		return false;
	*ret = v;
	return true;
}

bool attr_die(Dwarf_Die *die, unsigned at, Dwarf_Die *ret)
{
	Dwarf_Attribute a;

	return dwarf_attr_integrate(die, at, &a) && dwarf_formref_die(&a, ret);
}

bool attr_flag(Dwarf_Die *die, unsigned at)
{
	Dwarf_Attribute a;
	bool v = false;

	return dwarf_attr_integrate(die, at, &a) && !dwarf_formflag(&a, &v) && v;
}

const char *own_name(Dwarf_Die *die)
{
	Dwarf_Attribute a;

	return dwarf_attr(die, DW_AT_name, &a) ? dwarf_formstring(&a) : NULL;
}

/* ---- the index ---- */

static void *off_value(Dwarf_Off off)
{
	return (void *)(uintptr_t)(off + 1);
}

static void index_name(struct strmap *m, Dwarf_Die *die)
{
	const char *name = own_name(die);

	if (name && *name && !strmap_get(m, name, strlen(name)))
		strmap_set(m, name, strlen(name), off_value(dwarf_dieoffset(die)));
}

static void index_function(struct dwarf *d, Dwarf_Die *die)
{
	uint64_t pc;

	if (dwarf_hasattr(die, DW_AT_inline))
		index_name(&d->abstracts, die);
	if (attr_number(die, DW_AT_low_pc, &pc))
		vec_push(&d->funcs, ((struct func_die){pc, dwarf_dieoffset(die)}));
}

/* The instance begins at its entry address: DW_AT_low_pc, or the first of its ranges. */
static void index_inlined(struct dwarf *d, Dwarf_Die *die)
{
	Dwarf_Addr base, start, end, entry = 0;
	Dwarf_Attribute a;
	Dwarf_Die origin;
	ptrdiff_t r = 0;

	if (!dwarf_attr(die, DW_AT_abstract_origin, &a) || !dwarf_formref_die(&a, &origin))
		return;
	if (dwarf_entrypc(die, &entry) || !entry) {
		r = dwarf_ranges(die, 0, &base, &start, &end);
		if (r <= 0)
			return;
		entry = start;
	}
	vec_push(&d->inlines, ((struct inline_die){dwarf_dieoffset(&origin), entry}));
}

static bool is_type_tag(int tag)
{
	switch (tag) {
	case DW_TAG_structure_type:
	case DW_TAG_typedef:
	case DW_TAG_base_type:
	case DW_TAG_pointer_type:
	case DW_TAG_array_type:
	case DW_TAG_subroutine_type:
		return true;
	default:
		return false;
	}
}

static void index_children(struct dwarf *d, Dwarf_Die *parent);

static void index_die(struct dwarf *d, Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	if (is_type_tag(tag)) {
		index_name(&d->types, die);
		return;
	}
	if (tag == DW_TAG_subprogram)
		index_function(d, die);
	else if (tag == DW_TAG_inlined_subroutine)
		index_inlined(d, die);
	else if (tag != DW_TAG_lexical_block)
		return;
	index_children(d, die);
}

static void index_children(struct dwarf *d, Dwarf_Die *parent)
{
	Dwarf_Die die;

	if (d->depth == DIE_DEPTH || dwarf_child(parent, &die))
		return;
	d->depth++;
	do {
		if (!d->steps)
			break;
		d->steps--;
		index_die(d, &die);
	} while (!dwarf_siblingof(&die, &die));
	d->depth--;
}

static int compare_funcs(const void *a, const void *b)
{
	const struct func_die *x = a, *y = b;

	return x->pc < y->pc ? -1 : x->pc > y->pc;
}

static int compare_inlines(const void *a, const void *b)
{
	const struct inline_die *x = a, *y = b;

	if (x->origin != y->origin)
		return x->origin < y->origin ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void build_index(struct dwarf *d)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	uint8_t type;

	while (d->steps && !dwarf_get_units(d->dw, cu, &cu, NULL, &type, &die, NULL)) {
		d->steps--;
		if (die.addr)
			index_children(d, &die);
	}
	if (d->funcs.len)
		qsort(d->funcs.data, d->funcs.len, sizeof(*d->funcs.data), compare_funcs);
	if (d->inlines.len)
		qsort(d->inlines.data, d->inlines.len, sizeof(*d->inlines.data), compare_inlines);
}

void dwarf_free(struct dwarf *d)
{
	if (!d)
		return;
	vec_done(&d->funcs);
	vec_done(&d->inlines);
	strmap_done(&d->types);
	strmap_done(&d->abstracts);
	map_done(&d->by_offset);
	dwarf_end(d->dw);
	elf_end(d->elf);
	free(d);
}

static bool has_debug_info(const struct image *img)
{
	struct section s;

	return image_section(img, ".debug_info", &s) || image_section(img, ".zdebug_info", &s);
}

struct dwarf *dwarf_get(struct binary *b)
{
	struct dwarf *d;

	if (b->dwarf_tried)
		return b->dwarf;
	b->dwarf_tried = true;
	if (!has_debug_info(&b->img))
		return NULL;
	d = xcalloc(1, sizeof(*d));
	d->steps = b->img.size * 4; /* a DIE has a byte at least; sections may be compressed */
	elf_version(EV_CURRENT);
	d->elf = elf_memory((char *)b->img.data, b->img.size);
	d->dw = d->elf ? dwarf_begin_elf(d->elf, DWARF_C_READ, NULL) : NULL;
	if (!d->dw) {
		dwarf_free(d);
		return NULL;
	}
	build_index(d);
	b->dwarf = d;
	return d;
}

/* ---- functions ---- */

/* DWARF's numbers of the registers, x86-64 psABI. */
static uint8_t dwarf_register(uint64_t n)
{
	static const uint8_t numbers[16] = {
	    GPR_RAX, GPR_RDX, GPR_RCX, GPR_RBX, GPR_RSI, GPR_RDI, GPR_RBP, GPR_RSP,
	    GPR_R8,  GPR_R9,  GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	};

	if (n < ARRAY_SIZE(numbers))
		return numbers[n];
	return n >= 17 && n < 33 ? (uint8_t)(XMM_0 + n - 17) : 0xff;
}

struct location {
	struct dwarf_param *p;
	uint32_t offset; /* of the next piece within the value */
	struct piece piece;
	bool have, bad;
};

static void end_piece(struct location *l, uint64_t size)
{
	struct piece *x = &l->p->pieces[l->p->npieces];

	if (l->have && l->p->npieces < DWARF_PIECES && size <= INT32_MAX / 2) {
		*x = l->piece;
		x->offset = l->offset;
		x->bytes = (uint32_t)size;
		x->size = (uint8_t)MIN(size, 255u);
		l->p->npieces++;
	} else {
		l->bad = true;
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
		l->piece = (struct piece){.where = ON_STACK, .stack = 8};
		if (op->atom == DW_OP_fbreg)
			l->piece.stack += (int32_t)op->number;
		l->have = true;
	} else if (op->atom == DW_OP_consts || op->atom == DW_OP_plus_uconst) {
		l->piece.stack += (int32_t)op->number;
	} else if ((op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) || op->atom == DW_OP_regx) {
		r = dwarf_register(op->atom == DW_OP_regx ? op->number
		                                          : (Dwarf_Word)op->atom - DW_OP_reg0);
		l->piece = (struct piece){.where = r >= XMM_0 ? IN_XMM : IN_REG, .reg = r};
		l->have = r != 0xff;
	} else if (op->atom != DW_OP_plus) {
		l->bad = true;
	}
}

static void read_location(Dwarf_Die *die, uint64_t pc, struct dwarf_param *p)
{
	struct location l = {.p = p};
	Dwarf_Attribute a;
	Dwarf_Op *ops;
	size_t n;

	if (!dwarf_attr(die, DW_AT_location, &a) ||
	    dwarf_getlocation_addr(&a, pc, &ops, &n, 1) != 1 || !n || n > 64)
		return;
	for (size_t i = 0; i < n; i++)
		location_op(&l, &ops[i]);
	if (l.have)
		end_piece(&l, p->type ? p->type->size : 8);
	p->located = !l.bad && p->npieces;
}

static void read_param(struct binary *b, const struct func *f, Dwarf_Die *die,
                       struct dwarf_param *ret)
{
	const char *name = dwarf_diename(die);
	Dwarf_Die t;

	*ret = (struct dwarf_param){.name = "", .result = attr_flag(die, DW_AT_variable_parameter)};
	if (name && name[0] != '~')
		ret->name = arena_strdup(&b->arena, name);
	if (attr_die(die, DW_AT_type, &t))
		ret->type = die_type(b, &t);
	read_location(die, f->entry, ret);
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

static const struct func_die *find_function(const struct dwarf *d, uint64_t pc)
{
	const struct func_die key = {.pc = pc};

	return d->funcs.len ? bsearch(&key, d->funcs.data, d->funcs.len, sizeof(key), compare_funcs)
	                    : NULL;
}

int dwarf_function(struct binary *b, const struct func *f, const struct dwarf_param **ret,
                   size_t *ret_n)
{
	struct dwarf *d = dwarf_get(b);
	const struct func_die *x = d ? find_function(d, f->entry) : NULL;
	VEC(struct dwarf_param) v = {0};
	VEC(const char *) names = {0};
	Dwarf_Die die, child;

	if (!x || !dwarf_offdie(d->dw, x->off, &die))
		return -ENODATA;
	if (!dwarf_child(&die, &child)) {
		do {
			if (dwarf_tag(&child) != DW_TAG_formal_parameter ||
			    repeats(&child, names.data, names.len))
				continue;
			vec_push(&names, dwarf_diename(&child));
			read_param(b, f, &child, vec_add(&v));
		} while (v.len < 256 && !dwarf_siblingof(&child, &child));
	}
	*ret = v.len ? arena_memdup(&b->arena, v.data, v.len * sizeof(*v.data)) : NULL;
	*ret_n = v.len;
	vec_done(&v);
	vec_done(&names);
	return 0;
}

/* ---- inlined instances ---- */

static size_t first_inline(const struct dwarf *d, Dwarf_Off origin)
{
	size_t lo = 0, hi = d->inlines.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->inlines.data[mid].origin < origin)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t binary_inlined(struct binary *b, const char *name, struct inlined *ret, size_t max)
{
	struct dwarf *d = dwarf_get(b);
	uintptr_t off = d ? (uintptr_t)strmap_get(&d->abstracts, name, strlen(name)) : 0;
	size_t n = 0;

	if (!off)
		return 0;
	for (size_t i = first_inline(d, off - 1); i < d->inlines.len; i++) {
		struct inlined x = {.entry = d->inlines.data[i].entry};

		if (d->inlines.data[i].origin != off - 1)
			break;
		if (!binary_func_at(b, x.entry, &x.host))
			continue;
		if (n < max)
			ret[n] = x;
		n++;
	}
	return n;
}
