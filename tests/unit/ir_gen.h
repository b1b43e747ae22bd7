/* Random capture programs, and what they must give in the world of ir_world.h: planters are compared with it. */
#ifndef TESTS_IR_GEN_H
#define TESTS_IR_GEN_H

#include <sys/uio.h>

#include "binary/arch_x86_64.h"
#include "base/vec.h"
#include "unit/ir_world.h"

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

/* Whether the key, a string header, is the one that is looked for; SLOT_MAP_BUSY: that text is too long. */
static int key_is(const struct machine *m, const struct ir_insn *i, const void *key)
{
	uint16_t reg = i->b;
	uint64_t text[2], word, len;
	bool has_text = false;

	memcpy(text, key, sizeof(text));
	if (i->op == IR_MAP_STR)
		return text[1] == (uint64_t)i->imm && !memcmp((void *)(uintptr_t)text[0], i->str, text[1])
			   ? SLOT_OK
			   : SLOT_NO_KEY;
	for (size_t k = 0; k < i->key->n; k++) {
		const struct ir_key_part *p = &i->key->parts[k];

		word = 0;
		memcpy(&word, (const char *)key + p->offset + (p->size ? 0 : 8), p->size ? p->size : 8);
		if (word != m->v[reg + (p->size ? 0 : 1)])
			return SLOT_NO_KEY;
		has_text |= !p->size;
		reg = (uint16_t)(reg + (p->size ? 1 : 2));
	}
	reg = i->b;
	for (size_t k = 0; has_text && i->key->parts[k].size; k++)
		reg++;
	len = text[1];
	if (has_text && len > IR_MAX_STR)
		return SLOT_MAP_BUSY;
	return !has_text || !memcmp((void *)(uintptr_t)text[0], (void *)(uintptr_t)m->v[reg], len) ? SLOT_OK
												   : SLOT_NO_KEY;
}

static int swiss_find(const struct machine *machine, const struct ir_insn *i, uint64_t at, uint64_t *ret)
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

			if (!(t.groups[g].ctrl[s] & 0x80) && key_is(machine, i, sl) == SLOT_OK) {
				*ret = (uintptr_t)&sl->elem;
				return SLOT_OK;
			}
		}
	}
	return more ? SLOT_MAP_BUSY : SLOT_NO_KEY;
}

static int old_find(const struct machine *machine, const struct ir_insn *i, uint64_t at, uint64_t *ret)
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
					if (b->tophash[s] >= 5 && key_is(machine, i, &b->keys[s]) == SLOT_OK) {
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
	if (i->op == IR_STR_CONTAINS && !m->v[i->dst] && len > 256)
		return SLOT_UNREADABLE;
	return SLOT_OK;
}

static uint64_t sign_of(int order)
{
	return order < 0 ? UINT64_MAX : order > 0;
}

