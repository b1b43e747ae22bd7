/*
 * The fault handler, and the area's layout.
 *
 * The handler is entered by the kernel as any handler is: signal, siginfo and context in RDI, RSI and RDX, on the
 * signal stack, the restorer's address on top. A fault within our code goes on at slot.fault, the slot being what
 * R13 was; what is not ours meets the handler before us with all of these as they were.
 */
#include "plant/patch/gen.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#define CONTEXT(reg) MEM(RDX, offsetof(ucontext_t, uc_mcontext.gregs) + 8 * (reg))

static void find_code(struct x86 *x, int ours, int next)
{
	int again = x86_label_new(x), skip = x86_label_new(x);

	x86_load(x, 8, false, RCX, MEM(R8, offsetof(struct patch_area, ncode)));
	x86_lea(x, R9, MEM(R8, offsetof(struct patch_area, code)));
	x86_load(x, 8, false, RAX, CONTEXT(REG_RIP));
	x86_label(x, again);
	x86_alu_imm(x, X_SUB, RCX, 1);
	x86_jcc(x, CC_B, next);
	x86_alu_load(x, X_CMP, RAX, MEM(R9, 0));
	x86_jcc(x, CC_B, skip);
	x86_alu_load(x, X_CMP, RAX, MEM(R9, 8));
	x86_jcc(x, CC_B, ours);
	x86_label(x, skip);
	x86_alu_imm(x, X_ADD, R9, 16);
	x86_jmp(x, again);
}

static void resume(struct x86 *x, const struct patch_area *l, int next)
{
	x86_load(x, 8, false, R10, CONTEXT(REG_R13));
	x86_lea(x, R11, MEM(R8, l->ring.slots_off));
	x86_mov(x, RAX, R10);
	x86_alu(x, X_SUB, RAX, R11);
	x86_imm(x, R11, (uint64_t)(l->ring.procs + l->ring.extra) * l->ring.slot_bytes);
	x86_alu(x, X_CMP, RAX, R11);
	x86_jcc(x, CC_AE, next);
	x86_load(x, 8, false, RAX, MEM(R10, offsetof(struct patch_slot, fault)));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, next);
	x86_store(x, 8, CONTEXT(REG_RIP), RAX);
	x86_ret(x);
}

int patch_handler_compile(uint64_t area, const struct patch_area *layout, uint64_t next, struct buf *out,
			  struct err *err)
{
	struct x86 x;
	int ours, chain;

	if (next <= 1) /* SIG_DFL, SIG_IGN */
		return err_set(err, -EOPNOTSUPP, "the program has no handler for memory faults; a Go program "
						 "that has started has one");
	x86_begin(&x, out, 0);
	ours = x86_label_new(&x);
	chain = x86_label_new(&x);
	x86_alu_mem_imm(&x, X_CMP, 4, MEM(RSI, offsetof(siginfo_t, si_code)), 0); /* sent by somebody: no fault */
	x86_jcc(&x, CC_LE, chain);
	x86_imm(&x, R8, area);
	find_code(&x, ours, chain);
	x86_label(&x, ours);
	resume(&x, layout, chain);
	x86_label(&x, chain);
	x86_imm(&x, RAX, next);
	x86_jmp_reg(&x, RAX);
	x86_finish(&x);
	x86_done(&x);
	return 0;
}

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

int patch_area_layout(uint32_t procs, uint32_t extra, uint32_t chunks, uint32_t ncounts, uint32_t nsaved,
		      struct patch_area *ret, struct err *err)
{
	struct patch_area a = {.ring = {.magic = PATCH_MAGIC, .size = sizeof(a), .procs = procs, .extra = extra,
					.chunks = chunks, .table_len = 1},
			       .ncounts = ncounts, .nsaved = nsaved};

	if (!chunks || chunks > RING_MAX_CHUNKS)
		return err_set(err, -EINVAL, "a pool cannot have %u chunks (expected 1 to %u)", chunks,
			       RING_MAX_CHUNKS);
	if (!power_of_two(nsaved) || nsaved < PATCH_SAVED_WAYS || !extra || !ncounts)
		return err_set(err, -EINVAL, "an area cannot have %u extra slots, %u counters and room for %u calls",
			       extra, ncounts, nsaved);
	while (a.ring.table_len < chunks)
		a.ring.table_len *= 2;
	a.ring.slot_bytes = (uint32_t)ALIGN_UP(patch_left_out_off(&a) + 8 * (uint64_t)ncounts, 4096);
	a.counts_off = ALIGN_UP(sizeof(a), sizeof(struct patch_counts));
	a.saved_off = a.counts_off + (uint64_t)ncounts * sizeof(struct patch_counts);
	a.ring.links_off = a.saved_off + (uint64_t)nsaved * sizeof(struct patch_saved);
	a.ring.slots_off = ALIGN_UP(a.ring.links_off + sizeof(uint32_t) * (uint64_t)chunks, 4096);
	a.ring.bytes = a.ring.pool_off = a.ring.slots_off + (uint64_t)(procs + extra) * a.ring.slot_bytes;
	if (a.ring.slots_off > INT32_MAX)
		return err_set(err, -ERANGE, "counters and calls would take %llu bytes (less than 2 GB expected)",
			       (unsigned long long)a.ring.slots_off);
	*ret = a;
	return 0;
}

/* Of a word at that offset of each slot. */
static uint64_t sum_of_slots(const struct patch_area *a, const struct patch_area *layout, uint64_t off)
{
	const char *slots = (const char *)a + layout->ring.slots_off + off;
	uint64_t n = 0;

	for (uint32_t s = 0; s < layout->ring.procs + layout->ring.extra; s++)
		n += __atomic_load_n((const uint64_t *)(const void *)(slots + (uint64_t)s * layout->ring.slot_bytes),
				     __ATOMIC_RELAXED);
	return n;
}

uint64_t patch_area_hits(const struct patch_area *a, const struct patch_area *layout, uint32_t i)
{
	const struct patch_counts *c = (const void *)((const char *)a + layout->counts_off);

	return __atomic_load_n(&c[i].slotless_hits, __ATOMIC_RELAXED) +
	       sum_of_slots(a, layout, patch_hits_off(layout) + 8 * (uint64_t)i);
}

uint64_t patch_area_left_out(const struct patch_area *a, const struct patch_area *layout, uint32_t i)
{
	return sum_of_slots(a, layout, patch_left_out_off(layout) + 8 * (uint64_t)i);
}
