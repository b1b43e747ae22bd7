#include "span/probe.h"

#include <string.h>

/* The slot of the first capture of that use (and name, unless NULL) that has one; else -1. */
static int slot_for(const struct assembler_probe *p, enum capture_use use, const char *name)
{
	for (size_t i = 0; i < p->variant->ncaptures; i++) {
		const struct pack_capture *c = &p->variant->captures[i];
		int slot = p->slot_of_item[i];

		if (c->use == use && (!name || !strcmp(c->name, name)) && slot >= 0 &&
		    (size_t)slot < p->program->nslots)
			return slot;
	}
	return -1;
}

static int slot_of_attribute(const struct assembler_probe *p, const char *name)
{
	return name ? slot_for(p, USE_ATTRIBUTE, name) : -1;
}

static int slot_of_context(const struct assembler_probe *p, enum capture_use use)
{
	int slot = slot_for(p, use, NULL);

	return slot >= 0 && p->program->slots[slot].kind == VALUE_CONTEXT ? slot : -1;
}

/* Of several captures of it some may have no value. */
static struct attribute_slots slots_of_attribute(struct interner *in, const struct assembler_probe *p, const char *name)
{
	const struct pack_variant *v = p->variant;
	struct attribute_slots ret = {.of = arena_array(&in->arena, int, v->ncaptures + 1)};

	for (size_t i = 0; name && i < v->ncaptures; i++) {
		int slot = p->slot_of_item[i];

		if (v->captures[i].use == USE_ATTRIBUTE && !strcmp(v->captures[i].name, name) && slot >= 0 &&
		    (size_t)slot < p->program->nslots)
			ret.of[ret.n++] = slot;
	}
	return ret;
}

static const int *slots_of_chains(struct interner *in, const struct assembler_probe *p, size_t *ret_n)
{
	int *slots = arena_array(&in->arena, int, p->variant->ncaptures);

	for (size_t i = 0; i < p->variant->ncaptures; i++)
		if (p->variant->captures[i].use == USE_PARENT_CHAIN && p->slot_of_item[i] >= 0)
			slots[(*ret_n)++] = p->slot_of_item[i];
	return slots;
}

static bool captures_connection(const struct assembler_probe *p)
{
	const struct pack_connection *c = p->span ? p->span->connection : NULL;

	return c && (slot_of_attribute(p, c->local.address) >= 0 || slot_of_attribute(p, c->local.port) >= 0 ||
		     slot_of_attribute(p, c->remote.address) >= 0 || slot_of_attribute(p, c->remote.port) >= 0 ||
		     slot_of_attribute(p, c->stream) >= 0);
}

static void find_header_slots(struct interner *in, struct probe *probe)
{
	const struct assembler_probe *p = &probe->p;
	const struct pack_b3_headers b = p->span && p->span->b3multi ? *p->span->b3multi : (struct pack_b3_headers){0};
	const struct pack_datadog_headers d = p->span && p->span->datadog ? *p->span->datadog :
									   (struct pack_datadog_headers){0};
	const char *const multi[] = {b.trace, b.span, b.sampled, b.flags};
	const char *const datadog[] = {d.trace, d.parent, d.priority, d.tags};

	probe->traceparents = slots_of_attribute(in, p, p->span ? p->span->traceparent : NULL);
	probe->tracestates = slots_of_attribute(in, p, p->span ? p->span->tracestate : NULL);
	probe->b3_slot = slot_of_attribute(p, p->span ? p->span->b3 : NULL);
	probe->other_headers = probe->b3_slot >= 0;
	for (size_t i = 0; i < 4; i++) {
		probe->b3multi_slots[i] = slot_of_attribute(p, multi[i]);
		probe->datadog_slots[i] = slot_of_attribute(p, datadog[i]);
		probe->other_headers |= probe->b3multi_slots[i] >= 0 || probe->datadog_slots[i] >= 0;
	}
}

/* What tells a span's parent, and others that it is theirs. */
static void find_kinship_slots(struct interner *in, struct probe *probe)
{
	const struct assembler_probe *p = &probe->p;

	probe->context_slot = slot_of_context(p, USE_CONTEXT);
	probe->parent_slot = slot_of_context(p, USE_PARENT);
	probe->chain_slots = slots_of_chains(in, p, &probe->nchains);
	probe->own_chain_slot = slot_for(p, USE_OWN_CHAIN, NULL);
	probe->creator_slot = slot_for(p, USE_CREATOR, NULL);
	probe->start_pc_slot = slot_for(p, USE_START_PC, NULL);
	probe->goidgen_slot = slot_for(p, USE_GOIDGEN, NULL);
	probe->goid_cache_slot = slot_for(p, USE_GOID_CACHE, NULL);
	probe->goid_cache_end_slot = slot_for(p, USE_GOID_CACHE_END, NULL);
	probe->connects = captures_connection(p);
}

struct probe *probe_new(struct interner *in, const struct assembler_probe *p)
{
	struct probe *probe = xcalloc(1, sizeof(*probe));

	probe->p = *p;
	probe->has_marks = capture_has_marks(p->program);
	probe->rules = capture_rules_new(in, p->variant, p->program, p->slot_of_item);
	probe->lists = list_reader_new(in, p->span ? p->span->lists : NULL, p->variant, p->slot_of_item, p->program,
				       p->binary);
	find_header_slots(in, probe);
	for (size_t i = 0; i < probe->rules.n; i++)
		if (probe->rules.slots[i] < EVENT_MAX_SLOTS)
			probe->field_of_slot[probe->rules.slots[i]] = probe->rules.rules[i].transform->field;
	probe->is_event = p->point->role == POINT_NOTE && p->span && slot_of_attribute(p, p->span->event_name) >= 0;
	probe->keys = slots_of_attribute(in, p, p->span ? p->span->key : NULL);
	probe->type_slot = slot_for(p, USE_PANIC_TYPE, NULL);
	probe->pc_slot = slot_for(p, USE_RECOVERY_PC, NULL);
	find_kinship_slots(in, probe);
	return probe;
}
