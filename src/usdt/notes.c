/*
 * A note (systemtap's <sys/sdt.h>): owner "stapsdt", type 3, and in the descriptor three words, then three texts that
 * end with a zero:
 *	address of the site, address that .stapsdt.base had, address of the semaphore or 0; provider, name, arguments
 * The section is not loaded and in no PT_NOTE, so that only the section headers tell where it lies.
 */
#include "usdt/notes.h"

#include <elf.h>
#include <errno.h>
#include <fnmatch.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "binary/arch.h"
#include "binary/binary.h"
#include "binary/insn.h"
#include "binary/mapping.h"
#include "usdt/operand.h"

enum { NOTE_TYPE = 3, SEMAPHORE_SIZE = 2, INSTRUCTION_MAX = 15, PAGE_BYTES = 4096,
       SEGMENTS_MAX = 64 /* real files have 2 to 6 */ };

struct symbol_address {
	uint64_t address, size;
	const char *why; /* it is no address that a note can mean */
};

struct reading {
	struct mapping *file;
	Elf *elf;
	struct usdt_notes *notes;
	struct arena *arena;
	VEC(GElf_Phdr) segments;
	VEC(struct usdt_site) sites;
	uint64_t base;         /* address of .stapsdt.base, 0: none */
	struct strmap symbols; /* -> struct symbol_address, made when the first one is asked for */
	bool has_symbols;
	struct binary *go;     /* the functions of a Go program, likewise; NULL where they cannot be read */
	bool asked_go;
};

/* usdt_notes with what it owns. */
struct owned_notes {
	struct usdt_notes notes;
	struct arena arena;
};

/* ---- symbols ---- */

static void add_symbol(struct reading *r, const char *name, const GElf_Sym *sym)
{
	struct symbol_address *known = strmap_get(&r->symbols, name, strlen(name));
	int type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || type == STT_FILE || type == STT_SECTION || !*name)
		return;
	if (known) {
		if (known->address != sym->st_value)
			known->why = "the file has several symbols of that name";
		return;
	}
	known = arena_new(r->arena, struct symbol_address);
	*known = (struct symbol_address){sym->st_value, sym->st_size, NULL};
	if (type == STT_TLS)
		known->why = "its symbol lies in a thread's own memory, which is not supported";
	else if (type == STT_GNU_IFUNC)
		known->why = "its symbol is a function that is chosen when the program starts";
	strmap_set(&r->symbols, arena_strdup(r->arena, name), strlen(name), known);
}

static bool read_symbols(struct reading *r, GElf_Word type)
{
	GElf_Shdr sh;
	GElf_Sym sym;

	for (Elf_Scn *s = NULL; (s = elf_nextscn(r->elf, s));) {
		Elf_Data *data;

		if (!gelf_getshdr(s, &sh) || sh.sh_type != type || !(data = elf_getdata(s, NULL)))
			continue;
		for (int i = 1; gelf_getsym(data, i, &sym); i++) {
			const char *name = elf_strptr(r->elf, sh.sh_link, sym.st_name);

			if (name)
				add_symbol(r, name, &sym);
		}
		return true;
	}
	return false;
}

/*
 * The symbols for linking are asked only where the others were stripped: then a static object that has the name of a
 * linked one cannot be told from it, and none such has been seen.
 */
static bool find_symbol(void *arg, struct text_view name, uint64_t *ret_address, uint64_t *ret_size,
			const char **ret_why)
{
	struct reading *r = arg;
	const struct symbol_address *s;

	if (!r->has_symbols && !read_symbols(r, SHT_SYMTAB))
		read_symbols(r, SHT_DYNSYM);
	r->has_symbols = true;
	s = strmap_get(&r->symbols, name.s, name.len);
	*ret_why = s ? s->why : "the file has no symbol of that name";
	if (*ret_why)
		return false;
	*ret_address = s->address;
	*ret_size = s->size;
	return true;
}

/* ---- where a site is ---- */

/* That offset 0 has the ELF header, which is neither code nor data: it stands for none. */
static const GElf_Phdr *segment_of(const struct reading *r, uint64_t addr, uint64_t n)
{
	for (size_t i = 0; i < r->segments.len; i++) {
		const GElf_Phdr *s = &r->segments.data[i];

		if (addr >= s->p_vaddr && addr - s->p_vaddr < s->p_filesz && n <= s->p_filesz - (addr - s->p_vaddr))
			return s->p_offset + (addr - s->p_vaddr) ? s : NULL;
	}
	return NULL;
}

