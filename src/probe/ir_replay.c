/*
 * Capture programs, run here: over values that a program has recorded (ir_replay.h), or over nothing but what is known
 * of a call when it has ended (capture_passes). What would need the process, its registers or memory fails, as it does
 * where the probe fires.
 */
#include "probe/ir_replay.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"

/* Addresses that stand for what a record has. They come from its slots only, and lead nowhere else. */
#define REGION_SHIFT 40
#define TEXT_OF(slot) ((uint64_t)((slot) + 1) << REGION_SHIFT)
#define ITAB          (UINT64_C(1) << 62)
#define ITAB_OF(slot) (TEXT_OF(slot) | ITAB)
#define GOROUTINE     (UINT64_C(1) << 61)

enum { DROPPED = SLOT_STATUS_COUNT };  /* as a status: the event is */

struct made {                          /* a slot of the record that is made, with what it has copied */
	struct event_slot slot;
	const char *bytes;
};

struct run {
	const struct capture_program *p;
	const struct capture_known *known;
	const struct replay *with;     /* NULL: there is no record */
	uint64_t r[IR_MAX_REGS];
	struct made made[EVENT_MAX_SLOTS];
	size_t room;                   /* for bytes */
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

/* ---- what the record has ---- */

static uint64_t extend(uint64_t v, unsigned size, bool is_signed)
{
	unsigned shift = 64 - size * 8;

	return is_signed ? (uint64_t)((int64_t)(v << shift) >> shift) : v << shift >> shift;
}

static const struct event_slot *slot_at(const struct run *t, size_t slot)
{
	const struct replay *w = t->with;

	return w && slot < w->n && slot < w->from->head->slots ? &w->from->slots[slot] : NULL;
}

/* The word of a text's slot: its address, its length; the capacity is not known better. */
static uint64_t text_word(const struct event_slot *s, size_t slot, unsigned word)
{
	if (word)
		return s->len;
	return s->copied ? TEXT_OF(slot) : s->value;
}

/* The variable's word. */
static enum slot_status variable(const struct run *t, size_t slot, unsigned word, uint64_t *ret)
{
	const struct event_slot *s = slot_at(t, slot);
	enum replay_form form = s ? t->with->forms[slot] : REPLAY_NOTHING;

	if (form == REPLAY_NOTHING || (word && form != REPLAY_TEXT))
		return SLOT_UNREADABLE;
	if (form == REPLAY_TYPE && s->status == SLOT_NIL) {
		*ret = 0;
		return SLOT_OK;
	}
	if (s->status != SLOT_OK && (s->status != SLOT_CUT || form != REPLAY_TEXT))
		return s->status == SLOT_CUT ? SLOT_UNREADABLE : (enum slot_status)s->status;
	if (form == REPLAY_TEXT)
		*ret = text_word(s, slot, word);
	else
		*ret = form == REPLAY_WORD || !s->value ? s->value : ITAB_OF(slot);
	return SLOT_OK;
}

static enum slot_status argument(const struct run *t, const struct ir_insn *i, uint64_t *ret)
{
	const uint64_t at = (uint64_t)i->imm;
	enum slot_status s = variable(t, at / REPLAY_BYTES, at % REPLAY_BYTES / 8, ret);

	*ret = s == SLOT_OK ? extend(*ret, i->size, i->flags & IR_SIGNED) : 0;
	return s;
}

/* The bytes of a text that were copied, from there on: *ret_n, and where they are; NULL: it leads to none. */
static const char *copied_at(const struct run *t, uint64_t addr, uint64_t *ret_n)
{
	const size_t slot = (size_t)(addr >> REGION_SHIFT) - 1;
	const struct event_slot *s = slot_at(t, slot);
	const char *bytes = NULL;
	size_t len = 0;

	if (s && t->with->forms[slot] == REPLAY_TEXT)
		bytes = event_bytes(t->with->from, slot, &len);
	*ret_n = 0;
	if (!bytes || addr - TEXT_OF(slot) > len)
		return NULL;
	*ret_n = len - (addr - TEXT_OF(slot));
	return bytes + (addr - TEXT_OF(slot));
}

static const char *bytes_at(const struct run *t, uint64_t addr, uint64_t n)
{
	uint64_t there;
	const char *bytes = copied_at(t, addr, &there);

	if (!n)
		return "";
	return n <= there ? bytes : NULL;
}

static enum slot_status load(const struct run *t, const struct ir_insn *i, uint64_t *ret)
{
	const uint64_t at = t->r[i->a];
	const struct event_slot *s;
	const char *bytes;

