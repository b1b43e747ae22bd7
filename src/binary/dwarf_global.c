/*
 * Constants and variables of packages. Go writes a DW_TAG_constant for each integer constant of a package, with its
 * type (those without one have the predeclared type they would get), and a DW_TAG_variable with its address for each
 * variable (cmd/compile dumpGlobalConst, cmd/link dwarf.go). Names have the whole import path. Without DWARF, the
 * symbol table still has the variables' names, addresses and sizes.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "binary/dwarf_die.h"

/* "http.StatusOK" of "net/http.StatusOK" */
static const char *short_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

static void index_name(struct dwarf *d, Dwarf_Die *die)
{
	const char *name = own_name(die), *key;
	struct global_die g = {name, dwarf_dieoffset(die), 0};
	size_t len;

	if (!name || !*name)
		return;
	key = short_name(name);
	len = strlen(key);
	g.next = (uintptr_t)strmap_get(&d->globals_by_name, key, len);
	vec_push(&d->globals, g);
	strmap_set(&d->globals_by_name, key, len, (void *)(uintptr_t)d->globals.len);
}

/* DW_OP_addr and the address, or DW_OP_addrx and its number. libdw takes no expression that has the form of a block. */
static bool die_address(Dwarf_Die *die, uint64_t *ret)
{
	Dwarf_Attribute a, of_address;
	Dwarf_Block block;
	Dwarf_Op *ops;
	size_t n;

	if (!dwarf_attr(die, DW_AT_location, &a))
		return false;
	if (!dwarf_formblock(&a, &block) && block.length == 9 && block.data[0] == DW_OP_addr) {
		memcpy(ret, block.data + 1, sizeof(*ret));
		return true;
	}
	return !dwarf_getlocation(&a, &ops, &n) && n == 1 && ops[0].atom == DW_OP_addrx &&
	       !dwarf_getlocation_attr(&a, ops, &of_address) && !dwarf_formaddr(&of_address, ret);
}

static bool die_constant(Dwarf_Die *die, int64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Sword v;

	if (!dwarf_attr(die, DW_AT_const_value, &a) || dwarf_formsdata(&a, &v))
		return false;
	*ret = v;
	return true;
}

enum { KEY_MAX = 256 };

/* Type, NUL, value: how long it is, 0 when the type's name is too long. */
static size_t constant_key(const char *type, int64_t number, char key[KEY_MAX])
{
	size_t n = strlen(type) + 1;

	if (n + sizeof(number) > KEY_MAX)
		return 0;
	memcpy(key, type, n);
	memcpy(key + n, &number, sizeof(number));
	return n + sizeof(number);
}

static void name_constant(struct dwarf *d, Dwarf_Die *die)
{
	const char *name = own_name(die), *type_name, *dot = name ? strrchr(name, '.') : NULL;
	Dwarf_Die type;
	char key[KEY_MAX];
	int64_t number;
	size_t len;

	if (!dot || dwarf_tag(die) != DW_TAG_constant || !die_constant(die, &number) ||
	    !attr_die(die, DW_AT_type, &type))
		return;
	type_name = own_name(&type);
	if (!type_name || !strchr(type_name, '.'))
		return;
	len = constant_key(type_name, number, key);
	if (len && !strmap_get(&d->constant_names, key, len))
		strmap_set(&d->constant_names, arena_memdup(&d->names, key, len), len, (void *)(dot + 1));
}

static void read_globals(struct dwarf *d)
{
	Dwarf_Die die;

	for (size_t i = 0; !d->globals_read && i < d->global_offs.len; i++) {
		if (!dwarf_offdie(d->dw, d->global_offs.data[i], &die))
			continue;
		index_name(d, &die);
		name_constant(d, &die);
	}
	d->globals_read = true;
}

static int read_global(struct binary *b, struct dwarf *d, const struct global_die *g, struct global *ret,
		       struct err *err)
{
	struct global out = {0};
	Dwarf_Die die, type;

	if (!dwarf_offdie(d->dw, g->off, &die))
		return -ENOENT;
	if (attr_die(&die, DW_AT_type, &type))
		out.type = die_type(b, &type);
	out.is_variable = dwarf_tag(&die) == DW_TAG_variable;
	if (out.is_variable ? !die_address(&die, &out.addr) : !die_constant(&die, &out.number))
		return err_set(err, -EINVAL, "DWARF does not say %s of %s",
			       out.is_variable ? "the address" : "the value", g->name);
	if (!out.type)
		return err_set(err, -EINVAL, "the type of %s cannot be read from DWARF", g->name);
	out.size = out.type->size;
	*ret = out;
	return 0;
}

