#include "probe/ir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/vec.h"
#include "probe/shape_index.h"

enum { USES_A = 1, USES_B = 2, USES_C = 4, SETS_DST = 8, SIZED = 16, TEXT = 32, ANYWHERE = 64 };
enum { MAX_LABELS = 4096 };

static const struct {
	const char *name;
	unsigned uses;
} ops[] = {
	[IR_CONST] = {"const", SETS_DST},
	[IR_ARG_REG] = {"arg", SETS_DST | SIZED},
	[IR_ARG_STACK] = {"stack", SETS_DST | SIZED},
	[IR_ARG_XMM] = {"xmm", SETS_DST | SIZED},
	[IR_G] = {"g", SETS_DST},
	[IR_PC_RET] = {"pc_ret", SETS_DST},
	[IR_LOAD] = {"load", SETS_DST | SIZED | USES_A},
	[IR_ADDR] = {"addr", SETS_DST | USES_A},
	[IR_INDEX] = {"index", SETS_DST | USES_A | USES_B | USES_C},
	[IR_TYPE] = {"type", SETS_DST},
	[IR_MAP_STR] = {"map_str", SETS_DST | USES_A | TEXT},
	[IR_MAP_KEY] = {"map_key", SETS_DST | USES_A},
	[IR_BIN] = {"bin", SETS_DST | USES_A | USES_B},
	[IR_NOT] = {"not", SETS_DST | USES_A},
	[IR_STR_EQ] = {"str_eq", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_PREFIX] = {"str_prefix", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_SUFFIX] = {"str_suffix", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_CONTAINS] = {"str_contains", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_ORDER] = {"str_order", SETS_DST | USES_A | USES_B | TEXT},
	[IR_MEM_ORDER] = {"mem_order", SETS_DST | USES_A | USES_B | USES_C},
	[IR_SAVED] = {"saved", SETS_DST},
	[IR_LATENCY] = {"latency", SETS_DST},
	[IR_MOVE] = {"move", SETS_DST | USES_A},
	[IR_JUMP] = {"jump", 0},
	[IR_JUMP_IF0] = {"jump_if0", USES_A},
	[IR_LABEL] = {"label", 0},
	[IR_REQUIRE] = {"require", USES_A},
	[IR_FILTER] = {"filter", USES_A},
	[IR_REGION] = {"region", ANYWHERE},
	[IR_END] = {"end", 0},
	[IR_EMIT] = {"emit", USES_A},
	[IR_EMIT_STR] = {"emit_str", USES_A | USES_B},
	[IR_SAVE] = {"save", USES_A},
	[IR_EMIT_STACK] = {"emit_stack", 0},
	[IR_IMAGE] = {"image", 0},
	[IR_IMAGE_PUT] = {"image_put", USES_A | SIZED},
	[IR_IMAGE_COPY] = {"image_copy", USES_A},
	[IR_IMAGE_TYPE] = {"image_type", USES_A},
	[IR_GOROUTINE] = {"goroutine", USES_A},
};

static const char *const bins[] = {"+",  "-",  "*",  "&", "|",  "^", "<<", ">>",
				   "==", "!=", "<",  "<=", ">", ">=",
				   "u<", "u<=", "u>", "u>=", "/", "%"};

/* ---- verify ---- */

_Static_assert(IR_MAX_REGS <= 64, "sets of registers are one word");

struct label_state {
	bool jumped, placed;
	uint64_t set;        /* registers that every jump to it had set */
};

struct verifier {
	const struct capture_program *p;
	struct err *err;
	size_t at;
	bool in_region, seen_region, seen_goroutine;
	uint16_t slot;
	size_t next_slot;    /* regions come in the order of the slots */
	int64_t image;       /* bytes of the region's image; 0: it has none yet */
	uint64_t set;        /* registers that are set here on every path; all ones: unreachable */
	size_t open_labels;  /* jumped to, not placed yet */
	struct label_state *labels;
};

