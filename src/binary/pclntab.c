/*
 * pclntab: Go's table of functions, present in every Go binary because the runtime unwinds with it.
 *
 * Header (64-bit): u32 magic, 00 00, u8 minimal instruction size (arch.pc_unit), u8 pointer size (8), then
 * words: nfunc, nfiles, textStart (0 since it would need a relocation), and the offsets of the
 * sub-tables from the header: function names, compilation units, files, pc-value tables, functions.
 * Magic 0xfffffff0 goes with _func records of 40 bytes, 0xfffffff1 with 44 (startLine came in); the
 * formats before these keep absolute pointers and are refused. Sources: runtime/symtab.go
 * (pcHeader, step, funcdata), runtime/runtime2.go (_func), internal/abi/symtab.go,
 * cmd/link/internal/ld/pcln.go.
 *
 * The function table is nfunc + 1 pairs (entry - text, offset of the _func record), ascending. A
 * record: entryOff nameOff args deferreturn pcsp pcfile pcln npcdata cuOffset [startLine] (4 bytes
 * each), funcID flag pad nfuncdata (1 each), then npcdata offsets of pc-value tables and nfuncdata
 * offsets from moduledata.gofunc (~0: none).
 *
 * A pc-value table is a run of (zig-zag value delta, pc delta) varints that starts from value -1 at
 * the function's entry and ends at a zero value delta; pc deltas count minimal instructions. The
 * entry of the next function includes padding; the last pc of the pcsp table does not, so that is
 * where a function ends.
 *
 * funcIDs are renumbered from release to release. All but one belong to single runtime functions,
 * so the one that many functions share is that of the compiler's wrappers.
 *
 * Function names of generic instances carry their type arguments in brackets ("[...]" or shape
 * names), and the linker writes dots in the last element of an import path as %2e; look-ups see
 * through both.
 */
#include <errno.h>
#include <string.h>

#include "binary/arch.h"
#include "binary/internal.h"

#define HEADER_SIZE   72
#define MAGIC_FAMILY  0x08000000fffffff1u /* magic, 00 00 00 08; bit 0 tells the two apart */
#define MAGIC_1_2     0x08000000fffffffbu
#define MAGIC_1_16    0x08000000fffffffau
#define PC_UNIT       6
#define ANY_PC_UNIT   (0xffull << (8 * PC_UNIT))
#define FUNC_NAMEOFF  4
#define FUNC_ARGS     8
#define FUNC_PCSP     16
#define FUNC_PCFILE   20
#define FUNC_PCLN     24
#define FUNC_NPCDATA  28
#define FUNC_CUOFFSET 32
#define FLAG_SPWRITE  2
#define FLAG_ASM      4

/* ---- finding and opening ---- */

static bool is_magic(uint64_t word)
{
	return ((word & ~ANY_PC_UNIT) | 1) == MAGIC_FAMILY;
}

static bool is_old_magic(uint64_t word)
{
	word &= ~ANY_PC_UNIT;
	return word == MAGIC_1_2 || word == MAGIC_1_16;
}

static bool header_at(const struct image *img, uint64_t addr, struct pclntab_header *ret)
{
	const uint8_t *p = addr % 8 ? NULL : image_at(img, addr, HEADER_SIZE);
	struct pclntab_header h = {.addr = addr};
	uint64_t extent = image_extent(img, addr), last = HEADER_SIZE - 1;

	if (!p || !is_magic(u64_at(p)) || p[PC_UNIT] != img->arch->pc_unit)
		return false;
	h.func_size = p[0] & 1 ? 44 : 40;
	h.nfunc = u64_at(p + 8);
	for (size_t i = 0; i < 5; i++) {
		h.offsets[i] = u64_at(p + 32 + i * 8);
		if (h.offsets[i] <= last || h.offsets[i] >= extent)
			return false;
		last = h.offsets[i];
	}
	if (!h.nfunc || h.nfunc >= (extent - last) / 8)
		return false;
	*ret = h;
	return true;
}

/* The first address from *pos on, in all segments laid end to end, where one of the words stands.
 */
static bool scan_words(const struct image *img, uint64_t *pos, bool (*match)(uint64_t),
		       uint64_t *ret)
{
	uint64_t base = 0;

	for (size_t i = 0; i < img->nsegments; base += img->segments[i++].filesz) {
		const struct image_segment *s = &img->segments[i];
		const uint8_t *p = img->data + s->offset;
		uint64_t off = *pos > base ? *pos - base : 0;

		for (off += -(s->vaddr + off) & 7; off + 8 <= s->filesz; off += 8) {
			if (!match(u64_at(p + off)))
				continue;
			*pos = base + off + 8;
			*ret = s->vaddr + off;
			return true;
		}
	}
	*pos = base;
	return false;
}

