/*
 * Planting into this very program: functions to be probed whose registers a test chooses, and what comes back. The
 * goroutine is a struct here, its depth what a register says (IR_GOROUTINE), so calls nest, recur and vanish as
 * a test wants.
 */
#ifndef TESTS_PLANT_SELF_H
#define TESTS_PLANT_SELF_H

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/vec.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/uprobe.h"
#include "unit/self_offset.h"
#include "unit/uprobe_sites.h"

#define SELF_SITE(name)                                                                            \
	__asm__(".pushsection .text\n.balign 64\n" #name ": push %rbp\n pop %rbp\n ret\n.popsection\n"); \
	extern char name[] __attribute__((visibility("hidden")))

struct self_g {
	uint64_t lo, hi, pad[17], goid;
};
#define SELF_G_LAYOUT {.goid = 152, .stack_hi = 8}
#define SELF_HI UINT64_C(0x7fffffff0000)
#define SELF_BIAS UINT64_C(0x555555554000)

/* Go's first integer registers; rax is the stack pointer by which the depth is told. */
struct self_regs {
	uint64_t rax, rbx, rcx, rdi, rsi;
	const struct self_g *g;
};
void self_call(const struct self_regs *r, const void *fn);
__asm__(".pushsection .text\n"
	"self_call:\n"
	" push %rbp\n push %rbx\n push %r12\n push %r14\n sub $8, %rsp\n"
	" mov %rdi, %r12\n mov %rsi, %r10\n"
	" mov 0(%r12), %rax\n mov 8(%r12), %rbx\n mov 16(%r12), %rcx\n mov 24(%r12), %rdi\n mov 32(%r12), %rsi\n"
	" mov 40(%r12), %r14\n"
	" call *%r10\n"
	" add $8, %rsp\n pop %r14\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
	".popsection\n");

static inline void self_skip_unprivileged(void)
{
	struct err err = {0};

	if (uprobe_check_caps(&err) == 0)
		return;
	printf("# skipped: %s\n", err.text);
	skip();
}

static inline int self_fault_in_object(struct dl_phdr_info *object, size_t size, void *arg)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		uint64_t at = object->dlpi_addr + p->p_vaddr, from = at & ~(page - 1);

		if (p->p_type == PT_LOAD && (p->p_flags & PF_R))
			assert_int_equal(madvise((void *)from, at + p->p_filesz - from, MADV_POPULATE_READ), 0);
	}
	return 1; /* the first object is this program: no others */
}

/* A probe cannot read a literal whose page was not used yet. */
static inline void self_fault_in(void)
{
	dl_iterate_phdr(self_fault_in_object, NULL);
}

static inline struct planter *self_open(const struct planter_options *o)
{
	struct planter *p = NULL;
	struct err err = {0};

	self_skip_unprivileged();
	self_fault_in();
	if (planter_uprobe.open(o, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static inline struct plant *self_plant_at(struct planter *p, const struct capture_program *prog, uint32_t id,
					 const void *site, int32_t sp_delta)
{
	struct uprobe_site s = {.offset = self_offset(site), .sp_delta = sp_delta};
	struct plant_probe probe = {.id = id, .label = "self", .sites = &s.site, .program = prog};
	struct plant_target t = {.id = 42, .pid = getpid(), .path = "/proc/self/exe", .bias = SELF_BIAS,
				 .binary_key = 1};
	struct plant *ret = NULL;
	struct err err = {0};

	if (p->ops->plant(p, &t, &probe, 1, &ret, &err) != 1)
		fail_msg("%s", err.text);
	return ret;
}

static inline struct plant *self_plant(struct planter *p, const struct capture_program *prog, uint32_t id,
				      const void *site)
{
	return self_plant_at(p, prog, id, site, 0);
}

/* The samples that came, decoded. */
struct self_sample {
	char *bytes;
	struct event e[2];
	size_t n;
};
struct self_samples {
	VEC(struct self_sample) all;
	size_t bad;
};

static inline void self_take(void *arg, const void *sample, size_t size)
{
	struct self_samples *t = arg;
	struct self_sample s = {.bytes = xmalloc(size)};

	memcpy(s.bytes, sample, size);
	if (event_decode_sample(s.bytes, size, s.e, &s.n)) {
		vec_push(&t->all, s);
		return;
	}
	t->bad++;
	free(s.bytes);
}

static inline void self_samples_done(struct self_samples *t)
{
	for (size_t i = 0; i < t->all.len; i++)
		free(t->all.data[i].bytes);
	vec_done(&t->all);
}

/* Drains into t, which is emptied first; the number of samples. */
static inline size_t self_drain(struct planter *p, struct self_samples *t)
{
	self_samples_done(t);
	while (p->source->ops->drain(p->source, self_take, t) > 0)
		;
	assert_int_equal(t->bad, 0);
	return t->all.len;
}

/* Of one kind, or of all (LOSS_COUNT). */
static inline uint64_t self_losses(struct planter *p, unsigned which)
{
	struct losses all = {0};
	uint64_t n = 0;

	p->source->ops->losses(p->source, &all);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		n += which == i || which == LOSS_COUNT ? all.count[i] : 0;
	return n;
}

#endif
