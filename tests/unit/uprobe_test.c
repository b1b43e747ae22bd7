/*
 * The uprobe planter against the kernel: generated capture programs are loaded, planted on a function of
 * this program, and their records compared with an interpreter that reads the same memory.
 * Needs CAP_BPF and CAP_PERFMON; skips by name without.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "plant/plant.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/compile.h"
#include "base/vec.h"

/* ---- the functions under probe ---- */

__asm__(".pushsection .text\n"
	".balign 64\n"
	"probed: push %rbp\n mov %rsp, %rbp\n nop\n pop %rbp\n"
	"probed_ret: ret\n"
	".popsection\n");
extern char probed[] __attribute__((visibility("hidden")));
extern char probed_ret[] __attribute__((visibility("hidden")));

/* Go 1.19's cheap site: the jbe of the stack check. */
__asm__(".pushsection .text\n"
	".balign 64\n"
	"checked: cmp %rbx, %rax\n"
	"checked_jbe: jbe 1f\n"
	" nop\n"
	"1: ret\n"
	".popsection\n");
extern char checked[] __attribute__((visibility("hidden")));
extern char checked_jbe[] __attribute__((visibility("hidden")));

struct regs { /* in the order of Go's integer argument registers, then R14 */
	uint64_t r[9];
	uint64_t g;
};
void call_probed(const struct regs *r, void *fn);
/* The return address and 64 bytes of stack arguments are at the callee's entry SP. */
__asm__(".pushsection .text\n"
	"call_probed:\n"
	" push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
	" sub $72, %rsp\n"
	" movq $1111, (%rsp)\n movq $-2, 8(%rsp)\n movq $3333, 16(%rsp)\n"
	" mov %rsi, %r15\n mov %rdi, %r12\n"
	" mov 0(%r12), %rax\n mov 8(%r12), %rbx\n mov 16(%r12), %rcx\n mov 24(%r12), %rdi\n"
	" mov 32(%r12), %rsi\n mov 40(%r12), %r8\n mov 48(%r12), %r9\n mov 56(%r12), %r10\n"
	" mov 64(%r12), %r11\n mov 72(%r12), %r14\n"
	" mov %rsp, call_probed_sp(%rip)\n"
	" call *%r15\n"
	" .globl call_probed_after\n"
	"call_probed_after:\n"
	" add $72, %rsp\n"
	" pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
	".popsection\n");
extern char call_probed_after[];
uint64_t call_probed_sp; /* SP before the call: 8 more than at the entry */

/* Memory that programs may stray into stays constant: padded here, from a pool for the maps. */
static struct {
	uint64_t lo, hi, pad[17], goid, behind[2000];
} fake_g = {.hi = UINT64_C(0x7fffffffff00), .goid = 4711};
static char pool[1 << 18];
static size_t pool_used;
static void *pool_alloc(size_t n)
{
	void *ret = pool + pool_used;

	pool_used += (n + 15) & ~(size_t)15;
	if (pool_used + 8192 > sizeof(pool))
		abort();
	return ret;
}
#define FAKE_LAYOUT                                                                                \
	{                                                                                          \
		.goid = 152, .stack_hi = 8                                                         \
	}

static uint64_t self_offset(const void *addr)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t at = (uintptr_t)addr, ret = 0;
	unsigned long long from, to, off;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %*s %llx", &from, &to, &off) == 3 && at >= from && at < to)
			ret = at - from + off;
	fclose(f);
	return ret;
}

/* ---- planting ---- */

static void skip_unprivileged(void)
{
	struct err err = {0};

	if (uprobe_check_caps(&err) == 0)
		return;
	printf("# skipped: %s\n", err.text);
	skip();
}

static struct planter *open_planter(size_t ring)
{
	struct planter_options o = {.ring_bytes = ring, .procfs = "/proc"};
	struct planter *p = NULL;
	struct err err = {0};