/* Whether Linux's nop5, any form of it, can be written over in one go. */
static bool in_one_page(uint64_t addr, size_t n)
{
	return addr % PAGE_BYTES + n <= PAGE_BYTES;
}

/* Four prefixes and 0x90: to the decoder it may be a pause or an exchange of registers, to Linux 6.18 each is a nop. */
static bool is_prefixed_nop(const unsigned char *code, size_t size)
{
	static const unsigned char prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
	size_t n = 0;

	while (n < 4 && n < size && (memchr(prefixes, code[n], sizeof(prefixes)) || (code[n] & 0xf0) == 0x40))
		n++;
	return n == 4 && size > n && code[n] == 0x90;
}

static enum usdt_instruction instruction_x86_64(const unsigned char *code, size_t size, uint64_t addr)
{
	struct disasm c = {.arch = arch_of_machine(EM_X86_64), .bytes = code, .addr = addr, .size = size};
	struct insn_effect effect;
	struct insn i = {0};

	if (is_prefixed_nop(code, size) && in_one_page(addr, 5))
		return USDT_NOP5;
	if (!c.arch->decode(&c, 0, &i) || i.kind != INSN_PLAIN || !c.arch->effect(&c, &i, &effect) ||
	    effect.what != EFFECT_NOP)
		return USDT_INSTRUCTION_OTHER;
	if (i.len == 1)
		return USDT_NOP;
	return i.len == 5 && in_one_page(addr, i.len) ? USDT_NOP5 : USDT_NOP_OTHER;
}

static enum usdt_instruction instruction_at(const struct reading *r, const GElf_Phdr *segment, uint64_t addr)
{
	const uint64_t offset = segment->p_offset + (addr - segment->p_vaddr);
	const uint64_t left = r->file->size - offset; /* pages are loaded whole, beyond the segment's end, too */
	const unsigned char *code = r->file->data + offset;

	if (r->notes->machine == EM_X86_64)
		return instruction_x86_64(code, MIN(left, (uint64_t)INSTRUCTION_MAX), addr);
	return left >= 4 && !memcmp(code, "\x1f\x20\x03\xd5", 4) ? USDT_NOP : USDT_INSTRUCTION_OTHER;
}

static const char *why_no_code(const struct reading *r, uint64_t addr)
{
	for (size_t i = 0; i < r->segments.len; i++) {
		const GElf_Phdr *s = &r->segments.data[i];

		if (s->p_flags & PF_X && !s->p_filesz && addr >= s->p_vaddr && addr - s->p_vaddr < s->p_memsz)
			return "its code is in another file: this one has debugging information alone";
	}
	return "its address is in no code of the file";
}

/*
 * Linux 6.18 makes a call of a nop of five bytes under a probe, and that call writes below the stack pointer, where
 * the psABI lets a function that calls none keep data: of a made program 60 of 100 calls had theirs overwritten. Go's
 * functions keep nothing there; C's in a Go program (cgo) may.
 */
static bool may_be_overwritten(struct reading *r, const struct usdt_site *s)
{
	struct func f;

	if (s->instruction != USDT_NOP5)
		return false;
	if (r->notes->is_go && !r->asked_go)
		binary_open_fd(r->file->fd, "", &r->go, NULL);
	r->asked_go = true;
	return !r->go || !binary_func_at(r->go, s->address, &f) || s->address >= f.end;
}

static void locate(struct reading *r, struct usdt_site *s)
{
	const GElf_Phdr *code = segment_of(r, s->address, 1), *word;

	if (!code || !(code->p_flags & PF_X)) {
		s->why = why_no_code(r, s->address);
		return;
	}
	s->file_offset = code->p_offset + (s->address - code->p_vaddr);
	s->instruction = instruction_at(r, code, s->address);
	if (may_be_overwritten(r, s))
		s->why = "a probe on its nop of five bytes makes Linux 6.18 overwrite what the function may keep below "
			 "its stack pointer";
	if (!s->semaphore || s->why)
		return;
	word = segment_of(r, s->semaphore, SEMAPHORE_SIZE);
	if (!word || !(word->p_flags & PF_W))
		s->why = "its semaphore is in no data of the file that the program can write";
	else
		s->semaphore_offset = word->p_offset + (s->semaphore - word->p_vaddr);
}

/* ---- notes ---- */

