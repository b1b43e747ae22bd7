/*
 * Runs generated code in this process as a patched function would: all registers filled with patterns, a stack of
 * its own whose every byte is compared afterwards, fake runtime structures behind R14.
 */
#ifndef TESTS_PATCH_RUN_H
#define TESTS_PATCH_RUN_H

#include <signal.h>
#include <sys/mman.h>

#include "plant/patch/code.h"
#include "plant/ring/pool.h"
#include "unit/ir_world.h"

/* In the order that call_code loads and stores: the registers by their numbers in x86-64. */
enum { N_RAX, N_RCX, N_RDX, N_RBX, N_RSP, N_RBP, N_RSI, N_RDI };
struct frame {
	uint64_t gpr[16], out_gpr[16];
	uint64_t xmm[16][2], out_xmm[16][2];
};
void call_code(struct frame *f, const void *code);
extern char call_code_back[] __attribute__((visibility("hidden")));
__thread struct frame *call_frame;
__thread uint64_t call_code_at, call_sp, call_rdi;

#define LOAD(reg, n) " mov " #n "*8(%rdi), %" #reg "\n"
#define STORE(reg, n) " mov %" #reg ", 128+" #n "*8(%rdi)\n"
#define XMMS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD_XMM(n) " movups 256+" #n "*16(%rdi), %xmm" #n "\n"
#define STORE_XMM(n) " movups %xmm" #n ", 512+" #n "*16(%rdi)\n"
__asm__(".pushsection .text\n"
	"call_code:\n"
	" push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
	" mov %rdi, %fs:call_frame@tpoff\n"
	" mov %rsi, %fs:call_code_at@tpoff\n"
	" mov %rsp, %fs:call_sp@tpoff\n"
	XMMS(LOAD_XMM)
	LOAD(rax, 0) LOAD(rcx, 1) LOAD(rdx, 2) LOAD(rbx, 3) LOAD(rsp, 4) LOAD(rbp, 5) LOAD(rsi, 6)
	LOAD(r8, 8) LOAD(r9, 9) LOAD(r10, 10) LOAD(r11, 11) LOAD(r12, 12) LOAD(r13, 13) LOAD(r14, 14) LOAD(r15, 15)
	LOAD(rdi, 7)
	" jmp *%fs:call_code_at@tpoff\n"
	"call_code_back:\n"
	" mov %rdi, %fs:call_rdi@tpoff\n"
	" mov %fs:call_frame@tpoff, %rdi\n"
	STORE(rax, 0) STORE(rcx, 1) STORE(rdx, 2) STORE(rbx, 3) STORE(rsp, 4) STORE(rbp, 5) STORE(rsi, 6)
	STORE(r8, 8) STORE(r9, 9) STORE(r10, 10) STORE(r11, 11) STORE(r12, 12) STORE(r13, 13) STORE(r14, 14)
	STORE(r15, 15)
	XMMS(STORE_XMM)
	" mov %fs:call_rdi@tpoff, %rax\n"
	" mov %rax, 128+7*8(%rdi)\n"
	" mov %fs:call_sp@tpoff, %rsp\n"
	" pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
	".popsection\n");

/* ---- the fake runtime ---- */

struct fake_p {
	uint64_t pad;
	int32_t id;
};
struct fake_m {
	uint64_t pad[2];
	struct fake_p *p;
};
static struct fake_p fake_p = {.id = 1};
static struct fake_m fake_m = {.p = &fake_p};

#define STACK_SIZE 8192
#define STACK_SP 4096 /* of the entry, in the stack */
static void stack_fill(uint8_t *stack)
{
	const uint64_t top[] = {world_pc_ret, 1111, (uint64_t)-2, 3333};

	for (size_t i = 0; i < STACK_SIZE; i++)
		stack[i] = (uint8_t)(i * 7 + (i >> 8));
	memcpy(stack + STACK_SP, top, sizeof(top));
}

static void frame_fill(struct frame *f, const struct regs *r, uint8_t *stack)
{
	static const uint8_t args[] = {N_RAX, N_RBX, N_RCX, N_RDI, N_RSI, 8, 9, 10, 11};

	for (size_t i = 0; i < 16; i++) {
		f->gpr[i] = UINT64_C(0x1111111111111111) * i + 0xabcdef;
		f->xmm[i][0] = UINT64_C(0x0123456789abcdef) * (i + 1);
		f->xmm[i][1] = ~f->xmm[i][0];
	}
	f->xmm[15][0] = f->xmm[15][1] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		f->gpr[args[i]] = r->r[i];
	f->gpr[14] = r->g;
	f->gpr[N_RSP] = (uintptr_t)stack + STACK_SP;
}

