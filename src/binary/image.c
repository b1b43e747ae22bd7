/*
 * The ELF file as a private mapping. Addresses are those of the program headers; section headers
 * are only ever a hint (image_section) because strippers and packers zero them.
 *
 * A position-independent Go binary keeps nearly all its pointers (pclntab, type descriptors,
 * moduledata) as relocations (R_…_RELATIVE): without applying them the file holds zeroes there.
 * They are applied with load base 0, so that pointers read back as file addresses. DT_RELR needs no
 * work: its addends lie in the file already, which is right for base 0. Only types with an addend
 * and no symbol are of interest.
 *
 * A segment is cut to what the file really holds, so that no access past its end can be
 * constructed.
 */
#include "binary/image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "binary/arch.h"
#include "binary/internal.h"
#include "binary/mapping.h"

#define SEGMENTS_MAX 64 /* real programs have 2 to 6; look-ups are linear */

static const struct {
	uint16_t machine;
	const char *name;
} machines[] = {
	{EM_AARCH64, "arm64"}, {EM_386, "386"},	   {EM_ARM, "arm"},   {EM_RISCV, "riscv64"},
	{EM_PPC64, "ppc64"},   {EM_S390, "s390x"}, {EM_MIPS, "mips"}, {258, "loong64"},
};

static const char *machine_name(uint16_t machine)
{
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
		if (machines[i].machine == machine)
			return machines[i].name;
	return "another machine";
}

static const void *file_at(const struct image *img, uint64_t off, uint64_t n)
{
	return off <= img->size && n <= img->size - off ? img->data + off : NULL;
}

static int check_ident(struct image *img, const char *name, Elf64_Ehdr *ret, struct err *err)
{
	const unsigned char *id = file_at(img, 0, EI_NIDENT + 4);
	const void *header = file_at(img, 0, sizeof(*ret));
	const struct arch *arch;
	uint16_t machine;

	if (!id || memcmp(id, ELFMAG, SELFMAG))
		return err_set(err, -ENOEXEC,
			       "%s is not an ELF file: expected a Go program for Linux", name);
	memcpy(&machine, id + offsetof(Elf64_Ehdr, e_machine), sizeof(machine));
	if (id[EI_CLASS] != ELFCLASS64)
		return err_set(
			err, -ENOEXEC,
			"%s is a 32-bit program (%s): Earshot observes 64-bit %s programs",
			name, machine_name(machine), arch_host()->name);
	arch = arch_of_machine(machine);
	if (id[EI_DATA] != ELFDATA2LSB || !arch)
		return err_set(err, -ENOEXEC,
			       "%s is built for %s: Earshot observes %s programs", name,
			       machine_name(machine), arch_host()->name);
	if (!header)
		return err_set(err, -ENOEXEC, "%s is cut short: its ELF header is incomplete",
			       name);
	memcpy(ret, header, sizeof(*ret));
	if (ret->e_type != ET_EXEC && ret->e_type != ET_DYN)
		return err_set(err, -ENOEXEC,
			       "%s is not an executable (ELF type %u): expected a linked program",
			       name, ret->e_type);
	img->arch = arch;
	return 0;
}

static void add_segment(struct image *img, const Elf64_Phdr *ph)
{
	uint64_t filesz = MIN(ph->p_filesz, ph->p_memsz);

	if (ph->p_vaddr + ph->p_memsz < ph->p_vaddr || ph->p_offset >= img->size || !filesz)
		return;
	img->segments[img->nsegments++] = (struct image_segment){
		.vaddr = ph->p_vaddr,
		.memsz = ph->p_memsz,
		.offset = ph->p_offset,
		.filesz = MIN(filesz, img->size - ph->p_offset),
		.flags = ph->p_flags,
	};
}