static int bad(struct verifier *v, const char *what)
{
	const struct ir_insn *i = &v->p->insns[v->at];

	return err_set(v->err, -EINVAL, "the capture program is damaged at instruction %zu (%s): %s",
		       v->at, i->op < ARRAY_SIZE(ops) ? ops[i->op].name : "?", what);
}

static int check_use(struct verifier *v, uint16_t reg)
{
	if (reg >= v->p->nregs)
		return bad(v, "it uses a register that does not exist");
	if (!(v->set & 1ull << reg))
		return bad(v, "it reads a register that is not set on every path");
	return 0;
}

static int check_operands(struct verifier *v, const struct ir_insn *i)
{
	unsigned uses = ops[i->op].uses;
	const uint16_t operands[] = {i->a, i->b, i->c};

	for (unsigned k = 0; k < 3; k++) {
		int r = uses & (USES_A << k) ? check_use(v, operands[k]) : 0;

		if (r)
			return r;
		if ((uses & (USES_A << k)) && (uses & SETS_DST) && operands[k] == i->dst)
			return bad(v, "its result is one of its operands");
	}
	if ((uses & SETS_DST) && i->dst >= v->p->nregs)
		return bad(v, "it sets a register that does not exist");
	if ((uses & SIZED) && i->size != 1 && i->size != 2 && i->size != 4 && i->size != 8)
		return bad(v, "its size is not 1, 2, 4 or 8");
	if ((uses & TEXT) && (!i->str || i->imm < 0 || i->imm > IR_MAX_STR ||
			      strlen(i->str) != (size_t)i->imm))
		return bad(v, "its text has another length");
	return 0;
}

static int check_key(struct verifier *v, const struct ir_insn *i)
{
	const struct ir_key *k = i->key;
	unsigned texts = 0;
	uint16_t reg = i->b;

	if (!k || !i->map || !k->n || k->n > IR_MAX_KEY)
		return bad(v, "it has no layout, or no key");
	for (size_t n = 0; n < k->n; n++) {
		const struct ir_key_part *p = &k->parts[n];
		unsigned words = p->size ? 1 : 2;

		texts += !p->size;
		if (p->size > 8 || p->size & (p->size - 1) || p->offset + (p->size ? p->size : 16u) > i->map->key_size)
			return bad(v, "a part of its key is none");
		for (; words; words--, reg++)
			if (check_use(v, reg))
				return -EINVAL;
			else if (reg == i->dst)
				return bad(v, "its result is one of its operands");
	}
	return texts > 1 ? bad(v, "its key has more than one text") : 0;
}

static int check_details(struct verifier *v, const struct ir_insn *i)
{
	const struct arch *arch = capture_arch(v->p);

	switch (i->op) {
	case IR_ARG_REG:
		return i->reg >= arch->nregisters ? bad(v, "there is no such register") : 0;
	case IR_ARG_XMM:
		return i->reg >= arch->nfloat_args || i->size < 4 ? bad(v, "there is no such register") : 0;
	case IR_BIN:
		return i->bin >= ARRAY_SIZE(bins) ? bad(v, "there is no such operator") : 0;
	case IR_MAP_STR:
		return i->map ? 0 : bad(v, "it has no layout");
	case IR_STR_EQ:
	case IR_STR_PREFIX:
	case IR_STR_SUFFIX:
	case IR_STR_CONTAINS:
	case IR_STR_ORDER:
		return i->imm ? 0 : bad(v, "its text is empty");
	case IR_MAP_KEY:
		return check_key(v, i);
	case IR_INDEX:
		return i->imm < 0 ? bad(v, "its elements have no size") : 0;
	case IR_REQUIRE:
		return i->imm <= SLOT_CUT || i->imm >= SLOT_STATUS_COUNT ? bad(v, "this is no failure") : 0;
	default:
		return 0;
	}
}

static int check_jump(struct verifier *v, const struct ir_insn *i)
{
	struct label_state *l;

	if (i->label >= v->p->nlabels)
		return bad(v, "there is no such label");
	l = &v->labels[i->label];
	if (l->placed)
		return bad(v, "it jumps back");
	v->open_labels += !l->jumped;
	l->set = l->jumped ? l->set & v->set : v->set;
	l->jumped = true;
	if (i->op == IR_JUMP)
		v->set = ~0ull;
	return 0;
}