	if (planter_uprobe.open(&o, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

#define BIAS UINT64_C(0x555555554000)
static int plant_at(struct planter *p, const struct capture_program *prog, uint32_t id,
		    const struct site *sites, size_t nsites, struct plant **ret, struct err *err)
{
	struct plant_probe probe = {.id = id, .label = "test.(*T).probed", .sites = sites,
				    .nsites = nsites, .program = prog};
	struct plant_target t = {.id = 42, .pid = getpid(), .path = "/proc/self/exe", .bias = BIAS,
				 .binary_key = 1};

	return planter_uprobe.plant(p, &t, &probe, 1, ret, err);
}

static struct plant *plant_ok(struct planter *p, const struct capture_program *prog, uint32_t id)
{
	struct site s = {.offset = self_offset(probed)};
	struct plant *ret = NULL;
	struct err err = {0};

	if (plant_at(p, prog, id, &s, 1, &ret, &err) != 1)
		fail_msg("%s", err.text);
	return ret;
}

struct taken {
	VEC(char *) records;
	size_t bad;
};

static void take_record(void *arg, const void *record, size_t size)
{
	struct taken *t = arg;
	struct event e;
	char *copy = xmalloc(size);

	memcpy(copy, record, size);
	if (!event_decode(copy, size, &e))
		t->bad++;
	vec_push(&t->records, copy);
}

static void taken_done(struct taken *t)
{
	for (size_t i = 0; i < t->records.len; i++)
		free(t->records.data[i]);
	vec_done(&t->records);
}

static uint64_t loss_of(struct planter *p, enum loss l)
{
	struct losses all = {0};

	planter_uprobe.losses(p, &all);
	return all.count[l];
}

/* ---- the world that programs read ---- */

#define WORDS 64
static struct {
	uint64_t words[WORDS]; /* pointers into it, strings, numbers, nil, unmapped addresses */
	char text[16384];
	char *hole;            /* an address without memory */
	char behind[8192];
} world;

static uint64_t seed = 1;
static uint64_t rnd(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % n;
}

/* The swiss and the old map, as their images lie in memory: key string, element string. */
struct swiss_slot {
	const char *key;
	uint64_t key_len;
	const char *elem;
	uint64_t elem_len;
};
struct swiss_group {
	uint8_t ctrl[8];
	struct swiss_slot slots[8];
};
struct swiss_table {
	uint16_t used, capacity, growth_left;
	uint8_t local_depth;
	int64_t index;
	struct swiss_group *groups;
	uint64_t mask;
};
struct swiss_map {
	uint64_t used, seed;
	void *dir;
	uint64_t dir_len;
	uint8_t depth, shift, writing;
};
static const struct map_layout swiss_layout = {
	.swiss = true, .slots = 8, .slot_size = 32, .key_stride = 32, .elem_stride = 32,
	.key_off = 0, .elem_off = 16, .key_size = 16,
	.elem_size = 16, .count_off = 0, .dir_ptr_off = offsetof(struct swiss_map, dir),
	.dir_len_off = offsetof(struct swiss_map, dir_len),
	.table_groups_off = offsetof(struct swiss_table, groups),
	.table_mask_off = offsetof(struct swiss_table, mask),
	.table_index_off = offsetof(struct swiss_table, index),
	.group_slots_off = 8, .group_size = sizeof(struct swiss_group),
};

struct old_bucket {
	uint8_t tophash[8];
	struct {
		const char *s;
		uint64_t len;
	} keys[8], elems[8];
	struct old_bucket *overflow;
};
struct old_map {
	uint64_t count;
	uint8_t flags, b;
	uint16_t noverflow;
	uint32_t hash0;
	struct old_bucket *buckets, *old;
	uint64_t nevacuate;
};
static const struct map_layout old_layout = {
	.slots = 8, .key_off = offsetof(struct old_bucket, keys),
	.elem_off = offsetof(struct old_bucket, elems), .key_stride = 16, .elem_stride = 16,
	.key_size = 16, .elem_size = 16,
	.count_off = 0, .b_off = offsetof(struct old_map, b),
	.buckets_off = offsetof(struct old_map, buckets),
	.oldbuckets_off = offsetof(struct old_map, old),
	.nevacuate_off = offsetof(struct old_map, nevacuate),
	.flags_off = offsetof(struct old_map, flags),
	.overflow_off = offsetof(struct old_bucket, overflow),
	.bucket_size = sizeof(struct old_bucket),
};

static const char *const header_keys[] = {"Accept", "Accept-Encoding", "Authorization", "Cache-Control",
	"Connection", "Content-Length", "Content-Type", "Cookie", "Date", "Forwarded", "Origin", "Range",
	"Referer", "Te", "Traceparent", "Upgrade", "User-Agent", "Via", "X-Forwarded-For", "X-Request-Id"};

static const char *elem_of(const char *key)
{
	char *ret = pool_alloc(64);

	snprintf(ret, 64, "value of %s", key);
	return ret;
}

static struct swiss_map *swiss_new(size_t nkeys)
{
	struct swiss_map *m = pool_alloc(1 * sizeof(*m));
	size_t ngroups = nkeys <= 8 ? 1 : nkeys <= 14 ? 2 : nkeys <= 28 ? 4 : 32;
	struct swiss_group *gs = pool_alloc(ngroups * sizeof(*gs));
	struct swiss_table *t = pool_alloc(1 * sizeof(*t));

	for (size_t i = 0; i < ngroups; i++)
		memset(gs[i].ctrl, 0x80, 8);
	for (size_t i = 0; i < nkeys; i++) {
		const char *key = i < ARRAY_SIZE(header_keys) ? header_keys[i] : elem_of("filler");
		size_t g = i * 7 % ngroups, s = 0;

		for (; gs[g].ctrl[s] != 0x80; s++)
			if (s == 7)
				g = (g + 1) % ngroups, s = (size_t)-1;
		gs[g].ctrl[s] = (uint8_t)(i * 11 & 0x7f);
		gs[g].slots[s] = (struct swiss_slot){key, strlen(key), elem_of(key), strlen(elem_of(key))};
	}
	*t = (struct swiss_table){.groups = gs, .mask = ngroups - 1};
	m->used = nkeys;
	m->dir = gs;
	if (nkeys > 8) {
		void **dir = pool_alloc(1 * sizeof(*dir));

		dir[0] = t;
		m->dir = dir;
		m->dir_len = 1;
	}
	return m;
}

static void old_put(struct old_bucket *b, size_t i)
{
	const char *key = i < ARRAY_SIZE(header_keys) ? header_keys[i] : elem_of("filler");

	for (;;) {
		for (size_t s = 0; s < 8; s++) {
			if (b->tophash[s])
				continue;
			b->tophash[s] = (uint8_t)(5 + i);
			b->keys[s].s = key;
			b->keys[s].len = strlen(key);
			b->elems[s].s = elem_of(key);
			b->elems[s].len = strlen(elem_of(key));
			return;
		}
		if (!b->overflow)
			b->overflow = pool_alloc(1 * sizeof(*b));
		b = b->overflow;
	}
}

/* growing: the second half of the keys is still in the old buckets. */
static struct old_map *old_new(size_t nkeys, uint8_t b, bool growing)
{
	struct old_map *m = pool_alloc(1 * sizeof(*m));
	size_t nb = (size_t)1 << b, nold = nb > 1 ? nb / 2 : 1;

	m->count = nkeys;
	m->b = b;
	m->flags = growing && nb == 1 ? 8 : 0;
	m->buckets = pool_alloc(nb * sizeof(*m->buckets));
	if (growing) {
		m->old = pool_alloc(nold * sizeof(*m->old));
		for (size_t i = 0; i < nold; i++) /* moved: what lies there is stale */
			memset(m->old[i].tophash, 2, 2);
		m->old[0].keys[0].s = "Accept";
		m->old[0].keys[0].len = 6;
	}
	for (size_t i = 0; i < nkeys; i++)
		if (growing && i >= nkeys / 2)
			old_put(&m->old[i * 5 % nold], i);
		else
			old_put(&m->buckets[i * 3 % nb], i);
	return m;
}

static struct swiss_map *swiss_maps[6];
static struct old_map *old_maps[6];

static void world_init(void)
{
	static const char *const words[] = {"GET", "/cart", "alice", "alice and bob", "", "\0\1\2\xff"};

	/* Resident: programs cannot fault pages in, the interpreter can. */
	memset(pool, 0, sizeof(pool));
	memset(fake_g.behind, 0, sizeof(fake_g.behind));
	memset(world.behind, 0, sizeof(world.behind));
	for (size_t i = 0; i < sizeof(world.text); i++)
		world.text[i] = "abcdefghijklmnopqrstuvwxyz/?=&%"[i * i % 31];
	memcpy(world.text + 100, "needle", 6);
	world.hole = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < WORDS; i += 2) {
		uint64_t *w = &world.words[i];
		const char *s = words[rnd(ARRAY_SIZE(words))];

		switch (rnd(8)) {
		case 0: case 1:
			w[0] = (uintptr_t)s, w[1] = strlen(s);
			break;
		case 2:
			w[0] = (uintptr_t)world.text + rnd(64), w[1] = rnd(8000);
			break;
		case 3:
			w[0] = (uintptr_t)&world.words[rnd(WORDS / 2)], w[1] = rnd(10);
			break;
		case 4:
			w[0] = 0, w[1] = rnd(2);
			break;
		case 5:
			w[0] = (uintptr_t)world.hole + rnd(100), w[1] = rnd(100);
			break;
		case 6:
			w[0] = seed, w[1] = ~seed << rnd(40);
			break;
		case 7:
			w[0] = (uintptr_t)world.hole - 3, w[1] = 2 + rnd(3); /* up to or over the edge */
			break;
		}
	}
	static const size_t sizes[] = {0, 1, 8, 14, 20, 60};

	for (size_t i = 0; i < 6; i++) {
		swiss_maps[i] = swiss_new(sizes[i]);
		old_maps[i] = old_new(sizes[i], (uint8_t)(i > 1 ? i - 1 : 0), i & 1);
	}
	old_maps[5]->b = 6; /* more buckets than are searched (and than there are keys in) */
	old_maps[5]->buckets = pool_alloc(64 * sizeof(struct old_bucket));
	old_maps[5]->old = NULL;
}

/* ---- the interpreter ---- */

static bool mem(uint64_t addr, void *to, size_t n)
{
	struct iovec local = {to, n}, remote = {(void *)(uintptr_t)addr, n};

	return !n || process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

struct machine {
	const struct capture_program *p;
	const struct regs *regs;
	uint64_t sp;           /* at entry */
	uint64_t v[IR_MAX_REGS];
	bool str_fault;
	struct {
		uint8_t status;
		uint64_t value, len, copied;
		char bytes[EVENT_MAX_STRING];
	} slot[EVENT_MAX_SLOTS];
	size_t data;           /* string bytes so far */
	bool dropped, unreadable, no_goroutine;
	uint64_t g, goroutine_sp;
	bool has_sp, no_sp;
};

static uint64_t extended(uint64_t v, unsigned size, bool sign)
{
	unsigned shift = 64 - 8 * size;

	return sign ? (uint64_t)((int64_t)(v << shift) >> shift) : v << shift >> shift;
}

static int swiss_find(const struct ir_insn *i, uint64_t at, uint64_t *ret)
{
	struct swiss_map m;
	struct swiss_table t = {.mask = 0};
	bool more = false;

	if (!mem(at, &m, sizeof(m)))
		return SLOT_UNREADABLE;
	if (!m.used)
		return SLOT_NO_KEY;
	t.groups = m.dir;
	if (m.dir_len) {
		t = **(struct swiss_table **)m.dir;
		more = m.dir_len > 1;
	}
	for (uint64_t g = 0; g <= t.mask; g++) {
		if (g == 16)
			return SLOT_MAP_BUSY;
		for (unsigned s = 0; s < 8; s++) {
			struct swiss_slot *sl = &t.groups[g].slots[s];

			if (!(t.groups[g].ctrl[s] & 0x80) && sl->key_len == (uint64_t)i->imm &&
			    !memcmp(sl->key, i->str, sl->key_len)) {
				*ret = (uintptr_t)&sl->elem;
				return SLOT_OK;
			}
		}
	}
	return more ? SLOT_MAP_BUSY : SLOT_NO_KEY;
}

static int old_find(const struct ir_insn *i, uint64_t at, uint64_t *ret)
{
	struct old_map m;
	unsigned seen = 0;

	if (!mem(at, &m, sizeof(m)))
		return SLOT_UNREADABLE;
	if (!m.count)
		return SLOT_NO_KEY;
	for (int old = 0; old < 2; old++) {
		struct old_bucket *all = old ? m.old : m.buckets;
		uint64_t n = (uint64_t)1 << m.b;

		if (old)
			n = m.flags & 8 ? n : n / 2;
		for (uint64_t k = 0; all && k < n; k++)
			for (struct old_bucket *b = &all[k]; b; b = b->overflow) {
				if (seen++ == 20)
					return SLOT_MAP_BUSY;
				for (unsigned s = 0; s < 8; s++)
					if (b->tophash[s] >= 5 && b->keys[s].len == (uint64_t)i->imm &&
					    !memcmp(b->keys[s].s, i->str, b->keys[s].len)) {
						*ret = (uintptr_t)&b->elems[s];
						return SLOT_OK;
					}
			}
	}
	return SLOT_NO_KEY;
}

static int str_op(struct machine *m, const struct ir_insn *i)
{
	uint64_t len = m->v[i->b], a = m->v[i->a], n = (uint64_t)i->imm;
	char buf[256];
	uint64_t read = n, start = 0, last = 0;

	m->v[i->dst] = 0;
	if (i->op == IR_STR_EQ ? len != n : len < n)
		return SLOT_OK;
	if (i->op == IR_STR_SUFFIX)
		a += len - n;
	if (i->op == IR_STR_CONTAINS) {
		read = MIN(len, 256);
		last = read - n;
	}
	if (!mem(a, buf, read))
		return SLOT_UNREADABLE;
	for (; start <= last; start++)
		if (!memcmp(buf + start, i->str, n))
			m->v[i->dst] = 1;
	return SLOT_OK;
}

static uint64_t bin(unsigned op, uint64_t a, uint64_t b)
{
	int64_t sa = (int64_t)a, sb = (int64_t)b;

	switch (op) {
	case BIN_ADD: return a + b;
	case BIN_SUB: return a - b;
	case BIN_MUL: return a * b;
	case BIN_AND: return a & b;
	case BIN_OR: return a | b;
	case BIN_XOR: return a ^ b;
	case BIN_SHL: return a << (b & 63);
	case BIN_SHR: return a >> (b & 63);
	case BIN_EQ: return a == b;
	case BIN_NE: return a != b;
	case BIN_LT: return sa < sb;
	case BIN_LE: return sa <= sb;
	case BIN_GT: return sa > sb;
	case BIN_GE: return sa >= sb;
	case BIN_ULT: return a < b;
	case BIN_ULE: return a <= b;
	case BIN_UGT: return a > b;
	case BIN_UGE: return a >= b;
	}
	return 0;
}

static uint64_t reg_value(const struct machine *m, unsigned reg)
{
	return reg == GPR_R14 ? m->regs->g : m->regs->r[reg];
}

static void emit_str(struct machine *m, const struct ir_insn *i)
{
	uint64_t len = m->v[i->b], room = EVENT_MAX_DATA - m->data;
	uint64_t n = MIN(MIN(len, (uint64_t)i->imm), room);
	__typeof__(&m->slot[0]) s = &m->slot[i->slot];

	s->len = MIN(len, UINT32_MAX);
	if (!mem(m->v[i->a], s->bytes, n)) {
		s->status = SLOT_NOT_RESIDENT;
		s->value = m->v[i->a];
		return;
	}
	s->status = n == len ? SLOT_OK : SLOT_CUT;
	s->copied = n;
	m->data += (n + 7) & ~(uint64_t)7;
	if (m->data > EVENT_MAX_DATA)
		m->data = EVENT_MAX_DATA + 8; /* padding over the edge: full */
}

/* A status of the enum, or SLOT_OK to go on; *pos is moved by jumps. */
static int step(struct machine *m, const struct ir_insn *i, size_t *pos)
{
	uint64_t *d = &m->v[i->dst], a = i->a < IR_MAX_REGS ? m->v[i->a] : 0;
	uint64_t b = i->b < IR_MAX_REGS ? m->v[i->b] : 0, tmp = 0;
	bool sign = i->flags & IR_SIGNED;

	switch (i->op) {
	case IR_CONST: *d = (uint64_t)i->imm; break;
	case IR_ARG_REG: *d = extended(reg_value(m, i->reg), i->size, sign); break;
	case IR_ARG_STACK: /* as call_probed puts them */
		tmp = (const uint64_t[]){1111, (uint64_t)-2, 3333}[i->imm / 8 - 1];
		*d = extended(tmp, i->size, sign);
		break;
	case IR_G: *d = m->regs->g; break;
	case IR_PC_RET: *d = (uintptr_t)call_probed_after; break;
	case IR_LOAD:
		if (!a)
			return SLOT_NIL;
		if (!mem(a + (uint64_t)i->imm, &tmp, i->size))
			return SLOT_UNREADABLE;
		*d = extended(tmp, i->size, sign);
		break;
	case IR_ADDR:
		if (!a)
			return SLOT_NIL;
		*d = a + (uint64_t)i->imm;
		break;
	case IR_INDEX:
		if (b >= m->v[i->c])
			return SLOT_RANGE;
		*d = a + b * (uint64_t)i->imm;
		break;
	case IR_TYPE: *d = (uint64_t)i->imm + BIAS; break;
	case IR_MAP_STR:
		if (!a)
			return SLOT_NIL;
		return i->map->swiss ? swiss_find(i, a, d) : old_find(i, a, d);
	case IR_BIN: *d = bin(i->bin, a, b); break;
	case IR_NOT: *d = !a; break;
	case IR_STR_EQ: case IR_STR_PREFIX: case IR_STR_SUFFIX: case IR_STR_CONTAINS:
		return str_op(m, i);
	case IR_MOVE: *d = a; break;
	case IR_JUMP: case IR_JUMP_IF0:
		if (i->op == IR_JUMP_IF0 && a)
			break;
		while (m->p->insns[*pos].op != IR_LABEL || m->p->insns[*pos].label != i->label)
			++*pos;
		break;
	case IR_REQUIRE:
		return a ? SLOT_OK : (int)i->imm;
	case IR_FILTER:
		m->dropped |= !a;
		break;
	case IR_EMIT:
		m->slot[i->slot].status = SLOT_OK;
		m->slot[i->slot].value = a;
		break;
	case IR_EMIT_STR: emit_str(m, i); break;
	case IR_GOROUTINE:
		m->g = a;
		m->has_sp = i->b != IR_NO_REG;
		m->no_sp = !m->has_sp;
		m->goroutine_sp = b;
		break;
	}
	return SLOT_OK;
}

static void interpret(struct machine *m)
{
	const struct ir_insn *region = NULL;
	bool went = false;

	for (size_t pos = 0; pos < m->p->ninsns && !m->dropped; pos++) {
		const struct ir_insn *i = &m->p->insns[pos];
		int s;

		if (i->op == IR_REGION || i->op == IR_END) {
			region = i->op == IR_REGION ? i : NULL;
			continue;
		}
		s = step(m, i, &pos);
		went = i->op == IR_REQUIRE ? !m->v[i->a] : s != SLOT_OK;
		if (!went)
			continue;
		if (!region) {
			m->dropped = m->no_goroutine = true;
		} else if (region->slot == IR_SLOT_FILTER) {
			m->dropped = true;
			m->unreadable = s == SLOT_UNREADABLE || s == SLOT_MAP_BUSY;
		} else {
			m->slot[region->slot].status = (uint8_t)s;
			while (m->p->insns[pos].op != IR_END)
				pos++;
			region = NULL;
		}
	}
}

/* ---- the generator ---- */

struct maker {
	VEC(struct ir_insn) code;
	struct ir_slot slots[EVENT_MAX_SLOTS];
	struct capture_program p;
	bool live[IR_MAX_REGS];
	unsigned nregs;
	uint16_t labels;
	unsigned stop; /* nesting of ifs */
};

static struct ir_insn *put(struct maker *k, enum ir_op op)
{
	struct ir_insn *i = vec_add(&k->code);

	i->op = (uint8_t)op;
	i->size = 8;
	i->b = i->a = i->c = i->dst = 0;
	return i;
}

static uint16_t pick(struct maker *k) /* a register that is written */
{
	for (;;) {
		uint16_t r = (uint16_t)rnd(k->nregs);

		if (k->live[r])
			return r;
	}
}

static uint16_t fresh(struct maker *k, uint16_t a, uint16_t b, uint16_t c)
{
	for (;;) {
		uint16_t r = (uint16_t)rnd(k->nregs);

		if (r != a && r != b && r != c)
			return r;
	}
}

static void arg(struct maker *k, uint16_t dst, uint8_t reg)
{
	struct ir_insn *i = put(k, IR_ARG_REG);

	i->dst = dst;
	i->reg = reg;
	k->live[dst] = true;
}

static void some_insn(struct maker *k, bool in_filter);

static void make_if(struct maker *k)
{
	bool before[IR_MAX_REGS], then[IR_MAX_REGS];
	uint16_t other = k->labels++, end = k->labels++;
	struct ir_insn *i;

	if (k->stop > 2)
		return;
	k->stop++;
	i = put(k, IR_JUMP_IF0);
	i->a = pick(k);
	i->label = other;
	memcpy(before, k->live, sizeof(before));
	for (uint64_t n = rnd(3); n; n--)
		some_insn(k, false);
	put(k, IR_JUMP)->label = end;
	memcpy(then, k->live, sizeof(then));
	memcpy(k->live, before, sizeof(before));
	put(k, IR_LABEL)->label = other;
	for (uint64_t n = rnd(3); n; n--)
		some_insn(k, false);
	put(k, IR_LABEL)->label = end;
	for (unsigned r = 0; r < k->nregs; r++)
		k->live[r] &= then[r];
	k->stop--;
}

static const char *const needles[] = {"GET", "alice", "/cart", "needle", "a", "abcdefgh", "/cart?",
				      "alice and bob", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};

static void some_insn(struct maker *k, bool in_filter)
{
	static const uint8_t sizes[] = {1, 2, 4, 8, 8, 8};
	uint16_t a = pick(k), b = pick(k), c = pick(k), d = fresh(k, a, b, c);
	struct ir_insn *i;

	switch (rnd(in_filter ? 19 : 18)) {
	case 0:
		i = put(k, IR_CONST);
		i->imm = rnd(2) ? (int64_t)rnd(5) : (int64_t)(rnd(1u << 31) << rnd(34));
		break;
	case 1: case 2:
		arg(k, d, (uint8_t)rnd(9));
		return;
	case 3:
		i = put(k, IR_ARG_STACK);
		i->imm = 8 * (int64_t)(1 + rnd(3));
		i->size = sizes[rnd(6)];
		i->flags = rnd(2) ? IR_SIGNED : 0;
		break;
	case 4:
		i = put(k, rnd(2) ? IR_G : IR_PC_RET);
		break;
	case 5: case 6: case 7: /* a run of loads */
		for (uint64_t n = 1 + rnd(3), at = rnd(WORDS / 2); n; n--, at++) {
			if (d == a)
				break;
			i = put(k, IR_LOAD);
			i->a = a;
			i->imm = (int64_t)(8 * at + (rnd(8) ? 0 : rnd(8)));
			i->size = sizes[rnd(6)];
			i->flags = rnd(2) ? IR_SIGNED : 0;
			i->dst = d;
			k->live[d] = true;
			d = fresh(k, a, b, c);
		}
		return;
	case 8:
		i = put(k, IR_ADDR);
		i->imm = rnd(2) ? (int64_t)(8 * rnd(20)) : INT64_C(0x123456789);
		break;
	case 9:
		i = put(k, IR_INDEX);
		i->imm = 8 * (int64_t)rnd(3);
		break;
	case 10:
		i = put(k, IR_TYPE);
		i->imm = (int64_t)rnd(1u << 30);
		break;
	case 11: case 12:
		i = put(k, IR_BIN);
		i->bin = (uint8_t)rnd(BIN_UGE + 1);
		break;
	case 13:
		i = put(k, IR_NOT);
		break;
	case 14: case 15:
		i = put(k, (enum ir_op)(IR_STR_EQ + rnd(4)));
		i->str = needles[rnd(ARRAY_SIZE(needles))];
		i->imm = (int64_t)strlen(i->str);
		break;
	case 16:
		make_if(k);
		return;
	case 17:
		if (rnd(4))
			return;
		i = put(k, IR_REQUIRE);
		i->a = a;
		i->imm = rnd(2) ? SLOT_OTHER_TYPE : SLOT_RANGE;
		return;
	default:
		if (rnd(3))
			return;
		i = put(k, IR_FILTER);
		i->a = a;
		return;
	}
	i->a = a;
	i->b = b;
	i->c = c;
	i->dst = d;
	k->live[d] = true;
}

static void begin_region(struct maker *k, uint16_t slot)
{
	memset(k->live, 0, sizeof(k->live));
	put(k, IR_REGION)->slot = slot;
	arg(k, 0, GPR_RAX);
	if (rnd(2))
		arg(k, 1, (uint8_t)rnd(9));
}

/* header["key"]: the map in R9 or R10. */
static void map_lookup(struct maker *k)
{
	bool swiss = rnd(2);
	struct ir_insn *i;

	arg(k, 1, swiss ? GPR_R9 : GPR_R10);
	i = put(k, IR_MAP_STR);
	i->a = 1;
	i->dst = 2;
	i->str = rnd(8) ? header_keys[rnd(ARRAY_SIZE(header_keys))] : "Absent";
	i->imm = (int64_t)strlen(i->str);
	i->map = swiss ? &swiss_layout : &old_layout;
	k->live[2] = true;
}

static void load_string(struct maker *k, uint16_t base, int64_t at)
{
	for (int w = 0; w < 2; w++) {
		struct ir_insn *i = put(k, IR_LOAD);

		i->a = base;
		i->imm = at + 8 * w;
		i->dst = (uint16_t)(3 + w);
		k->live[3 + w] = true;
	}
}

static void capture_region(struct maker *k, uint16_t slot)
{
	uint64_t kind = rnd(4);
	struct ir_insn *i;

	begin_region(k, slot);
	if (kind == 0) {
		map_lookup(k);
		load_string(k, 2, 0);
	} else if (kind == 1) {
		load_string(k, 0, (int64_t)(16 * rnd(WORDS / 2)));
	} else {
		for (uint64_t n = rnd(8); n; n--)
			some_insn(k, false);
	}
	k->slots[slot].kind = kind < 3 ? VALUE_STRING : VALUE_INT;
	i = put(k, kind < 3 ? IR_EMIT_STR : IR_EMIT);
	i->slot = slot;
	i->a = kind < 2 ? 3 : pick(k);
	i->b = kind < 2 ? 4 : pick(k);
	i->imm = rnd(2) ? 4096 : (int64_t)(1 + rnd(200));
	put(k, IR_END);
}

static void filter_region(struct maker *k)
{
	begin_region(k, IR_SLOT_FILTER);
	if (rnd(3) == 0) {
		map_lookup(k);
		load_string(k, 2, 0);
	}
	for (uint64_t n = rnd(6); n; n--)
		some_insn(k, true);
	put(k, IR_END);
}

static void goroutine_part(struct maker *k)
{
	struct ir_insn *i;

	memset(k->live, 0, sizeof(k->live));
	put(k, IR_G)->dst = 0;
	i = put(k, IR_LOAD);
	i->a = 0;
	i->imm = 16;
	i->dst = 1;
	i = put(k, IR_GOROUTINE);
	i->a = 0;
	i->b = rnd(2) ? 1 : IR_NO_REG;
}

static void make(struct maker *k, size_t nslots, unsigned nregs)
{
	*k = (struct maker){.nregs = nregs};
	if (rnd(4) == 0)
		goroutine_part(k);
	if (rnd(3) == 0)
		filter_region(k);
	for (uint16_t s = 0; s < nslots; s++)
		capture_region(k, s);
	k->p = (struct capture_program){.insns = k->code.data, .ninsns = k->code.len, .slots = k->slots,
		.nslots = nslots, .nregs = (uint16_t)nregs, .nlabels = k->labels, .g = FAKE_LAYOUT};
}

/* ---- comparing ---- */

static void check_slot(const struct machine *m, const struct event *e, size_t i)
{
	const struct event_slot *s = &e->slots[i];
	size_t len = 0;
	const char *bytes = event_bytes(e, i, &len);

	if (s->status != m->slot[i].status)
		print_message("# probe %u slot %zu\n", e->head->probe, i);
	assert_int_equal(s->status, m->slot[i].status);
	assert_int_equal(s->copied, m->slot[i].copied);
	assert_int_equal(s->len, m->slot[i].len);
	if (s->copied)
		assert_memory_equal(bytes, m->slot[i].bytes, len);
	else if (s->status == SLOT_OK && !s->len)
		assert_int_equal(s->value, m->slot[i].value);
	else if (s->status == SLOT_NOT_RESIDENT)
		assert_int_equal(s->value, m->slot[i].value);
}

static void check_record(const struct machine *m, const void *record, uint32_t probe)
{
	const struct event_header *h = record;
	struct event e;

	assert_true(event_decode(record, h->size, &e));
	assert_int_equal(h->probe, probe);
	assert_int_equal(h->target, 42);
	assert_int_equal(h->goid, fake_g.goid);
	if (m->no_sp)
		assert_int_equal(h->depth, 0);
	else if (m->has_sp)
		assert_int_equal(h->depth, fake_g.hi - m->goroutine_sp);
	else
		assert_int_equal(h->depth, fake_g.hi - m->sp);
	for (size_t i = 0; i < m->p->nslots; i++)
		check_slot(m, &e, i);
}

static struct regs some_regs(void)
{
	return (struct regs){.r = {(uintptr_t)world.words, (uintptr_t)"alice", 5, 0, (uintptr_t)world.hole,
				   rnd(10), (uintptr_t)swiss_maps[rnd(6)], (uintptr_t)old_maps[rnd(6)],
				   (uintptr_t)world.text},
			     .g = (uintptr_t)&fake_g};
}

/* Programs planted together on the one function, for removing waits: each call gives a record of each. */
#define BATCH 25

static void print_program(const struct capture_program *p, uint32_t id, uint64_t start)
{
	struct buf text = {0};

	if (!getenv("EARSHOT_TEST_VERBOSE"))
		return;
	capture_print(p, &text);
	printf("# program %u seed %llu\n%s", id, (unsigned long long)start, text.data ? text.data : "");
	fflush(stdout);
	buf_done(&text);
}

static const void *record_of(const struct taken *t, uint32_t probe)
{
	for (size_t i = 0; i < t->records.len; i++)
		if (((const struct event_header *)(const void *)t->records.data[i])->probe == probe)
			return t->records.data[i];
	return NULL;
}

static bool as_entries; /* of calls: their records are asked for while they are open */

static bool has_goroutine(const struct maker *k)
{
	for (size_t i = 0; i < k->code.len; i++)
		if (k->code.data[i].op == IR_GOROUTINE)
			return true;
	return false;
}

/* All on one goroutine, or one's entry ends the calls of another; of few slots, so that they fit. */
static void make_entry(struct maker *k, uint32_t group)
{
	while (has_goroutine(k) || k->p.nslots > 3) {
		vec_done(&k->code);
		make(k, rnd(4), IR_MAX_REGS);
	}
	k->p.role = PROGRAM_ENTRY;
	k->p.call_group = group;
}

static void call_batch(struct planter *p, struct maker *k)
{
	uint64_t unreadable = loss_of(p, LOSS_FILTER_UNREADABLE), events = 0;
	struct regs r = some_regs();
	struct taken t = {0};
	static struct machine m;

	for (uint32_t i = 0; i < BATCH; i++) { /* for the pages it touches: programs cannot fault them in */
		m = (struct machine){.p = &k[i].p, .regs = &r, .sp = call_probed_sp - 8};
		interpret(&m);
	}
	call_probed(&r, probed);
	planter_uprobe.drain(p, take_record, &t);
	if (as_entries)
		planter_uprobe.open_calls(p, 42, true, take_record, &t);
	assert_int_equal(t.bad, 0);
	for (uint32_t i = 0; i < BATCH; i++) {
		const void *record = record_of(&t, i);

		m = (struct machine){.p = &k[i].p, .regs = &r, .sp = call_probed_sp - 8};
		interpret(&m);
		if (!record != m.dropped)
			fail_msg("program %u: a record is %s", i, m.dropped ? "too many" : "missing");
		if (record)
			check_record(&m, record, i);
		events += !m.dropped;
		unreadable += m.unreadable;
	}
	assert_int_equal(t.records.len, events);
	assert_int_equal(loss_of(p, LOSS_FILTER_UNREADABLE), unreadable);
	taken_done(&t);
}

static void run_batch(struct planter *p)
{
	static struct maker k[BATCH];
	struct plant *plants[BATCH];

	for (uint32_t i = 0; i < BATCH; i++) {
		uint64_t start = seed;

		make(&k[i], i % 7 == 6 ? rnd(EVENT_MAX_SLOTS + 1) : rnd(5),
		     i % 2 ? IR_MAX_REGS : 6 + (unsigned)rnd(10));
		if (as_entries)
			make_entry(&k[i], i + 1);
		print_program(&k[i].p, i, start);
		plants[i] = plant_ok(p, &k[i].p, i);
	}
	for (int call = 0; call < 6; call++)
		call_batch(p, k);
	planter_uprobe.remove(p, plants, BATCH);
	for (uint32_t i = 0; i < BATCH; i++)
		vec_done(&k[i].code);
}

static void generated(unsigned batches)
{
	struct planter *p = open_planter(0);

	if (!planter_uprobe.multi(p)) /* each site's removal takes 0.1 s then */
		batches = 1;
	for (unsigned i = 0; i < batches; i++)
		run_batch(p);
	planter_uprobe.close(p);
}

static void test_generated_multi(void **state)
{
	skip_unprivileged();
	generated(40);
}

static void test_generated_entries(void **state)
{
	skip_unprivileged();
	as_entries = true;
	generated(8);
	as_entries = false;
}

static void test_generated_perf(void **state)
{
	skip_unprivileged();
	setenv("EARSHOT_NO_MULTI", "1", 1);
	generated(1);
	unsetenv("EARSHOT_NO_MULTI");
}

/* The largest that the IR can express is still within the verifier's patience. */
static void largest_lookup(struct maker *k, const struct map_layout *map)
{
	struct ir_insn *i;

	arg(k, 1, GPR_R9);
	i = put(k, IR_MAP_STR);
	i->a = 1;
	i->dst = 2;
	i->str = "A-Key-Of-A-Header-That-Is-Rather-Long-To-Compare";
	i->imm = (int64_t)strlen(i->str);
	i->map = map;
	load_string(k, 2, 0);
}

static void largest_contains(struct maker *k)
{
	struct ir_insn *i;

	load_string(k, 0, 0);
	i = put(k, IR_STR_CONTAINS);
	i->a = 3;
	i->b = 4;
	i->dst = 5;
	i->str = "a needle in the haystack";
	i->imm = (int64_t)strlen(i->str);
}

static void make_largest(struct maker *k, int kind)
{
	for (uint16_t s = 0; s < EVENT_MAX_SLOTS; s++) {
		struct ir_insn *i;

		begin_region(k, s);
		if (kind < 2)
			largest_lookup(k, kind ? &swiss_layout : &old_layout);
		else if (kind == 2)
			largest_contains(k);
		else
			load_string(k, 0, 0);
		k->slots[s].kind = VALUE_STRING;
		i = put(k, IR_EMIT_STR);
		i->slot = s;
		i->a = 3;
		i->b = 4;
		i->imm = EVENT_MAX_STRING;
		put(k, IR_END);
	}
	k->p = (struct capture_program){.insns = k->code.data, .ninsns = k->code.len, .slots = k->slots,
		.nslots = EVENT_MAX_SLOTS, .nregs = IR_MAX_REGS, .g = FAKE_LAYOUT};
}

static void test_largest(void **state)
{
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	for (int kind = 0; kind < 4; kind++) {
		struct maker k = {.nregs = IR_MAX_REGS};
		struct plant *pl;

		make_largest(&k, kind);
		pl = plant_ok(p, &k.p, (uint32_t)kind);
		planter_uprobe.remove(p, &pl, 1);
		vec_done(&k.code);
	}
	planter_uprobe.close(p);
}

/* ---- behaviour ---- */

static void count_record(void *arg, const void *record, size_t size)
{
	struct event e;

	assert_true(event_decode(record, size, &e));
	++*(uint64_t *)arg;
}

static uint64_t drain_count(struct planter *p)
{
	uint64_t n = 0;

	assert_true(planter_uprobe.drain(p, count_record, &n) >= 0);
	return n;
}

static struct capture_program empty_program(void)
{
	return (struct capture_program){.g = FAKE_LAYOUT};
}

/* Two strings and a number: from RAX (pointer), RBX (length), RCX. */
static struct ir_slot string_slots[3] = {{.kind = VALUE_STRING}, {.kind = VALUE_STRING}, {.kind = VALUE_INT}};
static struct ir_insn string_insns[] = {
	{.op = IR_REGION, .slot = 0},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 1},
	{.op = IR_EMIT_STR, .slot = 0, .a = 0, .b = 1, .imm = 4096},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 1},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 1},
	{.op = IR_EMIT_STR, .slot = 1, .a = 0, .b = 1, .imm = 4096},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 2},
	{.op = IR_ARG_REG, .reg = GPR_RCX, .size = 8, .dst = 0},
	{.op = IR_EMIT, .slot = 2, .a = 0},
	{.op = IR_END},
};

