#include "span/parents.h"

#include <string.h>

#include "span/sdk.h"
#include "span/trace_headers.h"

/* What is found out on the way. */
struct search {
	struct parents *p;
	const struct arrival *in;
	const struct open_span *s;
	bool doubt;                      /* there may be a parent that is not known */
	bool stop;                       /* … and what would be found otherwise may be another one */
	bool has_sdk;                    /* the context has a span of the SDK's, and none of ours that is nearer */
	struct event_chain_span sdk;     /* it */
	bool called_by_sdk;              /* likewise, whether or not a span of ours is around s on its goroutine */
};

/* The SDK's span is not set: there is none, and most searches find none. */
static void search_begin(struct search *q, struct parents *p, const struct arrival *in, const struct open_span *s)
{
	q->p = p;
	q->in = in;
	q->s = s;
	q->doubt = q->stop = q->has_sdk = q->called_by_sdk = false;
}

static bool is_known(enum span_parent where)
{
	return where == SPAN_PARENT_LOCAL || where == SPAN_PARENT_REMOTE;
}

static bool same_trace(const struct trace_context *a, const struct trace_context *b)
{
	return !memcmp(a->trace_id, b->trace_id, sizeof(a->trace_id));
}

/* Records were lost since it began: one may have been its end, and its goroutine or context another's by now. */
static bool trusted(const struct parents *p, const struct open_span *s)
{
	return !s->doubtful && (!p->lost_ns || s->start_ns > p->lost_ns);
}

static struct open_span *doubtful(struct search *q)
{
	q->doubt = q->stop = true;
	return NULL;
}

/* ---- contexts ---- */

/* The chain that the record has: of several captures the one whose condition held. -1: none. */
static int chain_slot(const struct arrival *in)
{
	for (size_t i = 0; i < in->probe->nchains; i++)
		if (arrival_has(in, in->probe->chain_slots[i]) &&
		    in->e.slots[in->probe->chain_slots[i]].status != SLOT_ABSENT)
			return in->probe->chain_slots[i];
	return -1;
}

static bool created_within(const struct search *q, const struct open_span *s);

/* An object that is used for one request after the other: it is s's only where s's own goroutines have it. */
static bool has_pooled(const struct search *q, const struct open_span *s)
{
	uint64_t goid = q->in->e.head->goid;

	return (open_span_goroutine(s) && s->goid == goid) || created_within(q, s);
}

/* The owner of a context, or the innermost span of this goroutine where that is within it. */
static struct open_span *innermost_of(const struct search *q, struct open_span *owner)
{
	struct open_span *inner = open_span_outer(q->s);

	return inner && trusted(q->p, inner) && ancestry_within(&inner->ancestry, &owner->ancestry) ? inner : owner;
}

static void chain_ended(struct search *q, enum event_chain_end end)
{
	q->doubt |= end != CHAIN_ROOT;
	if (end == CHAIN_TOO_LONG || end == CHAIN_UNREADABLE)
		q->p->losses->count[LOSS_CONTEXT_CHAIN]++;
}

/*
 * What is open around s on this goroutine and began within the SDK's span: the innermost that is open then. NULL: the
 * SDK's is the parent itself.
 */
static struct open_span *within_sdk(const struct search *q)
{
	struct open_span *inner = open_span_outer(q->s), *s = inner;
	const void *id = q->sdk.span_id;

	while (s && memcmp(s->trace.span_id, id, sizeof(s->trace.span_id)) &&
	       memcmp(s->parent_id, id, sizeof(s->parent_id)))
		s = open_span_outer(s);
	return s && trusted(q->p, inner) ? inner : NULL;
}

static bool read_chain(const struct parents *p, const struct arrival *in, int slot, struct event_chain *ret)
{
	if (!event_chain(&in->e, (size_t)slot, ret))
		return false;
	ret->has_span &= !p->ignore_sdk;
	return true;
}

/*
 * Whether the link, which is at the address of the owner's context, is that context. A span that never ends leaves the
 * address to anybody: so some are known by what their context holds.
 */
static bool is_own_context(const struct open_span *owner, const struct event_chain *chain, size_t link)
{
	return !owner->start->p.span->context_holds_key ||
	       (chain->span.link == link + 1 && open_span_has_key(owner, chain->span.object));
}

/* Whether it is certain that it is not: only the nearest link that holds anything is told. */
static bool is_anothers_context(const struct open_span *owner, const struct event_chain *chain, size_t link)
{
	return !is_own_context(owner, chain, link) && (!chain->span.link || link + 1 <= chain->span.link);
}