	*ret = 0;
	if (!at)
		return SLOT_NIL;
	if (at == GOROUTINE) {
		*ret = t->with->from->head->goid;
		return (uint64_t)i->imm == t->p->g.goid ? SLOT_OK : SLOT_UNREADABLE;
	}
	if (at & ITAB) {
		s = slot_at(t, (size_t)((at & ~ITAB) >> REGION_SHIFT) - 1);
		*ret = s ? s->value : 0;
		return s ? SLOT_OK : SLOT_UNREADABLE;
	}
	bytes = bytes_at(t, at + (uint64_t)i->imm, i->size);
	if (!bytes)
		return SLOT_UNREADABLE;
	memcpy(ret, bytes, i->size);
	*ret = extend(*ret, i->size, i->flags & IR_SIGNED);
	return SLOT_OK;
}

/* ---- texts ---- */

enum { CONTAINS_BYTES = 256 };

static enum slot_status compare_text(const struct run *t, const struct ir_insn *i, uint64_t *ret)
{
	uint64_t at = t->r[i->a], len = t->r[i->b], want = (uint64_t)i->imm, n = want;
	const char *text;

	*ret = 0;
	if (i->op == IR_STR_EQ ? len != want : len < want)
		return SLOT_OK;
	if (i->op == IR_STR_SUFFIX)
		at += len - want;
	if (i->op == IR_STR_CONTAINS)
		n = MIN(len, (uint64_t)CONTAINS_BYTES);
	text = bytes_at(t, at, n);
	if (!text)
		return SLOT_UNREADABLE;
	*ret = memmem(text, n, i->str, want) != NULL;
	return i->op == IR_STR_CONTAINS && !*ret && len > CONTAINS_BYTES ? SLOT_UNREADABLE : SLOT_OK;
}

static enum slot_status order_texts(const struct run *t, const struct ir_insn *i, uint64_t *ret)
{
	const bool constant = i->op == IR_STR_ORDER;
	const uint64_t len = constant ? t->r[i->b] : t->r[i->c];
	const uint64_t n = MIN(len, constant ? (uint64_t)i->imm : (uint64_t)IR_MAX_ORDER);
	const char *a = bytes_at(t, t->r[i->a], n), *b = constant ? i->str : bytes_at(t, t->r[i->b], n);
	int order;

	if (!a || !b)
		return SLOT_UNREADABLE;
	order = memcmp(a, b, n);
	if (!order && constant)
		order = len < (uint64_t)i->imm ? -1 : len > (uint64_t)i->imm;
	else if (!order && len > n)
		return SLOT_UNREADABLE;
	*ret = order < 0 ? UINT64_MAX : order > 0;
	return SLOT_OK;
}

/* As much as was copied: the rest is cut. */
static enum slot_status emit_text(struct run *t, const struct ir_insn *i)
{
	const uint64_t at = t->r[i->a], len = MIN(t->r[i->b], (uint64_t)UINT32_MAX);
	struct made *m = &t->made[i->slot];
	uint64_t n, there;

