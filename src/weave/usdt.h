/*
 * USDT probes of a woven program, which bpftrace, bcc, perf and libbpf know as those of <sys/sdt.h>. A probe is a stub
 * of assembly that woven code calls while somebody listens, and a semaphore that says so, a variable of the package.
 * The assembler's object goes into the package's archive. The stub's bytes are those that a debugger takes for code
 * (a nop, one of five bytes, a return), and behind them what the probe is called and where its arguments are. The
 * linker keeps the stubs that are used; what it has written is searched for them, and each becomes a note.
 *
 * The note names the nop of one byte, which every kernel emulates; who knows of a kernel that makes a call of the one
 * of five bytes (Linux 6.18 on) may use that, one byte on: it is part of the same shape as libbpf's.
 */
#ifndef WEAVE_USDT_H
#define WEAVE_USDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* libbpf takes no more of them. */
enum { USDT_ARGUMENTS_MAX = 12 };

/* What the stub is called with, in registers: its slots, the goroutine, the context. */
enum usdt_parameter { USDT_SLOTS, USDT_GOROUTINE, USDT_CONTEXT };

/* One argument of eight bytes. */
struct usdt_argument {
	enum usdt_parameter parameter;
	unsigned at; /* USDT_SLOTS: where in the slots it lies, in bytes */
	bool is_signed;
};

struct weave_probe {
	const char *provider, *name; /* letters, digits and _ */
	struct usdt_argument arguments[USDT_ARGUMENTS_MAX];
	size_t narguments;
	const char *symbol; /* of the stub, as the linker has it */
	uint64_t key;       /* what stub and semaphore have in common */
};

/* The first words of a semaphore's variable, and of what stands behind a stub's code. */
#define USDT_MAGIC_0 0x53552d746f687361u
#define USDT_MAGIC_1 0x9e1bd64a37c25f08u

/* Names of probes have no other characters; what is left out is _, once. In arena's place: appended to out. */
void usdt_name(const char *text, struct buf *out);
/* The stubs as text for Go's assembler. arch: as GOARCH. -ENOTSUP with a sentence: there are none for it. */
int usdt_assembly(const struct weave_probe *probes, size_t n, const char *arch, struct buf *out, struct err *err);
/*
 * Gives the executable its notes; the file is replaced at once, or stays as it is. ret_n: how many sites it has: 0: no
 * change. -errno with a sentence.
 */
int usdt_write_notes(const char *path, size_t *ret_n, struct err *err);

#endif
