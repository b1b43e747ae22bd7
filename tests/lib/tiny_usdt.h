/* A made ELF file with USDT notes: one page of code, one of data, and the sections that notes need. */
#ifndef TESTS_TINY_USDT_H
#define TESTS_TINY_USDT_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	USDT_CODE = 0x1000, USDT_DATA = 0x2000, /* file offsets */
	USDT_BASE = 0x400000,                   /* added for addresses */
	USDT_NOTES = 0x3000, USDT_NOTES_MAX = 0x4000, USDT_TABLES = 0x7000, USDT_SIZE = 0x8000,
};

struct tiny_usdt {
	unsigned char data[USDT_SIZE];
	size_t n_notes;   /* bytes of notes */
};

struct tiny_usdt_options {
	uint16_t type, machine; /* 0: ET_DYN, EM_X86_64 */
	uint64_t base_section;  /* address of .stapsdt.base; 0: none */
	uint32_t symbols;       /* SHT_SYMTAB or SHT_DYNSYM; 0: none */
	bool is_go;
};

/* 8 bytes "counter", 80 bytes "stats", "twice" at two addresses, "local" per thread. */
static inline size_t tiny_usdt_symbols(Elf64_Sym *s)
{
	const Elf64_Sym made[] = {
		{0},
		{1, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, 2, USDT_BASE + USDT_DATA + 0x100, 8},
		{9, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, 2, USDT_BASE + USDT_DATA + 0x200, 80},
		{15, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, 2, USDT_BASE + USDT_DATA + 0x300, 8},
		{15, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, 2, USDT_BASE + USDT_DATA + 0x308, 8},
		{21, ELF64_ST_INFO(STB_GLOBAL, STT_TLS), 0, 2, 0x10, 8},
	};

	memcpy(s, made, sizeof(made));
	return sizeof(made);
}

/* Without notes yet. */
static inline void tiny_usdt_build(struct tiny_usdt *t, struct tiny_usdt_options o)
{
	static const char strings[] = "\0counter\0stats\0twice\0local\0";
	static const char names[] = "\0.text\0.data\0.note.stapsdt\0.stapsdt.base\0.symtab\0.strtab\0.shstrtab\0.gopclntab\0";
	Elf64_Ehdr *eh = (Elf64_Ehdr *)t->data;
	Elf64_Phdr *ph = (Elf64_Phdr *)(t->data + sizeof(*eh));
	Elf64_Shdr *sh = (Elf64_Shdr *)(t->data + USDT_TABLES);
	const size_t strings_at = USDT_TABLES + 0x400, names_at = USDT_TABLES + 0x500, symbols_at = USDT_TABLES + 0x600;
	size_t symbols;

	memset(t, 0, sizeof(*t));
	memset(t->data + USDT_CODE, 0x90, 0x1000);
	memcpy(t->data + strings_at, strings, sizeof(strings));
	memcpy(t->data + names_at, names, sizeof(names));
	symbols = tiny_usdt_symbols((Elf64_Sym *)(t->data + symbols_at));
	*eh = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			   .e_type = o.type ? o.type : ET_DYN, .e_machine = o.machine ? o.machine : EM_X86_64,
			   .e_version = EV_CURRENT, .e_phoff = sizeof(*eh), .e_shoff = USDT_TABLES,
			   .e_ehsize = sizeof(*eh), .e_phentsize = sizeof(*ph), .e_phnum = 2,
			   .e_shentsize = sizeof(*sh), .e_shnum = 8, .e_shstrndx = 7};
	ph[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, USDT_CODE, USDT_BASE + USDT_CODE, 0, 0x1000, 0x1000, 0x1000};
	ph[1] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, USDT_DATA, USDT_BASE + USDT_DATA, 0, 0x1000, 0x1800, 0x1000};
	sh[1] = (Elf64_Shdr){1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, USDT_BASE + USDT_CODE, USDT_CODE, 0x1000, 0, 0, 1, 0};
	sh[2] = (Elf64_Shdr){o.is_go ? 67 : 7, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, USDT_BASE + USDT_DATA, USDT_DATA, 0x1000, 0, 0, 1, 0};
	sh[3] = (Elf64_Shdr){13, SHT_NOTE, 0, 0, USDT_NOTES, 0, 0, 0, 4, 0};
	sh[4] = (Elf64_Shdr){o.base_section ? 27 : 0, SHT_PROGBITS, SHF_ALLOC, o.base_section, USDT_CODE, 1, 0, 0, 1, 0};
	sh[5] = (Elf64_Shdr){41, o.symbols ? o.symbols : SHT_NULL, 0, 0, symbols_at, symbols, 6, 1, 8, sizeof(Elf64_Sym)};
	sh[6] = (Elf64_Shdr){49, SHT_STRTAB, 0, 0, strings_at, sizeof(strings), 0, 0, 1, 0};
	sh[7] = (Elf64_Shdr){57, SHT_STRTAB, 0, 0, names_at, sizeof(names), 0, 0, 1, 0};
}

/* The section's bytes as they are; what has no room is left out. */
static inline void tiny_usdt_bytes(struct tiny_usdt *t, const void *p, size_t n)
{
	Elf64_Shdr *sh = (Elf64_Shdr *)(t->data + USDT_TABLES);

	n = n < USDT_NOTES_MAX - t->n_notes ? n : USDT_NOTES_MAX - t->n_notes;
	if (n)
		memcpy(t->data + USDT_NOTES + t->n_notes, p, n);
	t->n_notes += n;
	sh[3].sh_size = t->n_notes;
}

/* One note; address, base and semaphore as they stand in it. */
static inline void tiny_usdt_note(struct tiny_usdt *t, uint64_t address, uint64_t base, uint64_t semaphore,
				  const char *provider, const char *name, const char *args)
{
	uint64_t words[3] = {address, base, semaphore};
	size_t sizes[3] = {strlen(provider) + 1, strlen(name) + 1, strlen(args) + 1};
	Elf64_Nhdr nh = {8, (Elf64_Word)(sizeof(words) + sizes[0] + sizes[1] + sizes[2]), 3};

	tiny_usdt_bytes(t, &nh, sizeof(nh));
	tiny_usdt_bytes(t, "stapsdt", 8);
	tiny_usdt_bytes(t, words, sizeof(words));
	tiny_usdt_bytes(t, provider, sizes[0]);
	tiny_usdt_bytes(t, name, sizes[1]);
	tiny_usdt_bytes(t, args, sizes[2]);
	tiny_usdt_bytes(t, "\0\0\0", (4 - nh.n_descsz % 4) % 4);
}

#endif
