/*
 * Whether a program may copy values of some type. To make a copy that others can see, code names the type's descriptor:
 * for memory of that type, and for the write barrier of the copy. So all of the code is searched for the descriptor's
 * address. A function that only ever gives it to runtime.newobject makes values and fills them in field by field; one
 * that nothing refers to (a method that only reflection could find) does not run. What else knows the type, as a part
 * of another one, as the elements of a slice, is taken for somebody who copies. All of that holds of each type of the
 * same layout, too: a value can be converted to it, and generic code knows the shape of the type alone.
 *
 * Every code address is tried, not every instruction: what looks like a reference and is none only makes the answer
 * more careful. A copy by reflection or in assembler is not seen.
 */
#include <elf.h>
#include <string.h>

#include "base/map.h"
#include "binary/internal.h"
#include "binary/rtype.h"

#define TRIM_BYTES (8u << 20) /* read of the file before its memory is given back */
#define BLOCK 1024            /* bytes; looked at as a whole */

#define RTYPE_GCDATA 32      /* where in a descriptor stands which of a value's words are pointers */

typedef VEC(uint64_t) addresses;
typedef VEC(const struct type *) type_list;

/* ---- references ---- */

/* Whether one of the distances that begin in the block leads to where `count` leads at the block's first byte. */
static bool block_has(const uint8_t *p, uint32_t count)
{
	uint32_t found = 0;

	for (unsigned phase = 0; phase < 4; phase++) /* so the compiler takes several at a time */
		for (uint32_t at = 0; at < BLOCK / 4; at++)
			found |= (uint32_t)(u32_at(p + phase + 4 * at) + phase + 4 * at == count);
	return found;
}

/* Addresses of the distances in [from, from + n), at p, that lead to target. */
static void search_code(const uint8_t *p, uint64_t from, uint64_t n, uint64_t target, addresses *ret)
{
	for (uint64_t at = 0; at + 4 <= n; at += BLOCK) {
		uint64_t end = MIN(at + BLOCK, n - 3);
		uint32_t count = (uint32_t)(target - (from + at) - 4);

		if (at + BLOCK + 3 <= n && !block_has(p + at, count))
			continue;
		for (uint64_t i = at; i < end; i++)
			if (u32_at(p + i) + (uint32_t)(i - at) == count)
				vec_push(ret, from + i);
	}
}

/* Addresses of the words in [from, from + n), at p, that are target. */
static void search_words(const uint8_t *p, uint64_t from, uint64_t n, uint64_t target, addresses *ret)
{
	for (uint64_t at = -from & 7; at + 8 <= n; at += 8)
		if (u64_at(p + at) == target)
			vec_push(ret, from + at);
}

/* All of them, in code (by distance) or in data (as words). */
static void references(const struct binary *b, bool code, uint64_t target, addresses *ret)
{
	for (size_t k = 0; k < b->img.nsegments; k++) {
		const struct image_segment *s = &b->img.segments[k];
		uint64_t size = image_extent(&b->img, s->vaddr);

		if (!(s->flags & PF_X) == code)
			continue;
		for (uint64_t at = 0; at < size; at += TRIM_BYTES, image_trim(&b->img)) {
			uint64_t n = MIN(TRIM_BYTES + (code ? 3 : 0), size - at);
			const uint8_t *p = image_at(&b->img, s->vaddr + at, n);

			if (p)
				(code ? search_code : search_words)(p, s->vaddr + at, n, target, ret);
		}
	}
}

/* ---- who copies ---- */

static bool named(const struct func *f, const char *const *names)
{
	for (; names && *names; names++)
		if (!strcmp(f->name, *names))
			return true;
	return false;
}

/* Whether the instruction of f whose last four bytes are at `at` is followed by a call of that function. */
static bool gives_to(struct binary *b, const struct func *f, uint64_t at, uint64_t function)
{
	struct insn_effect e;
	struct disasm c;
	bool gives = false;
	size_t k = 0;

	if (func_disasm(b, f, &c, NULL))
		return false;
	while (k < c.n && c.insns[k].addr + c.insns[k].len < at + 4)
		k++;
	if (k < c.n && c.insns[k].addr + c.insns[k].len == at + 4) {
		k++;
		while (k < c.n && c.insns[k].kind == INSN_PLAIN && insn_effect(&c, &c.insns[k], &e) &&
		       e.what == EFFECT_NOP)
			k++;
		gives = k < c.n && c.insns[k].kind == INSN_CALL && c.insns[k].target == function;
	}
	disasm_done(&c);
	return gives;
}

