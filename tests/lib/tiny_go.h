/*
 * A Go program in 9 KiB, for tests and fuzz seeds: an ELF file with four functions, a pclntab,
 * moduledata, build info and some type descriptors, laid out as the linker's. Not executable code.
 *
 * All addresses are TINY_BASE plus the file offset (base 0 in the position-independent form, whose
 * pointers lie in relocations only).
 */
#ifndef TESTS_TINY_GO_H
#define TESTS_TINY_GO_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	TINY_TEXT = 0x400, /* four functions of 0x40 bytes, the last 8 of each padding */
	TINY_PCLNTAB = 0x500,
	TINY_GOFUNC = 0x900,
	TINY_TYPES = 0x980,
	TINY_NAMES = 0x1100, /* within the types */
	TINY_ETYPES = 0x1500,
	TINY_DATA = 0x1500, /* build info, moduledata, what slices point to, relocations */
	TINY_MODULEDATA = 0x1600,
	TINY_SLICES = 0x1800,
	TINY_DYNAMIC = 0x1a80,
	TINY_RELA = 0x1b00,
	TINY_SIZE = 0x2400,
	TINY_FUNCS = 4,
};

struct tiny_options {
	bool pie;	 /* pointers in R_X86_64_RELATIVE only */
	bool relr;	 /* with pie: pointers in place, DT_RELR present */
	bool old_funcs;	 /* magic 0xfffffff0 (Go 1.18, 1.19) */
	bool old_fields; /* struct fields as Go 1.18 keeps them */
	bool old_map;	 /* buckets instead of groups */
	bool split_map;	 /* groups with keys and elements apart */
	bool no_sections;
};

struct tiny {
	uint8_t data[TINY_SIZE];
	struct tiny_options o;
	uint64_t base;
	size_t names, types, slices, relas;
	/* descriptors, as addresses */
	uint64_t t_int, t_uint8, t_uint64, t_string, t_uptr, t_point, t_point_ptr, t_strings,
		t_func, t_map, t_iface, t_embeds;
};

static inline void tiny_u16(struct tiny *t, size_t off, uint16_t v)
{
	memcpy(t->data + off, &v, 2);
}
static inline void tiny_u32(struct tiny *t, size_t off, uint32_t v)
{
	memcpy(t->data + off, &v, 4);
}
static inline void tiny_u64(struct tiny *t, size_t off, uint64_t v)
{
	memcpy(t->data + off, &v, 8);
}

/* A pointer: in place, or as a relocation. */
static inline void tiny_ptr(struct tiny *t, size_t off, uint64_t addr)
{
	if (t->o.pie && !t->o.relr) {
		Elf64_Rela r = {t->base + off, R_X86_64_RELATIVE, (Elf64_Sxword)addr};

		memcpy(t->data + TINY_RELA + t->relas++ * sizeof(r), &r, sizeof(r));
	} else {
		tiny_u64(t, off, addr);
	}
}

static inline void tiny_slice(struct tiny *t, size_t off, uint64_t addr, uint64_t n)
{
	tiny_ptr(t, off, addr);
	tiny_u64(t, off + 8, n);
	tiny_u64(t, off + 16, n);
}

/* ---- pclntab ---- */

static const char *const tiny_func_names[TINY_FUNCS] = {
	"main.main", "main.(*Point).Move", "gopkg.in/yaml%2ev3.Load", "main.Map[go.shape.int]"};