static int check_label(struct verifier *v, const struct ir_insn *i)
{
	struct label_state *l;

	if (i->label >= v->p->nlabels || v->labels[i->label].placed)
		return bad(v, "there is no such label, or it is placed already");
	l = &v->labels[i->label];
	l->placed = true;
	if (l->jumped) {
		v->open_labels--;
		v->set &= l->set;
	}
	return 0;
}

static bool is_image_slot(const struct verifier *v, size_t slot)
{
	return v->p->slots[slot].kind == VALUE_IMAGE;
}

static int check_region(struct verifier *v, const struct ir_insn *i)
{
	if (v->in_region)
		return bad(v, "regions do not nest");
	if (v->open_labels)
		return bad(v, "a jump before it leads behind it");
	if (i->slot == IR_SLOT_FILTER ? v->seen_region : i->slot != v->next_slot)
		return bad(v, "the regions are out of order");
	if (i->slot != IR_SLOT_FILTER && v->next_slot++ >= v->p->nslots)
		return bad(v, "there is no such slot");
	if (i->slot != IR_SLOT_FILTER && i->slot && is_image_slot(v, i->slot - 1u) && !is_image_slot(v, i->slot))
		return bad(v, "it comes behind an image");
	v->in_region = v->seen_region = true;
	v->image = 0;
	v->slot = i->slot;
	v->set = 0;
	return 0;
}

static int check_end(struct verifier *v)
{
	if (!v->in_region)
		return bad(v, "no region is open");
	if (v->open_labels)
		return bad(v, "a jump leads out of the region");
	v->in_region = false;
	return 0;
}

static enum ir_op emit_op_of(enum value_kind kind)
{
	switch (kind) {
	case VALUE_STRING:
		return IR_EMIT_STR;
	case VALUE_STACK:
		return IR_EMIT_STACK;
	case VALUE_IMAGE:
		return IR_IMAGE;
	default:
		return IR_EMIT;
	}
}

static int check_image(struct verifier *v, const struct ir_insn *i)
{
	const struct shape_table *t = v->p->shapes;

	if (v->image)
		return bad(v, "the slot has an image already");
	if (i->imm < 1 || i->imm > IR_MAX_IMAGE)
		return bad(v, "it has no bytes or too many");
	if (!t || !i->shape || i->shape >= t->shapes.len)
		return bad(v, "there is no such shape");
	if (i->at > SHAPE_DEPTH_MAX + 1)
		return bad(v, "it is followed deeper than is possible");
	v->image = i->imm;
	return i->a == IR_NO_REG ? 0 : check_use(v, i->a);
}

static int check_emit(struct verifier *v, const struct ir_insn *i)
{
	if (!v->in_region || v->slot != i->slot || i->slot == IR_SLOT_FILTER)
		return bad(v, "it stands outside its slot's region");
	if (i->op != emit_op_of(v->p->slots[i->slot].kind))
		return bad(v, "the slot holds another kind of value");
	if (i->op == IR_EMIT_STR && (i->imm < 1 || i->imm > EVENT_MAX_STRING))
		return bad(v, "it copies no bytes or too many");
	if (i->op == IR_EMIT_STACK && (i->imm < 1 || i->imm > IR_MAX_STACK))
		return bad(v, "it has no frames or too many");
	return i->op == IR_IMAGE ? check_image(v, i) : 0;
}

static int check_fill(struct verifier *v, const struct ir_insn *i)
{
	int64_t at = i->op == IR_IMAGE_PUT ? i->imm : i->at, n = i->op == IR_IMAGE_PUT ? i->size : i->imm;

	if (!v->in_region || v->slot != i->slot || !v->image)
		return bad(v, "there is no image");
	if (i->op == IR_IMAGE_TYPE)
		return i->imm < 0 || i->imm > INT16_MAX ? bad(v, "its word is out of reach") : 0;
	if (at < 0 || n < 1 || at > v->image || n > v->image - at)
		return bad(v, "it writes outside the image");
	return 0;
}

