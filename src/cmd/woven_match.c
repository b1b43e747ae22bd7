#include "cmd/woven_match.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "plant/woven_plan.h"
#include "probe/inject_form.h"
#include "weave/spans.h"

static bool is_field_type(const struct type *t, const char *expected)
{
	return !strcmp(t->name, expected) || (type_is_basic(t) && !strcmp(type_kind_name(t->kind), expected));
}

/* What has no descriptor is held by nothing. */
static struct woven_known find_type(struct binary *b, const struct woven_fact *f)
{
	const struct type *t = binary_type(b, *f->type == '*' ? f->type + 1 : f->type);

	if (t && *f->type == '*')
		t = binary_type_pointer_to(b, t);
	return t && t->rtype ? (struct woven_known){f->key, t->rtype, true} : (struct woven_known){f->key, 1, false};
}

static bool find_field(struct binary *b, const struct type *t, const struct woven_fact *f, struct woven_known *ret)
{
	struct field_path path;

	if (!type_field_find(b, t, f->field, &path) || path.n != 1 || !path.steps[0].type ||
	    !is_field_type(path.steps[0].type, f->field_type))
		return false;
	*ret = (struct woven_known){f->key, 1 + path.steps[0].offset, false};
	return true;
}

void woven_set_read(struct binary *b, struct woven_set *ret)
{
	VEC(struct woven_known) known = {0};
	struct map seen = {0};

	*ret = (struct woven_set){0};
	woven_points(binary_image(b), &ret->arena, &ret->points, &ret->n, &ret->broken);
	for (size_t i = 0; i < ret->n; i++)
		for (size_t k = 0; k < ret->points[i].nfacts; k++) {
			const struct woven_fact *f = &ret->points[i].facts[k];
			const struct type *t = f->field ? binary_type(b, f->type) : NULL;
			struct woven_known found;

			if (map_set(&seen, f->key, ret))
				continue;
			if (!f->field)
				vec_push(&known, find_type(b, f));
			else if (t && find_field(b, t, f, &found))
				vec_push(&known, found);
			else if (t)
				map_set(&ret->missing, f->key, ret);
		}
	ret->nknown = known.len;
	ret->known = known.len ? arena_memdup(&ret->arena, known.data, known.len * sizeof(*known.data)) : NULL;
	vec_done(&known);
	map_done(&seen);
}

void woven_set_done(struct woven_set *s)
{
	map_done(&s->missing);
	arena_done(&s->arena);
}

static bool is_point(const struct woven_point *p, const struct join *j)
{
	return j->variant && !strcmp(p->pack, j->pack->name) &&
	       !strcmp(p->span, pack_woven_span(j->part)) && !strcmp(p->point, j->point->name) &&
	       p->variant == j->variant_number && p->at_return == j->variant->at_return &&
	       !strcmp(p->func, j->func.name);
}

/*
 * By number and by name: the pack may be another version of the one that it was built with. Of functions that are spans
 * the names alone count, which are the user's.
 */
static int slot_for(const struct woven_point *p, const struct join *j, size_t item)
{
	for (size_t i = 0; i < p->nslots; i++)
		if ((p->slots[i].capture == (int)item || p->slots[i].capture < 0) &&
		    !strcmp(p->slots[i].name, j->variant->captures[item].name))
			return (int)i;
	return -1;
}

static const int *slots_for(struct arena *arena, const struct woven_point *p, const struct join *j)
{
	int *slots = arena_array(arena, int, j->capture.program.nslots + 1);

	for (size_t i = 0; i < j->capture.program.nslots; i++)
		slots[i] = -1;
	for (size_t item = 0; item < j->variant->ncaptures; item++)
		if (j->capture.slot_of_item[item] >= 0)
			slots[j->capture.slot_of_item[item]] = j->variant->captures[item].use == USE_CONTEXT
									? (int)p->nslots
									: slot_for(p, j, item);
	return slots;
}