static bool take_text(struct text_view *left, struct text_view *ret)
{
	const char *end = left->len ? memchr(left->s, '\0', left->len) : NULL;

	if (!end)
		return false;
	*ret = (struct text_view){left->s, (size_t)(end - left->s)};
	*left = (struct text_view){end + 1, left->len - ret->len - 1};
	return true;
}

/* Empty, or with what no name has: ':' divides names, and a terminal shall not be told anything by a file. */
static bool is_name(struct text_view t)
{
	for (size_t i = 0; i < t.len; i++)
		if (t.s[i] <= ' ' || t.s[i] >= 0x7f || t.s[i] == ':' || t.s[i] == '\\')
			return false;
	return t.len;
}

static const char *shown_name(struct reading *r, struct text_view name)
{
	return name.len ? usdt_printable(r->arena, name) : "?";
}

static void read_args(struct reading *r, struct text_view text, struct usdt_site *s)
{
	const struct usdt_operands o = {r->notes->machine, r->notes->is_fixed, r->arena, find_symbol, r};
	struct usdt_arg *args = NULL;

	if (usdt_operands_parse(&o, text, &args, &s->n_args) < 0)
		s->why = "it has more than 64 arguments";
	s->args = args;
}

static void add_site(struct reading *r, const char *desc, size_t size)
{
	struct usdt_site *s = vec_add(&r->sites);
	struct text_view left, provider = {"", 0}, name = {"", 0}, args;
	uint64_t words[3] = {0};
	bool whole;

	memcpy(words, desc, MIN(size, sizeof(words)));
	left = (struct text_view){desc + MIN(size, sizeof(words)), size - MIN(size, sizeof(words))};
	whole = take_text(&left, &provider) && take_text(&left, &name) && take_text(&left, &args);
	*s = (struct usdt_site){.address = words[0], .semaphore = words[2], .instruction = USDT_INSTRUCTION_OTHER,
				.provider = shown_name(r, provider), .name = shown_name(r, name)};
	if (r->base && words[1]) {
		s->address += r->base - words[1];
		s->semaphore += s->semaphore ? r->base - words[1] : 0;
	}
	if (!whole)
		s->why = "its note is cut short";
	else if (!is_name(provider) || !is_name(name))
		s->why = "its name is empty or has characters that no name has";
	else
		read_args(r, args, s);
	if (!s->why)
		locate(r, s);
}

static void read_section(struct reading *r, Elf_Scn *scn)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t at = 0, name_at, desc_at, next;
	GElf_Nhdr nh;

	while (data && (next = gelf_getnote(data, at, &nh, &name_at, &desc_at))) {
		const char *bytes = data->d_buf;

		if (nh.n_type == NOTE_TYPE && nh.n_namesz == sizeof("stapsdt") &&
		    !memcmp(bytes + name_at, "stapsdt", sizeof("stapsdt")))
			add_site(r, bytes + desc_at, nh.n_descsz);
		at = next;
	}
	if (!data || at < data->d_size)
		r->notes->why = arena_printf(r->arena, "what lies behind byte %zu of its %zu bytes of notes is damaged "
					     "and was not read", at, data ? data->d_size : 0);
}

static void read_sections(struct reading *r)
{
	size_t names, n = 0;
	GElf_Shdr sh;

	r->notes->no_sections = elf_getshdrnum(r->elf, &n) < 0 || !n || elf_getshdrstrndx(r->elf, &names) < 0 || !names;
	if (r->notes->no_sections)
		return;
	for (Elf_Scn *s = NULL; (s = elf_nextscn(r->elf, s)) && gelf_getshdr(s, &sh);) {
		const char *name = elf_strptr(r->elf, names, sh.sh_name);

		if (name && !strcmp(name, ".stapsdt.base"))
			r->base = sh.sh_addr;
		r->notes->is_go |= name && binary_section_is_go(name);
	}
	for (Elf_Scn *s = NULL; (s = elf_nextscn(r->elf, s)) && gelf_getshdr(s, &sh);) {
		const char *name = elf_strptr(r->elf, names, sh.sh_name);

		if (name && !strcmp(name, ".note.stapsdt") && sh.sh_type == SHT_NOTE)
			read_section(r, s);
	}
}

/* ---- the file ---- */

static int read_segments(struct reading *r, const char *name, struct err *err)
{
	GElf_Phdr ph;
	size_t n = 0;

	elf_getphdrnum(r->elf, &n);
	for (size_t i = 0; i < n && r->segments.len < SEGMENTS_MAX && gelf_getphdr(r->elf, (int)i, &ph); i++)
		if (ph.p_type == PT_LOAD && ph.p_offset < r->file->size) {
			ph.p_filesz = MIN(ph.p_filesz, r->file->size - ph.p_offset);
			vec_push(&r->segments, ph);
		}
	if (!r->segments.len)
		return err_set(err, -ENOEXEC, "%s has nothing that is loaded: it is damaged, or cut short", name);
	return 0;
}