static int check_goroutine(struct verifier *v, const struct ir_insn *i)
{
	if (v->seen_region || v->seen_goroutine)
		return bad(v, "it belongs before the first region, once");
	v->seen_goroutine = true;
	return i->b == IR_NO_REG ? 0 : check_use(v, i->b);
}

static int check_saved(struct verifier *v, const struct ir_insn *i)
{
	bool of_call = i->op == IR_SAVED && v->p->role == PROGRAM_RETURN;

	if (!v->in_region || (v->slot == IR_SLOT_FILTER && !of_call))
		return bad(v, "it stands outside a capture");
	return i->imm < 0 || i->imm >= IR_MAX_SAVED ? bad(v, "there is no such saved value") : 0;
}

static int check_place(struct verifier *v, const struct ir_insn *i)
{
	switch (i->op) {
	case IR_JUMP:
	case IR_JUMP_IF0:
		return check_jump(v, i);
	case IR_LABEL:
		return check_label(v, i);
	case IR_REGION:
		return check_region(v, i);
	case IR_END:
		return check_end(v);
	case IR_EMIT:
	case IR_EMIT_STR:
	case IR_EMIT_STACK:
	case IR_IMAGE:
		return check_emit(v, i);
	case IR_IMAGE_PUT:
	case IR_IMAGE_COPY:
	case IR_IMAGE_TYPE:
		return check_fill(v, i);
	case IR_LATENCY:
		return v->p->role == PROGRAM_RETURN ? 0 : bad(v, "there is no latency before the return");
	case IR_SAVE:
	case IR_SAVED:
		return check_saved(v, i);
	case IR_GOROUTINE:
		return check_goroutine(v, i);
	case IR_FILTER:
		return v->in_region && v->slot == IR_SLOT_FILTER ? 0 : bad(v, "it stands outside the filter");
	default:
		return 0;
	}
}

static int check_insn(struct verifier *v, const struct ir_insn *i)
{
	int r;

	if (i->op >= ARRAY_SIZE(ops))
		return bad(v, "there is no such instruction");
	if (v->seen_region && !v->in_region && !(ops[i->op].uses & ANYWHERE))
		return bad(v, "it stands between regions");
	r = check_operands(v, i);
	if (!r)
		r = check_details(v, i);
	if (!r)
		r = check_place(v, i);
	if (!r && (ops[i->op].uses & SETS_DST))
		v->set |= 1ull << i->dst;
	return r;
}

/* ---- roles and aggregates ---- */

static bool has_slot(const struct capture_program *p, const struct ir_slot_ref *s)
{
	return s->at_entry ? p->role == PROGRAM_RETURN && s->slot < EVENT_MAX_SLOTS : s->slot < p->nslots;
}

static bool aggregate_ok(const struct capture_program *p, const struct ir_aggregate *a)
{
	if (a->nkeys > AGG_MAX_KEYS || (a->kind == AGG_LINEAR && (a->step < 1 || a->high <= a->low)))
		return false;
	if (a->kind != AGG_COUNT && !has_slot(p, &a->value))
		return false;
	if (a->kind != AGG_COUNT && !a->value.at_entry && p->slots[a->value.slot].kind > VALUE_BOOL)
		return false;
	for (size_t i = 0; i < a->nkeys; i++)
		if (!has_slot(p, &a->keys[i]))
			return false;
	return true;
}

static int check_role(const struct capture_program *p, struct err *err)
{
	bool of_call = p->role == PROGRAM_ENTRY || p->role == PROGRAM_RETURN;
	bool counts = p->role == PROGRAM_POINT || p->role == PROGRAM_RETURN;

	if (of_call && !p->call_group)
		return err_set(err, -EINVAL, "the capture program is damaged: it is of a call, but has no call group");
	if ((p->role == PROGRAM_UNWIND || p->role == PROGRAM_EXIT) && p->nslots)
		return err_set(err, -EINVAL, "the capture program is damaged: the end of calls has no slots");
	if (p->naggregates && !counts)
		return err_set(err, -EINVAL, "the capture program is damaged: its role has no aggregates");
	for (size_t i = 0; i < p->naggregates; i++)
		if (!aggregate_ok(p, &p->aggregates[i]))
			return err_set(err, -EINVAL, "the capture program is damaged: aggregate %zu refers to slots "
						     "that it has not", i);
	return 0;
}

