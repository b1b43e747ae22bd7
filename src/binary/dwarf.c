/*
 * DWARF through elfutils: what types and names the binary has when nobody stripped it. Versions 4
 * and 5, compressed or not, are libdw's business; what follows is what Go writes into it.
 *
 * One compile unit a package. A function that was inlined somewhere has an abstract DIE
 * (DW_AT_inline) with its name and parameters, and its out-of-line copy and its inlined instances
 * refer to that by DW_AT_abstract_origin. Types are read in dwarf_type.c, parameters and captured
 * variables in dwarf_param.c, inlined instances in dwarf_inline.c.
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

/* The name as look-ups compare it; it lives as long as the index. */
static const char *plain_name(struct dwarf *d, const char *name)
{
	char *out, *w;

	if (!strpbrk(name, "[%"))
		return name;
	out = w = arena_strdup(&d->names, name);
	while ((*w = func_name_next(&name)))
		w++;
	return out;
}

static void index_abstract(struct dwarf *d, Dwarf_Die *die)
{
	const char *name = own_name(die), *plain;
	struct abstract_die x = {name, dwarf_dieoffset(die), 0};

	if (!name || !*name)
		return;
	plain = plain_name(d, name);
	x.next = (uintptr_t)strmap_get(&d->by_plain_name, plain, strlen(plain));
	vec_push(&d->abstracts, x);
	strmap_set(&d->by_plain_name, plain, strlen(plain), (void *)(uintptr_t)d->abstracts.len);
}

size_t dwarf_find_abstract(const struct dwarf *d, const char *name)
{
	struct arena a = {0};
	char *plain = arena_strdup(&a, name), *w = plain;
	size_t found;

	while ((*w = func_name_next(&name)))
		w++;
	found = (uintptr_t)strmap_get(&d->by_plain_name, plain, strlen(plain));
	arena_done(&a);
	return found;
}

static void index_function(struct dwarf *d, Dwarf_Die *die)
{
	uint64_t pc;

	if (dwarf_hasattr(die, DW_AT_inline))
		index_abstract(d, die);
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
	vec_push(&d->inlines, ((struct inline_die){dwarf_dieoffset(&origin), entry, dwarf_dieoffset(die)}));
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
	if (d->depth == 1 && (tag == DW_TAG_constant || tag == DW_TAG_variable))
		vec_push(&d->global_offs, dwarf_dieoffset(die));
	else if (tag == DW_TAG_subprogram)
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
	vec_done(&d->abstracts);
	strmap_done(&d->by_plain_name);
	vec_done(&d->global_offs);
	vec_done(&d->globals);
	strmap_done(&d->globals_by_name);
	strmap_done(&d->constant_names);
	arena_done(&d->names);
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
	/* Not from our mapping: libelf keeps pointers into what it is given, and trusts what it has checked once. */
	d->elf = elf_begin(image_fd(&b->img), ELF_C_READ, NULL);
	d->dw = d->elf ? dwarf_begin_elf(d->elf, DWARF_C_READ, NULL) : NULL;
	if (!d->dw) {
		dwarf_free(d);
		return NULL;
	}
	build_index(d);
	b->dwarf = d;
	return d;
}

const struct func_die *dwarf_find_function(const struct dwarf *d, uint64_t pc)
{
	const struct func_die key = {.pc = pc};

	return d->funcs.len ? bsearch(&key, d->funcs.data, d->funcs.len, sizeof(key), compare_funcs)
	                    : NULL;
}
