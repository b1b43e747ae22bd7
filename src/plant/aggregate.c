#include "plant/aggregate.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"

#define GROUPS_DEFAULT 16384
#define BUCKETS_MAX 1024

struct summed {                /* a program */
	const struct capture_program *program;
	bool kept;             /* elsewhere */
	uint64_t lost;         /* had no room in a group */
	uint64_t unread;       /* were not there to be added up */
};

struct group_part {            /* of a group's key; the bytes follow */
	uint8_t status, reserved;
	uint16_t len;
	uint32_t reserved1;
	uint64_t word;
};

struct group_head {            /* the key begins with it */
	uint32_t probe, target;
	uint64_t aggregate;
};

struct group {
	uint64_t count;
	int128 sum, min, max;
	uint64_t *buckets;
	size_t nbuckets;
	size_t key_size;
	char key[];
};

struct aggregates {
	size_t max;
	struct map programs;   /* probe + 1 → struct summed */
	struct strmap groups;  /* key → struct group, which has the key */
	struct buf key;
};

struct aggregates *aggregates_new(size_t max_groups)
{
	struct aggregates *a = xcalloc(1, sizeof(*a));

	a->max = max_groups ? max_groups : GROUPS_DEFAULT;
	return a;
}

static void drop_groups(struct strmap *groups)
{
	for (size_t i = 0; i < groups->cap; i++) {
		struct group *g = groups->entries[i].key ? groups->entries[i].value : NULL;

		if (g)
			free(g->buckets);
		free(g);
	}
	strmap_done(groups);
}

void aggregates_free(struct aggregates *a)
{
	void *value;

	if (!a)
		return;
	for (size_t i = 0; map_next(&a->programs, &i, NULL, &value);)
		free(value);
	map_done(&a->programs);
	drop_groups(&a->groups);
	buf_done(&a->key);
	free(a);
}

static struct summed *summed_of(const struct aggregates *a, uint32_t probe)
{
	return map_get(&a->programs, probe + UINT64_C(1));
}

/* SIZE_MAX: it makes no sense. */
static size_t bucket_count(const struct ir_aggregate *a)
{
	if (a->kind == AGG_HIST)
		return AGG_BUCKETS;
	if (a->kind != AGG_LINEAR)
		return 0;
	if (a->step <= 0 || a->high < a->low)
		return SIZE_MAX;
	return (size_t)MIN(((uint64_t)a->high - (uint64_t)a->low) / (uint64_t)a->step, UINT32_MAX) + 2;
}

static int check(const struct ir_aggregate *a, struct err *err)
{
	if (a->nkeys > AGG_MAX_KEYS)
		return err_set(err, -E2BIG, "an aggregate has %zu keys (at most %d)", a->nkeys, AGG_MAX_KEYS);
	if (bucket_count(a) > BUCKETS_MAX)
		return err_set(err, -E2BIG, "a linear histogram may have %d buckets at most: choose a larger step",
			       BUCKETS_MAX - 2);
	return 0;
}

static int add(struct aggregates *a, uint32_t probe, const struct capture_program *program, bool kept, struct err *err)
{
	struct summed *s;

	if (summed_of(a, probe) || (program->role == PROGRAM_POINT && !program->naggregates && !program->no_record))
		return 0;
	for (size_t i = 0; i < program->naggregates; i++) {
		int r = check(&program->aggregates[i], err);

		if (r < 0)
			return r;
	}
	s = xcalloc(1, sizeof(*s));
	s->program = program;
	s->kept = kept;
	map_set(&a->programs, probe + UINT64_C(1), s);
	return 0;
}

int aggregates_add(struct aggregates *a, uint32_t probe, const struct capture_program *program, struct err *err)
{
	return add(a, probe, program, false, err);
}

int aggregates_add_kept(struct aggregates *a, uint32_t probe, const struct capture_program *program, struct err *err)
{
	return add(a, probe, program, true, err);
}

/* ---- one sample ---- */

/* The event, and of a return its call's entry, each with its program. */
struct sampled {
	const struct event *event[2];
	const struct capture_program *program[2];
};