static int read_segments(struct image *img, const Elf64_Ehdr *eh, const char *name,
			 Elf64_Phdr *ret_dynamic, struct err *err)
{
	const char *table = file_at(img, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr));

	if (!table || !eh->e_phnum || eh->e_phentsize != sizeof(Elf64_Phdr))
		return err_set(
			err, -ENOEXEC,
			"%s has no readable program headers: the file is damaged or cut short",
			name);
	img->segments = xcalloc(SEGMENTS_MAX, sizeof(*img->segments));
	for (size_t i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, table + i * sizeof(ph), sizeof(ph));
		if (ph.p_type == PT_DYNAMIC)
			*ret_dynamic = ph;
		if (ph.p_type == PT_LOAD && img->nsegments < SEGMENTS_MAX)
			add_segment(img, &ph);
	}
	if (!img->nsegments)
		return err_set(err, -ENOEXEC,
			       "%s has no loadable segment in the file: it is damaged or cut short",
			       name);
	return 0;
}

static void write_pointer(struct image *img, char *where, int64_t value)
{
	uint64_t at = (uint64_t)(where - (char *)img->data);

	memcpy(where, &value, 8);
	img->written_from = img->written_to ? MIN(img->written_from, at) : at;
	img->written_to = MAX(img->written_to, at + 8);
}

static void relocate(struct image *img, uint64_t rela, uint64_t size)
{
	uint64_t n = MIN(size, image_extent(img, rela)) / sizeof(Elf64_Rela);

	for (uint64_t i = 0; i < n; i++) {
		const void *at = image_at(img, rela + i * sizeof(Elf64_Rela), sizeof(Elf64_Rela));
		Elf64_Rela r;
		char *where;

		memcpy(&r, at, sizeof(r));
		if (ELF64_R_TYPE(r.r_info) != img->arch->elf_relative)
			continue;
		where = (char *)image_at(img, r.r_offset, 8);
		if (where &&
		    memcmp(where, &r.r_addend, 8)) /* some linkers store the addend: stay clean */
			write_pointer(img, where, r.r_addend);
		img->relocated = true;
	}
}

static void apply_relocations(struct image *img, const Elf64_Phdr *dynamic)
{
	const char *table = file_at(img, dynamic->p_offset, dynamic->p_filesz);
	uint64_t rela = 0, size = 0;

	for (uint64_t i = 0; table && i < dynamic->p_filesz / sizeof(Elf64_Dyn); i++) {
		Elf64_Dyn d;

		memcpy(&d, table + i * sizeof(d), sizeof(d));
		if (d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_RELA)
			rela = d.d_un.d_ptr;
		if (d.d_tag == DT_RELASZ)
			size = d.d_un.d_val;
		if (d.d_tag == DT_RELR)
			img->relocated = true;
	}
	if (rela && size)
		relocate(img, rela, size);
}

static int map_file(int fd, const char *name, struct image *ret, struct err *err)
{
	struct mapping *m = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s cannot be read: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -ENOEXEC, "%s is not a regular file: expected a Go program",
			       name);
	if (st.st_size < EI_NIDENT)
		return err_set(err, -ENOEXEC, "%s is not an ELF file: it has only %lld bytes", name,
			       (long long)st.st_size);
	r = mapping_new(fd, &m);
	if (r < 0)
		return err_set(err, r, "%s cannot be mapped: %s", name, strerror(-r));
	*ret = (struct image){.mapping = m, .data = m->data, .size = m->size};
	return 0;
}

int image_open(int fd, const char *name, struct image *ret, struct err *err)
{
	struct image img = {0};
	Elf64_Phdr dynamic = {0};
	Elf64_Ehdr eh;
	int r;

	r = map_file(fd, name, &img, err);
	if (r < 0)
		return r;
	r = check_ident(&img, name, &eh, err);
	if (r == 0)
		r = read_segments(&img, &eh, name, &dynamic, err);
	if (r < 0) {
		image_close(&img);
		return r;
	}
	img.pie = eh.e_type == ET_DYN;
	apply_relocations(&img, &dynamic);
	*ret = img;
	return 0;
}