	m->bytes = copied_at(t, at, &there);
	n = MIN(MIN(len, (uint64_t)i->imm), MIN(there, (uint64_t)t->room));
	m->slot = (struct event_slot){.status = n < len ? SLOT_CUT : SLOT_OK, .len = (uint32_t)len,
				      .copied = (uint16_t)n, .value = n ? 0 : at};
	t->room -= MIN(t->room, ALIGN_UP((size_t)n, 8));
	return SLOT_OK;
}

/* ---- the machine ---- */

/* The instruction after the label. Jumps lead forward. */
static size_t behind_label(const struct run *t, size_t at, uint16_t label)
{
	while (at < t->p->ninsns && (t->p->insns[at].op != IR_LABEL || t->p->insns[at].label != label))
		at++;
	return at;
}

static enum slot_status index_of(struct run *t, const struct ir_insn *i)
{
	const uint64_t *r = t->r;

	if (r[i->b] >= r[i->c])
		return SLOT_RANGE;
	t->r[i->dst] = r[i->a] + r[i->b] * (uint64_t)i->imm;
	return SLOT_OK;
}

/* What asks for values. */
static enum slot_status step_value(struct run *t, const struct ir_insn *i)
{
	uint64_t *r = t->r;

	if (!t->with)
		return SLOT_UNREADABLE;
	switch (i->op) {
	case IR_ARG_STACK:
		return argument(t, i, &r[i->dst]);
	case IR_G:
		r[i->dst] = GOROUTINE;
		return SLOT_OK;
	case IR_LOAD:
		return load(t, i, &r[i->dst]);
	case IR_ADDR:
		r[i->dst] = r[i->a] + (uint64_t)i->imm;
		return r[i->a] ? SLOT_OK : SLOT_NIL;
	case IR_INDEX:
		return index_of(t, i);
	case IR_TYPE:
		r[i->dst] = (uint64_t)i->imm + t->with->bias;
		return SLOT_OK;
	case IR_STR_EQ:
	case IR_STR_PREFIX:
	case IR_STR_SUFFIX:
	case IR_STR_CONTAINS:
		return compare_text(t, i, &r[i->dst]);
	case IR_STR_ORDER:
	case IR_MEM_ORDER:
		return order_texts(t, i, &r[i->dst]);
	case IR_EMIT:
		t->made[i->slot].slot = (struct event_slot){.status = SLOT_OK, .value = r[i->a]};
		return SLOT_OK;
	case IR_EMIT_STR:
		return emit_text(t, i);
	case IR_SAVE: /* replay_saved */
		return SLOT_OK;
	default:
		return SLOT_UNREADABLE;
	}
}

/* SLOT_OK, or how it fails. *at is the instruction, and then the next one. */
static enum slot_status step(struct run *t, size_t *at)
{
	const struct ir_insn *i = &t->p->insns[*at];
	uint64_t *r = t->r;

	++*at;
	switch (i->op) {
	case IR_REGION:
	case IR_LABEL:
		return SLOT_OK;
	case IR_CONST:
		r[i->dst] = (uint64_t)i->imm;
		return SLOT_OK;
	case IR_LATENCY:
		r[i->dst] = t->known->latency_ns;
		return SLOT_OK;
	case IR_SAVED:
		r[i->dst] = t->known->saved[i->imm];
		return t->known->valid & 1u << i->imm ? SLOT_OK : SLOT_ABSENT;
	case IR_MOVE:
		r[i->dst] = r[i->a];
		return SLOT_OK;
	case IR_NOT:
		r[i->dst] = !r[i->a];
		return SLOT_OK;
	case IR_BIN:
		if ((i->bin == BIN_DIV || i->bin == BIN_MOD) && !r[i->b])
			return SLOT_UNREADABLE;
		r[i->dst] = compute(i->bin, r[i->a], r[i->b]);
		return SLOT_OK;
	case IR_JUMP:
		*at = behind_label(t, *at, i->label);
		return SLOT_OK;
	case IR_JUMP_IF0:
		if (!r[i->a])
			*at = behind_label(t, *at, i->label);
		return SLOT_OK;
	case IR_REQUIRE:
		return r[i->a] ? SLOT_OK : (enum slot_status)i->imm;
	case IR_FILTER:
		return r[i->a] ? SLOT_OK : (enum slot_status)DROPPED;
	default:
		return step_value(t, i);
	}
}

/* To the region's end. How it failed, or SLOT_OK; *at is behind it. */
static enum slot_status run_region(struct run *t, size_t *at)
{
	enum slot_status s = SLOT_OK;

