/*
 * DWARF through elfutils: what types and names the binary has when nobody stripped it. Versions 4
 * and 5, compressed or not, are libdw's business; what follows is what Go writes into it.
 *
 * One compile unit a package. A function that was inlined somewhere has an abstract DIE
 * (DW_AT_inline) with its name and parameters, and its out-of-line copy and its inlined instances
 * refer to that by DW_AT_abstract_origin. Results are DW_TAG_formal_parameter with
 * DW_AT_variable_parameter. A type DIE has DW_AT_go_kind (reflect's kinds), DW_AT_go_elem and
 * DW_AT_go_key, and, when the program holds a descriptor of it, that one's place in
 * DW_AT_go_runtime_type (an address or an offset into the types): the descriptor of the same name
 * is used then, so that a type has one identity whatever it was read from. A defined type that is
 * no struct is a chain of typedefs, of which one bears the attributes. Alignment is not recorded
 * and is computed.
 *
 * Results are often written twice, one entry for each place they live in.
 *
 * One pass at the first question indexes functions by address, types by name, and inlined
 * instances. The input is not trusted: the pass is bounded by the size of the file, recursion by
 * DIE_DEPTH.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <libelf.h>
#include <string.h>

#include "base/vec.h"
#include "binary/dwarf.h"
#include "binary/internal.h"

#define DIE_DEPTH   64
#define ALIGN_STEPS 2000

enum { AT_GO_KIND = 0x2900, AT_GO_KEY, AT_GO_ELEM, AT_GO_EMBEDDED, AT_GO_RUNTIME_TYPE };

struct func_die {
	uint64_t pc;
	Dwarf_Off off;
};
struct inline_die {
	Dwarf_Off origin;
	uint64_t entry;
};

struct dwarf {
	Elf *elf;
	Dwarf *dw;
	VEC(struct func_die) funcs;     /* by pc */
	VEC(struct inline_die) inlines; /* by origin */
	struct strmap types;            /* name -> offset + 1 */
	struct strmap abstracts;        /* name -> offset + 1 */
	struct map by_offset;           /* type DIE offset + 1 -> struct type_full * */
	uint64_t steps;                 /* DIEs that may still be looked at */
	unsigned depth;
};

/* ---- attributes ---- */

static bool attr_number(Dwarf_Die *die, unsigned at, uint64_t *ret)
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

static bool attr_die(Dwarf_Die *die, unsigned at, Dwarf_Die *ret)
{
	Dwarf_Attribute a;

	return dwarf_attr_integrate(die, at, &a) && dwarf_formref_die(&a, ret);
}

static bool attr_flag(Dwarf_Die *die, unsigned at)
{
	Dwarf_Attribute a;
	bool v = false;

	return dwarf_attr_integrate(die, at, &a) && !dwarf_formflag(&a, &v) && v;
}

/* The name on the DIE itself: the pass over everything must not follow references. */
static const char *own_name(Dwarf_Die *die)
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

static struct dwarf *dwarf_get(struct binary *b)
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

/* ---- types ---- */

static const struct type *die_type(struct binary *b, Dwarf_Die *die);

/* Through typedefs to the DIE that says what the type is. */
static bool die_resolve(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Die next;

	*ret = *die;
	for (unsigned i = 0; i < 16; i++) {
		if (dwarf_tag(ret) != DW_TAG_typedef)
			return true;
		if (!attr_die(ret, DW_AT_type, &next))
			return false;
		*ret = next;
	}
	return false;
}

/* A number on the DIE or the next typedef in its chain that has it; not 0. */
static bool chain_number(Dwarf_Die *die, unsigned at, uint64_t *ret)
{
	Dwarf_Die d = *die, next;
	uint64_t v;

	for (unsigned i = 0; i < 16; i++) {
		if (attr_number(&d, at, &v) && v) {
			*ret = v;
			return true;
		}
		if (dwarf_tag(&d) != DW_TAG_typedef || !attr_die(&d, DW_AT_type, &next))
			return false;
		d = next;
	}
	return false;
}

static enum type_kind die_kind(Dwarf_Die *die, Dwarf_Die *target)
{
	const char *name = own_name(target);
	uint64_t k;