static const char *why_left(const struct woven_set *s, const struct join *j, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; is_point(&s->points[i], j) && k < s->points[i].nleft; k++)
			if (!strcmp(s->points[i].left[k].name, name))
				return s->points[i].left[k].kind;
	return "its pack was another one when it was built";
}

/* What is kept is no value of the span's: whoever uses it lacks what it would make of it. */
static bool is_lacking(const struct join *j, size_t item, const struct own_point *all)
{
	const int slot = j->capture.slot_of_item[item];

	if (slot < 0 || j->variant->captures[item].use == USE_SAVED)
		return false;
	while (all && all->slots[slot] < 0)
		all = all->next;
	return !all;
}

const struct own_lack *woven_lacks(struct woven_set *s, const struct join *j, const struct own_point *all,
				   size_t *ret_n)
{
	VEC(struct own_lack) lacks = {0};
	const struct own_lack *kept;

	for (size_t item = 0; all && item < j->variant->ncaptures; item++) {
		const char *name = j->variant->captures[item].name;

		if (is_lacking(j, item, all))
			vec_push(&lacks, ((struct own_lack){j->pack->name, name, why_left(s, j, name)}));
	}
	for (size_t i = 0; all && i < s->n; i++)
		for (size_t k = 0; is_point(&s->points[i], j) && k < s->points[i].nfacts; k++)
			if (map_get(&s->missing, s->points[i].facts[k].key))
				vec_push(&lacks, ((struct own_lack){j->pack->name, s->points[i].facts[k].field,
								    "it has another type in this program"}));
	*ret_n = lacks.len;
	kept = lacks.len ? arena_memdup(&s->arena, lacks.data, lacks.len * sizeof(*lacks.data)) : NULL;
	vec_done(&lacks);
	return kept;
}

/* ---- marks ---- */

/* 1 + the slot of the variant's first capture of that use; 0: there is none. */
static uint8_t slot_of_use(const struct woven_point *p, const struct join *j, enum capture_use use)
{
	for (size_t i = 0; i < j->variant->ncaptures; i++)
		if (j->variant->captures[i].use == use)
			return (uint8_t)(slot_for(p, j, i) + 1);
	return 0;
}

/*
 * Whether the recorder finds in a slot what it follows for that use. The program was built with this kind, whatever the
 * pack says now; the recorder trusts us, and would follow a number.
 */
static bool is_kind_for(const struct woven_point *p, int slot, enum woven_plan_use use)
{
	const char *kind = p->slots[slot].kind;
	const bool text = !strcmp(kind, "string"), chain = !strcmp(kind, "chain");

	switch (use) {
	case WOVEN_BY_HEADER:
	case WOVEN_STATE:
		return text;
	case WOVEN_BY_PARENT:
	case WOVEN_BY_OWN:
		return chain;
	default:
		return !text && !chain;
	}
}

/* Likewise what an inject takes: all of it is one capture's. */
static bool is_inject(const struct woven_point *p, size_t slot)
{
	const struct woven_field *first = &p->slots[slot];

	if (slot + INJECT_WOVEN_SLOTS > p->nslots)
		return false;
	for (const struct woven_field *f = first; f < first + INJECT_WOVEN_SLOTS; f++)
		if (f->capture != first->capture || strcmp(f->name, first->name) || strcmp(f->kind, "uint"))
			return false;
	return true;
}

/* A function that is a span by --span: nothing but its return looks for its mark. */
static bool stands_alone(const struct join *j, const struct woven_plan *plan)
{
	for (unsigned i = 0; i < plan->nwords; i++)
		if (plan->words[i].use != WOVEN_BY_PARENT)
			return false;
	return j->point->role == POINT_START && j->pack->nspans && !j->pack->packages && j->part->npoints == 2;
}