/* NULL: there is no such slot. */
static const struct event_slot *slot_of(const struct sampled *s, const struct ir_slot_ref *ref)
{
	const struct event *e = s->event[ref->at_entry];

	return e && s->program[ref->at_entry] && ref->slot < e->head->slots &&
			       ref->slot < s->program[ref->at_entry]->nslots
		       ? &e->slots[ref->slot]
		       : NULL;
}

static void put_part(struct aggregates *a, const struct group_part *part, const void *bytes)
{
	buf_append(&a->key, part, sizeof(*part));
	if (bytes)
		buf_append(&a->key, bytes, part->len);
	while (a->key.len % sizeof(part->word))
		buf_char(&a->key, 0);
}

static void add_key(struct aggregates *a, const struct sampled *s, const struct ir_slot_ref *ref)
{
	const struct event_slot *slot = slot_of(s, ref);
	struct group_part part = {.status = slot ? slot->status : SLOT_ABSENT};
	const char *bytes = NULL;
	enum value_kind kind;
	size_t n = 0;

	if (slot) {
		kind = s->program[ref->at_entry]->slots[ref->slot].kind;
		if (kind == VALUE_STRING || kind == VALUE_STACK) {
			bytes = event_bytes(s->event[ref->at_entry], ref->slot, &n);
			n = kind == VALUE_STRING ? MIN(n, AGG_KEY_STR) : n;
			part.len = (uint16_t)n;
			part.word = bytes ? slot->len : 0;
		} else if (slot->status == SLOT_OK) {
			part.word = slot->value;
		}
	}
	put_part(a, &part, bytes);
}

/* n: events that there is no group for. */
static struct group *group_of(struct aggregates *a, const struct ir_aggregate *ag, struct summed *of, uint64_t n)
{
	struct group *g = strmap_get(&a->groups, a->key.data, a->key.len);

	if (g)
		return g;
	if (a->groups.len >= a->max) {
		of->lost += n;
		return NULL;
	}
	g = xcalloc(1, sizeof(*g) + a->key.len);
	*g = (struct group){.min = WIDE_MAX, .max = WIDE_MIN, .nbuckets = bucket_count(ag), .key_size = a->key.len};
	if (g->nbuckets)
		g->buckets = xcalloc(g->nbuckets, sizeof(*g->buckets));
	memcpy(g->key, a->key.data, a->key.len);
	strmap_set(&a->groups, g->key, g->key_size, g);
	return g;
}

static size_t bucket_of(const struct ir_aggregate *a, size_t nbuckets, int128 v)
{
	if (a->kind == AGG_HIST)
		return v <= 0 ? v == 0 : 65u - (size_t)__builtin_clzll((uint64_t)v);
	if (v < a->low)
		return 0;
	if (v >= a->high)
		return nbuckets - 1;
	return (size_t)(((uint64_t)v - (uint64_t)a->low) / (uint64_t)a->step) + 1;
}

static void update(struct aggregates *a, const struct sampled *s, struct summed *of, size_t n)
{
	const struct ir_aggregate *ag = &of->program->aggregates[n];
	const struct event_slot *value = ag->kind == AGG_COUNT ? NULL : slot_of(s, &ag->value);
	const struct group_head head = {s->event[0]->head->probe, s->event[0]->head->target, n};
	struct group *g;
	int128 v;

	if (ag->kind != AGG_COUNT && (!value || value->status != SLOT_OK)) {
		of->unread += value && (value->status == SLOT_UNREADABLE || value->status == SLOT_NOT_RESIDENT ||
					value->status == SLOT_MAP_BUSY);
		return;
	}
	buf_reset(&a->key);
	buf_append(&a->key, &head, sizeof(head));
	for (size_t i = 0; i < ag->nkeys; i++)
		add_key(a, s, &ag->keys[i]);
	g = group_of(a, ag, of, 1);
	if (!g)
		return;
	g->count++;
	if (!value)
		return;
	v = wide_of(value->value, ag->is_unsigned);
	g->sum += v;
	g->min = MIN(g->min, v);
	g->max = MAX(g->max, v);
	if (g->nbuckets)
		g->buckets[bucket_of(ag, g->nbuckets, v)]++;
}