	if (chain_number(die, AT_GO_KIND, &k))
		return (k & 31) <= KIND_UNSAFE_POINTER ? (enum type_kind)(k & 31) : KIND_INVALID;
	if (dwarf_tag(target) == DW_TAG_pointer_type)
		return name && !strcmp(name, "unsafe.Pointer") ? KIND_UNSAFE_POINTER : KIND_POINTER;
	return dwarf_tag(target) == DW_TAG_structure_type ? KIND_STRUCT : KIND_INVALID;
}

static uint64_t array_length(Dwarf_Die *die)
{
	Dwarf_Die child;
	uint64_t n;

	if (dwarf_child(die, &child))
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		if (attr_number(&child, DW_AT_count, &n))
			return n;
		if (attr_number(&child, DW_AT_upper_bound, &n))
			return n + 1;
		if (dwarf_siblingof(&child, &child))
			break;
	}
	return 0;
}

static uint64_t kind_size(enum type_kind k)
{
	switch (k) {
	case KIND_POINTER:
	case KIND_CHAN:
	case KIND_FUNC:
	case KIND_MAP:
	case KIND_UNSAFE_POINTER:
		return 8;
	case KIND_INTERFACE:
	case KIND_STRING:
		return 16;
	case KIND_SLICE:
		return 24;
	default:
		return 0;
	}
}

static uint64_t die_size(Dwarf_Die *die, enum type_kind kind)
{
	uint64_t n;

	if (kind_size(kind))
		return kind_size(kind);
	return attr_number(die, DW_AT_byte_size, &n) ? n : 0;
}

static uint32_t die_align(Dwarf_Die *die, unsigned depth, unsigned *steps);

static uint32_t struct_align(Dwarf_Die *die, unsigned depth, unsigned *steps)
{
	uint32_t align = 1;
	Dwarf_Die m, t;

	if (dwarf_child(die, &m))
		return 1;
	do {
		if (dwarf_tag(&m) == DW_TAG_member && attr_die(&m, DW_AT_type, &t))
			align = MAX(align, die_align(&t, depth + 1, steps));
	} while (*steps && !dwarf_siblingof(&m, &m));
	return align;
}

static uint32_t die_align(Dwarf_Die *die, unsigned depth, unsigned *steps)
{
	enum type_kind kind;
	Dwarf_Die t, elem;
	uint64_t size;

	if (depth > 16 || !*steps || !die_resolve(die, &t))
		return 1;
	--*steps;
	kind = die_kind(die, &t);
	if (kind == KIND_STRUCT)
		return struct_align(&t, depth, steps);
	if (kind == KIND_ARRAY)
		return attr_die(&t, DW_AT_type, &elem) ? die_align(&elem, depth + 1, steps) : 1;
	if (kind_size(kind))
		return 8;
	size = die_size(&t, kind);
	if (kind == KIND_COMPLEX64 || kind == KIND_COMPLEX128)
		size /= 2;
	return size == 2 || size == 4 || size == 8 ? (uint32_t)size : 1;
}

static void load_struct(struct binary *b, struct type_full *f)
{
	VEC(struct type_field) v = {0};
	Dwarf_Die die, target, m, t;

	f->load = NULL;
	if (!b->dwarf || !dwarf_offdie(b->dwarf->dw, f->private_addr, &die) ||
	    !die_resolve(&die, &target) || dwarf_child(&target, &m))
		return;
	do {
		struct type_field x = {.name = own_name(&m)};

		if (dwarf_tag(&m) != DW_TAG_member || !x.name || !attr_die(&m, DW_AT_type, &t) ||
		    !attr_number(&m, DW_AT_data_member_location, &x.offset))
			continue;
		x.type = die_type(b, &t);
		x.embedded = attr_flag(&m, AT_GO_EMBEDDED);
		if (x.type && x.offset <= f->t.size && x.type->size <= f->t.size - x.offset)
			vec_push(&v, x);
	} while (v.len < 65536 && !dwarf_siblingof(&m, &m));
	if (v.len)
		f->fields = arena_memdup(&b->arena, v.data, v.len * sizeof(*v.data));
	f->nfields = v.len;
	vec_done(&v);
}

static bool chain_die(Dwarf_Die *die, unsigned at, Dwarf_Die *ret)
{
	Dwarf_Die d = *die, next;

	for (unsigned i = 0; i < 16; i++) {
		if (attr_die(&d, at, ret))
			return true;
		if (dwarf_tag(&d) != DW_TAG_typedef || !attr_die(&d, DW_AT_type, &next))
			return false;
		d = next;
	}
	return false;
}