bool pclntab_next(const struct image *img, uint64_t *pos, struct pclntab_header *ret)
{
	static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};
	struct section s;
	uint64_t addr;

	if (*pos == 0) {
		*pos = 1;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (image_section(img, names[i], &s) && header_at(img, s.addr, ret))
				return true;
	}
	while (scan_words(img, pos, is_magic, &addr))
		if (header_at(img, addr, ret))
			return true;
	return false;
}

int pclntab_missing(const struct image *img, const char *name, struct err *err)
{
	uint64_t pos = 0, addr;

	if (memmem(img->data, MIN(img->size, 4096), "UPX!", 4) ||
	    memmem(img->data + img->size - MIN(img->size, 128), MIN(img->size, 128), "UPX!", 4))
		return err_set(
			err, -ENOEXEC,
			"%s is packed with UPX: unpack it (upx -d) or observe an unpacked build",
			name);
	if (scan_words(img, &pos, is_old_magic, &addr))
		return err_set(
			err, -ENOEXEC,
			"%s was built by Go 1.17 or older: Earshot reads the function tables of Go "
			"1.18 and later; rebuild it with a newer Go",
			name);
	if (build_info_find(img))
		return err_set(
			err, -ENOEXEC,
			"%s is a Go program, but its function table (pclntab) or moduledata is "
			"missing, damaged or obfuscated",
			name);
	return err_set(
		err, -ENOEXEC,
		"%s is not a Go program: it holds neither a Go function table nor Go build info",
		name);
}

/* Tables of strings are used up to their last NUL, so that every string in them ends inside. */
static uint64_t trim_strings(const uint8_t *p, uint64_t n)
{
	while (n && p[n - 1])
		n--;
	return n;
}

int pclntab_open(const struct image *img, const struct pclntab_header *h, const uint64_t lens[5],
		 struct pclntab *ret)
{
	struct pclntab p = {.addr = h->addr, .func_size = h->func_size, .pc_unit = img->arch->pc_unit,
			    .nfunc = h->nfunc};
	const uint8_t **tables[] = {&p.names, &p.cus, &p.files, &p.pcs, &p.funcs};
	uint64_t *sizes[] = {&p.names_len, &p.cus_len, &p.files_len, &p.pcs_len, &p.funcs_len};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		*tables[i] = image_at(img, h->addr + h->offsets[i], lens[i]);
		*sizes[i] = lens[i];
		if (!*tables[i])
			return -ENOEXEC;
	}
	p.names_len = trim_strings(p.names, p.names_len);
	p.files_len = trim_strings(p.files, p.files_len);
	if (!p.names_len || p.funcs_len < h->nfunc * 8 + 4)
		return -ENOEXEC;
	p.ftab = p.funcs;
	*ret = p;
	return 0;
}

/* ---- records ---- */

static uint64_t func_entry(const struct pclntab *p, size_t i)
{
	return p->text + u32_at(p->ftab + i * 8);
}

/* The i-th record, NULL when it does not lie in the table. */
static const uint8_t *func_record(const struct pclntab *p, size_t i)
{
	uint32_t off = u32_at(p->ftab + i * 8 + 4);

	return off <= p->funcs_len && p->funcs_len - off >= p->func_size ? p->funcs + off : NULL;
}

static const char *record_name(const struct pclntab *p, const uint8_t *record)
{
	uint32_t off = record ? u32_at(record + FUNC_NAMEOFF) : UINT32_MAX;

	return off < p->names_len ? (const char *)p->names + off : NULL;
}

void pclntab_find_wrapper_id(struct pclntab *p)
{
	enum { WINDOWS = 16, RUN = 128 };
	unsigned count[256] = {0};
	size_t best = 1;

	for (size_t w = 0; w < WINDOWS; w++) {
		size_t start = p->nfunc / WINDOWS * w;

		for (size_t i = start; i < MIN(start + RUN, p->nfunc); i++) {
			const uint8_t *r = func_record(p, i);

			if (r)
				count[r[p->func_size - 4]]++;
		}
	}
	for (size_t id = 2; id < ARRAY_SIZE(count); id++)
		if (count[id] > count[best])
			best = id;
	p->wrapper_id = count[best] >= 3 ? (uint8_t)best : 0;
}

/* ---- pc-value tables ---- */