static inline void tiny_pclntab(struct tiny *t)
{
	/* Offsets from the header: names, cus, files, pcs, funcs. */
	const size_t tables[5] = {0x48, 0xb0, 0xc0, 0xe0, 0x120}, at = TINY_PCLNTAB;
	size_t name = 0, record = 0x28, size = t->o.old_funcs ? 40 : 44;
	/* pcsp: 0 for 1 byte, 32 for 0x36, 0 for 1; file 0; line 10, then 12 */
	static const uint8_t pcs[] = {0, 2,    1, 0x40, 0x36, 0x3f, 1,	  0,
				      2, 0x38, 0, 22,	8,    4,    0x30, 0};

	tiny_u32(t, at, t->o.old_funcs ? 0xfffffff0 : 0xfffffff1);
	t->data[at + 6] = 1;
	t->data[at + 7] = 8;
	tiny_u64(t, at + 8, TINY_FUNCS);
	tiny_u64(t, at + 16, 1);
	for (size_t i = 0; i < 5; i++)
		tiny_u64(t, at + 32 + i * 8, tables[i]);
	memcpy(t->data + at + tables[2], "/src/main.go", 13);
	memcpy(t->data + at + tables[3], pcs, sizeof(pcs));
	for (size_t i = 0; i < TINY_FUNCS; i++, record += size + 4 * 7) {
		size_t r = at + tables[4] + record;

		tiny_u32(t, at + tables[4] + i * 8, (uint32_t)(i * 0x40));
		tiny_u32(t, at + tables[4] + i * 8 + 4, (uint32_t)record);
		memcpy(t->data + at + tables[0] + name, tiny_func_names[i],
		       strlen(tiny_func_names[i]));
		tiny_u32(t, r, (uint32_t)(i * 0x40));
		tiny_u32(t, r + 4, (uint32_t)name);
		tiny_u32(t, r + 8, 16);
		tiny_u32(t, r + 16, 1);	   /* pcsp */
		tiny_u32(t, r + 20, 8);	   /* pcfile */
		tiny_u32(t, r + 24, 11);   /* pcln */
		tiny_u32(t, r + 28, 1);	   /* npcdata */
		t->data[r + size - 1] = 6; /* nfuncdata */
		tiny_u32(t, r + size, 8);
		for (size_t k = 0; k < 6; k++)
			tiny_u32(t, r + size + 4 + k * 4, k == 0 ? 0 : k == 5 ? 16 : 0xffffffff);
		name += strlen(tiny_func_names[i]) + 1;
	}
	tiny_u32(t, at + tables[4] + TINY_FUNCS * 8, TINY_FUNCS * 0x40 - 8);
	/* gofunc: one bitmap of two words; (0, 8) (8, 8) end */
	tiny_u32(t, TINY_GOFUNC, 1);
	tiny_u32(t, TINY_GOFUNC + 4, 2);
	t->data[TINY_GOFUNC + 8] = 1;
	memcpy(t->data + TINY_GOFUNC + 16, (uint8_t[]){0, 8, 8, 8, 0xff}, 5);
}

/* ---- types ---- */

static inline uint64_t tiny_name(struct tiny *t, const char *s, uint8_t flags)
{
	size_t at = t->names, n = strlen(s);

	t->data[at] = flags;
	t->data[at + 1] = (uint8_t)n;
	memcpy(t->data + at + 2, s, n);
	t->names += n + 2;
	return t->base + at;
}

/* A descriptor's header; length is what its kind needs besides. Returns its address. */
static inline uint64_t tiny_type(struct tiny *t, unsigned kind, uint64_t size, unsigned align,
				 const char *name, bool named, bool uncommon, size_t length)
{
	size_t at = t->types;

	tiny_u64(t, at, size);
	t->data[at + 20] = (uint8_t)((named ? 4 : 0) | (uncommon ? 1 : 0));
	t->data[at + 21] = t->data[at + 22] = (uint8_t)align;
	t->data[at + 23] = (uint8_t)kind;
	if (kind == 22) /* pointers hold a pointer */
		tiny_u64(t, at + 8, 8);
	tiny_u32(t, at + 40, (uint32_t)(tiny_name(t, name, 0) - t->base - TINY_TYPES));
	t->types += 48 + length;
	return t->base + at;
}

static inline uint64_t tiny_pointer(struct tiny *t, uint64_t elem, const char *name)
{
	uint64_t p = tiny_type(t, 22, 8, 8, name, false, false, 8);

	tiny_ptr(t, p - t->base + 48, elem);
	return p;
}

static inline uint64_t tiny_array(struct tiny *t, uint64_t elem, uint64_t elem_size, unsigned align,
				  uint64_t len, const char *name)
{
	uint64_t p = tiny_type(t, 17, len * elem_size, align, name, false, false, 24);

	tiny_ptr(t, p - t->base + 48, elem);
	tiny_u64(t, p - t->base + 64, len);
	return p;
}

struct tiny_field {
	const char *name;
	uint64_t type, offset;
	bool embedded;
};

static inline uint64_t tiny_struct(struct tiny *t, uint64_t size, unsigned align, const char *name,
				   bool named, const struct tiny_field *f, size_t n)
{
	uint64_t p = tiny_type(t, 25, size, align, name, named, named, 32 + (named ? 16 : 0));
	size_t at = p - t->base, fields = t->slices;

	tiny_slice(t, at + 56, t->base + fields, n);
	for (size_t i = 0; i < n; i++) {
		tiny_ptr(t, fields + i * 24,
			 tiny_name(t, f[i].name, f[i].embedded && !t->o.old_fields ? 8 : 0));
		tiny_ptr(t, fields + i * 24 + 8, f[i].type);
		tiny_u64(t, fields + i * 24 + 16,
			 t->o.old_fields ? f[i].offset << 1 | f[i].embedded : f[i].offset);
	}
	t->slices += n * 24;
	if (named)
		tiny_u32(t, at + 80, (uint32_t)(tiny_name(t, "main", 0) - t->base - TINY_TYPES));
	return p;
}