static int check_header(struct reading *r, const char *name, struct err *err)
{
	GElf_Ehdr eh;

	if (elf_kind(r->elf) != ELF_K_ELF || !gelf_getehdr(r->elf, &eh))
		return err_set(err, -ENOEXEC, "%s is not an ELF file: expected a program or a library", name);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
	    (eh.e_machine != EM_X86_64 && eh.e_machine != EM_AARCH64))
		return err_set(err, -ENOEXEC, "%s is not built for x86-64 or arm64: USDT probes are read of these",
			       name);
	if (eh.e_type != ET_EXEC && eh.e_type != ET_DYN)
		return err_set(err, -ENOEXEC, "%s is neither a program nor a library (ELF type %u): expected a linked "
			       "file", name, eh.e_type);
	r->notes->machine = eh.e_machine;
	r->notes->is_fixed = eh.e_type == ET_EXEC;
	return 0;
}

static int read_file(struct reading *r, const char *name, struct err *err)
{
	int ret;

	elf_version(EV_CURRENT);
	r->elf = elf_memory((char *)r->file->data, r->file->size);
	ret = check_header(r, name, err);
	if (ret >= 0)
		ret = read_segments(r, name, err);
	if (ret >= 0)
		read_sections(r);
	if (ret >= 0 && !mapping_intact(r->file))
		ret = err_set(err, -ESTALE, "%s was overwritten or cut while it was read; try again", name);
	return ret;
}

static void keep_sites(struct reading *r)
{
	r->notes->sites = arena_memdup(r->arena, r->sites.data, r->sites.len * sizeof(*r->sites.data));
	r->notes->n = r->sites.len;
	r->notes->file = r->file->id;
}

int usdt_notes_read(int fd, const char *name, struct usdt_notes **ret, struct err *err)
{
	struct owned_notes *o = xcalloc(1, sizeof(*o));
	struct reading r = {.notes = &o->notes, .arena = &o->arena};
	int res = mapping_new(fd, &r.file);

	if (res < 0)
		err_set(err, res, res == -ENOEXEC ? "%s is not an ELF file: expected a program or a library"
						  : "%s cannot be read: %s", name, strerror(-res));
	else
		res = read_file(&r, name, err);
	if (res >= 0) {
		keep_sites(&r);
		*ret = &o->notes;
	} else {
		usdt_notes_free(&o->notes);
	}
	binary_free(r.go);
	elf_end(r.elf);
	mapping_free(r.file);
	vec_done(&r.segments);
	vec_done(&r.sites);
	strmap_done(&r.symbols);
	return res;
}

void usdt_notes_free(struct usdt_notes *n)
{
	struct owned_notes *o = n ? CONTAINER_OF(n, struct owned_notes, notes) : NULL;

	if (o)
		arena_done(&o->arena);
	free(o);
}

/* ---- by name ---- */

static int compare_names(const struct usdt_site *a, const struct usdt_site *b)
{
	int c = strcmp(a->provider, b->provider);

	return c ? c : strcmp(a->name, b->name);
}

static int compare_sites(const void *x, const void *y)
{
	const struct usdt_site *a = x, *b = y;
	int c = compare_names(a, b);

	return c ? c : (a->address > b->address) - (a->address < b->address);
}

void usdt_notes_sort(struct usdt_notes *n)
{
	if (n->n)
		qsort(n->sites, n->n, sizeof(*n->sites), compare_sites);
}

size_t usdt_probe_end(const struct usdt_notes *n, size_t first)
{
	size_t end = first + 1;

	while (end < n->n && !compare_names(&n->sites[first], &n->sites[end]))
		end++;
	return end;
}

bool usdt_site_matches(const struct usdt_site *s, const char *glob)
{
	_cleanup_(cleanup_free) char *full = NULL;

	if (!glob)
		return true;
	if (!strchr(glob, ':'))
		return !fnmatch(glob, s->name, 0);
	full = xasprintf("%s:%s", s->provider, s->name);
	return !fnmatch(glob, full, 0);
}

const char *usdt_instruction_name(enum usdt_instruction i)
{
	static const char *const names[] = {"nop", "nop5", "other nop", "no nop"};

	return names[i];
}