static struct capture_program string_program(void)
{
	return (struct capture_program){.insns = string_insns, .ninsns = ARRAY_SIZE(string_insns),
					.slots = string_slots, .nslots = 3, .nregs = 2, .g = FAKE_LAYOUT};
}

static void test_ring_full(void **state)
{
	struct capture_program prog = string_program();
	struct regs r = {.r = {(uintptr_t)world.text, 100}, .g = (uintptr_t)&fake_g};
	struct planter *p;
	struct plant *pl;

	skip_unprivileged();
	p = open_planter(64 << 10);
	pl = plant_ok(p, &prog, 1);
	for (int i = 0; i < 3000; i++)
		call_probed(&r, probed);
	assert_true(loss_of(p, LOSS_RING_FULL) > 0);
	assert_int_equal(drain_count(p) + loss_of(p, LOSS_RING_FULL), 3000);
	planter_uprobe.remove(p, &pl, 1);
	planter_uprobe.close(p);
}

static void test_wakeup(void **state)
{
	struct capture_program prog = string_program();
	struct regs r = {.r = {(uintptr_t)world.text, 100}, .g = (uintptr_t)&fake_g};
	struct pollfd fd = {.events = POLLIN};
	struct planter *p;
	struct plant *pl;
	int calls = 0;

	skip_unprivileged();
	p = open_planter(64 << 10);
	pl = plant_ok(p, &prog, 1);
	fd.fd = planter_uprobe.fd(p);
	for (int round = 0; round < 3; round++) {
		call_probed(&r, probed);
		assert_int_equal(poll(&fd, 1, 20), 0);
		for (calls = 1; poll(&fd, 1, 0) == 0 && calls < 1000; calls++)
			call_probed(&r, probed);
		/* Records of 312 bytes and a header of 8: at the next quarter of the ring. */
		assert_in_range(calls, 1, 2 * 16384 / 320 + 1);
		assert_int_equal(drain_count(p), calls);
	}
	planter_uprobe.remove(p, &pl, 1);
	assert_int_equal(poll(&fd, 1, 0), 0);
	planter_uprobe.close(p);
}