static int check_program(struct verifier *v)
{
	const struct capture_program *p = v->p;

	if (p->nregs > IR_MAX_REGS || p->nslots > EVENT_MAX_SLOTS || p->nlabels > MAX_LABELS)
		return err_set(v->err, -EINVAL,
			       "the capture program is too large: %u registers, %zu slots, %u labels",
			       p->nregs, p->nslots, p->nlabels);
	for (v->at = 0; v->at < p->ninsns; v->at++) {
		int r = check_insn(v, &p->insns[v->at]);

		if (r)
			return r;
	}
	if (v->in_region || v->open_labels || v->next_slot != p->nslots)
		return err_set(v->err, -EINVAL, "the capture program is damaged: it ends too early");
	return 0;
}

int capture_verify(const struct capture_program *p, struct err *err)
{
	struct verifier v = {.p = p, .err = err};
	int r;

	v.labels = xcalloc((size_t)p->nlabels + 1, sizeof(*v.labels));
	r = check_role(p, err);
	if (!r)
		r = check_program(&v);
	free(v.labels);
	return r;
}

/* ---- print ---- */

static void print_offset(int64_t offset, struct buf *out)
{
	if (offset)
		buf_printf(out, "%+lld", (long long)offset);
}

static void print_value(const struct capture_program *p, const struct ir_insn *i, struct buf *out)
{
	const struct arch *arch = capture_arch(p);

	switch (i->op) {
	case IR_CONST:
		buf_printf(out, "%lld", (long long)i->imm);
		break;
	case IR_ARG_REG:
		buf_str(out, i->reg < arch->nregisters ? arch->registers[i->reg] : "?");
		break;
	case IR_ARG_XMM:
		buf_printf(out, "%s%u", arch->float_name, i->reg);
		break;
	case IR_ARG_STACK:
		buf_str(out, "[sp");
		print_offset(i->imm, out);
		buf_char(out, ']');
		break;
	case IR_LOAD:
		buf_printf(out, "[r%u", i->a);
		print_offset(i->imm, out);
		buf_char(out, ']');
		break;
	case IR_ADDR:
		buf_printf(out, "r%u", i->a);
		print_offset(i->imm, out);
		break;
	case IR_INDEX:
		buf_printf(out, "r%u + r%u*%lld below r%u", i->a, i->b, (long long)i->imm, i->c);
		break;
	case IR_TYPE:
		buf_printf(out, "type 0x%llx", (long long)i->imm);
		break;
	case IR_MAP_STR:
		buf_printf(out, "r%u[\"%s\"]", i->a, i->str);
		break;
	case IR_MAP_KEY:
		buf_printf(out, "r%u[%zu parts from r%u]", i->a, i->key->n, i->b);
		break;
	case IR_MEM_ORDER:
		buf_printf(out, "mem_order(r%u, r%u, r%u bytes)", i->a, i->b, i->c);
		break;
	case IR_BIN:
		buf_printf(out, "r%u %s r%u", i->a, i->bin < ARRAY_SIZE(bins) ? bins[i->bin] : "?", i->b);
		break;
	case IR_NOT:
		buf_printf(out, "!r%u", i->a);
		break;
	case IR_MOVE:
		buf_printf(out, "r%u", i->a);
		break;
	case IR_SAVED:
		buf_printf(out, "saved %lld", (long long)i->imm);
		break;
	case IR_STR_EQ:
	case IR_STR_PREFIX:
	case IR_STR_SUFFIX:
	case IR_STR_CONTAINS:
	case IR_STR_ORDER:
		buf_printf(out, "%s(r%u:r%u, \"%s\")", ops[i->op].name, i->a, i->b, i->str);
		break;
	default:
		buf_str(out, ops[i->op].name);
		break;
	}
	if (ops[i->op].uses & SIZED)
		buf_printf(out, " %c%u", i->flags & IR_SIGNED ? 'i' : 'u', i->size * 8u);
}