static struct open_span *context_parent(struct search *q)
{
	int slot = chain_slot(q->in);
	struct event_chain chain;
	struct event_chain_link link;
	struct open_span *owner;
	bool pooled = false;

	if (slot < 0)
		return NULL;
	if (!read_chain(q->p, q->in, slot, &chain)) {
		if (q->in->e.slots[slot].status != SLOT_NIL)
			chain_ended(q, CHAIN_UNREADABLE);
		return NULL;
	}
	for (size_t i = 0; event_chain_link(&chain, i, &link); i++) {
		pooled |= link.pooled;
		owner = contexts_find(&q->in->target->contexts, link.addr, &q->doubt);
		if (owner && is_anothers_context(owner, &chain, i))
			owner = NULL;
		if (owner && (!trusted(q->p, owner) || (pooled && !has_pooled(q, owner)) ||
			      !is_own_context(owner, &chain, i)))
			return doubtful(q);
		if (owner)
			return innermost_of(q, owner);
		if (!chain.has_span || chain.span.link != i + 1)
			continue;
		if (pooled)
			return doubtful(q);
		q->has_sdk = true;
		q->called_by_sdk = !chain.span.remote;
		q->sdk = chain.span;
		if (!q->sdk.remote)
			return within_sdk(q);
	}
	chain_ended(q, chain.end);
	return NULL;
}

/* ---- goroutines ---- */

static struct open_span *goroutine_parent(struct search *q)
{
	struct open_span *outer = open_span_outer(q->s);

	return outer && !trusted(q->p, outer) ? doubtful(q) : outer;
}

/* The goroutine that created this one, if it is one whose children are its own. */
static bool creator_of(const struct arrival *in, uint64_t *ret)
{
	const struct probe *p = in->probe;
	uint64_t pc;

	return arrival_word(in, p->creator_slot, ret) && *ret && arrival_word(in, p->start_pc_slot, &pc) &&
	       !lineage_is_cut(p->p.binary, pc - in->target->t.bias);
}

/*
 * Whether the goroutine was created after s began. A span knows the batch of one P. Records that came since know those
 * of others: what was created after one of them was created after s began, too.
 */
static bool created_since(const struct search *q, const struct open_span *s, uint64_t goid)
{
	const struct target *t = q->in->target;

	if (!s->epoch.known || lineage_after(&s->epoch, goid))
		return s->epoch.known;
	for (size_t i = 0; i < RECENT_EPOCHS; i++)
		if (t->recent[i].at_ns >= s->start_ns && lineage_after(&t->recent[i].epoch, goid))
			return true;
	return false;
}

static bool created_within(const struct search *q, const struct open_span *s)
{
	uint64_t creator, goid = q->in->e.head->goid;

	if (open_spans_creator(&q->in->target->open, goid) == s)
		return true;
	return creator_of(q->in, &creator) && s->goid == creator && created_since(q, s, goid);
}

/*
 * What the creator has open now and had open then. One that has ended since may have been nearer: then this is its
 * ancestor, since what a goroutine opens last it closes first.
 */
static struct open_span *lineage_parent(struct search *q)
{
	const struct open_spans *open = &q->in->target->open;
	uint64_t creator, goid = q->in->e.head->goid;
	struct open_span *s = open_spans_creator(open, goid);

	if (!s && creator_of(q->in, &creator))
		for (s = goroutine_innermost(open_spans_goroutine(open, creator)); s; s = open_span_outer(s))
			if (created_since(q, s, goid))
				break;
	return s && !trusted(q->p, s) ? doubtful(q) : s;
}

struct open_span *parents_creator(struct parents *p, const struct arrival *in)
{
	struct search q;
	struct open_span *s;

	search_begin(&q, p, in, NULL);
	s = lineage_parent(&q);
	while (s && s->start->p.span != in->probe->p.span)
		s = open_span_outer(s);
	return s && trusted(p, s) ? s : NULL;
}

/* ---- connections ---- */

static struct request_end *client_of(struct search *q, const struct target *t, const struct open_span *s)
{
	const struct pack_span *span = s->start->p.span;
	struct request_route route;
	struct request_end *e;

	if (span->kind != SPAN_SERVER || !span->connection || !connections_any(&q->p->connections) ||
	    !request_route_read(span->connection, &s->attrs, t->t.network, &route))
		return NULL;
	e = connections_client(&q->p->connections, &route, s->start_ns, &q->doubt);
	if (e && !trusted(q->p, e->span)) {
		q->doubt = true;
		return NULL;
	}
	return e;
}