static void test_detach(void **state)
{
	struct capture_program prog = empty_program();
	struct regs r = some_regs();
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	for (int i = 0; i < 5; i++) {
		struct plant *pl = plant_ok(p, &prog, 1);

		call_probed(&r, probed);
		assert_int_equal(drain_count(p), 1);
		planter_uprobe.remove(p, &pl, 1);
		call_probed(&r, probed);
		assert_int_equal(drain_count(p), 0);
	}
	plant_ok(p, &prog, 1); /* closing removes it */
	planter_uprobe.close(p);
	call_probed(&r, probed);
}

static void test_flags_skip(void **state)
{
	struct capture_program prog = empty_program();
	struct site s = {.offset = self_offset(checked_jbe), .flags_skip = 0x41};
	struct regs below = {.r = {1, 2}, .g = (uintptr_t)&fake_g}, equal = {.r = {2, 2}, .g = below.g},
		    above = {.r = {3, 2}, .g = below.g};
	struct err err = {0};
	struct planter *p;
	struct plant *pl;

	skip_unprivileged();
	p = open_planter(0);
	assert_int_equal(plant_at(p, &prog, 1, &s, 1, &pl, &err), 1);
	call_probed(&below, checked);
	call_probed(&equal, checked);
	assert_int_equal(drain_count(p), 0);
	call_probed(&above, checked);
	assert_int_equal(drain_count(p), 1);
	planter_uprobe.close(p);
}