	while (s == SLOT_OK && *at < t->p->ninsns && t->p->insns[*at].op != IR_END)
		s = step(t, at);
	while (*at < t->p->ninsns && t->p->insns[*at].op != IR_END)
		++*at;
	++*at;
	return s;
}

bool capture_passes(const struct capture_program *p, const struct capture_known *known)
{
	struct run t = {.p = p, .known = known};
	size_t at = 0;

	return run_region(&t, &at) == SLOT_OK;
}

/* ---- a record ---- */

static bool is_lost(enum slot_status s)
{
	return s == SLOT_UNREADABLE || s == SLOT_NOT_RESIDENT || s == SLOT_MAP_BUSY;
}

static void append_record(const struct run *t, struct buf *out)
{
	static const char zeros[8];
	struct event_header head = *t->with->from->head;
	const size_t start = out->len, slots = sizeof(head);
	size_t at = slots + t->p->nslots * sizeof(struct event_slot);

	buf_append(out, &head, sizeof(head));
	for (size_t i = 0; i < t->p->nslots; i++) {
		struct event_slot s = t->made[i].slot;

		if (s.copied)
			s.value = at;
		at += ALIGN_UP((size_t)s.copied, 8);
		buf_append(out, &s, sizeof(s));
	}
	for (size_t i = 0; i < t->p->nslots; i++) {
		const size_t n = t->made[i].slot.copied;

		if (n)
			buf_append(out, t->made[i].bytes, n);
		if (n % 8)
			buf_append(out, zeros, 8 - n % 8);
	}
	head.size = (uint32_t)(out->len - start);
	head.kind = (uint8_t)t->with->kind;
	head.probe = t->with->probe;
	head.slots = (uint16_t)t->p->nslots;
	head.chunks = head.missed = 0;
	memcpy(out->data + start, &head, sizeof(head));
}

enum replay_verdict replay_program(const struct capture_program *p, const struct replay *r, struct buf *out)
{
	struct run t = {.p = p, .known = &r->known, .with = r, .room = EVENT_MAX_DATA};