static inline uint64_t tiny_map_holder(struct tiny *t)
{
	uint64_t keys = 0, elems = 0, slot, slots;

	if (t->o.old_map || t->o.split_map) {
		keys = tiny_array(t, t->t_string, 16, 8, 8, "[8]string");
		elems = tiny_array(t, t->t_int, 8, 8, 8, "[8]int");
	}
	if (t->o.old_map)
		return tiny_struct(
			t, 208, 8, "map.bucket[string]int", false,
			(struct tiny_field[]){{"topbits",
					       tiny_array(t, t->t_uint8, 1, 1, 8, "[8]uint8"), 0,
					       false},
					      {"keys", keys, 8, false},
					      {"elems", elems, 136, false},
					      {"overflow", t->t_uptr, 200, false}},
			4);
	if (t->o.split_map)
		return tiny_struct(t, 200, 8, "map.group[string]int", false,
				   (struct tiny_field[]){{"ctrl", t->t_uint64, 0, false},
							 {"keys", keys, 8, false},
							 {"elems", elems, 136, false}},
				   3);
	slot = tiny_struct(t, 24, 8, "struct { key string; elem int }", false,
			   (struct tiny_field[]){{"key", t->t_string, 0, false},
						 {"elem", t->t_int, 16, false}},
			   2);
	slots = tiny_array(t, slot, 24, 8, 8, "[8]struct { key string; elem int }");
	return tiny_struct(
		t, 200, 8, "map.group[string]int", false,
		(struct tiny_field[]){{"ctrl", t->t_uint64, 0, false}, {"slots", slots, 8, false}},
		2);
}

static inline void tiny_types(struct tiny *t)
{
	struct tiny_field fields[3];
	uint64_t holder;
	size_t at;

	t->t_int = tiny_type(t, 2, 8, 8, "int", true, false, 0);
	t->t_uint8 = tiny_type(t, 8, 1, 1, "uint8", true, false, 0);
	t->t_uint64 = tiny_type(t, 11, 8, 8, "uint64", true, false, 0);
	t->t_string = tiny_type(t, 24, 16, 8, "string", true, false, 0);
	t->t_uptr = tiny_type(t, 26, 8, 8, "unsafe.Pointer", true, false, 0);
	fields[0] = (struct tiny_field){"X", t->t_int, 0, false};
	fields[1] = (struct tiny_field){"label", t->t_string, 8, false};
	t->t_point = tiny_struct(t, 24, 8, "main.Point", true, fields, 2);
	t->t_point_ptr = tiny_type(t, 22, 8, 8, "*main.Point", false, true, 8 + 16 + 16);
	at = t->t_point_ptr - t->base;
	tiny_ptr(t, at + 48, t->t_point);
	t->t_func = tiny_type(t, 19, 8, 8, "func(int) string", false, false, 8 + 16);
	tiny_u16(t, t->t_func - t->base + 48, 1);
	tiny_u16(t, t->t_func - t->base + 50, 1);
	tiny_ptr(t, t->t_func - t->base + 56, t->t_int);
	tiny_ptr(t, t->t_func - t->base + 64, t->t_string);
	tiny_u32(t, at + 56, (uint32_t)(tiny_name(t, "main", 0) - t->base - TINY_TYPES));
	tiny_u16(t, at + 60, 1);
	tiny_u16(t, at + 62, 1);
	tiny_u32(t, at + 64, 16);
	tiny_u32(t, at + 72, (uint32_t)(tiny_name(t, "Move", 1) - t->base - TINY_TYPES));
	tiny_u32(t, at + 76, (uint32_t)(t->t_func - t->base - TINY_TYPES));
	tiny_u32(t, at + 80, 0x40);
	tiny_u32(t, at + 84, 0x40);
	t->t_strings = tiny_type(t, 23, 24, 8, "[]string", false, false, 8);
	tiny_ptr(t, t->t_strings - t->base + 48, t->t_string);
	fields[0] = (struct tiny_field){"Point", t->t_point_ptr, 0, true};
	fields[1] = (struct tiny_field){"names", t->t_strings, 8, false};
	t->t_embeds = tiny_struct(t, 32, 8, "main.Embeds", true, fields, 2);
	holder = tiny_map_holder(t);
	t->t_map = tiny_type(t, 21, 8, 8, "map[string]int", false, false, 72);
	tiny_ptr(t, t->t_map - t->base + 48, t->t_string);
	tiny_ptr(t, t->t_map - t->base + 56, t->t_int);
	tiny_ptr(t, t->t_map - t->base + 64, holder);
	t->t_iface = tiny_type(t, 20, 16, 8, "interface {}", false, false, 32);
}