static bool read_varint(const struct pclntab *p, uint64_t *pos, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned shift = 0; shift < 35 && *pos < p->pcs_len; shift += 7) {
		uint8_t byte = p->pcs[(*pos)++];

		v |= (uint32_t)(byte & 0x7f) << (shift & 31);
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool walk_next(const struct pclntab *p, struct pc_walk *w, struct pc_range *ret)
{
	uint32_t delta, step;

	if (!w->started) {
		w->pos = w->table;
		w->value = -1;
	}
	if (!w->table || !read_varint(p, &w->pos, &delta) || (w->started && !delta) ||
	    !read_varint(p, &w->pos, &step) || !step)
		return false;
	w->started = true;
	w->value = (int32_t)((uint32_t)w->value + (-(delta & 1) ^ (delta >> 1)));
	*ret = (struct pc_range){w->pc, w->pc + (uint64_t)step * p->pc_unit, w->value};
	w->pc = ret->end;
	return true;
}

bool pc_walk_next(const struct binary *b, struct pc_walk *w, struct pc_range *ret)
{
	return walk_next(&b->pcln, w, ret);
}

static bool pc_value(const struct pclntab *p, uint32_t table, uint64_t entry, uint64_t pc,
		     int32_t *ret)
{
	struct pc_walk w = {.table = table, .pc = entry};
	struct pc_range r;

	while (walk_next(p, &w, &r)) {
		if (pc >= r.end)
			continue;
		*ret = r.value;
		return true;
	}
	return false;
}

/* ---- functions ---- */

size_t binary_func_count(const struct binary *b)
{
	return b->pcln.nfunc;
}

static uint32_t record_flags(const struct pclntab *p, const uint8_t *r)
{
	const uint8_t *tail = r + p->func_size - 4; /* funcID, flag, pad, nfuncdata */
	uint32_t flags = 0;

	flags |= tail[1] & FLAG_ASM ? FUNC_ASM : 0;
	flags |= tail[1] & FLAG_SPWRITE ? FUNC_SPWRITE : 0;
	flags |= p->wrapper_id && tail[0] == p->wrapper_id ? FUNC_WRAPPER : 0;
	flags |= !tail[3] && !u32_at(r + FUNC_NPCDATA) ? FUNC_NO_FUNCDATA : 0;
	return flags;
}

/* A name as people read it. Few need a copy, which is made once. */
static const char *readable(const struct binary *b, const char *name)
{
	const char *copy;

	if (!strchr(name, '%'))
		return name;
	copy = map_get(&b->names->by_address, (uint64_t)(uintptr_t)name);
	if (!copy) {
		copy = func_name_unescape(&b->names->arena, name, strlen(name));
		map_set(&b->names->by_address, (uint64_t)(uintptr_t)name, (void *)copy);
	}
	return copy;
}

bool binary_func(const struct binary *b, size_t i, struct func *ret)
{
	const struct pclntab *p = &b->pcln;
	const uint8_t *r = i < p->nfunc ? func_record(p, i) : NULL;
	struct func f = {.symbol = record_name(p, r), .index = (uint32_t)i};
	struct pc_walk w = {0};
	struct pc_range range;
	uint64_t next;

	if (!f.symbol)
		return false;
	f.name = readable(b, f.symbol);
	f.entry = func_entry(p, i);
	next = func_entry(p, i + 1);
	if (u32_at(r) != u32_at(p->ftab + i * 8) || next < f.entry)
		return false;
	f.flags = record_flags(p, r);
	w.table = u32_at(r + FUNC_PCSP);
	w.pc = f.end = f.entry;
	while (f.end < next && walk_next(p, &w, &range)) {
		f.end = range.end;
		f.frame_size = MAX(f.frame_size, range.value);
	}
	if (f.end == f.entry || f.end > next)
		f.end = next;
	*ret = f;
	return true;
}

static bool func_index_at(const struct pclntab *p, uint64_t pc, size_t *ret)
{
	size_t lo = 0, hi = p->nfunc;

	if (pc < func_entry(p, 0) || pc >= func_entry(p, p->nfunc))
		return false;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (func_entry(p, mid) <= pc)
			lo = mid;
		else
			hi = mid;
	}
	*ret = lo;
	return true;
}

bool binary_func_at(const struct binary *b, uint64_t pc, struct func *ret)
{
	struct func f;
	size_t i;

	if (!func_index_at(&b->pcln, pc, &i) || !binary_func(b, i, &f) || pc < f.entry ||
	    pc >= f.end)
		return false;
	*ret = f;
	return true;
}