void image_trim(const struct image *img)
{
	const uint64_t page = 4096;
	uint64_t from = img->written_from / page * page, to = ALIGN_UP(img->written_to, page);

	if (from)
		madvise(img->data, from, MADV_DONTNEED);
	if (to < img->size)
		madvise(img->data + to, img->size - to, MADV_DONTNEED);
}

bool image_intact(const struct image *img)
{
	return mapping_intact(img->mapping);
}

int image_check(const struct image *img, const char *name, struct err *err)
{
	return image_intact(img) ? 0 : err_set(err, -ESTALE, "%s was overwritten or cut while it was read; try again",
					       name);
}

const struct file_id *image_file_id(const struct image *img)
{
	return &img->mapping->id;
}

int image_fd(const struct image *img)
{
	return img->mapping->fd;
}

void image_close(struct image *img)
{
	mapping_free(img->mapping);
	free(img->segments);
	*img = (struct image){0};
}

const struct image_segment *image_segment(const struct image *img, uint64_t addr)
{
	for (size_t i = 0; i < img->nsegments; i++) {
		const struct image_segment *s = &img->segments[i];

		if (addr >= s->vaddr && addr - s->vaddr < s->memsz)
			return s;
	}
	return NULL;
}

uint64_t image_extent(const struct image *img, uint64_t addr)
{
	const struct image_segment *s = image_segment(img, addr);

	return s && addr - s->vaddr < s->filesz ? s->filesz - (addr - s->vaddr) : 0;
}

const void *image_at(const struct image *img, uint64_t addr, uint64_t n)
{
	const struct image_segment *s = image_segment(img, addr);

	if (!s || addr - s->vaddr >= s->filesz || n > s->filesz - (addr - s->vaddr))
		return NULL;
	return img->data + s->offset + (addr - s->vaddr);
}

#define DEFINE_READ(bits)                                                                          \
	bool image_u##bits(const struct image *img, uint64_t addr, uint##bits##_t *ret)            \
	{                                                                                          \
		const void *p = image_at(img, addr, sizeof(*ret));                                 \
		if (p)                                                                             \
			memcpy(ret, p, sizeof(*ret));                                              \
		return p;                                                                          \
	}
DEFINE_READ(8)
DEFINE_READ(16)
DEFINE_READ(32)
DEFINE_READ(64)

bool image_offset(const struct image *img, uint64_t addr, uint64_t *ret)
{
	const struct image_segment *s = image_segment(img, addr);

	if (!s || addr - s->vaddr >= s->filesz)
		return false;
	*ret = s->offset + (addr - s->vaddr);
	return true;
}

static bool section_header(const struct image *img, const Elf64_Ehdr *eh, size_t i, Elf64_Shdr *ret)
{
	const char *table = file_at(img, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(*ret));

	if (!table || !eh->e_shoff || i >= eh->e_shnum || eh->e_shentsize != sizeof(*ret))
		return false;
	memcpy(ret, table + i * sizeof(*ret), sizeof(*ret));
	return true;
}

bool image_section(const struct image *img, const char *name, struct section *ret)
{
	size_t len = strlen(name) + 1;
	Elf64_Shdr sh, names;
	Elf64_Ehdr eh;

	memcpy(&eh, img->data, sizeof(eh));
	if (!section_header(img, &eh, eh.e_shstrndx, &names))
		return false;
	for (size_t i = 1; section_header(img, &eh, i, &sh); i++) {
		const char *s;

		if (sh.sh_name >= names.sh_size)
			continue;
		s = file_at(img, names.sh_offset + sh.sh_name, len);
		if (!s || memcmp(s, name, len))
			continue;
		*ret = (struct section){sh.sh_addr, sh.sh_offset, sh.sh_size, sh.sh_type};
		return true;
	}
	return false;
}

const void *image_constant(const struct image *img, uint64_t addr, uint64_t max, uint64_t *ret_n)
{
	const struct image_segment *s = image_segment(img, addr);
	uint64_t n = s && !(s->flags & PF_W) ? MIN(max, image_extent(img, addr)) : 0;

	*ret_n = n;
	return n ? image_at(img, addr, n) : NULL;
}
