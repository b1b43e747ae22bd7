/*
 * The USDT probes of an ELF file, of any program: what <sys/sdt.h> and those who do like it leave in .note.stapsdt.
 * Each note is one site: an address, names, and where the arguments lie when control comes there.
 *
 * Notes are bytes from outside. What cannot be read, or cannot be right, is refused with a sentence: one argument, one
 * site, or the rest of the notes, never all that could be read before and beside it.
 *
 * Addresses are the file's own (no load bias), moved where a prelinked file's code was moved (.stapsdt.base).
 */
#ifndef USDT_NOTES_H
#define USDT_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

enum usdt_place {
	USDT_CONSTANT, /* constant is the value */
	USDT_REGISTER, /* base is the register */
	USDT_MEMORY,   /* at base + index * scale + constant; without a base, constant is an address of the file */
	USDT_REFUSED,  /* why says why; nothing else is set but text, and size and is_float where these were read */
};

/* Registers are numbers of binary/arch.h; of arm64, which has no such table, x0 … x30 are 0 … 30 and sp is 31. */
struct usdt_arg {
	int size;          /* bytes: 1, 2, 4 or 8; negative: signed, to be extended. 0: not read */
	bool is_float;     /* IEEE 754 of 4 or 8 bytes; in a general register the bits lie there as they are */
	enum usdt_place place;
	int64_t constant;
	int base, index;   /* registers; -1: none */
	int scale;         /* 1, 2, 4, 8 */
	const char *text;  /* as the note has it, "-4@%eax"; unprintable bytes as \xNN */
	const char *why;   /* NULL: it can be read */
};

/* What a probe's instruction is, which says what a hit costs: Linux treats a few of them without single steps. */
enum usdt_instruction {
	USDT_NOP,          /* of one byte, or arm64's: every Linux emulates it */
	USDT_NOP5,         /* of five bytes within one page, or taken for one: 6.18 makes a call of it (notes.c) */
	USDT_NOP_OTHER,    /* depends on the kernel; some are refused */
	USDT_INSTRUCTION_OTHER, /* single-stepped */
};

struct usdt_site {
	const char *provider, *name; /* printable and not empty, also where the site is refused */
	uint64_t address, file_offset;
	uint64_t semaphore, semaphore_offset; /* 0: none */
	const struct usdt_arg *args;
	size_t n_args;
	enum usdt_instruction instruction;
	const char *why;   /* NULL, or why no probe can be put here */
};

/* In the order of the file. A probe may have several sites, with other operands at each. */
struct usdt_notes {
	struct usdt_site *sites;
	size_t n;
	uint16_t machine;  /* EM_X86_64, EM_AARCH64 */
	bool is_fixed;     /* ET_EXEC: its load bias is 0 */
	bool is_go;        /* made by Go's linker, by the names of its sections */
	bool no_sections;  /* the file has no section headers: whether it has notes is not known */
	const char *why;   /* NULL, or where and why reading stopped before the end of the notes */
	struct file_id file;
};

/*
 * All notes of the file at fd, which stays the caller's; name is for messages. A file without notes gives none and is
 * no error. -ENOEXEC: not a linked 64-bit ELF file of x86-64 or arm64; -ESTALE: it was written to meanwhile; others as
 * fstat and mmap have them; all with a sentence.
 */
int usdt_notes_read(int fd, const char *name, struct usdt_notes **ret, struct err *err);
void usdt_notes_free(struct usdt_notes *n);

/*
 * Sorts the sites by provider, name and address. Then a probe's sites follow each other: usdt_probe_end gives the index
 * behind the last one of the probe whose first one is at `first`.
 */
void usdt_notes_sort(struct usdt_notes *n);
size_t usdt_probe_end(const struct usdt_notes *n, size_t first);
/* Whether glob, "PROVIDER:NAME" or "NAME" (fnmatch), means the site. NULL means every one. */
bool usdt_site_matches(const struct usdt_site *s, const char *glob);

/* "nop", "nop5", … */
const char *usdt_instruction_name(enum usdt_instruction i);
/* The register's name as the machine's operands have it, without %: "rdi", "x0". */
const char *usdt_register_name(uint16_t machine, int reg);

#endif
