/*
 * What the compiler leaves about arguments for tracebacks and the garbage collector.
 *
 * ArgInfo (FUNCDATA 5; cmd/compile/internal/ssagen: EmitArgInfo, read by runtime.printArgs) is a
 * string of bytes: an (offset, size) pair for each word-sized component of each parameter in order,
 * receiver included, and operators: 0xfe { 0xfd } around the components of an aggregate, 0xfc "…"
 * more follow, 0xfb a component too far to be listed, 0xff the end. At most ten components, at most
 * five levels. Offsets count from the first stack argument (arch.stack_args from SP at entry); register arguments
 * are listed at the place in the caller's frame where morestack would save them. Functions without
 * parameters have none.
 *
 * ArgsPointerMaps (FUNCDATA 0): u32 number of bitmaps, u32 bits in each, bitmaps of whole bytes.
 * The first is the one at function entry; one bit a word of the same area.
 */
#include <string.h>

#include "binary/insn.h"
#include "binary/internal.h"

enum { FUNCDATA_ARGS_POINTER_MAPS = 0, FUNCDATA_ARG_INFO = 5 };
enum { OP_SPECIAL = 0xf0, OP_TOO_LARGE = 0xfb, OP_DOTS, OP_CLOSE, OP_OPEN, OP_END };

#define ARGINFO_BLOB_MAX 256
#define DEPTH_MAX        6

struct parse {
	struct arginfo *a;
	unsigned depth;
};

static struct arg_item *item_begin(struct parse *s)
{
	struct arg_item *it;

	if (s->depth)
		return &s->a->items[s->a->nitems - 1];
	if (s->a->nitems == ARGINFO_MAX)
		return NULL;
	it = &s->a->items[s->a->nitems++];
	*it = (struct arg_item){.first = (uint8_t)s->a->ncomponents};
	return it;
}

static bool add_component(struct parse *s, uint8_t offset, uint8_t size)
{
	struct arg_item *it = item_begin(s);

	if (!it || s->a->ncomponents == ARGINFO_MAX)
		return false;
	s->a->components[s->a->ncomponents++] = (struct arg_component){offset, size};
	it->n++;
	return true;
}

static bool operator(struct parse *s, uint8_t op)
{
	struct arg_item *it;

	switch (op) {
	case OP_OPEN:
		it = item_begin(s);
		if (!it || s->depth == DEPTH_MAX)
			return false;
		it->aggregate = true;
		s->depth++;
		return true;
	case OP_CLOSE:
		return s->depth-- > 0;
	case OP_DOTS:
		if (s->depth)
			s->a->items[s->a->nitems - 1].cut = true;
		else
			s->a->cut = true;
		return true;
	case OP_TOO_LARGE:
		it = item_begin(s);
		if (it)
			it->cut = true;
		return it;
	default:
		return false;
	}
}

bool arginfo_parse(const unsigned char *p, size_t size, struct arginfo *ret)
{
	struct arginfo a = {0};
	struct parse s = {.a = &a};

	for (size_t i = 0; i < size; i++) {
		if (p[i] == OP_END && s.depth)
			return false;
		if (p[i] == OP_END) {
			*ret = a;
			return true;
		}
		if (p[i] >= OP_SPECIAL) {
			if (!operator(&s, p[i]))
				return false;
		} else if (i + 1 == size || !add_component(&s, p[i], p[i + 1])) {
			return false;
		} else {
			i++;
		}
	}
	return false;
}

bool func_arginfo(const struct binary *b, const struct func *f, struct arginfo *ret)
{
	uint64_t addr = binary_funcdata(b, f, FUNCDATA_ARG_INFO);
	uint64_t n = addr ? MIN(image_extent(&b->img, addr), (uint64_t)ARGINFO_BLOB_MAX) : 0;
	const void *p = n ? image_at(&b->img, addr, n) : NULL;

	return p && arginfo_parse(p, n, ret);
}

bool func_ptrmap(const struct binary *b, const struct func *f, struct ptrmap *ret)
{
	uint64_t addr = binary_funcdata(b, f, FUNCDATA_ARGS_POINTER_MAPS);
	struct ptrmap m;
	uint32_t maps;

	if (!addr || !image_u32(&b->img, addr, &maps) || !image_u32(&b->img, addr + 4, &m.nbits))
		return false;
	if (!maps || m.nbits > 1u << 20)
		return false;
	m.bits = image_at(&b->img, addr + 8, (m.nbits + 7) / 8);
	if (m.nbits && !m.bits)
		return false;
	*ret = m;
	return true;
}

bool ptrmap_get(const struct ptrmap *m, uint32_t offset)
{
	uint32_t bit = offset / 8;

	return bit < m->nbits && (m->bits[bit / 8] >> bit % 8 & 1);
}