/* Everything that Go may rely on is as it was. */
static void frame_check(const struct frame *f, const uint8_t *stack)
{
	static uint8_t want[STACK_SIZE];

	for (size_t i = 0; i < 16; i++) {
		if (i != 12 && i != 13 && f->gpr[i] != f->out_gpr[i])
			fail_msg("register %zu is %#llx, was %#llx", i, (unsigned long long)f->out_gpr[i],
				 (unsigned long long)f->gpr[i]);
		assert_memory_equal(f->xmm[i], f->out_xmm[i], 16);
	}
	assert_int_equal(f->out_gpr[13], 0);
	stack_fill(want);
	assert_memory_equal(stack, want, STACK_SIZE);
}

/* ---- the area and the code ---- */

#define PROCS 2
#define EXTRA 2
#define CHUNKS 8 /* each slot has one, and some more */
#define CODE_SIZE (4u << 20)
static struct patch_area *area;
static struct chunk_pool chunk_pool;
static uint32_t area_nsaved = 64;
static uint8_t *code_memory;
static size_t code_used;
static uint8_t *test_stack;

static size_t area_size(const struct patch_area *a)
{
	return a->ring.pool_off + (size_t)a->ring.chunks * RING_CHUNK;
}

static void area_init(uint32_t chunks)
{
	struct patch_area a;
	struct err err = {0};

	if (area)
		munmap(area, area_size(area));
	if (patch_area_layout(PROCS, EXTRA, chunks, 64, area_nsaved, &a, &err) < 0)
		fail_msg("%s", err.text);
	area = mmap(NULL, area_size(&a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	a.ring.on = 1;
	a.ring.target = 42;
	a.ncode = 1;
	a.code[0].low = (uintptr_t)code_memory;
	a.code[0].high = (uintptr_t)code_memory + CODE_SIZE;
	*area = a;
	pool_done(&chunk_pool);
	pool_init(&chunk_pool, &area->ring, &a.ring, (uint8_t *)area + a.ring.pool_off, chunks);
}

static uint64_t put_code(const void *code, size_t n)
{
	uint8_t *at = code_memory + code_used;

	assert_true(code_used + n <= CODE_SIZE);
	memcpy(at, code, n);
	code_used += ALIGN_UP(n, 16);
	return (uintptr_t)at;
}

/* jmp *0(%rip): call_code_back may be far away. */
static void code_reset(void)
{
	uint8_t stub[14] = {0xff, 0x25};
	uint64_t back = (uintptr_t)call_code_back;

	memcpy(stub + 6, &back, 8);
	code_used = 0;
	put_code(stub, sizeof(stub));
}

static uint64_t test_loans; /* address of a struct shared_loans; 0: none */

static struct patch_env test_env(void)
{
	return (struct patch_env){.code = (uintptr_t)code_memory + code_used, .back = (uintptr_t)code_memory,
				  .area = (uintptr_t)area, .layout = area, .bias = BIAS, .counts = 3,
				  .m_p = offsetof(struct fake_m, p), .p_id = offsetof(struct fake_p, id),
				  .loans = test_loans, .tsc_mult = UINT64_C(1) << 31};
}

static bool calls_apart;

static inline const void *compile_ok(const struct capture_program *p, uint32_t id)
{
	struct patch_env env = test_env();
	struct buf out = {0};
	struct err err = {0};
	uint64_t at;

	env.calls_apart = calls_apart;
	if (patch_compile(p, id, &env, &out, &err) < 0)
		fail_msg("%s", err.text);
	at = put_code(out.data, out.len);
	buf_done(&out);
	return (const void *)(uintptr_t)at;
}

static volatile int foreign_faults;
static sigjmp_buf foreign_return;
static void foreign_handler(int sig, siginfo_t *info, void *context)
{
	foreign_faults++;
	siglongjmp(foreign_return, 1);
}

static void install_handler(void)
{
	static uint8_t signal_stack[65536];
	stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct buf out = {0};
	struct err err = {0};

	assert_int_equal(patch_handler_compile((uintptr_t)area, area, (uintptr_t)foreign_handler, &out, &err), 0);
	sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))(uintptr_t)put_code(out.data, out.len);
	assert_int_equal(sigaltstack(&ss, NULL), 0);
	assert_int_equal(sigaction(SIGSEGV, &sa, NULL), 0);
	assert_int_equal(sigaction(SIGBUS, &sa, NULL), 0);
	buf_done(&out);
}

