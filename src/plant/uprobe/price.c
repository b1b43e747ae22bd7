/*
 * Measures by probing ourselves: four tiny functions, one for each way the kernel runs the instruction
 * under a probe (see enum uprobe_price), called with and without an empty program on them.
 */
#include "plant/uprobe/price.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "plant/uprobe/returns.h"

/* In the file's text, as uprobes need it. The first instruction is the site. */
__asm__(".pushsection .text\n"
	".balign 64\n"
	"price_nop5: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n ret\n"
	".balign 64\n"
	"price_emulated: push %rbp\n mov %rsp, %rbp\n pop %rbp\n ret\n"
	".balign 64\n"
	"price_stepped: lea -8(%rsp), %rax\n ret\n"
	".balign 64\n"
	"price_return: ret\n"
	".popsection\n");
extern char price_nop5[] __attribute__((visibility("hidden")));
extern char price_emulated[] __attribute__((visibility("hidden")));
extern char price_stepped[] __attribute__((visibility("hidden")));
extern char price_return[] __attribute__((visibility("hidden")));

enum { WARM_UP = 20, ROUNDS = 3, CALLS = 150 };

/* The file offset of an address in this program. */
static int self_offset(const void *addr, uint64_t *ret)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long long from, to, off;
	uint64_t at = (uintptr_t)addr;
	char line[512];
	int r = -ENOENT;

	if (!f)
		return -errno;
	while (r < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx %*s %llx", &from, &to, &off) == 3 && at >= from && at < to) {
			*ret = at - from + off;
			r = 0;
		}
	}
	fclose(f);
	return r;
}

/* ns a call: the least of a few rounds, since others disturb and nothing speeds up. */
static double call_ns(const void *fn)
{
	void (*call)(void) = (void (*)(void))(uintptr_t)fn;
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < WARM_UP; i++)
		call();
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t begin = clock_monotonic_ns(), took;

		for (int i = 0; i < CALLS; i++)
			call();
		took = clock_monotonic_ns() - begin;
		best = MIN(best, took);
	}
	return (double)best / CALLS;
}

static double price_of(const struct uprobe_means *m, int prog, const void *fn)
{
	double without = call_ns(fn), with;
	struct uprobe_links links;
	uint64_t offset;
	const struct uprobe_places at = {.path = "/proc/self/exe", .offsets = &offset, .n = 1, .pid = getpid()};

	if (self_offset(fn, &offset) < 0 ||
	    uprobe_link(m, prog, &at, &links, NULL) < 0)
		return 0;
	with = call_ns(fn);
	uprobe_links_done(&links);
	return with > without ? with - without : 0;
}

void price_measure(const struct uprobe_means *m, double ret[PRICES])
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	const void *const fns[] = {[PRICE_NOP5] = price_nop5, [PRICE_EMULATED] = price_emulated,
				   [PRICE_STEPPED] = price_stepped, [PRICE_RETURN] = price_return};
	_cleanup_(cleanup_fd) int prog = uprobe_prog_load(m, "price", nothing, ARRAY_SIZE(nothing), NULL);
	_cleanup_(cleanup_fd) int returns = m->returns ? returns_prog_load(m) : -1;

	for (unsigned i = 0; i < ARRAY_SIZE(fns); i++)
		ret[i] = prog < 0 ? 0 : price_of(m, i == PRICE_RETURN && returns >= 0 ? returns : prog, fns[i]);
}