	for (size_t at = 0; at < p->ninsns;) {
		const uint16_t slot = p->insns[at].slot;
		enum slot_status s = run_region(&t, &at);

		if (s == SLOT_OK)
			continue;
		if (slot == IR_SLOT_FILTER)
			return is_lost(s) ? REPLAY_UNREADABLE : REPLAY_DROPPED;
		t.made[slot] = (struct made){.slot.status = (uint8_t)s};
	}
	append_record(&t, out);
	return REPLAY_PASSED;
}

void replay_saved(const struct capture_program *entry, const struct event *record, struct capture_known *ret)
{
	uint16_t slot = 0;

	for (size_t i = 0; i < entry->ninsns; i++) {
		const struct ir_insn *in = &entry->insns[i];

		if (in->op == IR_REGION)
			slot = in->slot;
		if (in->op != IR_SAVE || slot >= record->head->slots || record->slots[slot].status != SLOT_OK)
			continue;
		ret->saved[in->imm] = record->slots[slot].value;
		ret->valid |= 1u << in->imm;
	}
}

/* ---- whether a program asks for nothing else ---- */

enum holds { HOLDS_WORD, HOLDS_TEXT, HOLDS_ITAB, HOLDS_GOROUTINE }; /* what a register leads to */

struct check {
	const struct capture_program *p;
	const enum replay_form *forms;
	size_t n;
	enum holds r[IR_MAX_REGS];
};

static const char *const no_memory = "it needs the program's memory, and only values are woven";

static const char *check_argument(const struct check *c, const struct ir_insn *i, enum holds *ret)
{
	const size_t slot = (uint64_t)i->imm / REPLAY_BYTES;
	const unsigned at = (uint64_t)i->imm % REPLAY_BYTES;
	enum replay_form form = slot < c->n ? c->forms[slot] : REPLAY_NOTHING;

	if (form == REPLAY_NOTHING)
		return "it is not woven";
	if (form == REPLAY_TYPE && at)
		return "of what it holds only the type is woven: typeof(x), x == nil";
	*ret = at || form == REPLAY_WORD ? HOLDS_WORD : form == REPLAY_TEXT ? HOLDS_TEXT : HOLDS_ITAB;
	return NULL;
}

static const char *check_load(const struct check *c, const struct ir_insn *i)
{
	switch (c->r[i->a]) {
	case HOLDS_TEXT:
	case HOLDS_ITAB:
		return NULL;
	case HOLDS_GOROUTINE:
		return (uint64_t)i->imm == c->p->g.goid ? NULL : no_memory;
	default:
		return no_memory;
	}
}

/* A part of a text is one. */
static enum holds sum_of(const struct check *c, const struct ir_insn *i)
{
	const bool sums = i->op != IR_BIN || i->bin == BIN_ADD || i->bin == BIN_SUB;
	const bool text = c->r[i->a] == HOLDS_TEXT || (i->op == IR_BIN && c->r[i->b] == HOLDS_TEXT);

	return sums && text ? HOLDS_TEXT : HOLDS_WORD;
}

static const char *check_texts(const struct check *c, const struct ir_insn *i)
{
	const bool both = i->op == IR_MEM_ORDER;

	return c->r[i->a] == HOLDS_TEXT && (!both || c->r[i->b] == HOLDS_TEXT) ? NULL : no_memory;
}

/* NULL, or what is lacking. */
static const char *check_insn(struct check *c, const struct ir_insn *i)
{
	enum holds result = HOLDS_WORD;
	const char *why = NULL;

	switch (i->op) {
	case IR_ARG_STACK:
		why = check_argument(c, i, &result);
		break;
	case IR_G:
		result = HOLDS_GOROUTINE;
		break;
	case IR_LOAD:
		why = check_load(c, i);
		break;
	case IR_MOVE:
		result = c->r[i->a];
		break;
	case IR_ADDR:
	case IR_INDEX:
	case IR_BIN:
		result = sum_of(c, i);
		break;
	case IR_STR_EQ:
	case IR_STR_PREFIX:
	case IR_STR_SUFFIX:
	case IR_STR_CONTAINS:
	case IR_STR_ORDER:
	case IR_MEM_ORDER:
	case IR_EMIT_STR:
		why = check_texts(c, i);
		break;
	case IR_REGION:
	case IR_END:
	case IR_LABEL:
	case IR_CONST:
	case IR_TYPE:
	case IR_LATENCY:
	case IR_SAVED:
	case IR_NOT:
	case IR_JUMP:
	case IR_JUMP_IF0:
	case IR_REQUIRE:
	case IR_FILTER:
	case IR_EMIT:
	case IR_SAVE:
		break;
	case IR_PC_RET:
		return "who calls a woven function is not recorded";
	case IR_EMIT_STACK:
		return "call stacks are not woven";
	default:
		return no_memory;
	}
	if (ir_has_result(i))
		c->r[i->dst] = result;
	return why;
}

int replay_check(const struct capture_program *p, const enum replay_form *forms, size_t n, struct err *err)
{
	struct check c = {.p = p, .forms = forms, .n = n};

	for (size_t i = 0; i < p->ninsns; i++) {
		const char *why = check_insn(&c, &p->insns[i]);

		if (why)
			return err_set(err, -ENODATA, "%s", why);
	}
	return 0;
}