/* Sites at different depths of the frame tell the same depth of the call. */
static void several_sites(void)
{
	struct capture_program prog = empty_program();
	struct site s[] = {{.offset = self_offset(probed)},
			   {.offset = self_offset(probed) + 1, .sp_delta = 8},
			   {.offset = self_offset(probed) + 4, .sp_delta = 8},
			   {.offset = self_offset(probed_ret)}};
	struct regs r = some_regs();
	struct planter *p = open_planter(0);
	struct taken t = {0};
	struct err err = {0};
	struct plant *pl;

	if (plant_at(p, &prog, 1, s, ARRAY_SIZE(s), &pl, &err) != 1)
		fail_msg("%s", err.text);
	call_probed(&r, probed);
	planter_uprobe.drain(p, take_record, &t);
	assert_int_equal(t.records.len, 4);
	for (size_t i = 0; i < t.records.len; i++)
		assert_int_equal(((struct event_header *)(void *)t.records.data[i])->depth,
				 ((struct event_header *)(void *)t.records.data[0])->depth);
	taken_done(&t);
	planter_uprobe.remove(p, &pl, 1);
	call_probed(&r, probed);
	assert_int_equal(drain_count(p), 0);
	planter_uprobe.close(p);
}

static void test_several_sites(void **state)
{
	skip_unprivileged();
	several_sites();
	setenv("EARSHOT_NO_MULTI", "1", 1);
	several_sites();
	unsetenv("EARSHOT_NO_MULTI");
}

