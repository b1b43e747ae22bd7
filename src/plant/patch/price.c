/*
 * What a hit costs, measured by running the very code that is put into programs: here, on a stack and behind an R14
 * of our own. The processor is ours alone as little as the program's, so the least of a few rounds is taken.
 */
#include <string.h>
#include <sys/mman.h>

#include "plant/patch/patch.h"

#define CODE_BYTES 16384
#define CHUNKS 2
#define ROUNDS 5
#define HITS 2000

struct fake_p {
	int32_t id;
};
struct fake_m {
	struct fake_p *p;
};
struct fake_g {
	uint64_t goid, stack_hi;
	struct fake_m *m;
};

/* Jumps to code (RSI) n (RDX) times with R14 as given (RDI); the code goes on at price_back. */
void price_run(struct fake_g *g, const void *code, uint64_t n);
extern const char price_back[] __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n"
	".balign 64\n"
	"price_run: push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n"
	" mov %rdi, %r14\n mov %rsi, %rbx\n mov %rdx, %rbp\n"
	"1: jmp *%rbx\n"
	"price_back: dec %rbp\n jnz 1b\n"
	" pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
	".popsection\n");

struct bench {
	struct patch_area layout;
	struct patch_area *area;
	struct chunk_pool pool;
	uint8_t *code;
	struct fake_p p;
	struct fake_m m;
	struct fake_g g;
};

static size_t area_bytes(const struct bench *b)
{
	return b->layout.ring.pool_off + (size_t)CHUNKS * RING_CHUNK;
}

static int bench_open(struct bench *b)
{
	int r = patch_area_layout(1, 1, CHUNKS, 1, PATCH_SAVED_WAYS, &b->layout, NULL);

	b->area = MAP_FAILED;
	b->code = MAP_FAILED;
	if (r < 0)
		return r;
	b->area = mmap(NULL, area_bytes(b), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	b->code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->area == MAP_FAILED || b->code == MAP_FAILED)
		return -1;
	*b->area = b->layout;
	b->area->ring.on = 1;
	pool_init(&b->pool, &b->area->ring, &b->layout.ring, (uint8_t *)b->area + b->layout.ring.pool_off, CHUNKS);
	b->m.p = &b->p;
	b->g = (struct fake_g){.goid = 1, .stack_hi = UINT64_MAX, .m = &b->m};
	return 0;
}

static void bench_close(struct bench *b)
{
	if (b->area != MAP_FAILED)
		munmap(b->area, area_bytes(b));
	pool_done(&b->pool);
	if (b->code != MAP_FAILED)
		munmap(b->code, CODE_BYTES);
}

/* A jump to price_back, then the code, which may lie too far from it to jump there itself. */
static int put_code(struct bench *b, uint64_t tsc_mult)
{
	const struct capture_program program = {
		.role = PROGRAM_ENTRY,
		.call_group = 1,
		.g = {.goid = offsetof(struct fake_g, goid), .stack_hi = offsetof(struct fake_g, stack_hi),
		      .m = offsetof(struct fake_g, m)},
	};
	const struct patch_env env = {.code = (uintptr_t)b->code + 16, .back = (uintptr_t)b->code,
				      .area = (uintptr_t)b->area,
				      .layout = &b->layout, .m_p = offsetof(struct fake_m, p),
				      .p_id = offsetof(struct fake_p, id), .calls_apart = true,
				      .tsc_mult = tsc_mult};
	_cleanup_(buf_done) struct buf code = {0};
	const uint64_t back = (uintptr_t)price_back;
	int r = patch_compile(&program, 1, &env, &code, NULL);

	if (r < 0 || code.len > CODE_BYTES - 16)
		return -1;
	memcpy(b->code, "\xff\x25\0\0\0\0", 6);
	memcpy(b->code + 6, &back, sizeof(back));
	memcpy(b->code + 16, code.data, code.len);
	return mprotect(b->code, CODE_BYTES, PROT_READ | PROT_EXEC);
}

static double time_hits(struct bench *b, uint64_t tsc_mult)
{
	struct patch_slot *slot = patch_area_slot(b->area, 0);
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = tsc_now(), took;

		for (int k = 0; k < HITS / 100; k++) {
			price_run(&b->g, b->code + 16, 100);
			pool_pass_over(&b->pool, &b->layout.ring, &slot->ring, 0);
		}
		took = tsc_now() - start;
		best = MIN(best, took);
	}
	return (double)best * (double)tsc_mult / 4294967296.0 / HITS;
}

double patch_price_measure(uint64_t tsc_mult)
{
	struct bench b = {0};
	double ns = 0;

	if (!bench_open(&b) && !put_code(&b, tsc_mult))
		ns = time_hits(&b, tsc_mult);
	bench_close(&b);
	return ns;
}
