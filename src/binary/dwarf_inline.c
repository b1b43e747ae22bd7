/*
 * Inlined instances: DW_TAG_inlined_subroutine, nested in each other and in the function that
 * contains them.
 *
 * The parameters' names and types are the abstract function's; an instance lists those of them that
 * have a place somewhere, by DW_AT_abstract_origin. There is no call, so nothing ties their places
 * to a calling convention: DWARF is believed, at the entry's pc and no other. The scheduler moves
 * instructions of an instance up between those that compute its arguments; a parameter that is
 * computed later has no place at the entry yet.
 *
 * An instance has no return.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "binary/dwarf.h"
#include "binary/dwarf_die.h"
#include "binary/signature.h"

#define RANGES_MAX 4096

/* ---- which there are ---- */

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

static size_t instances(struct binary *b, Dwarf_Off origin, struct inlined *ret, size_t max)
{
	const struct dwarf *d = b->dwarf;
	size_t n = 0;

	for (size_t i = first_inline(d, origin); i < d->inlines.len; i++) {
		const struct inline_die *x = &d->inlines.data[i];
		struct func host;

		if (x->origin != origin)
			break;
		if (!binary_func_at(b, x->entry, &host))
			continue;
		if (n < max)
			ret[n] = (struct inlined){x->entry, host, x->off};
		n++;
	}
	return n;
}

size_t binary_inlined(struct binary *b, const char *name, struct inlined *ret, size_t max)
{
	struct dwarf *d = dwarf_get(b);
	size_t n = 0;

	for (size_t k = d ? dwarf_find_abstract(d, name) : 0; k; k = d->abstracts.data[k - 1].next) {
		const struct abstract_die *a = &d->abstracts.data[k - 1];

		if (func_name_equal(a->name, name))
			n += instances(b, a->off, n < max ? ret + n : NULL, n < max ? max - n : 0);
	}
	return n;
}

bool binary_inlined_next(struct binary *b, size_t *pos, const char **ret_name)
{
	struct dwarf *d = dwarf_get(b);

	if (!d || *pos >= d->abstracts.len)
		return false;
	*ret_name = d->abstracts.data[(*pos)++].name;
	return true;
}

/* ---- one of them ---- */

static int instance_dies(struct binary *b, const struct inlined *i, Dwarf_Die *ret,
                         Dwarf_Die *ret_origin, struct err *err)
{
	struct dwarf *d = dwarf_get(b);
	Dwarf_Attribute a;

	if (!d || !dwarf_offdie(d->dw, i->die, ret) ||
	    dwarf_tag(ret) != DW_TAG_inlined_subroutine ||
	    !dwarf_attr(ret, DW_AT_abstract_origin, &a) || !dwarf_formref_die(&a, ret_origin) ||
	    !own_name(ret_origin))
		return err_set(err, -EPROTO,
		               "the debug information of the function inlined into %s at "
		               "%#" PRIx64 " is damaged",
		               i->host.name, i->entry);
	return 0;
}

/* What the instance says of a parameter of the abstract function; false if nothing. */
static bool counterpart(Dwarf_Die *instance, Dwarf_Die *abstract, Dwarf_Die *ret)
{
	Dwarf_Die die, origin;
	Dwarf_Attribute a;
	unsigned left = RANGES_MAX;

	if (dwarf_child(instance, &die))
		return false;
	do {
		if (dwarf_tag(&die) != DW_TAG_formal_parameter ||
		    !dwarf_attr(&die, DW_AT_abstract_origin, &a) ||
		    !dwarf_formref_die(&a, &origin) ||
		    dwarf_dieoffset(&origin) != dwarf_dieoffset(abstract))
			continue;
		*ret = die;
		return true;
	} while (--left && !dwarf_siblingof(&die, &die));
	return false;
}