/* Other types than the pointer's know it. (What lies in an interface is taken out by code that names the type.) */
static bool is_part(struct binary *b, const struct type *t)
{
	addresses at = {0};
	bool part = false;

	references(b, false, t->rtype, &at);
	for (size_t k = 0; k < at.len; k++) {
		const struct type *of;

		if (at.data[k] < b->md.types + RTYPE_HEADER || at.data[k] >= b->md.etypes)
			continue;
		of = binary_type_at(b, at.data[k] - RTYPE_HEADER);
		part |= !of || of->kind != KIND_POINTER || of->elem != t;
	}
	vec_done(&at);
	return part;
}

/* Entries of functions that are given the descriptor for more than new memory; false: there is code of no function. */
static bool find_copiers(struct binary *b, const struct type *t, const char *const *beside, addresses *ret)
{
	struct func newobject, f;
	addresses at = {0};
	bool known = binary_func_find(b, "runtime.newobject", &newobject, 1) == 1;

	references(b, true, t->rtype, &at);
	for (size_t k = 0; known && k < at.len; k++) {
		known = binary_func_at(b, at.data[k], &f);
		if (!known || named(&f, beside) || gives_to(b, &f, at.data[k], newobject.entry))
			continue;
		if (!ret->len || ret->data[ret->len - 1] != f.entry) /* in the order of code */
			vec_push(ret, f.entry);
	}
	vec_done(&at);
	return known;
}

/* t and the types of its layout: which words are pointers is there once for all of them. */
static void of_layout(struct binary *b, const struct type *t, type_list *ret)
{
	const uint8_t *gcdata = image_at(&b->img, t->rtype + RTYPE_GCDATA, 8);
	addresses at = {0};

	vec_push(ret, t);
	if (gcdata && u64_at(gcdata))
		references(b, false, u64_at(gcdata), &at);
	for (size_t k = 0; k < at.len; k++) {
		const struct type *of = NULL;

		if (at.data[k] >= b->md.types + RTYPE_GCDATA && at.data[k] < b->md.etypes)
			of = binary_type_at(b, at.data[k] - RTYPE_GCDATA);
		if (of && of != t && of->size == t->size)
			vec_push(ret, of);
	}
	vec_done(&at);
}

/* ---- who runs ---- */

#define CALLERS_DEEP 4 /* so far up, and no further, is looked for somebody who runs */
#define CALLERS_MAX 8  /* of one function; with more it is taken to run */

/* A function that is asked about, and who asked. */
struct asked {
	uint64_t entry;
	const struct asked *by;
	unsigned depth;
};

static bool is_asked(const struct asked *a, uint64_t entry)
{
	while (a && a->entry != entry)
		a = a->by;
	return a;
}

/* Whether data refer to the function, or code that runs: not it, nor what only runs if it does. */
static bool is_live(struct binary *b, const struct asked *a)
{
	addresses at = {0};
	struct func f;
	bool live;

	references(b, false, a->entry, &at);
	live = at.len;
	if (!live)
		references(b, true, a->entry, &at);
	for (size_t k = 0, callers = 0; !live && k < at.len; k++) {
		live = !binary_func_at(b, at.data[k], &f);
		if (live || is_asked(a, f.entry))
			continue;
		live = ++callers > CALLERS_MAX || a->depth == CALLERS_DEEP ||
		       is_live(b, &(struct asked){f.entry, a, a->depth + 1});
	}
	vec_done(&at);
	return live;
}

static bool any_live(struct binary *b, const addresses *copiers, struct func *ret)
{
	for (size_t k = 0; k < copiers->len; k++)
		if (is_live(b, &(struct asked){.entry = copiers->data[k]}))
			return binary_func_at(b, copiers->data[k], ret);
	return false;
}

bool binary_may_copy(struct binary *b, const struct type *t, const char *const *beside, struct func *ret_by)
{
	bool may = !t->rtype || !b->img.arch->refers_by_distance;
	addresses copiers = {0};
	type_list types = {0};
	struct func by = {0};

	if (!may)
		of_layout(b, t, &types);
	for (size_t k = 0; k < types.len && !may; k++)
		may = is_part(b, types.data[k]) || !find_copiers(b, types.data[k], beside, &copiers);
	may = may || any_live(b, &copiers, &by);
	vec_done(&copiers);
	vec_done(&types);
	*ret_by = by;
	return may;
}

bool binary_may_run(struct binary *b, const struct func *f)
{
	return !b->img.arch->refers_by_distance || is_live(b, &(struct asked){.entry = f->entry});
}
