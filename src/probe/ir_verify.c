/* Whether a capture program keeps the rules of ir.h: what planters rely on before they make code of it. */
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "probe/ir_ops.h"
#include "probe/shape_index.h"

enum { MAX_LABELS = 4096 };

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
		       v->at, i->op < IR_OPS ? ir_ops[i->op].name : "?", what);
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
	unsigned uses = ir_ops[i->op].uses;
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

/* Letters a to z, where those of either case are to be found. */
static int check_letters(struct verifier *v, const struct ir_insn *i)
{
	if (!i->imm)
		return bad(v, "its text is empty");
	for (int64_t k = 0; k < i->imm; k++)
		if (i->str[k] < 'a' || i->str[k] > 'z')
			return bad(v, "its text has more than letters");
	return 0;
}

static bool is_capture_slot(uint16_t slot)
{
	return slot != IR_SLOT_FILTER && slot != IR_SLOT_MARK;
}

static int check_inject(struct verifier *v, const struct ir_insn *i)
{
	if (!v->in_region || !is_capture_slot(v->slot))
		return bad(v, "it stands outside a capture");
	if (i->op == IR_INJECT ? i->imm < 0 || i->imm >= INJECT_FORMS
			       : i->imm < INJECT_FORMS || i->imm >= INJECT_ALL_FORMS)
		return bad(v, "there is no such form");
	if (i->op == IR_LEND && v->p->role != PROGRAM_POINT)
		return bad(v, "it belongs to a point");
	for (unsigned k = 0; k < INJECT_WORDS; k++)
		if (check_use(v, (uint16_t)(i->a + k)))
			return -EINVAL;
		else if (i->a + k == i->dst)
			return bad(v, "its result is one of its operands");
	return 0;
}

static int check_lend(struct verifier *v, const struct ir_insn *i)
{
	const struct ir_given *g = i->given;

	if (!g || g->nwords != (i->imm == INJECT_RECORD ? 1 : 3))
		return bad(v, "no parameter is told of it");
	for (size_t k = 0; k < g->nwords; k++)
		if (!g->word[k].on_stack && g->word[k].reg >= capture_arch(v->p)->nregisters)
			return bad(v, "there is no such register");
	if (i->imm == INJECT_RECORD && (g->bytes % 8 || g->bytes > IR_LOAN_BYTES / 2 || g->list + 24 > g->bytes))
		return bad(v, "the list is no part of the record");
	return check_inject(v, i);
}

