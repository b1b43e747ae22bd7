/*
 * runtime.firstmoduledata: the linker's table of where everything is. Its fields move from release
 * to release (covctrs came in, gofunc and typelinks moved, typedesclen came between types and
 * etypes), so only the head is taken by position, the rest by content:
 *
 *   head     the one word that points to the pclntab header and is followed by the header's
 *            sub-tables as slices: funcnametab, cutab, filetab, pctab, pclntable, ftab (nfunc + 1)
 *   text     the word under which the first and the last entry of ftab give two adjacent words
 *            (minpc, maxpc)
 *   types    the word w, followed by etypes, under which the names of pointer descriptors decode
 * and begin with a star. The right word gives all of them, any other next to none. gofunc   the
 * word under which the argument bitmaps and argument shapes of all sampled functions parse
 *
 * Source: runtime/symtab.go (moduledata), cmd/link/internal/ld/symtab.go (what the linker writes).
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "binary/internal.h"

#define HEAD_WORDS 19 /* the header pointer and six slices */
#define WORDS_MAX  80 /* moduledata is 70 words or so */

struct words {
	const uint8_t *p;
	size_t n;
};

static uint64_t word(const struct words *w, size_t i)
{
	return i < w->n ? u64_at(w->p + i * 8) : 0;
}

/* ---- head and text ---- */

static bool is_head(const struct words *w, const struct pclntab_header *h)
{
	for (size_t i = 0; i < 5; i++)
		if (word(w, 1 + i * 3) != h->addr + h->offsets[i] ||
		    word(w, 2 + i * 3) > word(w, 3 + i * 3))
			return false;
	return word(w, 16) == word(w, 13) && word(w, 17) == h->nfunc + 1;
}

static bool find_head(const struct image *img, const struct pclntab_header *h, bool writable,
		      struct words *ret, uint64_t *ret_addr)
{
	for (size_t i = 0; i < img->nsegments; i++) {
		const struct image_segment *s = &img->segments[i];
		const uint8_t *p = img->data + s->offset;
		uint64_t off = -s->vaddr & 7;

		if (writable != !!(s->flags & PF_W))
			continue;
		for (; off + HEAD_WORDS * 8 <= s->filesz; off += 8) {
			struct words w = {p + off, MIN(WORDS_MAX, (s->filesz - off) / 8)};

			if (word(&w, 0) != h->addr || !is_head(&w, h))
				continue;
			*ret = w;
			*ret_addr = s->vaddr + off;
			return true;
		}
	}
	return false;
}

static bool is_code(const struct image *img, uint64_t addr)
{
	const struct image_segment *s = image_segment(img, addr);

	return s && (s->flags & PF_X);
}

static int find_text(const struct image *img, const struct words *w, const struct pclntab *p,
		     struct moduledata *ret)
{
	uint32_t first = u32_at(p->ftab), last = u32_at(p->ftab + p->nfunc * 8);