/* ---- names ---- */

/* The character at p, which may be written as %2e, and what follows it. */
static char func_name_char(const char **ret_next, const char *p)
{
	int c;

	if (*p == '%' && (c = func_name_escaped(p)) > 0) {
		*ret_next = p + 3;
		return (char)c;
	}
	*ret_next = *p ? p + 1 : p;
	return *p;
}

/*
 * The next character of a name as look-ups see it: 0 at the end; what is in brackets is left out,
 * %2e is a dot.
 */
char func_name_next(const char **s)
{
	const char *p = *s;

	if (*p == '[') {
		unsigned depth = 0;

		do {
			depth += *p == '[';
			depth -= *p == ']';
			p++;
		} while (depth && *p);
	}
	return func_name_char(s, p);
}

bool func_name_equal(const char *have, const char *asked)
{
	const char *bracket = strchr(asked, '[');
	char c;

	if (bracket && strncmp(bracket, "[...]", 5) != 0)
		return !strcmp(have, asked);
	do {
		c = func_name_next(&have);
		if (c != func_name_next(&asked))
			return false;
	} while (c);
	return true;
}

/*
 * A filter ahead of func_name_equal: names that differ in their last three characters differ. Names that
 * are too short or end in a bracket say nothing (TAIL_ANY). No escape reaches into these three.
 */
#define TAIL_ANY  0
#define TAIL_BITS 16
static uint32_t name_tail(const char *s)
{
	size_t n = strlen(s);
	uint32_t h;

	if (n < 4 || s[n - 1] == ']' || s[n - 2] == ']' || s[n - 3] == ']')
		return TAIL_ANY;
	h = (uint8_t)s[n - 1] | (uint32_t)(uint8_t)s[n - 2] << 8 |
	    (uint32_t)(uint8_t)s[n - 3] << 16;
	return MAX((h * 0x9e3779b1u) >> (32 - TAIL_BITS), 1);
}

/* Which of a pair to prefer: the ABIInternal body, then the wrapper around assembly, then that. */
static int name_rank(const struct pclntab *p, size_t i)
{
	uint32_t flags = record_flags(p, func_record(p, i));

	return flags & FUNC_ASM ? 0 : flags & FUNC_WRAPPER ? 1 : 2;
}

struct finder {
	const char *const *names;
	int64_t *found;
	size_t heads[1 << TAIL_BITS]; /* by tail: index of the first name + 1; chain leads on */
};

static void finder_try(struct finder *f, const struct pclntab *p, size_t i, const char *have,
		       size_t k)
{
	int64_t *found = &f->found[k];

	if (func_name_equal(have, f->names[k]) &&
	    (*found < 0 || name_rank(p, (size_t)*found) < name_rank(p, i)))
		*found = (int64_t)i;
}

void binary_func_find_all(const struct binary *b, const char *const *names, size_t n, int64_t *ret)
{
	const struct pclntab *p = &b->pcln;
	_cleanup_(cleanup_free) struct finder *f = xcalloc(1, sizeof(*f));
	_cleanup_(cleanup_free) size_t *chain = xcalloc(n, sizeof(*chain));

	f->names = names;
	f->found = ret;
	for (size_t k = 0; k < n; k++) {
		uint32_t tail = name_tail(names[k]);

		ret[k] = -1;
		chain[k] = f->heads[tail];
		f->heads[tail] = k + 1;
	}
	for (size_t i = 0; i < p->nfunc; i++) {
		const char *name = record_name(p, func_record(p, i));
		uint32_t tail;

		if (!name)
			continue;
		tail = name_tail(name);
		if (tail == TAIL_ANY) {
			for (size_t k = 0; k < n; k++)
				finder_try(f, p, i, name, k);
			continue;
		}
		for (size_t k = f->heads[tail]; k; k = chain[k - 1])
			finder_try(f, p, i, name, k - 1);
		for (size_t k = f->heads[TAIL_ANY]; k; k = chain[k - 1])
			finder_try(f, p, i, name, k - 1);
	}
	image_trim(&b->img);
}

size_t binary_func_find(const struct binary *b, const char *name, struct func *ret, size_t max)
{
	const struct pclntab *p = &b->pcln;
	uint32_t tail = name_tail(name);
	size_t n = 0;

	for (size_t i = 0; i < p->nfunc; i++) {
		const char *have = record_name(p, func_record(p, i));
		uint32_t t = have ? name_tail(have) : TAIL_ANY;
		struct func f;

		if (!have || (t != tail && t != TAIL_ANY && tail != TAIL_ANY) ||
		    !func_name_equal(have, name) || !binary_func(b, i, &f))
			continue;
		if (n < max)
			ret[n] = f;
		n++;
	}
	return n;
}