/* The whole name is meant where there is one like it; else the only one that ends so. */
static int find_in_dwarf(struct binary *b, struct dwarf *d, const char *name, struct global *ret, struct err *err)
{
	const char *key = short_name(name);
	const struct global_die *hit = NULL;
	size_t first;

	read_globals(d);
	first = (uintptr_t)strmap_get(&d->globals_by_name, key, strlen(key));
	for (size_t i = first; i; i = d->globals.data[i - 1].next) {
		const struct global_die *g = &d->globals.data[i - 1];

		if (!strcmp(g->name, name))
			return read_global(b, d, g, ret, err);
		if (key != name)
			continue;
		if (hit && strcmp(hit->name, g->name))
			return err_set(err, -EINVAL, "there are %s and %s: which one %s means is not clear", hit->name,
				       g->name, name);
		hit = g;
	}
	return hit ? read_global(b, d, hit, ret, err) : -ENOENT;
}

/* ---- the symbol table ---- */

struct symbols {
	const uint8_t *table, *strings;
	uint64_t size, len;
};

static const uint8_t *section_bytes(const struct image *img, const char *name, uint64_t *ret_size)
{
	struct section s;

	if (!image_section(img, name, &s) || s.offset > img->size || s.size > img->size - s.offset)
		return NULL;
	*ret_size = s.size;
	return img->data + s.offset;
}

static bool symbol_at(const struct symbols *s, uint64_t i, Elf64_Sym *ret, const char **ret_name)
{
	if (i * sizeof(*ret) > s->size - sizeof(*ret))
		return false;
	memcpy(ret, s->table + i * sizeof(*ret), sizeof(*ret));
	*ret_name = ret->st_name < s->len && memchr(s->strings + ret->st_name, 0, s->len - ret->st_name)
			    ? (const char *)s->strings + ret->st_name : "";
	return true;
}

/* Variables by the last path element and name. Those of the runtime's own making have a colon or two dots in them. */
static void index_symbols(struct binary *b, const struct symbols *s)
{
	Elf64_Sym sym;
	const char *name;

	for (uint64_t i = 0; symbol_at(s, i, &sym, &name); i++) {
		const char *key = short_name(name);

		if (ELF64_ST_TYPE(sym.st_info) != STT_OBJECT || !sym.st_size || !strchr(key, '.') || strchr(name, ':'))
			continue;
		if (!strmap_get(&b->variables, key, strlen(key)))
			strmap_set(&b->variables, key, strlen(key), (void *)(uintptr_t)(i + 1));
	}
}

static int find_in_symbols(struct binary *b, const char *name, struct global *ret)
{
	struct symbols s = {0};
	const char *key = short_name(name), *found;
	Elf64_Sym sym;
	uint64_t i;

	s.table = section_bytes(&b->img, ".symtab", &s.size);
	s.strings = section_bytes(&b->img, ".strtab", &s.len);
	if (!s.table || !s.strings || s.size < sizeof(sym))
		return -ENOENT;
	if (!b->variables_read)
		index_symbols(b, &s);
	b->variables_read = true;
	i = (uintptr_t)strmap_get(&b->variables, key, strlen(key));
	if (!i || !symbol_at(&s, i - 1, &sym, &found) || (key != name && strcmp(found, name)))
		return -ENOENT;
	*ret = (struct global){.is_variable = true, .addr = sym.st_value, .size = sym.st_size};
	return 0;
}

int binary_global(struct binary *b, const char *name, struct global *ret, struct err *err)
{
	struct dwarf *d = dwarf_get(b);
	int r = d ? find_in_dwarf(b, d, name, ret, err) : -ENOENT;

	return r == -ENOENT ? find_in_symbols(b, name, ret) : r;
}

/* ---- names of values ---- */

const char *binary_constant_name(struct binary *b, const struct type *t, int64_t number)
{
	struct dwarf *d = t->named ? dwarf_get(b) : NULL;
	char key[KEY_MAX];
	size_t len;

	if (!d)
		return NULL;
	read_globals(d);
	len = constant_key(t->name, number, key);
	return len ? strmap_get(&d->constant_names, key, len) : NULL;
}