static int order_op(struct machine *m, const struct ir_insn *i)
{
	uint64_t a = m->v[i->a], b = m->v[i->b],
		 n = i->op == IR_STR_ORDER ? MIN(b, (uint64_t)i->imm) : MIN(m->v[i->c], IR_MAX_ORDER);
	char x[IR_MAX_ORDER], y[IR_MAX_ORDER];
	int order;

	if (!mem(a, x, n) || (i->op == IR_MEM_ORDER && !mem(b, y, n)))
		return SLOT_UNREADABLE;
	order = n ? memcmp(x, i->op == IR_STR_ORDER ? i->str : y, n) : 0;
	if (i->op == IR_MEM_ORDER && !order && m->v[i->c] > IR_MAX_ORDER)
		return SLOT_UNREADABLE;
	if (i->op == IR_STR_ORDER && !order)
		order = b < (uint64_t)i->imm ? -1 : b > (uint64_t)i->imm;
	m->v[i->dst] = sign_of(order);
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
	case BIN_DIV: return a / b;
	case BIN_MOD: return a % b;
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
		uint64_t first = EVENT_PAGE - m->v[i->a] % EVENT_PAGE;

		s->status = SLOT_NOT_RESIDENT;
		s->value = m->v[i->a];
		if (first >= n || m->data + 8 + first > EVENT_MAX_DATA || !mem(m->v[i->a], s->bytes, first))
			return;
		s->copied = first;
		m->data += 8 + ((first + 7) & ~(uint64_t)7);
		return;
	}
	s->status = n == len ? SLOT_OK : SLOT_CUT;
	s->copied = n;
	s->value = m->v[i->a];
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
	case IR_MAP_STR: case IR_MAP_KEY:
		if (!a)
			return SLOT_NIL;
		return i->map->swiss ? swiss_find(m, i, a, d) : old_find(m, i, a, d);
	case IR_STR_ORDER: case IR_MEM_ORDER:
		return order_op(m, i);
	case IR_BIN:
		if ((i->bin == BIN_DIV || i->bin == BIN_MOD) && !b)
			return SLOT_UNREADABLE;
		*d = bin(i->bin, a, b); break;
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
		for (uint64_t n = 1 + rnd(3), at = rnd(WORLD_WORDS / 2); n; n--, at++) {
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
		i->bin = (uint8_t)rnd(BIN_MOD + 1);
		break;
	case 13:
		i = put(k, IR_NOT);
		break;
	case 14: case 15:
		i = put(k, rnd(5) ? (enum ir_op)(IR_STR_EQ + rnd(4)) : IR_STR_ORDER);
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

static void put_const(struct maker *k, uint16_t dst, uint64_t number)
{
	struct ir_insn *i = put(k, IR_CONST);

	i->dst = dst;
	i->imm = (int64_t)number;
	k->live[dst] = true;
}

/* A key in registers 3 and 4: its text, its length alone, one of its bytes, or two parts of it. */
static const struct ir_key *variable_key(struct maker *k, size_t which_text, uint16_t *ret_reg)
{
	static const struct ir_key keys[] = {
		{.parts = {{.offset = 0, .size = 0}}, .n = 1},
		{.parts = {{.offset = 8, .size = 8}}, .n = 1},
		{.parts = {{.offset = 8, .size = 1}}, .n = 1},
		{.parts = {{.offset = 8, .size = 2}, {.offset = 12, .size = 4}}, .n = 2},
	};
	static const char *texts[ARRAY_SIZE(header_keys)];
	size_t which = rnd(ARRAY_SIZE(keys));
	const char *text = header_keys[which_text];

	if (!texts[which_text])
		texts[which_text] = pool_text(text);
	put_const(k, 3, which == 3 ? strlen(text) : (uintptr_t)texts[which_text]);
	put_const(k, 4, which == 3 ? 0 : strlen(text));
	*ret_reg = which == 0 || which == 3 ? 3 : 4;
	return &keys[which];
}

/* header["key"] or header[key]: the map in R9 or R10. */
static void map_lookup(struct maker *k)
{
	bool swiss = rnd(2), variable = rnd(2);
	size_t text = rnd(ARRAY_SIZE(header_keys));
	const struct ir_key *key;
	struct ir_insn *i;
	uint16_t reg = 0;

	arg(k, 1, swiss ? GPR_R9 : GPR_R10);
	key = variable ? variable_key(k, text, &reg) : NULL;
	i = put(k, variable ? IR_MAP_KEY : IR_MAP_STR);
	i->a = 1;
	i->b = reg;
	i->dst = 2;
	i->key = key;
	i->str = variable ? NULL : rnd(8) ? header_keys[text] : "Absent";
	i->imm = variable ? 0 : (int64_t)strlen(i->str);
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

/* How the text in registers 3 and 4 is ordered to as many bytes at another one's address, in register 2. */
static void order_texts(struct maker *k)
{
	struct ir_insn *i = put(k, IR_LOAD);

	i->a = 0;
	i->imm = (int64_t)(16 * rnd(WORLD_WORDS / 2));
	i->dst = 1;
	i = put(k, IR_MEM_ORDER);
	i->a = 3;
	i->b = 1;
	i->c = 4;
	i->dst = 2;
	k->live[1] = k->live[2] = true;
}

static void capture_region(struct maker *k, uint16_t slot)
{
	uint64_t kind = rnd(5);
	struct ir_insn *i;

	begin_region(k, slot);
	if (kind == 0) {
		map_lookup(k);
		load_string(k, 2, 0);
	} else if (kind == 1) {
		load_string(k, 0, (int64_t)(16 * rnd(WORLD_WORDS / 2)));
	} else if (kind == 4) {
		load_string(k, 0, (int64_t)(16 * rnd(WORLD_WORDS / 2)));
		order_texts(k);
	} else {
		for (uint64_t n = rnd(8); n; n--)
			some_insn(k, false);
	}
	k->slots[slot].kind = kind < 3 ? VALUE_STRING : VALUE_INT;
	i = put(k, kind < 3 ? IR_EMIT_STR : IR_EMIT);
	i->slot = slot;
	i->a = kind < 2 ? 3 : kind == 4 ? 2 : pick(k);
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
	uint64_t addr = s->value;
	const char *bytes = s->status == SLOT_NOT_RESIDENT ? event_part(e, i, &len, &addr) : event_bytes(e, i, &len);

	if (s->status != m->slot[i].status || (s->copied && memcmp(bytes, m->slot[i].bytes, len)))
		print_message("# probe %u slot %zu\n", e->head->probe, i);
	assert_int_equal(s->status, m->slot[i].status);
	assert_int_equal(s->copied, m->slot[i].copied);
	assert_int_equal(s->len, m->slot[i].len);
	if (s->copied)
		assert_memory_equal(bytes, m->slot[i].bytes, len);
	else if (s->status == SLOT_OK && !s->len)
		assert_int_equal(s->value, m->slot[i].value);
	if (s->status == SLOT_NOT_RESIDENT)
		assert_int_equal(addr, m->slot[i].value);
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