static void print_region(const struct capture_program *p, const struct ir_insn *i, struct buf *out)
{
	if (i->slot == IR_SLOT_FILTER)
		buf_str(out, "filter {");
	else
		buf_printf(out, "slot %u %s {", i->slot,
			   i->slot < p->nslots && p->slots[i->slot].name ? p->slots[i->slot].name : "?");
}

static void print_image(const struct ir_insn *i, struct buf *out)
{
	if (i->op == IR_IMAGE_PUT) {
		buf_printf(out, "image[%lld:] = r%u u%u", (long long)i->imm, i->a, i->size * 8u);
	} else if (i->op == IR_IMAGE_COPY) {
		buf_printf(out, "image[%u:] = [r%u] %lld bytes", i->at, i->a, (long long)i->imm);
	} else if (i->op == IR_IMAGE_TYPE) {
		buf_printf(out, "image of type [r%u + %lld]", i->a, (long long)i->imm);
	} else {
		buf_printf(out, "image %lld bytes shape %u", (long long)i->imm, i->shape);
		if (i->a != IR_NO_REG)
			buf_printf(out, " at r%u", i->a);
	}
}

static void print_action(const struct capture_program *p, const struct ir_insn *i, struct buf *out)
{
	switch (i->op) {
	case IR_JUMP:
		buf_printf(out, "jump L%u", i->label);
		break;
	case IR_JUMP_IF0:
		buf_printf(out, "if !r%u jump L%u", i->a, i->label);
		break;
	case IR_LABEL:
		buf_printf(out, "L%u:", i->label);
		break;
	case IR_REQUIRE:
		buf_printf(out, "require r%u else %lld", i->a, (long long)i->imm);
		break;
	case IR_REGION:
		print_region(p, i, out);
		break;
	case IR_END:
		buf_char(out, '}');
		break;
	case IR_EMIT_STR:
		buf_printf(out, "emit r%u:r%u up to %lld", i->a, i->b, (long long)i->imm);
		break;
	case IR_EMIT_STACK:
		buf_printf(out, "emit_stack up to %lld", (long long)i->imm);
		break;
	case IR_IMAGE:
	case IR_IMAGE_PUT:
	case IR_IMAGE_COPY:
	case IR_IMAGE_TYPE:
		print_image(i, out);
		break;
	case IR_SAVE:
		buf_printf(out, "save r%u as %lld", i->a, (long long)i->imm);
		break;
	case IR_GOROUTINE:
		buf_printf(out, "goroutine r%u", i->a);
		if (i->b != IR_NO_REG)
			buf_printf(out, " sp r%u", i->b);
		break;
	default:
		buf_printf(out, "%s r%u", ops[i->op].name, i->a);
		break;
	}
}

static void print_role(const struct capture_program *p, struct buf *out)
{
	static const char *const names[] = {"point", "entry", "return", "unwind", "exit"};

	if (p->role == PROGRAM_POINT || p->role >= ARRAY_SIZE(names))
		return;
	buf_str(out, names[p->role]);
	if (p->call_group)
		buf_printf(out, " of group %u", p->call_group);
	buf_char(out, '\n');
}

void capture_print(const struct capture_program *p, struct buf *out)
{
	bool inside = false;

	print_role(p, out);

	for (size_t n = 0; n < p->ninsns; n++) {
		const struct ir_insn *i = &p->insns[n];

		inside &= i->op != IR_END;
		buf_str(out, inside ? "\t" : "");
		if (i->op >= ARRAY_SIZE(ops)) {
			buf_printf(out, "? %u", i->op);
		} else if (ops[i->op].uses & SETS_DST) {
			buf_printf(out, "r%u = ", i->dst);
			print_value(p, i, out);
		} else {
			print_action(p, i, out);
		}
		buf_char(out, '\n');
		inside |= i->op == IR_REGION;
	}
}
