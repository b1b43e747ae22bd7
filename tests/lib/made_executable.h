/* An executable as Go's linker writes it, as far as whoever adds notes to it looks: stubs among its code, semaphores in
 * its data, a table of sections. */
#ifndef TESTS_LIB_MADE_EXECUTABLE_H
#define TESTS_LIB_MADE_EXECUTABLE_H

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "weave/usdt.h"

#define MADE_CODE        0x401000u
#define MADE_CODE_OFFSET 0x1000u
#define MADE_CODE_SIZE   0x1000u
#define MADE_DATA        0x503000u
#define MADE_DATA_OFFSET 0x2000u
#define MADE_DATA_SIZE   0x400u
#define MADE_SEMAPHORES  (MADE_DATA + 0x40)
#define MADE_SECTIONS    0x2400u

struct made_options {
	unsigned stubs, semaphores;
	bool no_sections, small_section, endless_texts, foreign; /* foreign: of another system */
};

struct made_executable {
	char bytes[MADE_SECTIONS + 4 * sizeof(Elf64_Shdr) + 64];
};

static inline uint64_t made_stub(unsigned i)
{
	return MADE_CODE + 0x20 + i * 0x80;
}

static inline uint64_t made_semaphore(unsigned i)
{
	return MADE_SEMAPHORES + i * 32;
}

static inline void made_words(char *at, unsigned i)
{
	const uint64_t words[] = {USDT_MAGIC_0, USDT_MAGIC_1, 0x1000 + i};

	memcpy(at, words, sizeof(words));
}

static inline void made_sections(struct made_executable *m, bool small)
{
	static const char names[] = "\0.text\0.noptrdata\0.shstrtab";
	const Elf64_Shdr all[] = {
	    {0},
	    {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_addr = MADE_CODE,
	     .sh_offset = MADE_CODE_OFFSET, .sh_size = MADE_CODE_SIZE, .sh_addralign = 64},
	    {.sh_name = 7, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_WRITE, .sh_addr = MADE_DATA,
	     .sh_offset = MADE_DATA_OFFSET, .sh_size = small ? 0x60 : MADE_DATA_SIZE, .sh_addralign = 32},
	    {.sh_name = 18, .sh_type = SHT_STRTAB, .sh_offset = MADE_SECTIONS + 4 * sizeof(Elf64_Shdr), .sh_size = sizeof(names)}};

	memcpy(m->bytes + MADE_SECTIONS, all, sizeof(all));
	memcpy(m->bytes + MADE_SECTIONS + sizeof(all), names, sizeof(names));
}

static inline void made_executable(struct made_executable *m, struct made_options o)
{
	Elf64_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	                .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_ehsize = sizeof(h),
	                .e_phoff = sizeof(h), .e_phnum = 2, .e_phentsize = sizeof(Elf64_Phdr),
	                .e_shoff = MADE_SECTIONS, .e_shnum = o.no_sections ? 0 : 4,
	                .e_shentsize = sizeof(Elf64_Shdr), .e_shstrndx = o.no_sections ? 0 : 3};
	const Elf64_Phdr loads[] = {
	    {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = MADE_CODE_OFFSET, .p_vaddr = MADE_CODE,
	     .p_filesz = MADE_CODE_SIZE, .p_memsz = MADE_CODE_SIZE, .p_align = 0x1000},
	    {.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = MADE_DATA_OFFSET, .p_vaddr = MADE_DATA,
	     .p_filesz = MADE_DATA_SIZE, .p_memsz = MADE_DATA_SIZE, .p_align = 0x1000}};

	memset(m, 0, sizeof(*m));
	if (o.foreign)
		h.e_ident[EI_MAG0] = 'M';
	memcpy(m->bytes, &h, sizeof(h));
	memcpy(m->bytes + sizeof(h), loads, sizeof(loads));
	memset(m->bytes + MADE_CODE_OFFSET, o.endless_texts ? 'x' : 0xcc, MADE_CODE_SIZE);
	for (unsigned i = 0; i < o.stubs; i++) {
		char *at = m->bytes + MADE_CODE_OFFSET + (made_stub(i) - MADE_CODE);

		memcpy(at, "\x90\x0f\x1f\x44\x00\x00\xc3\xcc", 8);
		made_words(at + 8, i);
		if (!o.endless_texts)
			memcpy(at + 32, "shop\0probe_0\0" "8@%rbx", sizeof("shop\0probe_0\0" "8@%rbx"));
		at[32 + 11] = (char)('0' + i);
	}
	for (unsigned i = 0; i < o.semaphores; i++)
		made_words(m->bytes + MADE_DATA_OFFSET + (made_semaphore(i) - MADE_DATA), i);
	if (!o.no_sections)
		made_sections(m, o.small_section);
}

static inline void made_write(const struct made_executable *m, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	write_all(fd, m->bytes, sizeof(m->bytes));
	close(fd);
}

#endif