static uint8_t plan_flags(const struct lower_marks *m)
{
	return (uint8_t)((m->by_ratio ? WOVEN_PLAN_BY_RATIO : 0) | (m->child ? WOVEN_PLAN_CHILD : 0) |
			 (m->by_creator ? WOVEN_PLAN_CREATOR : 0) | (m->of_call ? WOVEN_PLAN_OF_CALL : 0) |
			 (m->detached ? WOVEN_PLAN_DETACHED : 0) | (m->or_end ? WOVEN_PLAN_OR_END : 0));
}

/* The plan is the recorder's, which may be older: so its numbers are its own. -1: it does nothing with such. */
static int plan_use(enum mark_use use)
{
	switch (use) {
	case MARK_HEADER:
		return WOVEN_BY_HEADER;
	case MARK_PARENT:
		return WOVEN_BY_PARENT;
	case MARK_OWN:
		return WOVEN_BY_OWN;
	case MARK_KEYED:
		return WOVEN_BY_KEY;
	case MARK_CARRIED:
		return WOVEN_CARRIED;
	case MARK_TRACESTATE:
		return WOVEN_STATE;
	case MARK_FOUND:
		return WOVEN_BY_OTHER;
	default:
		return -1;
	}
}
_Static_assert(MARKS_START == 0 && MARKS_TIE == 2 && MARKS_DETACH == 3 && MARKS_END == 4 && MARKS_UNWIND == 5 &&
		       MARKS_EXIT == 6 && MARKS_INJECT == 7 && INJECT_WRITTEN == 0 &&
		       INJECT_PRESENT == 1 && INJECT_LIMITED == 2 && INJECT_NO_SPAN == 3 &&
		       INJECT_UNEXPECTED == 4 && INJECT_TOO_LARGE == 5 && INJECT_NO_ROOM == 6 &&
		       INJECT_STATE_WRITTEN == 1 && INJECT_STATE_PRESENT == 2 && INJECT_STATE_NO_ROOM == 3 &&
		       INJECT_STATE_TOO_LONG == 4 && INJECT_STATE_SHIFT == 8 && INJECT_LINE == 0 &&
		       INJECT_FIELD == 1 && INJECT_FRAME == 2 && INJECT_MESSAGE == 3 && INJECT_RECORD == 4,
	       "recorders have these numbers");

/* The ids go into a request that its writer is about to send. */
static const struct woven_plan *inject_plan_of(struct woven_set *s, const struct woven_point *p, const struct join *j)
{
	const uint8_t slot = slot_of_use(p, j, USE_INJECT);
	struct woven_plan *plan;

	if (!slot || !is_inject(p, slot - 1u))
		return NULL;
	plan = arena_new(&s->arena, struct woven_plan);
	*plan = (struct woven_plan){.action = MARKS_INJECT, .inject = slot};
	if (j->marks && j->marks->naround <= WOVEN_PLAN_AROUND) {
		plan->group = j->marks->group;
		plan->nwords = (uint8_t)j->marks->naround;
		for (size_t i = 0; i < j->marks->naround; i++)
			plan->around[i] = j->marks->around[i];
	}
	return plan;
}

const struct woven_plan *woven_plan_of(struct woven_set *s, const struct woven_point *p, const struct join *j)
{
	const struct lower_marks *m = j->marks;
	struct woven_plan *plan;

	if (j->point->role == POINT_INJECT)
		return inject_plan_of(s, p, j);
	if (!m || p->nslots >= EVENT_MAX_SLOTS)
		return NULL;
	plan = arena_new(&s->arena, struct woven_plan);
	*plan = (struct woven_plan){.action = (uint8_t)m->action,
				    .flags = plan_flags(m),
				    .creator = slot_of_use(p, j, USE_CREATOR),
				    .group = m->group,
				    .call = m->call,
				    .id_flags = m->flags,
				    .threshold = m->threshold,
				    .epoch = slot_of_use(p, j, USE_GOIDGEN)};
	for (size_t i = 0; i < m->nwords; i++) {
		const int slot = slot_for(p, j, m->words[i].capture), use = plan_use(m->words[i].use);

		if (slot < 0 || use < 0 || !is_kind_for(p, slot, (enum woven_plan_use)use))
			continue;
		if (plan->nwords == WOVEN_PLAN_WORDS)
			return NULL;
		plan->words[plan->nwords].use = (uint8_t)use;
		plan->words[plan->nwords++].slot = (uint8_t)slot;
	}
	if (stands_alone(j, plan))
		plan->flags |= WOVEN_PLAN_ALONE;
	return plan;
}