/* ---- what a probe or a header names ---- */

/* Of a parent that the slot does not name: whether the probe could see that there is none. */
static enum span_parent unnamed_parent(const struct arrival *in, int slot)
{
	return slot_lost(in->e.slots[slot].status) ? SPAN_PARENT_UNKNOWN : SPAN_PARENT_NONE;
}

/* The parent whose context the probe found. */
static enum span_parent given_parent(const struct arrival *in, struct trace_context *ret)
{
	int slot = in->probe->parent_slot;
	struct event_context c;

	if (!arrival_has(in, slot))
		return SPAN_PARENT_UNKNOWN;
	if (!event_context(&in->e, (size_t)slot, &c))
		return in->e.slots[slot].status == SLOT_OK ? SPAN_PARENT_UNKNOWN : unnamed_parent(in, slot);
	*ret = trace_context_of(&c);
	return c.flags & EVENT_CONTEXT_REMOTE ? SPAN_PARENT_REMOTE : SPAN_PARENT_LOCAL;
}

static const char *field_of(const struct arrival *in, int slot)
{
	return arrival_has(in, slot) ? in->probe->field_of_slot[slot] : NULL;
}

/* s NULL: it is not there, or not all of it. */
static struct text_view header(const struct arrival *in, int slot)
{
	const char *field = field_of(in, slot);
	struct text_view t = {NULL, 0};

	if (arrival_has(in, slot) && (in->e.slots[slot].status == SLOT_OK || field))
		t.s = event_bytes(&in->e, (size_t)slot, &t.len);
	if (field && !header_field(t, field, &t))
		t.s = NULL;
	return t;
}

static bool is_cut(const struct arrival *in, int slot)
{
	return arrival_has(in, slot) && in->e.slots[slot].status == SLOT_CUT;
}

/* What other tracers write. *ret_bad: there is something of it, which is no context. */
static bool other_header(const struct arrival *in, struct trace_context *ret, bool *ret_bad)
{
	const struct probe *p = in->probe;
	const int *m = p->b3multi_slots, *d = p->datadog_slots;
	const struct text_view b3 = header(in, p->b3_slot);
	const struct b3_headers multi = {header(in, m[0]), header(in, m[1]), header(in, m[2]), header(in, m[3])};
	const struct datadog_headers datadog = {header(in, d[0]), header(in, d[1]), header(in, d[2]), header(in, d[3])};

	if ((b3.s && b3_parse(b3, ret)) || (multi.trace.s && b3_headers_parse(&multi, ret)) ||
	    (datadog.trace.s && datadog_parse(&datadog, ret)))
		return true;
	/* One digit of b3 is a decision without a parent, which is valid. */
	*ret_bad |= b3.len > 1 || multi.trace.s || datadog.trace.s;
	return false;
}

static bool is_lost(const struct arrival *in, int slot)
{
	return arrival_has(in, slot) && slot_lost(in->e.slots[slot].status);
}

/* The parent that came with the request in a header: W3C's words go before others'. */
static enum span_parent incoming_parent(const struct parents *p, const struct arrival *in, struct trace_context *ret,
					bool *ret_w3c)
{
	const struct probe *probe = in->probe;
	const int slot = arrival_slot_of(in, &probe->traceparents);
	const struct text_view w3c = header(in, slot);
	bool part = is_cut(in, slot), of_lines = field_of(in, slot);
	bool bad = w3c.s || (part && !of_lines);

	*ret_w3c = w3c.s && traceparent_parse(w3c.s, w3c.len, ret);
	if (*ret_w3c || (probe->other_headers && other_header(in, ret, &bad)))
		return SPAN_PARENT_REMOTE;
	p->losses->count[LOSS_BAD_HEADER] += bad;
	if (!arrival_has(in, slot) || is_lost(in, slot) || (part && of_lines) ||
	    is_lost(in, probe->b3_slot) || is_lost(in, probe->b3multi_slots[0]) || is_lost(in, probe->datadog_slots[0]))
		return SPAN_PARENT_UNKNOWN;
	return SPAN_PARENT_NONE;
}

/* ---- in order ---- */

/*
 * A context that a header made names the parent of what begins under it; what is open here and of its trace is nearer.
 * What is of another trace only surrounds it.
 */
static bool sdk_is_nearer(const struct search *q, const struct open_span *s)
{
	struct trace_context sdk = sdk_context(&q->sdk);

	return q->has_sdk && (!q->sdk.remote ? !s : !s || !same_trace(&sdk, &s->trace));
}