static void test_no_goroutine(void **state)
{
	struct capture_program prog = empty_program();
	struct regs r = some_regs();
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	plant_ok(p, &prog, 1);
	r.g = 0;
	call_probed(&r, probed);
	r.g = (uintptr_t)world.hole;
	call_probed(&r, probed);
	assert_int_equal(drain_count(p), 0);
	assert_int_equal(loss_of(p, LOSS_NO_GOROUTINE), 2);
	planter_uprobe.close(p);
}

/* A process of its own that calls the function when told to. */
static pid_t start_caller(int *ret_fd)
{
	struct regs r = some_regs();
	int to[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(to), 0);
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		while (read(to[0], &c, 1) == 1)
			call_probed(&r, probed);
		_exit(0);
	}
	close(to[0]);
	*ret_fd = to[1];
	return pid;
}

static void one_process(void)
{
	struct capture_program prog = empty_program();
	struct regs r = some_regs();
	struct planter *p = open_planter(0);
	struct plant_target t = {.id = 5, .path = "/proc/self/exe", .binary_key = 1};
	struct site s = {.offset = self_offset(probed)};
	struct plant_probe probe = {.id = 1, .label = "f", .sites = &s, .nsites = 1, .program = &prog};
	struct err err = {0};
	struct plant *pl = NULL;
	uint64_t n = 0;
	int fd;
	char c = 0;

	t.pid = start_caller(&fd);
	if (planter_uprobe.plant(p, &t, &probe, 1, &pl, &err) != 1)
		fail_msg("%s", err.text);
	call_probed(&r, probed);
	assert_int_equal(write(fd, &c, 1), 1);
	for (int i = 0; i < 200 && !n; i++, usleep(5000))
		n += drain_count(p);
	call_probed(&r, probed);
	assert_int_equal(n + drain_count(p), 1);
	close(fd);
	waitpid(t.pid, NULL, 0);
	planter_uprobe.remove(p, &pl, 1);
	assert_int_equal(planter_uprobe.plant(p, &t, &probe, 1, &pl, &err), 0);
	assert_non_null(strstr(err.text, "gone"));
	planter_uprobe.close(p);
}