const struct woven_point *woven_match(struct woven_set *s, const struct join *j, const struct woven_point *after,
				      const int **ret_slots)
{
	for (size_t i = after ? (size_t)(after - s->points) + 1 : 0; i < s->n; i++) {
		if (!is_point(&s->points[i], j))
			continue;
		*ret_slots = slots_for(&s->arena, &s->points[i], j);
		return &s->points[i];
	}
	return NULL;
}

/* ---- calls ---- */

static const struct woven_point *return_of(const struct woven_set *s, const struct woven_point *entry)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct woven_point *p = &s->points[i];

		if (p->at_return && p->every_call && !strcmp(p->pack, entry->pack) && !strcmp(p->span, entry->span) &&
		    !strcmp(p->func, entry->func))
			return p;
	}
	return NULL;
}

static struct recorded_side side_of(struct woven_set *s, const struct woven_point *p)
{
	struct recorded_variable *all = arena_array(&s->arena, struct recorded_variable, p->nvariables + 1);

	for (size_t i = 0; i < p->nvariables; i++) {
		const struct woven_variable *v = &p->variables[i];

		all[i] = (struct recorded_variable){v->name, v->form, v->type, v->slot};
	}
	return (struct recorded_side){all, p->nvariables, p->nslots};
}

static const struct recorded_call *call_of(struct woven_set *s, const struct woven_point *entry)
{
	const struct woven_point *ret = return_of(s, entry);
	struct recorded_points *r;

	if (!ret)
		return NULL;
	r = arena_new(&s->arena, struct recorded_points);
	*r = (struct recorded_points){{.func = entry->func, .has_receiver = entry->has_receiver,
				       .entry = side_of(s, entry), .ret = side_of(s, ret)}, entry, ret};
	return &r->call;
}

const struct recorded_call *const *woven_calls(struct woven_set *s, size_t *ret_n)
{
	const struct recorded_call **all = arena_array(&s->arena, const struct recorded_call *, s->n + 1);
	struct strmap seen = {0};
	size_t n = 0;

	for (int spans = 0; spans <= 1; spans++)
		for (size_t i = 0; i < s->n; i++) {
			const struct woven_point *p = &s->points[i];
			const struct recorded_call *call;

			if (p->at_return || !p->every_call || spans == !strcmp(p->pack, CALLS_PACK) ||
			    strmap_get(&seen, p->func, strlen(p->func)))
				continue;
			call = call_of(s, p);
			if (call)
				strmap_set(&seen, p->func, strlen(p->func), (void *)(all[n++] = call));
		}
	strmap_done(&seen);
	*ret_n = n;
	return all;
}

bool woven_file(const char *path)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct woven_set s = {0};
	struct image img;

	if (fd < 0 || image_open(fd, path, &img, NULL) < 0)
		return false;
	woven_points(&img, &s.arena, &s.points, &s.n, &s.broken);
	image_close(&img);
	woven_set_done(&s);
	return s.n > 0;
}

bool targets_woven(const struct target_plan *plan)
{
	char path[64];

	for (size_t i = 0; i < plan->pids.len; i++) {
		snprintf(path, sizeof(path), "/proc/%d/exe", plan->pids.data[i]);
		if (!woven_file(path))
			return false;
	}
	return plan->pids.len && !plan->watches;
}

bool command_woven(const char *command)
{
	return strchr(command, '/') && woven_file(command);
}

void woven_record_at_once(void)
{
	char setting[32];

	snprintf(setting, sizeof(setting), "on:%d", getpid());
	setenv("EARSHOT_RECORD", setting, 0);
}