/* ---- the file ---- */

static inline void tiny_moduledata(struct tiny *t)
{
	const size_t tables[6] = {0x48, 0xb0, 0xc0, 0xe0, 0x120, 0x120};
	const uint64_t lens[6] = {0x68, 4, 0x20, 0x40, 0x2a0, TINY_FUNCS + 1};
	size_t at = TINY_MODULEDATA;

	tiny_ptr(t, at, t->base + TINY_PCLNTAB);
	for (size_t i = 0; i < 6; i++)
		tiny_slice(t, at + 8 + i * 24, t->base + TINY_PCLNTAB + tables[i], lens[i]);
	at += 8 + 6 * 24 + 8; /* findfunctab */
	tiny_ptr(t, at, t->base + TINY_TEXT);
	tiny_ptr(t, at + 8, t->base + TINY_TEXT + TINY_FUNCS * 0x40 - 8);
	tiny_ptr(t, at + 16, t->base + TINY_TEXT);
	tiny_ptr(t, at + 24, t->base + TINY_TEXT + TINY_FUNCS * 0x40);
	tiny_ptr(t, at + 48, t->base + TINY_TYPES);
	tiny_ptr(t, at + 56, t->base + TINY_ETYPES);
	tiny_ptr(t, at + 64, t->base + TINY_GOFUNC);
}

static inline void tiny_build_info(struct tiny *t)
{
	static const char list[] = "0123456789abcdefpath\texample.org/tiny\n"
				   "mod\texample.org/tiny\tv1.2.3\th1:x=\n"
				   "dep\tgolang.org/x/net\tv0.1.0\th1:y=\n"
				   "=>\t../net\tv0.2.0\t\n"
				   "build\t-compiler=gc\n0123456789abcdef";
	uint8_t *p = t->data + TINY_DATA;

	memcpy(p, "\xff Go buildinf:\x08\x02", 16);
	p[32] = 7;
	memcpy(p + 33, "go1.2.3", 7);
	p[40] = (uint8_t)((sizeof(list) - 1) | 0x80);
	p[41] = (sizeof(list) - 1) >> 7;
	memcpy(p + 42, list, sizeof(list) - 1);
}

static inline void tiny_headers(struct tiny *t)
{
	Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = t->o.pie ? ET_DYN : ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_phoff = sizeof(eh),
			 .e_ehsize = sizeof(eh),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 4};
	const Elf64_Phdr ph[4] = {
		{PT_LOAD, PF_R | PF_X, 0, t->base, 0, TINY_PCLNTAB, TINY_PCLNTAB, 0x1000},
		{PT_LOAD, PF_R, TINY_PCLNTAB, t->base + TINY_PCLNTAB, 0, TINY_DATA - TINY_PCLNTAB,
		 TINY_DATA - TINY_PCLNTAB, 0x1000},
		{PT_LOAD, PF_R | PF_W, TINY_DATA, t->base + TINY_DATA, 0, TINY_SIZE - TINY_DATA,
		 TINY_SIZE - TINY_DATA + 0x1000, 0x1000},
		{t->o.pie ? PT_DYNAMIC : PT_NULL, PF_R, TINY_DYNAMIC, t->base + TINY_DYNAMIC, 0, 64,
		 64, 8},
	};
	const Elf64_Dyn dyn[4] = {{t->o.relr ? DT_RELR : DT_RELA, {t->base + TINY_RELA}},
				  {DT_RELASZ, {t->relas * sizeof(Elf64_Rela)}},
				  {DT_RELAENT, {sizeof(Elf64_Rela)}},
				  {DT_NULL, {0}}};

	memcpy(t->data, &eh, sizeof(eh));
	memcpy(t->data + sizeof(eh), ph, sizeof(ph));
	if (t->o.pie)
		memcpy(t->data + TINY_DYNAMIC, dyn, sizeof(dyn));
}

static inline void tiny_build(struct tiny *t, struct tiny_options o)
{
	memset(t, 0, sizeof(*t));
	t->o = o;
	t->base = o.pie ? 0x10000 : 0x400000;
	t->names = TINY_NAMES;
	t->types = TINY_TYPES;
	t->slices = TINY_SLICES;
	tiny_pclntab(t);
	tiny_types(t);
	tiny_build_info(t);
	tiny_moduledata(t);
	tiny_headers(t);
}

/* A memory file with these bytes; close(2) it. */
static inline int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("go", MFD_CLOEXEC);

	if (fd >= 0 && size && pwrite(fd, data, size, 0) != (ssize_t)size) {
		close(fd);
		return -1;
	}
	return fd;
}

#endif