static void test_one_process(void **state)
{
	skip_unprivileged();
	one_process();
	setenv("EARSHOT_NO_MULTI", "1", 1);
	one_process();
	unsetenv("EARSHOT_NO_MULTI");
}

/* Every element of scratch memory in use: counted, not waited for; one free is found. */
static void test_scratch_busy(void **state)
{
	struct capture_program prog = string_program();
	struct regs r = {.r = {(uintptr_t)world.text, 100}, .g = (uintptr_t)&fake_g};
	const struct site_shape shape = {0};
	uint64_t offset = self_offset(probed), counts[LOSS_KERNEL_COUNT] = {0};
	static struct scratch busy;
	struct uprobe_env env = {.scratch_per_cpu = 3, .ring_bytes = 1 << 20};
	struct uprobe_means means;
	struct uprobe_links links;
	struct emit code = {0};
	struct err err = {0};
	uint32_t key, cpus = (uint32_t)libbpf_num_possible_cpus();
	int fd;

	skip_unprivileged();
	assert_int_equal(uprobe_means_detect(0, &means, &err), 0);
	env.ring = uprobe_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, 1 << 20, &err);
	env.scratch = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(busy), cpus * 3, &err);
	env.losses = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(counts), LOSS_PROBES, &err);
	assert_int_equal(uprobe_compile(&prog, 1, &shape, &env, &code, &err), 0);
	fd = uprobe_prog_load(&means, "test", code.code.data, code.code.len, &err);
	assert_int_equal(uprobe_link(&means, fd, "/proc/self/exe", &offset, 1, 0, getpid(), &links, &err), 0);
	busy.busy = 1;
	for (key = 0; key < cpus * 3; key++)
		assert_int_equal(bpf_map_update_elem(env.scratch, &key, &busy, 0), 0);
	call_probed(&r, probed);
	call_probed(&r, probed);
	busy.busy = 0; /* the last one of each CPU */
	for (key = 2; key < cpus * 3; key += 3)
		assert_int_equal(bpf_map_update_elem(env.scratch, &key, &busy, 0), 0);
	for (int i = 0; i < 10; i++)
		call_probed(&r, probed);
	key = 1; /* the probe */
	assert_int_equal(bpf_map_lookup_elem(env.losses, &key, counts), 0);
	assert_int_equal(counts[LOSS_BUSY], 2);
	uprobe_links_done(&links);
	emit_done(&code);
	close(fd);
	close(env.ring);
	close(env.scratch);
	close(env.losses);
}

