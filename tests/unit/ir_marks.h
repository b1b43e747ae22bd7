/* What the instructions of marks mean (probe/mark.h), as plainly as possible. */
#ifndef TESTS_IR_MARKS_H
#define TESTS_IR_MARKS_H

#include <string.h>

#include "base/macro.h"
#include "event/event.h"
#include "probe/ir.h"
#include "span/trace_context.h"
#include "unit/ir_chain.h"

/* The marks of one process: what its programs leave behind, run after run. */
struct interp_marks {
	struct mark open[512];     /* span_id 0: none */
	bool on_goroutine[512];
	uint64_t root[512];        /* span of the mark whose tracestate it has, 0: none */
	struct {
		size_t len;
		char text[MARK_STATE_MAX];
	} states[512];             /* of roots */
	size_t nopen;
	struct {
		uint64_t kind, group, word, span_id;
	} names[1024];
	size_t nnames;
	uint64_t (*random)(void);  /* words of ids, two for a trace, then one for the span */
	uint64_t left_out;         /* IR_MARK_COUNT */
	uint64_t full;             /* LOSS_MARKS_FULL: a goroutine has no room for one more */
};

struct interp_mark_run {
	struct interp_marks *marks;
	struct mark mark;          /* the run's */
	bool has, sealed, keyed, by_header, came_in;
	uint64_t goid, depth;
};

static inline uint64_t mark_span(const struct mark *m)
{
	uint64_t id;

	memcpy(&id, m->span_id, sizeof(id));
	return id;
}

static inline struct mark *marks_of(struct interp_marks *t, uint64_t span)
{
	for (size_t i = 0; span && i < t->nopen; i++)
		if (mark_span(&t->open[i]) == span)
			return &t->open[i];
	return NULL;
}

static inline void marks_end(struct interp_marks *t, struct mark *m)
{
	t->on_goroutine[m - t->open] = false;
	*m = (struct mark){0};
}

static inline void marks_take(struct interp_mark_run *r, const struct mark *m)
{
	if (!m || r->has || r->sealed)
		return;
	r->mark = *m;
	r->has = true;
}

static inline void marks_header(struct interp_mark_run *r, const char *text, size_t len)
{
	struct trace_context c;
	struct mark m = {0};

	if (r->has || r->sealed || !traceparent_parse(text, len, &c))
		return;
	memcpy(m.trace_id, c.trace_id, sizeof(m.trace_id));
	memcpy(m.span_id, c.span_id, sizeof(m.span_id));
	m.flags = c.sampled ? MARK_SAMPLED : 0;
	marks_take(r, &m);
	r->by_header = true;
}

/* On the goroutine; those that have left the stack have ended. */
static inline void marks_goroutine(struct interp_mark_run *r, const struct ir_insn *i)
{
	struct interp_marks *t = r->marks;
	const struct mark *found = NULL;

	if (r->sealed)
		return;
	for (size_t k = 0; k < t->nopen; k++) {
		struct mark *m = &t->open[k];
		bool sibling = m->depth == r->depth && m->call == i->call && m->group != i->group;

		if (!t->on_goroutine[k] || m->goid != r->goid)
			continue;
		if (i->imm == MARK_AROUND && m->depth >= r->depth && !sibling) {
			marks_end(t, m);
			continue;
		}
		if (i->imm != MARK_AROUND && m->group != i->group)
			continue;
		if (i->imm == MARK_OF_CALL && m->depth != r->depth)
			continue;
		found = !found || m->depth >= found->depth ? m : found;
	}
	marks_take(r, found);
}

static inline void marks_creator(struct interp_mark_run *r, uint64_t creator)
{
	struct interp_marks *t = r->marks;
	const struct mark *found = NULL;

	for (size_t k = 0; k < t->nopen; k++)
		if (t->on_goroutine[k] && creator && t->open[k].goid == creator &&
		    mark_created_within(&t->open[k], r->goid) && (!found || t->open[k].depth > found->depth))
			found = &t->open[k];
	marks_take(r, found);
}

static inline struct mark *marks_by(struct interp_marks *t, uint64_t kind, uint64_t group, uint64_t word)
{
	for (size_t k = 0; word && k < t->nnames; k++)
		if (t->names[k].kind == kind && t->names[k].group == group && t->names[k].word == word)
			return marks_of(t, t->names[k].span_id);
	return NULL;
}

static inline void marks_put(struct interp_mark_run *r, uint64_t kind, uint64_t group, uint64_t word)
{
	struct interp_marks *t = r->marks;
	size_t k = 0;

	if (!r->has || !word || !marks_of(t, mark_span(&r->mark)))
		return;
	while (k < t->nnames && (t->names[k].kind != kind || t->names[k].group != group || t->names[k].word != word))
		k++;
	if (k == ARRAY_SIZE(t->names))
		return;
	t->nnames = MAX(t->nnames, k + 1);
	t->names[k].kind = kind;
	t->names[k].group = group;
	t->names[k].word = word;
	t->names[k].span_id = mark_span(&r->mark);
	r->keyed |= kind == MARK_KEY;
}