/* What t is made of: go_elem where Go says so, DW_AT_type of pointers and arrays. */
static void fill_parts(struct binary *b, Dwarf_Die *die, Dwarf_Die *target, struct type *t)
{
	Dwarf_Die part;

	if (chain_die(die, AT_GO_KEY, &part))
		t->key = die_type(b, &part);
	if (t->kind == KIND_POINTER || t->kind == KIND_ARRAY) {
		if (attr_die(target, DW_AT_type, &part))
			t->elem = die_type(b, &part);
	} else if (chain_die(die, AT_GO_ELEM, &part)) {
		t->elem = die_type(b, &part);
	}
	if ((t->kind == KIND_ARRAY || t->kind == KIND_SLICE || t->kind == KIND_POINTER) && !t->elem)
		t->elem = type_unknown(b);
}

static void fill_name(struct binary *b, struct type *t)
{
	const char *slash = strrchr(t->name, '/'), *dot = strchr(slash ? slash : t->name, '.');

	if (!dot || dot == t->name || strpbrk(t->name, "*[(< {"))
		return;
	t->named = true;
	t->package = arena_strndup(&b->arena, t->name, (size_t)(dot - t->name));
}

static const struct type *new_type(struct binary *b, Dwarf_Die *die, Dwarf_Die *target)
{
	struct type_full *f = type_full_new(b);
	unsigned steps = ALIGN_STEPS;
	const char *name = own_name(die);

	map_set(&b->dwarf->by_offset, dwarf_dieoffset(die) + 1, f);
	f->t.name = arena_strdup(&b->arena, name ? name : "?");
	f->t.source = TYPE_FROM_DWARF;
	f->t.kind = die_kind(die, target);
	f->t.size = die_size(target, f->t.kind);
	f->t.align = die_align(die, 0, &steps);
	f->private_addr = dwarf_dieoffset(die);
	fill_name(b, &f->t);
	if (f->t.kind == KIND_ARRAY)
		f->t.len = array_length(target);
	if (f->t.kind == KIND_STRUCT)
		f->load = load_struct;
	f->t.direct_iface = kind_size(f->t.kind) == 8;
	fill_parts(b, die, target, &f->t);
	return &f->t;
}

static const struct type *die_descriptor(struct binary *b, Dwarf_Die *die)
{
	const char *name = own_name(die);
	const struct type *t;
	uint64_t at;

	if (!name || !chain_number(die, AT_GO_RUNTIME_TYPE, &at))
		return NULL;
	t = binary_type_at(b, at < b->md.types ? b->md.types + at : at);
	return t && !strcmp(t->name, name) ? t : NULL;
}

static const struct type *die_type(struct binary *b, Dwarf_Die *die)
{
	struct dwarf *d = b->dwarf;
	struct type_full *f = map_get(&d->by_offset, dwarf_dieoffset(die) + 1);
	const struct type *t = NULL;
	Dwarf_Die target;

	if (f)
		return &f->t;
	if (d->depth == DIE_DEPTH || !die_resolve(die, &target))
		return NULL;
	d->depth++;
	t = die_descriptor(b, die);
	if (!t)
		t = new_type(b, die, &target);
	d->depth--;
	return t;
}

const struct type *dwarf_type(struct binary *b, const char *full_name)
{
	struct dwarf *d = dwarf_get(b);
	uintptr_t off = d ? (uintptr_t)strmap_get(&d->types, full_name, strlen(full_name)) : 0;
	Dwarf_Die die;

	return off && dwarf_offdie(d->dw, off - 1, &die) ? die_type(b, &die) : NULL;
}

/* ---- functions ---- */

/* DWARF's numbers of the registers, x86-64 psABI. */
static uint8_t dwarf_register(uint64_t n)
{
	static const uint8_t numbers[16] = {
	    REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
	    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};

	if (n < ARRAY_SIZE(numbers))
		return numbers[n];
	return n >= 17 && n < 33 ? (uint8_t)(REG_X0 + n - 17) : 0xff;
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
		l->piece = (struct piece){.where = r >= REG_X0 ? IN_XMM : IN_REG, .reg = r};
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
