/*
 * A capture program's filter, run here: of programs that ask for nothing but what is known of a call when it has ended.
 * Everything that would need the process, its registers or memory fails, as it does where the probe fires.
 */
#include "probe/ir.h"

#include "base/macro.h"

struct run {
	const struct capture_program *p;
	const struct capture_known *known;
	uint64_t r[IR_MAX_REGS];
};

static uint64_t compute(enum ir_bin op, uint64_t a, uint64_t b)
{
	switch (op) {
	case BIN_ADD:
		return a + b;
	case BIN_SUB:
		return a - b;
	case BIN_MUL:
		return a * b;
	case BIN_AND:
		return a & b;
	case BIN_OR:
		return a | b;
	case BIN_XOR:
		return a ^ b;
	case BIN_SHL:
		return a << (b & 63);
	case BIN_SHR:
		return a >> (b & 63);
	case BIN_EQ:
		return a == b;
	case BIN_NE:
		return a != b;
	case BIN_LT:
		return (int64_t)a < (int64_t)b;
	case BIN_LE:
		return (int64_t)a <= (int64_t)b;
	case BIN_GT:
		return (int64_t)a > (int64_t)b;
	case BIN_GE:
		return (int64_t)a >= (int64_t)b;
	case BIN_ULT:
		return a < b;
	case BIN_ULE:
		return a <= b;
	case BIN_UGT:
		return a > b;
	case BIN_UGE:
		return a >= b;
	case BIN_DIV:
		return a / b;
	case BIN_MOD:
		return a % b;
	}
	return 0;
}

/* The instruction after the label. Jumps lead forward. */
static size_t behind_label(const struct run *t, size_t at, uint16_t label)
{
	while (at < t->p->ninsns && (t->p->insns[at].op != IR_LABEL || t->p->insns[at].label != label))
		at++;
	return at;
}

/* False: it fails. *at is the instruction, and then the next one. */
static bool step(struct run *t, size_t *at)
{
	const struct ir_insn *i = &t->p->insns[*at];
	uint64_t *r = t->r;

	++*at;
	switch (i->op) {
	case IR_REGION:
	case IR_LABEL:
		return true;
	case IR_CONST:
		r[i->dst] = (uint64_t)i->imm;
		return true;
	case IR_LATENCY:
		r[i->dst] = t->known->latency_ns;
		return true;
	case IR_SAVED:
		r[i->dst] = t->known->saved[i->imm];
		return t->known->valid & 1u << i->imm;
	case IR_MOVE:
		r[i->dst] = r[i->a];
		return true;
	case IR_NOT:
		r[i->dst] = !r[i->a];
		return true;
	case IR_BIN:
		if ((i->bin == BIN_DIV || i->bin == BIN_MOD) && !r[i->b])
			return false;
		r[i->dst] = compute(i->bin, r[i->a], r[i->b]);
		return true;
	case IR_JUMP:
		*at = behind_label(t, *at, i->label);
		return true;
	case IR_JUMP_IF0:
		if (!r[i->a])
			*at = behind_label(t, *at, i->label);
		return true;
	case IR_REQUIRE:
	case IR_FILTER:
		return r[i->a] != 0;
	default:
		return false;
	}
}

bool capture_passes(const struct capture_program *p, const struct capture_known *known)
{
	struct run t = {.p = p, .known = known};
	size_t at = 0;

	while (at < p->ninsns && p->insns[at].op != IR_END)
		if (!step(&t, &at))
			return false;
	return true;
}