/* ---- several threads at once: no record holds anything of another thread's ---- */

#define THREADS 6
struct caller {
	pthread_t thread;
	struct regs regs;
	struct {
		uint64_t lo, hi, pad[17], goid;
	} g;
	char text[700];
	uint64_t calls;
};
static atomic_bool calling;

static void *call_much(void *arg)
{
	struct caller *c = arg;

	while (atomic_load(&calling)) {
		call_probed(&c->regs, probed);
		c->calls++;
	}
	return NULL;
}

struct tally {
	struct caller *callers;
	uint64_t events, wrong;
};

static void check_own(void *arg, const void *record, size_t size)
{
	struct tally *t = arg;
	struct event e;
	const struct caller *c;

	t->events++;
	if (!event_decode(record, size, &e) || e.head->goid - 1 >= THREADS) {
		t->wrong++;
		return;
	}
	c = &t->callers[e.head->goid - 1];
	for (size_t i = 0; i < 2; i++) {
		size_t n = 0;
		const char *bytes = event_bytes(&e, i, &n);

		t->wrong += !bytes || n != c->regs.r[1] || memcmp(bytes, c->text, n);
	}
	t->wrong += e.slots[2].value != c->regs.r[2];
}

static void test_threads(void **state)
{
	uint64_t want = getenv("EARSHOT_TEST_HITS") ? strtoull(getenv("EARSHOT_TEST_HITS"), NULL, 0) : 200000;
	static struct caller callers[THREADS];
	struct capture_program prog = string_program();
	struct tally t = {.callers = callers};
	struct losses lost = {0};
	struct planter *p;
	uint64_t calls = 0;

	skip_unprivileged();
	p = open_planter(1 << 20);
	plant_ok(p, &prog, 1);
	atomic_store(&calling, true);
	for (size_t i = 0; i < THREADS; i++) {
		struct caller *c = &callers[i];

		memset(c->text, 'a' + (int)i, sizeof(c->text));
		c->g.goid = i + 1;
		c->regs = (struct regs){.r = {(uintptr_t)c->text, 100 * i + 7, 1000 + i}, .g = (uintptr_t)&c->g};
		assert_int_equal(pthread_create(&c->thread, NULL, call_much, c), 0);
	}
	while (t.events < want)
		assert_true(planter_uprobe.drain(p, check_own, &t) >= 0);
	atomic_store(&calling, false);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		calls += callers[i].calls;
	}
	planter_uprobe.drain(p, check_own, &t);
	planter_uprobe.losses(p, &lost);
	assert_int_equal(t.wrong, 0);
	assert_int_equal(t.events + lost.count[LOSS_RING_FULL] + lost.count[LOSS_BUSY], calls);
	planter_uprobe.close(p);
}

/* ---- what cannot be ---- */

static void test_refusals(void **state)
{
	struct ir_insn xmm[] = {{.op = IR_REGION}, {.op = IR_ARG_XMM, .size = 8}, {.op = IR_EMIT}, {.op = IR_END}};
	struct ir_slot slot = {.kind = VALUE_FLOAT64};
	struct capture_program prog = {.insns = xmm, .ninsns = 4, .slots = &slot, .nslots = 1, .nregs = 1,
				       .g = FAKE_LAYOUT};
	struct planter_options odd = {.ring_bytes = 100000};
	struct site s = {.offset = self_offset(probed)};
	struct err err = {0};
	struct planter *p = NULL;
	struct plant *pl = NULL;

	skip_unprivileged();
	assert_int_equal(planter_uprobe.open(&odd, &p, &err), -EINVAL);
	p = open_planter(0);
	assert_int_equal(plant_at(p, &prog, 1, &s, 1, &pl, &err), 0);
	assert_null(pl);
	assert_non_null(strstr(err.text, "XMM"));
	prog = empty_program();
	assert_int_equal(plant_at(p, &prog, 1, &s, 0, &pl, &err), 0);
	s.offset = 1 << 30;
	assert_int_equal(plant_at(p, &prog, 1, &s, 1, &pl, &err), 0);
	assert_true(strlen(err.text) > 0);
	planter_uprobe.close(p);
}

static void test_unprivileged(void **state)
{
	int status = 0;
	pid_t pid;

	skip_unprivileged();
	pid = fork();
	if (pid == 0) {
		struct planter *p = NULL;
		struct err err = {0};

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		_exit(planter_uprobe.open(NULL, &p, &err) == -EPERM && strstr(err.text, "CAP_BPF") ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void test_price(void **state)
{
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	for (int i = PRICE_NOP5; i <= PRICE_STEPPED; i++) {
		double ns = planter_uprobe.price_ns(p, (enum site_price)i);

		print_message("# price of class %d: %.0f ns\n", i, ns);
		assert_true(ns > 0 && ns < 1e6);
		assert_true(ns == planter_uprobe.price_ns(p, (enum site_price)i));
	}
	planter_uprobe.close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generated_multi),
		cmocka_unit_test(test_generated_perf), cmocka_unit_test(test_generated_entries),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_ring_full),
		cmocka_unit_test(test_wakeup),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_flags_skip),
		cmocka_unit_test(test_several_sites),
		cmocka_unit_test(test_no_goroutine),
		cmocka_unit_test(test_one_process),
		cmocka_unit_test(test_scratch_busy),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_unprivileged),
		cmocka_unit_test(test_price),
	};

	if (getenv("EARSHOT_TEST_SEED"))
		seed = strtoull(getenv("EARSHOT_TEST_SEED"), NULL, 0);
	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