static struct open_span *local_parent(struct search *q, struct parent *ret)
{
	enum span_kind kind = q->in->probe->p.span->kind;
	struct open_span *s = context_parent(q);

	ret->source = PARENT_CONTEXT;
	if (!s && !q->stop && (!q->has_sdk || q->sdk.remote)) {
		ret->source = PARENT_GOROUTINE;
		s = goroutine_parent(q);
	}
	if (sdk_is_nearer(q, s))
		return NULL;
	q->has_sdk = false;
	if (!s && !q->doubt && kind != SPAN_SERVER && kind != SPAN_CONSUMER) {
		ret->source = PARENT_LINEAGE;
		s = lineage_parent(q);
	}
	if (!s && !q->stop) {
		ret->source = PARENT_CONNECTION;
		ret->request = client_of(q, q->in->target, q->s);
		s = ret->request ? ret->request->span : NULL;
	}
	return s;
}

/* Nothing names a parent: there is none if it was looked for wherever this start could have one. */
static enum span_parent no_parent(const struct search *q, enum span_parent given, enum span_parent incoming)
{
	const struct probe *p = q->in->probe;
	bool looked = p->parent_slot >= 0 || p->traceparents.n || chain_slot(q->in) >= 0;

	if (p->parent_slot >= 0)
		looked &= given == SPAN_PARENT_NONE;
	if (p->traceparents.n)
		looked &= incoming == SPAN_PARENT_NONE;
	return looked && !q->doubt ? SPAN_PARENT_NONE : SPAN_PARENT_UNKNOWN;
}

/* A message's header names that message's own parent; a request's is as near as what is open of its trace. */
static bool header_is_nearer(const struct parent *header, const struct open_span *open, enum span_kind kind)
{
	return !open || kind == SPAN_CONSUMER || !same_trace(&header->trace, &open->trace);
}

/* The SDK's span is the parent, unless the request or message says that it is of another trace. */
static struct parent sdk_parent(const struct search *q, const struct parent *header)
{
	struct parent r = {.where = q->sdk.remote ? SPAN_PARENT_REMOTE : SPAN_PARENT_LOCAL,
			   .source = q->sdk.remote ? PARENT_HEADER : PARENT_SDK, .trace = sdk_context(&q->sdk)};
	bool other = q->in->probe->p.span->kind == SPAN_CONSUMER || !same_trace(&header->trace, &r.trace);

	return is_known(header->where) && other ? *header : r;
}

/* Whether a library that the SDK's span is of has called what begins: its span is the nearest one of the context. */
static void note_caller(const struct search *q, struct parent *ret)
{
	const struct pack_span *span = q->in->probe->p.span;

	if (!q->called_by_sdk || !span->sdk || !sdk_records(q->in, &q->sdk, span->kind, span->sdk->outside))
		return;
	ret->by_sdk = true;
	ret->sdk = sdk_context(&q->sdk);
}

/* What is open is the parent, or nothing is. */
static void open_parent(const struct search *q, enum span_parent given, enum span_parent incoming, struct parent *r)
{
	if (r->open && r->open->transparent && !is_known(r->open->parent)) {
		r->where = r->open->parent;
		r->source = r->open->parent_source;
		r->open = NULL;
	} else if (!r->open) {
		r->where = no_parent(q, given, incoming);
		r->source = r->where == SPAN_PARENT_NONE ? PARENT_NONE : PARENT_UNKNOWN;
	} else {
		if (r->open->by_sdk)
			r->source = PARENT_SDK;
		r->where = r->request ? SPAN_PARENT_REMOTE : SPAN_PARENT_LOCAL;
		r->trace = r->open->trace;
	}
}

/* r is zero but for its source, PARENT_CONTEXT. */
static void find_parent(struct search *q, struct parent *r)
{
	struct parent header = {.source = PARENT_HEADER};
	enum span_parent given = given_parent(q->in, &r->trace);

	if (is_known(given)) {
		r->where = given;
		r->source = given == SPAN_PARENT_REMOTE ? PARENT_HEADER : PARENT_CONTEXT;
		return;
	}
	header.where = incoming_parent(q->p, q->in, &header.trace, &header.has_state);
	r->open = local_parent(q, r);
	if (q->has_sdk)
		*r = sdk_parent(q, &header);
	else if (is_known(header.where) && header_is_nearer(&header, r->open, q->in->probe->p.span->kind))
		*r = header;
	else
		open_parent(q, given, header.where, r);
}

