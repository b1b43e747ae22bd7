/*
 * An ELF file mapped for reading: addresses are the file's virtual addresses (no load bias).
 * Everything that reads bytes of a Go executable goes through these checked accessors.
 *
 * Others may write to the file or cut it while it is mapped (mapping.h). What was read is right when image_intact says
 * so afterwards; what is to be kept is copied before.
 */
#ifndef BINARY_IMAGE_H
#define BINARY_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"

struct image_segment {
	uint64_t vaddr, memsz, offset, filesz;
	uint32_t flags; /* PF_R | PF_W | PF_X */
};

struct arch;
struct mapping;

struct image {
	struct mapping *mapping;
	const struct arch *arch;
	unsigned char *data; /* the private mapping, RELATIVE relocations applied in place */
	uint64_t size;
	struct image_segment *segments;
	size_t nsegments;
	bool pie;        /* ET_DYN */
	bool relocated;  /* had RELATIVE relocations */
	uint64_t written_from, written_to; /* file offsets between which relocations changed bytes */
};

/*
 * Maps fd (kept open by the caller, may be closed afterwards). Refuses what is not a 64-bit
 * little-endian ET_EXEC/ET_DYN of an architecture that arch.c has: -ENOEXEC with a sentence. name is for messages.
 */
int image_open(int fd, const char *name, struct image *ret, struct err *err);
void image_close(struct image *img);
/*
 * Whether the file still is what it was when it was opened, so that all that was read from it until now is right. Once
 * false, always false. A system call; more where the file was linked or renamed.
 */
bool image_intact(const struct image *img);
/* -ESTALE with a sentence when it is not intact. */
int image_check(const struct image *img, const char *name, struct err *err);
/* The file as it was opened. */
const struct file_id *image_file_id(const struct image *img);
/* The file, opened for reading; the image's own. */
int image_fd(const struct image *img);
/* Gives back the memory of pages that the file holds just so; they come back when they are read again. */
void image_trim(const struct image *img);

/* The bytes [addr, addr+n) as they lie in the file, or NULL when any of them is not in it. */
const void *image_at(const struct image *img, uint64_t addr, uint64_t n);
/* As many of at most max bytes at addr as the file has, where the program cannot write: what they are in its memory
 * too. NULL if none. */
const void *image_constant(const struct image *img, uint64_t addr, uint64_t max, uint64_t *ret_n);
/* Largest number of file-backed bytes at addr within its segment; 0 if none. */
uint64_t image_extent(const struct image *img, uint64_t addr);
/* Little-endian reads; return false and leave *ret when out of the file. */
bool image_u8(const struct image *img, uint64_t addr, uint8_t *ret);
bool image_u16(const struct image *img, uint64_t addr, uint16_t *ret);
bool image_u32(const struct image *img, uint64_t addr, uint32_t *ret);
bool image_u64(const struct image *img, uint64_t addr, uint64_t *ret); /* pointers too */
/* Virtual address -> file offset (what uprobes take). */
bool image_offset(const struct image *img, uint64_t addr, uint64_t *ret);
const struct image_segment *image_segment(const struct image *img, uint64_t addr);

/* Little-endian words of records that image_at has given whole. */
static inline uint16_t u16_at(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#endif