void aggregates_merge(struct aggregates *a, const struct plant_group *from)
{
	struct summed *of = summed_of(a, from->probe);
	const struct ir_aggregate *ag = of ? &of->program->aggregates[from->aggregate] : NULL;
	struct group *g;

	if (!ag)
		return;
	buf_reset(&a->key);
	buf_append(&a->key, &(struct group_head){from->probe, from->target, from->aggregate},
		   sizeof(struct group_head));
	for (size_t i = 0; i < ag->nkeys; i++) {
		const struct plant_key *k = &from->keys[i];

		put_part(a, &(struct group_part){.status = k->status, .len = k->len, .word = k->word}, k->bytes);
	}
	g = group_of(a, ag, of, from->count);
	if (!g)
		return;
	g->count += from->count;
	g->sum += from->sum;
	g->min = MIN(g->min, from->min);
	g->max = MAX(g->max, from->max);
	for (size_t i = 0; i < MIN(g->nbuckets, from->nbuckets); i++)
		g->buckets[i] += from->buckets[i];
}

static bool take(struct aggregates *a, struct summed *of, const void *sample, size_t size)
{
	struct sampled s = {0};
	struct event e[2];
	size_t n;

	if (!event_decode_sample(sample, size, e, &n))
		return true;
	s.event[0] = &e[0];
	s.program[0] = of->program;
	if (n == 2) {
		const struct summed *entry = summed_of(a, e[1].head->probe);

		s.event[1] = &e[1];
		s.program[1] = entry ? entry->program : NULL;
	}
	if (e[0].head->kind == EVENT_POINT || e[0].head->kind == EVENT_RETURN)
		for (size_t i = 0; i < of->program->naggregates && !of->kept; i++)
			update(a, &s, of, i);
	return !of->program->no_record;
}

bool aggregates_take(struct aggregates *a, const void *sample, size_t size)
{
	struct event_header head;
	struct summed *of;

	if (size < sizeof(head))
		return true;
	memcpy(&head, sample, sizeof(head));
	of = summed_of(a, head.probe);
	return !of || take(a, of, sample, size);
}

/* ---- reading ---- */

static void give(const struct aggregates *a, const struct group *g, plant_group_fn fn, void *arg)
{
	const struct group_head *h = (const void *)g->key;
	const struct capture_program *program = summed_of(a, h->probe)->program;
	struct plant_group out = {.probe = h->probe, .target = h->target, .aggregate = h->aggregate, .count = g->count,
				  .sum = g->sum, .min = g->min, .max = g->max, .buckets = g->buckets,
				  .nbuckets = g->nbuckets};
	size_t off = sizeof(*h);

	for (size_t i = 0; i < program->aggregates[h->aggregate].nkeys; i++) {
		const struct group_part *part = (const void *)(g->key + off);

		out.keys[i] = (struct plant_key){.status = part->status, .len = part->len, .word = part->word,
						 .bytes = part->len ? part + 1 : NULL};
		off += sizeof(*part) + ALIGN_UP((size_t)part->len, sizeof(part->word));
	}
	fn(arg, &out);
}

int aggregates_read(struct aggregates *a, bool clear, plant_group_fn fn, void *arg)
{
	for (size_t i = 0; i < a->groups.cap; i++)
		if (a->groups.entries[i].key)
			give(a, a->groups.entries[i].value, fn, arg);
	if (clear)
		drop_groups(&a->groups);
	return 0;
}

static void add_losses(struct losses *to, const struct summed *of)
{
	to->count[LOSS_GROUPS_FULL] += of->lost;
	to->count[LOSS_AGGREGATE_UNREADABLE] += of->unread;
}

void aggregates_losses(const struct aggregates *a, uint32_t probe, struct losses *to)
{
	const struct summed *one = probe ? summed_of(a, probe) : NULL;
	void *value;

	if (one)
		add_losses(to, one);
	for (size_t i = 0; !probe && map_next(&a->programs, &i, NULL, &value);)
		add_losses(to, value);
}