/* An import path as function names have it: dots of the last element escaped, then the dot. */
static char *package_prefix(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t keep = slash ? (size_t)(slash - path) : 0;
	char *out = xmalloc(strlen(path) * 3 + 2), *o = out;

	for (const char *s = path; *s; s++) {
		if (*s == '.' && slash && (size_t)(s - path) > keep)
			o = memcpy(o, "%2e", 3), o += 3;
		else
			*o++ = *s;
	}
	*o++ = '.';
	*o = 0;
	return out;
}

bool binary_has_package(const struct binary *b, const char *import_path)
{
	_cleanup_(cleanup_free) char *prefix = package_prefix(import_path);
	const uint8_t *at = b->pcln.names, *end = at + b->pcln.names_len;
	size_t n = strlen(prefix);

	for (; (at = memmem(at, (size_t)(end - at), prefix, n)); at++)
		if (at == b->pcln.names || at[-1] == 0)
			return true;
	return false;
}

/* ---- what hangs off a function ---- */

static const uint8_t *record_of(const struct binary *b, const struct func *f)
{
	return f->index < b->pcln.nfunc ? func_record(&b->pcln, f->index) : NULL;
}

/* The i-th of the words after the record; pcdata come first, then funcdata. */
static bool record_word(const struct pclntab *p, const uint8_t *r, uint64_t i, uint32_t *ret)
{
	uint64_t off = (uint64_t)(r - p->funcs) + p->func_size + i * 4;

	if (i > UINT32_MAX || off + 4 > p->funcs_len)
		return false;
	*ret = u32_at(p->funcs + off);
	return true;
}

uint64_t binary_funcdata(const struct binary *b, const struct func *f, unsigned i)
{
	const struct pclntab *p = &b->pcln;
	const uint8_t *r = record_of(b, f);
	uint32_t off;

	if (!r || !p->gofunc || i >= r[p->func_size - 1] ||
	    !record_word(p, r, (uint64_t)u32_at(r + FUNC_NPCDATA) + i, &off) || off == UINT32_MAX)
		return 0;
	return p->gofunc + off;
}

bool func_pcdata(const struct binary *b, const struct func *f, unsigned i, uint64_t pc,
		 int32_t *ret)
{
	return pc_value(&b->pcln, func_pcdata_table(b, f, i), f->entry, pc, ret);
}

uint32_t func_pcdata_table(const struct binary *b, const struct func *f, unsigned i)
{
	const uint8_t *r = record_of(b, f);
	uint32_t table = 0;

	return r && i < u32_at(r + FUNC_NPCDATA) && record_word(&b->pcln, r, i, &table) ? table : 0;
}

uint32_t func_pcsp(const struct binary *b, const struct func *f)
{
	const uint8_t *r = record_of(b, f);

	return r ? u32_at(r + FUNC_PCSP) : 0;
}

bool func_sp_delta(const struct binary *b, const struct func *f, uint64_t pc, int32_t *ret)
{
	return pc_value(&b->pcln, func_pcsp(b, f), f->entry, pc, ret);
}

bool func_args_size(const struct binary *b, const struct func *f, int32_t *ret)
{
	const uint8_t *r = record_of(b, f);

	if (!r || u32_at(r + FUNC_ARGS) == 0x80000000u)
		return false;
	*ret = (int32_t)u32_at(r + FUNC_ARGS);
	return true;
}

bool binary_pc_line(const struct binary *b, uint64_t pc, const char **ret_file, int *ret_line)
{
	const struct pclntab *p = &b->pcln;
	int32_t file, line;
	const uint8_t *r;
	uint64_t entry, cu;
	size_t i;

	if (!func_index_at(p, pc, &i) || !(r = func_record(p, i)))
		return false;
	entry = func_entry(p, i);
	if (!pc_value(p, u32_at(r + FUNC_PCFILE), entry, pc, &file) ||
	    !pc_value(p, u32_at(r + FUNC_PCLN), entry, pc, &line) || file < 0 || line < 0)
		return false;
	cu = ((uint64_t)u32_at(r + FUNC_CUOFFSET) + (uint32_t)file) * 4;
	if (cu + 4 > p->cus_len || u32_at(p->cus + cu) >= p->files_len)
		return false;
	*ret_file = (const char *)p->files + u32_at(p->cus + cu);
	*ret_line = line;
	return true;
}