/* Empty rings, code and counters; the handler is in place. */
static void patch_setup(uint32_t chunks)
{
	if (!code_memory) {
		code_memory = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0);
		test_stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(code_memory, MAP_FAILED);
	}
	code_reset();
	area_init(chunks);
	install_handler();
	fake_g.m = (uintptr_t)&fake_m;
	fake_m.p = &fake_p;
	fake_p.id = 1;
}

__attribute__((unused)) static void seed_slots(void)
{
	for (uint32_t i = 0; i < PROCS + EXTRA; i++) {
		patch_area_slot(area, i)->random[0] = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
		patch_area_slot(area, i)->random[1] = 1;
	}
}

/* The area of patch_setup, with marks in front of the pool. */
__attribute__((unused)) static void patch_setup_marks(uint32_t nmarks, uint32_t nstates)
{
	struct patch_area a;

	patch_setup(CHUNKS);
	a = *area;
	munmap(area, area_size(area));
	a.ring.bytes = a.ring.slots_off + (uint64_t)(PROCS + EXTRA) * a.ring.slot_bytes;
	patch_marks_layout(nmarks, nstates, &a);
	area = mmap(NULL, area_size(&a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	*area = a;
	pool_done(&chunk_pool);
	pool_init(&chunk_pool, &area->ring, &a.ring, (uint8_t *)area + a.ring.pool_off, CHUNKS);
	install_handler();
	seed_slots();
	tracestate_rules((struct tracestate_rules *)(void *)((uint8_t *)area + a.rules_off));
}

static void run_code(const void *code, const struct regs *r)
{
	struct frame f;

	stack_fill(test_stack);
	frame_fill(&f, r, test_stack);
	call_code(&f, code);
	frame_check(&f, test_stack);
}

/* ---- reading rings ---- */

typedef void (*record_fn)(void *arg, const void *record, size_t size);

static uint32_t last_epoch; /* of the last record */

static uint32_t slot_index(const struct patch_slot *s)
{
	return (uint32_t)(((const char *)s - (const char *)patch_area_slot(area, 0)) / area->ring.slot_bytes);
}

static size_t slot_drain(struct patch_slot *s, record_fn fn, void *arg)
{
	uint64_t pos = s->ring.read, end = __atomic_load_n(&s->ring.write, __ATOMIC_ACQUIRE);
	uint32_t i = slot_index(s);
	size_t n = 0;

	while (pos < end) {
		const uint32_t number = *ring_slot_chunk(&s->ring, &area->ring, pos);
		const uint8_t *chunk = pos % RING_CHUNK ? pool_current(&chunk_pool, i)
							 : pool_enter(&chunk_pool, i, number);
		const struct ring_entry *e = (const void *)(chunk + pos % RING_CHUNK);

		assert_non_null(chunk);
		assert_true(e->size >= 8 && e->size % 8 == 0 && e->size <= end - pos);
		assert_true(e->size <= RING_CHUNK - pos % RING_CHUNK);
		if ((e->kind & RING_KIND_MASK) == RING_ENTRY_RECORD) {
			last_epoch = e->kind >> 1;
			fn(arg, e + 1, e->size - sizeof(*e));
			n++;
		}
		pos += e->size;
		if (pos % RING_CHUNK == 0)
			pool_leave(&chunk_pool, i);
	}
	assert_int_equal(pos, end);
	__atomic_store_n(&s->ring.read, pos, __ATOMIC_RELEASE);
	return n;
}

/* Nobody reads it. */
static inline void ring_pass_over(struct patch_slot *s)
{
	pool_pass_over(&chunk_pool, &area->ring, &s->ring, slot_index(s));
}

static inline uint64_t loss_count(enum loss l)
{
	return patch_area_counts(area, 3)->loss[l];
}

/* The last record that was drained, and how many there were. */
struct taken {
	_Alignas(8) uint8_t record[EVENT_MAX_SIZE];
	struct event event;
	size_t n;
};

static inline void take(void *arg, const void *record, size_t size)
{
	struct taken *t = arg;

	memcpy(t->record, record, size);
	assert_true(event_decode(t->record, size, &t->event));
	t->n++;
}

#endif