static void inlined_param(struct binary *b, const struct inlined *i, Dwarf_Die *abstract,
                          Dwarf_Die *instance, struct param *ret)
{
	struct dwarf_param p;
	Dwarf_Die own;

	die_param(b, abstract, counterpart(instance, abstract, &own) ? &own : NULL, i->entry, &p);
	*ret = (struct param){.name = p.name, .type = p.type, .dict_word = p.dict_word};
	if (!p.type)
		ret->why = "its type is not in the binary";
	else if (p.type->size)
		ret->why = p.why;
	if (ret->why || !p.type->size)
		return;
	ret->pieces = arena_memdup(&b->arena, p.pieces, p.npieces * sizeof(*p.pieces));
	ret->npieces = p.npieces;
}

/* DWARF may leave out a receiver that the method does not use. */
static bool is_receiver(struct binary *b, const struct param *p, const char *function)
{
	const char *type = p->type ? p->type->name : "";
	struct func_name n;
	size_t package;

	func_name_split(&b->arena, function, &n);
	package = strlen(n.package);
	type += *type == '*';
	return n.receiver && !strncmp(type, n.package, package) && type[package] == '.' &&
	       !strncmp(type + package + 1, n.receiver, strlen(n.receiver));
}

int binary_inlined_signature(struct binary *b, const struct inlined *i, struct signature *ret,
                             struct err *err)
{
	Dwarf_Die instance, origin, die;
	const struct param *dictionary = NULL;
	VEC(struct param) v = {0};
	int r = instance_dies(b, i, &instance, &origin, err);

	if (r)
		return r;
	if (!dwarf_child(&origin, &die)) {
		do {
			struct param p;

			if (dwarf_tag(&die) != DW_TAG_formal_parameter ||
			    attr_flag(&die, DW_AT_variable_parameter))
				continue;
			inlined_param(b, i, &die, &instance, &p);
			if (strcmp(p.name, ".dict"))
				vec_push(&v, p);
			else
				dictionary = arena_memdup(&b->arena, &p, sizeof(p));
		} while (v.len < SLOTS_MAX && !dwarf_siblingof(&die, &die));
	}
	*ret = (struct signature){.nparams = v.len, .sources = SIG_DWARF, .dictionary = dictionary};
	if (v.len) {
		ret->params = arena_memdup(&b->arena, v.data, v.len * sizeof(*v.data));
		ret->has_receiver = is_receiver(b, &v.data[0], own_name(&origin));
	}
	vec_done(&v);
	return 0;
}

/* ---- its site ---- */

/* The end of the instance's last range. */
static uint64_t instance_end(Dwarf_Die *die, uint64_t entry)
{
	Dwarf_Addr base, start, end;
	uint64_t last = entry;
	ptrdiff_t at = 0;

	for (unsigned i = 0; i < RANGES_MAX; i++) {
		at = dwarf_ranges(die, at, &base, &start, &end);
		if (at <= 0)
			break;
		last = MAX(last, end);
	}
	return last;
}

/* A loop of the inlined function that begins at its first instruction. */
static bool loops_to_entry(const struct code *c, uint64_t entry, uint64_t end)
{
	for (size_t k = 0; k < c->n; k++) {
		const struct insn *i = &c->insns[k];

		if (i->target == entry && i->addr >= entry && i->addr < end && i->kind != INSN_CALL)
			return true;
	}
	return false;
}

int binary_inlined_site(struct binary *b, const struct inlined *i, struct site *ret, struct err *err)
{
	Dwarf_Die instance, origin;
	struct code c;
	bool loops;
	int r = instance_dies(b, i, &instance, &origin, err);

	if (!r)
		r = func_code(b, &i->host, &c, err);
	if (r)
		return r;
	loops = loops_to_entry(&c, i->entry, instance_end(&instance, i->entry));
	code_done(&c);
	if (loops)
		return err_set(err, -ENOTSUP,
		               "%s, inlined into %s at %#" PRIx64 ", jumps back to its own entry, "
		               "so a probe there would fire more than once a call",
		               own_name(&origin), i->host.name, i->entry);
	return binary_site_at(b, &i->host, i->entry, ret, err);
}
