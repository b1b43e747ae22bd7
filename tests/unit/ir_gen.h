/*
 * Random capture programs, a small world of memory that they read (strings, maps, nil, unmapped pages), and what
 * they must give there: planters are compared with it.
 */
#ifndef TESTS_IR_GEN_H
#define TESTS_IR_GEN_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/vec.h"
#include "event/event.h"
#include "probe/ir.h"

#define BIAS UINT64_C(0x555555554000)
static uint64_t world_pc_ret; /* the return address of the call, see IR_PC_RET */

struct regs { /* in the order of Go's integer argument registers, then R14 */
	uint64_t r[9];
	uint64_t g;
};

/*
 * What programs read, and may stray into, stays constant and lies within one aligned megabyte of its own: sums and
 * conjunctions of its addresses lead into it, or nowhere.
 */
#define WORDS 64
#define CONSTANT_AT UINT64_C(0x200000100000)
static struct constant {
	struct {
		uint64_t lo, hi, pad[4], m, pad2[12], goid, behind[2000];
	} g;
	char pool[1 << 18];
	struct {
		uint64_t words[WORDS]; /* pointers into it, strings, numbers, nil, unmapped addresses */
		char text[16384];
		char *hole;            /* an address without memory */
		char behind[8192];
	} world;
} *constant;
#define HOLE_OFF (512u << 10)
_Static_assert(sizeof(struct constant) < HOLE_OFF - 16384, "the hole comes behind");
#define fake_g (constant->g)
#define pool (constant->pool)
#define world (constant->world)
static size_t pool_used;
static void *pool_alloc(size_t n)
{
	void *ret = pool + pool_used;

	pool_used += (n + 15) & ~(size_t)15;
	if (pool_used + 8192 > sizeof(pool))
		abort();
	return ret;
}
static const char *pool_text(const char *s)
{
	return memcpy(pool_alloc(strlen(s) + 1), s, strlen(s) + 1);
}
#define FAKE_LAYOUT                                                                                \
	{                                                                                          \
		.goid = 152, .stack_hi = 8, .m = 48                                                \
	}

/* ---- the world that programs read ---- */

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
		gs[g].slots[s] = (struct swiss_slot){pool_text(key), strlen(key), elem_of(key), strlen(elem_of(key))};
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
			b->keys[s].s = pool_text(key);
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

	constant = mmap((void *)CONSTANT_AT, 1 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if ((uintptr_t)constant != CONSTANT_AT)
		abort();
	memset(constant, 0, 1 << 20); /* resident: programs cannot fault pages in, the interpreter can */
	fake_g.hi = UINT64_C(0x7fffffffff00);
	fake_g.goid = 4711;
	world.hole = (char *)constant + HOLE_OFF;
	mprotect(world.hole, 128 << 10, PROT_NONE);
	for (size_t i = 0; i < sizeof(world.text); i++)
		world.text[i] = "abcdefghijklmnopqrstuvwxyz/?=&%"[i * i % 31];
	memcpy(world.text + 100, "needle", 6);
	for (size_t i = 0; i < WORDS; i += 2) {
		uint64_t *w = &world.words[i];
		const char *s = words[rnd(ARRAY_SIZE(words))];

		switch (rnd(8)) {
		case 0: case 1:
			w[0] = (uintptr_t)pool_text(s), w[1] = strlen(s);
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
	case IR_ARG_STACK: /* as the callers put them */
		tmp = (const uint64_t[]){1111, (uint64_t)-2, 3333}[i->imm / 8 - 1];
		*d = extended(tmp, i->size, sign);
		break;
	case IR_G: *d = m->regs->g; break;
	case IR_PC_RET: *d = world_pc_ret; break;
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

	if (s->status != m->slot[i].status || (s->copied && memcmp(bytes, m->slot[i].bytes, len)))
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
	static const char *alice;

	alice = alice ? alice : pool_text("alice");
	return (struct regs){.r = {(uintptr_t)world.words, (uintptr_t)alice, 5, 0, (uintptr_t)world.hole,
				   rnd(10), (uintptr_t)swiss_maps[rnd(6)], (uintptr_t)old_maps[rnd(6)],
				   (uintptr_t)world.text},
			     .g = (uintptr_t)&fake_g};
}

#endif