	for (size_t i = HEAD_WORDS; i + 2 < w->n; i++) {
		uint64_t minpc = word(w, i), maxpc = word(w, i + 1);

		if (minpc >= maxpc || maxpc - minpc != last - first || !is_code(img, minpc))
			continue;
		for (size_t k = i + 2; k < w->n; k++) {
			if (word(w, k) + first != minpc || !is_code(img, word(w, k)))
				continue;
			ret->text = word(w, k);
			ret->etext = MAX(word(w, k + 1), maxpc);
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- types ---- */

/*
 * Whether the 48 bytes at p look like the descriptor of an unnamed pointer type; *ret_str is the
 * offset of its name. (abi.Type: size, ptrdata, hash, tflag, align, fieldAlign, kind, equal,
 * gcdata, str, ptrToThis; bits 5 to 7 of kind are flags in older releases.)
 */
static bool is_pointer_descriptor(const uint8_t *p, uint32_t *ret_str)
{
	if (p[21] != 8 || p[22] != 8 || (p[23] & 31) != KIND_POINTER || (p[20] & 4) ||
	    u64_at(p) != 8 || u64_at(p + 8) != 8)
		return false;
	*ret_str = u32_at(p + 40);
	return true;
}

/* Whether the name at p (flags, varint length, text) is that of a pointer type. */
static bool is_star_name(const uint8_t *p, uint64_t n)
{
	return n > 3 && p[0] < 16 && p[1] > 1 && (p[1] & 0x80 ? p[3] : p[2]) == '*';
}

struct tally {
	size_t good, bad;
};

static void tally_names(const uint8_t *base, uint64_t size, uint64_t from, uint64_t to,
			struct tally *t)
{
	for (uint64_t off = from; off + 56 <= to; off += 8) {
		uint32_t str;

		if (!is_pointer_descriptor(base + off, &str))
			continue;
		if (str < size && is_star_name(base + str, size - str))
			t->good++;
		else
			t->bad++;
	}
}

/* Samples up to 64 stretches of 16 KiB of [types, etypes). */
static bool try_types(const struct image *img, uint64_t types, uint64_t etypes, struct tally *ret)
{
	enum { STRETCHES = 64, STRETCH = 16384 };
	const uint8_t *base;
	uint64_t size, step;

	if (types >= etypes || is_code(img, types))
		return false;
	size = etypes - types;
	base = image_at(img, types, size);
	if (!base)
		return false;
	step = MAX(size / STRETCHES, STRETCH) & ~7u;
	*ret = (struct tally){0};
	for (uint64_t from = -types & 7; from < size; from += step)
		tally_names(base, size, from, MIN(from + STRETCH, size), ret);
	return ret->good && ret->bad * 50 <= ret->good;
}

static void find_types(const struct image *img, const struct words *w, struct moduledata *ret)
{
	size_t best = 0;

	for (size_t i = HEAD_WORDS; i + 1 < w->n; i++) {
		for (size_t k = i + 1; k <= i + 2; k++) {
			struct tally t;

			if (word(w, i) == ret->types || !try_types(img, word(w, i), word(w, k), &t))
				continue;
			if (t.good > best) {
				best = t.good;
				ret->types = word(w, i);
				ret->etypes = word(w, k);
			}
			break;
		}
	}
}

/* ---- gofunc ---- */

/* FUNCDATA_ArgsPointerMaps: i32 count, i32 bits, then count bitmaps. */
static bool is_pointer_map(const struct image *img, uint64_t addr)
{
	uint32_t n, bits;

	return image_u32(img, addr, &n) && image_u32(img, addr + 4, &bits) && n > 0 &&
	       n < 1u << 20 && bits < 1u << 20 &&
	       image_at(img, addr, 8 + (uint64_t)n * ((bits + 7) / 8));
}

/* FUNCDATA_ArgInfo: (offset, size) pairs, 0xfd/0xfe/0xfc/0xfb marks, 0xff at the end. */
static bool is_arg_info(const struct image *img, uint64_t addr)
{
	const uint8_t *p = image_at(img, addr, 1);
	uint64_t n = MIN(image_extent(img, addr), 256);
	int depth = 0;

	for (uint64_t i = 0; p && i < n; i++) {
		if (p[i] == 0xff)
			return depth == 0;
		if (p[i] == 0xfe)
			depth++;
		else if (p[i] == 0xfd && depth-- == 0)
			return false;
		else if (p[i] < 0xfb && (++i == n || p[i] > 128))
			return false;
	}
	return false;
}

static bool try_gofunc(const struct image *img, const struct binary *b)
{
	enum { SAMPLES = 512 };
	uint64_t step = MAX(b->pcln.nfunc / SAMPLES, 1);
	size_t good = 0;

	for (uint64_t i = 0; i < b->pcln.nfunc; i += step) {
		struct func f = {.index = (uint32_t)i};
		uint64_t map = binary_funcdata(b, &f, 0), info = binary_funcdata(b, &f, 5);

		if ((map && !is_pointer_map(img, map)) || (info && !is_arg_info(img, info)))
			return false;
		good += map || info;
	}
	return good;
}

static uint64_t find_gofunc(const struct image *img, const struct words *w, const struct pclntab *p)
{
	struct binary b = {.pcln = *p};

	for (size_t i = HEAD_WORDS; i < w->n; i++) {
		b.pcln.gofunc = word(w, i);
		if (image_extent(img, b.pcln.gofunc) && !is_code(img, b.pcln.gofunc) &&
		    try_gofunc(img, &b))
			return b.pcln.gofunc;
	}
	return 0;
}

int moduledata_open(const struct image *img, const struct pclntab_header *h, struct moduledata *ret,
		    struct pclntab *ret_pcln)
{
	struct moduledata md = {0};
	struct pclntab p;
	struct words w;

	if (!find_head(img, h, true, &w, &md.addr) && !find_head(img, h, false, &w, &md.addr))
		return -ENOENT;
	/* All lengths are in bytes but that of cutab, which counts words. */
	uint64_t lens[5] = {word(&w, 2), word(&w, 5), word(&w, 8), word(&w, 11), word(&w, 14)};
	if (__builtin_mul_overflow(lens[1], 4, &lens[1]) || pclntab_open(img, h, lens, &p) < 0 ||
	    find_text(img, &w, &p, &md) < 0)
		return -ENOENT;
	p.text = md.text;
	find_types(img, &w, &md);
	p.gofunc = find_gofunc(img, &w, &p);
	pclntab_find_wrapper_id(&p);
	*ret = md;
	*ret_pcln = p;
	return 0;
}
