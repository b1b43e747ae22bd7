/*
 * Inlined instances: DW_TAG_inlined_subroutine, nested in each other and in the function that
 * contains them.
 *
 * The parameters' names and types are the abstract function's; an instance lists those of them that
 * have a place somewhere, by DW_AT_abstract_origin. There is no call, so nothing ties their places
 * to a calling convention: DWARF is believed, at the site's pc (inline_site.c) and no other. The
 * scheduler moves instructions of an instance up between those that compute its arguments; a
 * parameter that is computed later has no place at the site yet.
 *
 * An instance has no return.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "binary/dwarf.h"
#include "binary/dwarf_die.h"
#include "binary/inline.h"
#include "binary/signature.h"

#define PARAMETERS_MAX 4096

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
			ret[n] = (struct inlined){.entry = x->entry, .host = host, .die = x->off, .index = INLINE_NONE};
		n++;
	}
	return n;
}

size_t dwarf_inlined(struct binary *b, const char *name, struct inlined *ret, size_t max)
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

bool dwarf_inlined_next(struct binary *b, size_t *pos, const char **ret_name)
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

	if (!i->die)
		return err_set(err, -ENODATA,
		               "the binary does not say where the arguments of an inlined call are");
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
	unsigned left = PARAMETERS_MAX;

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

static void inlined_param(struct binary *b, Dwarf_Die *abstract,
                          Dwarf_Die *instance, uint64_t site, struct param *ret)
{
	struct dwarf_param p;
	Dwarf_Die own;

	die_param(b, abstract, counterpart(instance, abstract, &own) ? &own : NULL, site, &p);
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

int binary_inlined_signature(struct binary *b, const struct inlined *i, uint64_t site,
                             struct signature *ret, struct err *err)
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
			inlined_param(b, &die, &instance, site, &p);
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