void parents_find(struct parents *p, const struct arrival *in, const struct open_span *s, struct parent *ret)
{
	struct search q;

	*ret = (struct parent){.where = SPAN_PARENT_NONE, .source = PARENT_NONE};
	if (attr_list_has(&s->attrs, in->probe->p.span->root))
		return;
	search_begin(&q, p, in, s);
	ret->source = PARENT_CONTEXT;
	find_parent(&q, ret);
	note_caller(&q, ret);
}

/* ---- what others are told ---- */

static void note_epoch(const struct arrival *in, struct open_span *s)
{
	const struct probe *p = in->probe;
	struct goroutine_epoch *e = &s->epoch;
	struct target *t = in->target;

	e->known = arrival_word(in, p->goidgen_slot, &e->generated);
	if (!arrival_word(in, p->goid_cache_slot, &e->cached) ||
	    !arrival_word(in, p->goid_cache_end_slot, &e->cached_end))
		e->cached = e->cached_end = 0;
	if (!e->known)
		return;
	t->recent[t->epochs % RECENT_EPOCHS].epoch = *e;
	t->recent[t->epochs++ % RECENT_EPOCHS].at_ns = s->start_ns;
}

static void note_context(const struct arrival *in, struct open_span *s)
{
	int slot = in->probe->own_chain_slot;
	struct event_chain chain;
	struct event_chain_link own;

	if (slot >= 0 && !s->context && event_chain(&in->e, (size_t)slot, &chain) && event_chain_link(&chain, 0, &own))
		contexts_give(&in->target->contexts, own.addr, s);
}

static void set_trace(struct parents *p, struct open_span *s, const struct trace_context *to)
{
	trace_closed(p->watch, s->trace.trace_id);
	memcpy(s->trace.trace_id, to->trace_id, sizeof(s->trace.trace_id));
	s->trace.sampled = to->sampled;
	trace_opened(p->watch, s->trace.trace_id);
}

static void move_trace(struct parents *p, struct open_span *s, const struct trace_context *was,
		       const struct open_span *to)
{
	if (!same_trace(&s->trace, was))
		return;
	set_trace(p, s, &to->trace);
	buf_reset(&s->trace_state);
	if (to->trace_state.len)
		buf_append(&s->trace_state, to->trace_state.data, to->trace_state.len);
}

/* s is a root. */
static void join_trace(struct parents *p, struct open_span *s, struct request_end *e)
{
	struct trace_context was = s->trace;
	struct ancestry *below = NULL;

	if (ancestry_within(&e->span->ancestry, &s->ancestry))
		return;
	e->answered = true;
	connections_forget(&p->connections, s);
	while ((below = ancestry_next(&s->ancestry, below)))
		move_trace(p, CONTAINER_OF(below, struct open_span, ancestry), &was, e->span);
	move_trace(p, s, &was, e->span);
	s->parent = SPAN_PARENT_REMOTE;
	s->parent_source = PARENT_CONNECTION;
	memcpy(s->parent_id, e->span->trace.span_id, sizeof(s->parent_id));
	ancestry_adopt(&e->span->ancestry, &s->ancestry);
}

/* A root of which nothing has been told yet may still turn out to be a client's. */
static bool may_be_joined(const struct open_span *s)
{
	return !is_known(s->parent) && !s->has_own_ids && !s->by_sdk && !s->ancestry.told;
}

/* The client's request is known now: a server may have begun to answer it before. */
static void note_client(struct parents *p, const struct arrival *in, struct open_span *s)
{
	const struct pack_span *span = s->start->p.span;
	struct open_span *server;
	struct request_route route;

	if (!in->probe->connects || span->kind != SPAN_CLIENT ||
	    !request_route_read(span->connection, &s->attrs, in->target->t.network, &route))
		return;
	connections_put(&p->connections, s, &route, in->e.head->time_ns);
	server = trusted(p, s) && !s->request->answered ? connections_waiting(&p->connections, s->request) : NULL;
	if (server && may_be_joined(server) && trusted(p, server))
		join_trace(p, server, s->request);
}

static void note_server(struct parents *p, const struct arrival *in, struct open_span *s)
{
	const struct pack_span *span = s->start->p.span;
	struct request_route route;

	if (in->probe->connects && span->kind == SPAN_SERVER && may_be_joined(s) &&
	    attr_list_has(&s->attrs, span->connection->stream) && /* without one it does not wait */
	    request_route_read(span->connection, &s->attrs, in->target->t.network, &route))
		connections_wait(&p->connections, s, &route, in->e.head->time_ns);
}