static int check_details(struct verifier *v, const struct ir_insn *i)
{
	const struct arch *arch = capture_arch(v->p);

	switch (i->op) {
	case IR_ARG_REG:
		return i->reg >= arch->nregisters ? bad(v, "there is no such register") : 0;
	case IR_ARG_FLOAT:
		return i->reg >= arch->nfloat_args || i->size < 4 ? bad(v, "there is no such register") : 0;
	case IR_BIN:
		return i->bin >= IR_BINS ? bad(v, "there is no such operator") : 0;
	case IR_MAP_STR:
		return i->map ? 0 : bad(v, "it has no layout");
	case IR_ANY_KEY:
		return i->map ? check_letters(v, i) : bad(v, "it has no layout");
	case IR_ANY_STR:
		return i->at < 16 ? bad(v, "its elements have no text") : check_letters(v, i);
	case IR_INJECT:
		return check_inject(v, i);
	case IR_LEND:
		return check_lend(v, i);
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
	if (i->slot == IR_SLOT_FILTER ? v->seen_region
	    : i->slot == IR_SLOT_MARK ? v->next_slot
				      : i->slot != v->next_slot)
		return bad(v, "the regions are out of order");
	if (is_capture_slot(i->slot) && v->next_slot++ >= v->p->nslots)
		return bad(v, "there is no such slot");
	if (is_capture_slot(i->slot) && i->slot && is_image_slot(v, i->slot - 1u) && !is_image_slot(v, i->slot))
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
	case VALUE_CHAIN:
		return IR_EMIT_CHAIN;
	case VALUE_CONTEXT:
		return IR_EMIT_MARK;
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
	if (!v->in_region || v->slot != i->slot || !is_capture_slot(i->slot))
		return bad(v, "it stands outside its slot's region");
	if (i->op != emit_op_of(v->p->slots[i->slot].kind))
		return bad(v, "the slot holds another kind of value");
	if (i->op == IR_EMIT_STR && (i->imm < 1 || i->imm > EVENT_MAX_STRING))
		return bad(v, "it copies no bytes or too many");
	if (i->op == IR_EMIT_STACK && (i->imm < 1 || i->imm > IR_MAX_STACK))
		return bad(v, "it has no frames or too many");
	if (i->op == IR_EMIT_CHAIN && (i->imm < 1 || i->imm > EVENT_MAX_CHAIN || !v->p->contexts))
		return bad(v, "it has no links or too many, or no table of contexts");
	return i->op == IR_IMAGE ? check_image(v, i) : 0;
}

static int check_epoch(struct verifier *v, const struct ir_insn *i)
{
	const uint16_t words[] = {i->a, i->b, i->c};

	if (i->imm < 0 || (uint64_t)i->imm > MARK_KEEP_NONE)
		return bad(v, "its threshold is none");
	for (size_t k = 0; i->a != IR_NO_REG && k < ARRAY_SIZE(words); k++)
		if (check_use(v, words[k]))
			return -EINVAL;
	return 0;
}

static int check_mark(struct verifier *v, const struct ir_insn *i)
{
	if (!v->in_region || v->slot != IR_SLOT_MARK || v->p->role != PROGRAM_POINT)
		return bad(v, "it stands outside a region of marks");
	switch (i->op) {
	case IR_MARK_CHAIN:
		if (i->imm < 1 || i->imm > EVENT_MAX_CHAIN)
			return bad(v, "it has no links or too many");
		return v->p->contexts ? 0 : bad(v, "there is no table of contexts");
	case IR_MARK_PUT_CHAIN:
		return v->p->contexts ? 0 : bad(v, "there is no table of contexts");
	case IR_MARK_FIND:
	case IR_MARK_PUT:
		return i->imm < 0 || i->imm >= MARK_KIND_COUNT ? bad(v, "there is no such kind of mark") : 0;
	case IR_MARK_GOROUTINE:
		return i->imm < MARK_AROUND || i->imm > MARK_OF_CALL ? bad(v, "there is no such mark") : 0;
	case IR_MARK_BEGIN:
		return check_epoch(v, i);
	default:
		return 0;
	}
}

static int check_mark_word(struct verifier *v, const struct ir_insn *i)
{
	if (!v->in_region || v->slot == IR_SLOT_FILTER || !capture_has_marks(v->p))
		return bad(v, "the run has no mark here");
	return i->imm < 0 || i->imm >= MARK_WORD_COUNT ? bad(v, "there is no such word") : 0;
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

	if (!v->in_region || (v->slot == IR_SLOT_FILTER && !of_call) ||
	    (v->slot == IR_SLOT_MARK && i->op == IR_SAVE))
		return bad(v, "it stands outside a capture");
	return i->imm < 0 || i->imm >= IR_MAX_SAVED ? bad(v, "there is no such saved value") : 0;
}

static int check_release(struct verifier *v)
{
	if (!v->in_region || v->slot != IR_SLOT_FILTER)
		return bad(v, "it stands outside the filter");
	return v->p->role == PROGRAM_POINT && v->p->ninsns == 3 ? 0 : bad(v, "it does not stand alone");
}

static int check_reuse(struct verifier *v, const struct ir_insn *i)
{
	size_t before = 0;

	if (!v->in_region || !is_capture_slot(v->slot) || v->p->role != PROGRAM_POINT)
		return bad(v, "it stands outside a point's capture");
	if (i->slot != v->slot)
		return bad(v, "it is of another slot");
	for (const struct ir_insn *k = v->p->insns; k < i; k++)
		before += k->op == IR_REUSE;
	return before < IR_MAX_REUSED ? 0 : bad(v, "there are too many of these");
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
	case IR_EMIT_CHAIN:
	case IR_IMAGE:
		return check_emit(v, i);
	case IR_EMIT_MARK:
		return capture_has_marks(v->p) ? check_emit(v, i) : bad(v, "the program has no marks");
	case IR_MARK_WORD:
		return check_mark_word(v, i);
	case IR_IMAGE_PUT:
	case IR_IMAGE_COPY:
	case IR_IMAGE_TYPE:
		return check_fill(v, i);
	case IR_LATENCY:
		return v->p->role == PROGRAM_RETURN ? 0 : bad(v, "there is no latency before the return");
	case IR_SAVE:
	case IR_SAVED:
		return check_saved(v, i);
	case IR_REUSE:
		return check_reuse(v, i);
	case IR_GOROUTINE:
		return check_goroutine(v, i);
	case IR_FILTER:
		return v->in_region && v->slot == IR_SLOT_FILTER ? 0 : bad(v, "it stands outside the filter");
	case IR_RELEASE:
		return check_release(v);
	default:
		return ir_is_mark(i) ? check_mark(v, i) : 0;
	}
}

static int check_insn(struct verifier *v, const struct ir_insn *i)
{
	int r;

	if (i->op >= IR_OPS)
		return bad(v, "there is no such instruction");
	if (v->seen_region && !v->in_region && !(ir_ops[i->op].uses & ANYWHERE))
		return bad(v, "it stands between regions");
	r = check_operands(v, i);
	if (!r)
		r = check_details(v, i);
	if (!r)
		r = check_place(v, i);
	if (!r && (ir_ops[i->op].uses & SETS_DST))
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

static bool threads_ok(const struct capture_program *p)
{
	return p->role == PROGRAM_POINT && !p->needs_bias && !capture_has_marks(p) && !capture_has(p, IR_G) &&
	       !capture_has(p, IR_GOROUTINE) && !capture_has(p, IR_SAVE) && !capture_has(p, IR_SAVED) &&
	       !capture_has(p, IR_REUSE);
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
	if (p->threads && !threads_ok(p))
		return err_set(err, -EINVAL, "the capture program is damaged: it asks for what only goroutines have");
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