static inline void marks_chain(struct interp_mark_run *r, const uint64_t *words)
{
	for (size_t k = 0; words[k] >= CHAIN_END_COUNT && !r->has; k++) {
		const struct mark *m = marks_by(r->marks, MARK_CONTEXT, 0, words[k] & ~(uint64_t)CHAIN_BITS);

		if (m && (!(words[k] & CHAIN_POOLED) || m->goid == r->goid))
			marks_take(r, m);
	}
}

/* The number of the open mark whose tracestate the run's has; SIZE_MAX: there is none. */
static inline size_t marks_root(struct interp_mark_run *r)
{
	const struct mark *m = r->has && !r->by_header ? marks_of(r->marks, mark_span(&r->mark)) : NULL;
	const struct mark *root = m ? marks_of(r->marks, r->marks->root[m - r->marks->open]) : NULL;

	return root ? (size_t)(root - r->marks->open) : SIZE_MAX;
}

/* Whether a text, not empty, is a list as the reader of headers has it, and can be the value of a field as it is. */
static inline bool marks_is_state(const char *text, size_t len)
{
	const char last = text[len - 1];
	struct buf list = {0};
	bool is = tracestate_read(text, len, false, &list);

	buf_done(&list);
	return is && *text != ' ' && *text != '\t' && last != ' ' && last != '\t' && last != ',';
}

static inline void marks_state(struct interp_mark_run *r, const char *text, size_t len)
{
	struct mark *m = r->came_in ? marks_of(r->marks, mark_span(&r->mark)) : NULL;
	size_t k;

	if (!m || !len)
		return;
	k = (size_t)(m - r->marks->open);
	if (len > MARK_STATE_MAX || marks_is_state(text, len)) {
		r->came_in = false;
		r->marks->root[k] = mark_span(m);
		r->marks->states[k].len = MIN(len, MARK_STATE_MAX + 1);
		if (len <= MARK_STATE_MAX)
			memcpy(r->marks->states[k].text, text, len);
	}
}

static inline void marks_begin(struct interp_mark_run *r, const struct ir_insn *i, const uint64_t epoch[3])
{
	struct mark m = {.group = i->group, .call = i->call, .goid = r->goid, .depth = r->depth};
	struct interp_marks *t = r->marks;
	const size_t root = marks_root(r);
	uint64_t id[3];
	size_t k = 0;

	memcpy(m.trace_id, r->mark.trace_id, sizeof(m.trace_id));
	m.flags = r->mark.flags;
	if (!r->has) {
		id[0] = t->random();
		id[1] = t->random();
		memcpy(m.trace_id, id, sizeof(m.trace_id));
	}
	if (!r->has || (r->by_header && i->flags & IR_MARK_BY_RATIO))
		m.flags = mark_kept(m.trace_id, (uint64_t)i->imm) ? MARK_SAMPLED : 0;
	if (!r->has && i->flags & IR_MARK_CHILD)
		m.flags |= MARK_UNDECIDED;
	id[2] = t->random();
	memcpy(m.span_id, &id[2], sizeof(m.span_id));
	memcpy(m.epoch, epoch, sizeof(m.epoch));
	while (k < t->nopen && mark_span(&t->open[k]))
		k++;
	if (k == ARRAY_SIZE(t->open))
		return;
	t->nopen = MAX(t->nopen, k + 1);
	t->open[k] = r->mark = m;
	t->root[k] = root < SIZE_MAX ? mark_span(&t->open[root]) : 0;
	r->has = true;
	r->came_in = r->by_header;
	r->by_header = false;
}

/* At most MARK_LEVELS are on a goroutine; what is beyond is counted. */
static inline void marks_push(struct interp_mark_run *r)
{
	struct mark *m = marks_of(r->marks, mark_span(&r->mark));
	size_t n = 0;

	for (size_t k = 0; k < r->marks->nopen; k++)
		n += r->marks->on_goroutine[k] && r->marks->open[k].goid == r->goid;
	if (!r->has || !m)
		return;
	if (n < MARK_LEVELS)
		r->marks->on_goroutine[m - r->marks->open] = true;
	else
		r->marks->full++;
}

static inline void marks_leave(struct interp_mark_run *r)
{
	struct mark *m = r->has ? marks_of(r->marks, mark_span(&r->mark)) : NULL;

	if (m && r->keyed)
		r->marks->on_goroutine[m - r->marks->open] = false;
}

static inline void marks_unwind(struct interp_mark_run *r, bool all)
{
	struct interp_marks *t = r->marks;

	for (size_t k = 0; k < t->nopen; k++)
		if (t->on_goroutine[k] && t->open[k].goid == r->goid && (all || t->open[k].depth > r->depth))
			marks_end(t, &t->open[k]);
}

/* False: the event is dropped. */
static inline bool marks_admit(const struct interp_mark_run *r, const struct ir_insn *i)
{
	if (!r->has || r->mark.flags & (MARK_SAMPLED | MARK_UNDECIDED))
		return true;
	r->marks->left_out += (i->flags & IR_MARK_COUNT) != 0;
	return false;
}

#endif