void parents_opened(struct parents *p, const struct arrival *in, struct open_span *s, const struct parent *parent)
{
	s->parent_source = parent->source;
	s->doubtful = s->start_ns <= in->target->planted_ns;
	s->partial = s->start_ns <= in->target->partial_ns;
	if (parent->open)
		ancestry_adopt(&parent->open->ancestry, &s->ancestry);
	if (parent->request)
		parent->request->answered = true;
	note_epoch(in, s);
	note_context(in, s);
	note_client(p, in, s);
	note_server(p, in, s);
}

void parents_noted(struct parents *p, const struct arrival *in, struct open_span *s)
{
	struct request_end *e;
	struct search q;

	note_context(in, s);
	if (!in->probe->connects)
		return;
	note_client(p, in, s);
	if (!may_be_joined(s))
		return;
	search_begin(&q, p, in, s);
	e = client_of(&q, in->target, s);
	if (e)
		join_trace(p, s, e);
	else
		note_server(p, in, s);
}

/* s and what is open below it is of the SDK's trace: what the SDK writes into requests says so. */
static void adopt_trace(struct parents *p, struct open_span *s, const struct trace_context *sdk)
{
	const struct trace_context was = s->trace;
	struct ancestry *at = NULL;

	while ((at = ancestry_next(&s->ancestry, at))) {
		struct open_span *below = CONTAINER_OF(at, struct open_span, ancestry);

		if (same_trace(&below->trace, &was))
			set_trace(p, below, sdk);
	}
	set_trace(p, s, sdk);
}

/* s is what the SDK's span is, which others know by that one's ids. */
static void adopt_ids(struct parents *p, struct open_span *s, const struct trace_context *sdk)
{
	struct ancestry *at = NULL;

	s->by_sdk = true;
	if (s->has_own_ids)
		return;
	while ((at = ancestry_next(&s->ancestry, at))) {
		struct open_span *below = CONTAINER_OF(at, struct open_span, ancestry);

		if (memcmp(below->parent_id, s->trace.span_id, sizeof(below->parent_id)))
			continue;
		memcpy(below->parent_id, sdk->span_id, sizeof(below->parent_id));
		below->parent_source = PARENT_SDK;
	}
	adopt_trace(p, s, sdk);
	memcpy(s->trace.span_id, sdk->span_id, sizeof(s->trace.span_id));
}

static bool sdk_is_inside(const struct arrival *in, const struct event_chain_span *sdk, const struct open_span *s)
{
	const struct pack_span *span = s->start->p.span;

	return span->sdk && sdk_records(in, sdk, span->kind, span->sdk->inside);
}

/* The span of ours that the SDK's stands for: around it on its goroutine, or the owner of its context. */
static struct open_span *same_as_sdk(const struct parents *p, const struct arrival *in, const struct event_chain *chain)
{
	struct open_span *s = goroutine_innermost(open_spans_goroutine(&in->target->open, in->e.head->goid));
	struct event_chain_link link;
	bool ended = false;

	while (s && !sdk_is_inside(in, &chain->span, s))
		s = open_span_outer(s);
	for (size_t i = 0; !s && event_chain_link(chain, i, &link) && !link.pooled; i++) {
		s = contexts_find(&in->target->contexts, link.addr, &ended);
		if (s && !sdk_is_inside(in, &chain->span, s))
			return NULL;
	}
	return s && trusted(p, s) ? s : NULL;
}

void parents_sdk_began(struct parents *p, const struct arrival *in)
{
	int slot = chain_slot(in);
	struct event_chain chain;
	struct trace_context sdk;
	struct open_span *s;

	if (slot < 0 || !event_chain(&in->e, (size_t)slot, &chain) || !chain.has_span || chain.span.remote)
		return;
	s = same_as_sdk(p, in, &chain);
	sdk = sdk_context(&chain.span);
	if (s && !s->by_sdk && !p->ignore_sdk)
		adopt_ids(p, s, &sdk);
	else if (s && p->ignore_sdk && !is_known(s->parent) && !s->has_own_ids && !s->ancestry.told)
		adopt_trace(p, s, &sdk);
}

void parents_closing(struct parents *p, struct target *t, struct open_span *s)
{
	contexts_forget(&t->contexts, s);
	connections_forget(&p->connections, s);
	ancestry_leave(&s->ancestry);
}

void parents_done(struct parents *p)
{
	connections_done(&p->connections);
}
