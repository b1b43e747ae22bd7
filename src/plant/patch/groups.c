#include "plant/patch/groups.h"

#include <errno.h>
#include <string.h>

#include "plant/patch/code.h"

#define GROUPS_DEFAULT 16384
#define TABLES_BYTES (32u << 20)   /* of all Ps together, or more where that is less than */
#define TABLE_BYTES (512u << 10)   /* a table */
#define EXTRA_BYTES (128u << 10)   /* groups of an extra slot */
#define PAGE 4096

/* ---- forms ---- */

uint32_t patch_text_bytes(const struct capture_program *p, uint16_t slot)
{
	return p->slots[slot].kind == VALUE_STRING ? AGG_KEY_STR : capture_stack_bytes(p, slot);
}

static const struct ir_slot_ref *ref_at(const struct ir_aggregate *a, size_t i)
{
	return i < a->nkeys ? &a->keys[i] : &a->value;
}

static size_t nrefs(const struct ir_aggregate *a)
{
	return a->nkeys + (a->kind != AGG_COUNT);
}

static int check(const struct patch_form *f, struct err *err)
{
	for (size_t i = 0; i < nrefs(f->a); i++) {
		const struct ir_slot_ref *ref = ref_at(f->a, i);
		const struct capture_program *of = ref->at_entry ? f->entry : f->program;

		if (!of || ref->slot >= of->nslots || of->slots[ref->slot].kind == VALUE_IMAGE)
			return err_set(err, -EINVAL, "an aggregate asks for slot %u of %s, which it cannot have",
				       ref->slot, ref->at_entry ? "the call's entry" : "its program");
	}
	return 0;
}

static uint32_t bucket_count(const struct ir_aggregate *a)
{
	return a->kind == AGG_HIST     ? AGG_BUCKETS
	       : a->kind == AGG_LINEAR ? (uint32_t)(((uint64_t)a->high - (uint64_t)a->low) / (uint64_t)a->step + 2)
				       : 0;
}

static uint32_t longest_key(const struct patch_form *f)
{
	uint32_t n = 0;

	for (size_t i = 0; i < f->a->nkeys; i++)
		n += 16 + patch_text_bytes(f->a->keys[i].at_entry ? f->entry : f->program, f->a->keys[i].slot);
	return n;
}

static int add_form(struct patch_forms *fs, size_t probe, size_t aggregate, const struct capture_program *program,
		    const struct capture_program *entry, struct err *err)
{
	const struct ir_aggregate *a = &program->aggregates[aggregate];
	struct patch_form f = {.counts = (uint32_t)probe, .aggregate = (uint32_t)aggregate, .a = a, .program = program,
			       .entry = entry, .number = (uint32_t)fs->list.len, .nbuckets = bucket_count(a)};
	int r = check(&f, err);

	if (r < 0)
		return r;
	f.key_off = a->kind == AGG_COUNT ? (uint32_t)PATCH_COUNT_BYTES
					 : (uint32_t)sizeof(struct patch_group) + 8 * f.nbuckets;
	if (a->nkeys) {
		fs->keyed = true;
		f.longest = f.key_off + longest_key(&f);
		fs->largest = MAX(fs->largest, f.longest);
	} else {
		f.fixed = fs->fixed_bytes; /* from the first group on */
		fs->fixed_bytes += f.key_off;
	}
	vec_push(&fs->list, f);
	return 0;
}

static bool wants_of_entry(const struct capture_program *ret, uint16_t slot)
{
	for (size_t i = 0; i < ret->naggregates; i++)
		for (size_t k = 0; k < nrefs(&ret->aggregates[i]); k++)
			if (ref_at(&ret->aggregates[i], k)->at_entry && ref_at(&ret->aggregates[i], k)->slot == slot)
				return true;
	return false;
}

static struct patch_parts parts_of(const struct capture_program *ret, const struct capture_program *entry)
{
	struct patch_parts parts = {0};

	for (uint16_t slot = 0; slot < entry->nslots; slot++)
		if (wants_of_entry(ret, slot))
			parts.part[parts.n++] = (struct patch_kept){slot, 0, patch_text_bytes(entry, slot)};
	parts.bytes = parts.n * (uint32_t)sizeof(struct event_slot);
	for (uint32_t i = 0; i < parts.n; i++) {
		parts.part[i].text = parts.bytes;
		parts.bytes += parts.part[i].bytes;
	}
	return parts;
}

static const struct plant_probe *entry_of(const struct plant_probe *probes, size_t n, const struct capture_program *ret)
{
	for (size_t i = 0; i < n; i++)
		if (probes[i].program->role == PROGRAM_ENTRY && probes[i].program->call_group == ret->call_group)
			return &probes[i];
	return NULL;
}

/* Texts that are keys are captured for that alone, so they are no longer; then they are compared where they are. */
static bool is_short(const struct capture_program *p, uint16_t slot)
{
	for (size_t i = 0; i < p->ninsns; i++)
		if (p->insns[i].op == IR_EMIT_STR && p->insns[i].slot == slot && p->insns[i].imm > AGG_KEY_STR)
			return false;
	return true;
}

/* Else its aggregates are made of records. */
static bool can_keep(const struct capture_program *p, const struct capture_program *entry)
{
	bool can = true, keyed = false;

	for (size_t i = 0; i < p->naggregates; i++) {
		const struct ir_aggregate *a = &p->aggregates[i];

		keyed |= a->nkeys > 0;
		for (size_t k = 0; k < a->nkeys; k++)
			can &= is_short(a->keys[k].at_entry && entry ? entry : p, a->keys[k].slot);
	}
	return can && (!keyed || __builtin_cpu_supports("sse4.2"));
}

static bool counts_hits(const struct capture_program *p, const struct plant_control *c)
{
	if (p->role != PROGRAM_POINT || !p->no_record || !p->controlled || capture_has_filter(p) || c->every > 1 ||
	    c->per_second)
		return false;
	for (size_t i = 0; i < p->naggregates; i++)
		if (p->aggregates[i].kind != AGG_COUNT || p->aggregates[i].nkeys)
			return false;
	return true;
}

static void need_scratch(struct patch_forms *fs, const struct capture_program *p)
{
	fs->scratch_bytes = MAX(fs->scratch_bytes, patch_record_bytes(p));
}

static struct patch_sums *sums_of(struct patch_forms *fs, size_t probe)
{
	if (!fs->of[probe])
		fs->of[probe] = xcalloc(1, sizeof(struct patch_sums));
	return fs->of[probe];
}

/* A probe whose program has aggregates, with its entry where there is one. */
static int add_probe(struct patch_forms *fs, const struct plant_probe *probes, size_t i, struct err *err)
{
	const struct capture_program *p = probes[i].program;
	const struct plant_probe *entry = p->role == PROGRAM_RETURN ? entry_of(probes, fs->nprobes, p) : NULL;
	struct patch_sums *sums;
	int r = 0;

	if ((p->role == PROGRAM_RETURN && !entry) || !can_keep(p, entry ? entry->program : NULL))
		return 0;
	sums = sums_of(fs, i);
	for (size_t k = 0; k < p->naggregates && !r; k++)
		r = add_form(fs, i, k, p, entry ? entry->program : NULL, err);
	if (r < 0 || !entry)
		return r;
	sums->kept = parts_of(p, entry->program);
	sums_of(fs, (size_t)(entry - probes))->kept = sums->kept;
	need_scratch(fs, entry->program);
	fs->kept_bytes = MAX(fs->kept_bytes, sums->kept.bytes);
	return 0;
}

/* Once the list is whole: forms of a program lie in a row. */
static void finish(struct patch_forms *fs, const struct plant_probe *probes,
		   const struct plant_control *(*control)(void *, uint32_t), void *arg)
{
	static const struct plant_control none;

	for (size_t i = 0; i < fs->nprobes; i++) {
		const struct plant_control *c = fs->of[i] ? control(arg, probes[i].id) : NULL;

		if (!fs->of[i])
			continue;
		fs->of[i]->control = c ? *c : none;
		fs->of[i]->hits = probes[i].program->naggregates && counts_hits(probes[i].program, c ? c : &none);
	}
	for (size_t i = fs->list.len; i--;)
		fs->of[fs->list.data[i].counts]->forms = &fs->list.data[i];
}

int patch_forms_make(const struct plant_probe *probes, size_t n,
		     const struct plant_control *(*control)(void *, uint32_t), void *arg, struct patch_forms *ret,
		     struct err *err)
{
	struct patch_forms fs = {.of = xcalloc(n + 1, sizeof(*fs.of)), .nprobes = n};
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		const struct capture_program *p = probes[i].program;

		if (!p->naggregates || (p->role != PROGRAM_POINT && p->role != PROGRAM_RETURN))
			continue;
		r = add_probe(&fs, probes, i, err);
		need_scratch(&fs, p);
	}
	finish(&fs, probes, control, arg);
	if (r < 0)
		patch_forms_done(&fs);
	else
		*ret = fs;
	return r;
}

void patch_forms_done(struct patch_forms *f)
{
	for (size_t i = 0; f->of && i < f->nprobes; i++)
		free(f->of[i]);
	free(f->of);
	vec_done(&f->list);
	*f = (struct patch_forms){0};
}

/* ---- memory ---- */

/* The groups, the index and the bytes of a table with keys. */
static void lay_out_table(const struct patch_forms *f, size_t max_groups, struct patch_area *layout)
{
	uint64_t room = MAX(TABLES_BYTES / 2 / layout->ring.procs, TABLE_BYTES), groups;

	groups = MIN(max_groups ? max_groups : GROUPS_DEFAULT, room / PATCH_COUNT_BYTES / 2);
	layout->max_groups = (uint32_t)groups;
	layout->nindex = 16;
	while (layout->nindex < 2 * groups)
		layout->nindex *= 2;
	layout->entries_off = ALIGN_UP(sizeof(struct patch_table) + 4 * (uint64_t)layout->nindex, 64);
	layout->table_bytes = layout->entries_off + f->fixed_bytes + MAX(MIN(groups * f->largest, room), f->largest);
	layout->extra_table_bytes = layout->entries_off + f->fixed_bytes +
				    MAX(MIN(groups * f->largest, EXTRA_BYTES), f->largest);
}

void patch_forms_layout(const struct patch_forms *f, size_t max_groups, struct patch_area *layout)
{
	uint32_t slots = layout->ring.procs + layout->ring.extra;

	if (!f->list.len)
		return;
	layout->entries_off = sizeof(struct patch_table);
	layout->table_bytes = layout->extra_table_bytes = layout->entries_off + f->fixed_bytes;
	if (f->keyed)
		lay_out_table(f, max_groups, layout);
	layout->table_bytes = ALIGN_UP(layout->table_bytes, PAGE);
	layout->extra_table_bytes = ALIGN_UP(layout->extra_table_bytes, PAGE);
	layout->scratch_bytes = ALIGN_UP(f->scratch_bytes, PAGE);
	/* A multiple, and whole cache lines. */
	layout->kept_bytes = ALIGN_UP(f->kept_bytes, sizeof(struct patch_saved));
	layout->kept_off = ALIGN_UP(layout->ring.bytes, PAGE);
	layout->scratch_off = ALIGN_UP(layout->kept_off + layout->nsaved * layout->kept_bytes, PAGE);
	layout->tables_off = layout->scratch_off + slots * layout->scratch_bytes;
	layout->ring.bytes = layout->tables_off +
			2 * (layout->ring.procs * layout->table_bytes + layout->ring.extra * layout->extra_table_bytes);
	layout->ring.pool_off = layout->ring.bytes;
}

static uint64_t table_bytes(const struct patch_area *layout, uint32_t slot)
{
	return slot < layout->ring.procs ? layout->table_bytes : layout->extra_table_bytes;
}

static uint64_t table_off(const struct patch_area *layout, uint32_t slot, uint32_t turn)
{
	uint64_t before = 2 * (MIN(slot, layout->ring.procs) * layout->table_bytes +
			       (MAX(slot, layout->ring.procs) - layout->ring.procs) * layout->extra_table_bytes);

	return layout->tables_off + before + turn * table_bytes(layout, slot);
}

static struct patch_table *table_at(struct patch_area *area, const struct patch_area *layout, uint32_t slot,
				    uint32_t turn)
{
	return (struct patch_table *)(void *)((char *)area + table_off(layout, slot, turn));
}

static uint64_t table_room(const struct patch_area *layout, uint32_t slot)
{
	return table_bytes(layout, slot) - layout->entries_off;
}

void patch_forms_begin(const struct patch_forms *f, struct patch_area *area, const struct patch_area *layout,
		       uint64_t addr)
{
	for (uint32_t i = 0; f->list.len && i < layout->ring.procs + layout->ring.extra; i++) {
		uint64_t off = layout->ring.slots_off + (uint64_t)i * layout->ring.slot_bytes;
		struct patch_slot *s = (struct patch_slot *)(void *)((char *)area + off);

		s->patience = PATCH_PATIENCE;
		s->scratch = addr + layout->scratch_off + i * layout->scratch_bytes;
		for (uint32_t turn = 0; turn < 2; turn++) {
			struct patch_table *t = table_at(area, layout, i, turn);

			s->table[turn] = addr + table_off(layout, i, turn);
			t->used = f->fixed_bytes;
			t->room = table_room(layout, i);
		}
	}
}

/* ---- reading ---- */

/* What is in the memory may be anything: a part that goes beyond the group's end is none. */
static bool read_key(const struct patch_form *f, const struct patch_group *g, struct plant_group *out)
{
	const char *at = (const char *)g + f->key_off, *end = (const char *)g + g->size;

	for (size_t i = 0; i < f->a->nkeys; i++) {
		const struct ir_slot_ref *ref = &f->a->keys[i];
		bool text = patch_text_bytes(ref->at_entry ? f->entry : f->program, ref->slot);
		struct event_slot slot = {0};
		size_t room;

		if (end - at < (text ? 8 : 16))
			return false;
		memcpy(&slot, at, text ? 8 : 16);
		at += text ? 8 : 16;
		room = ALIGN_UP((size_t)slot.copied, 8);
		if (text && room > (size_t)(end - at))
			return false;
		out->keys[i] = (struct plant_key){.status = slot.status, .len = text ? slot.copied : 0,
						  .word = text ? (slot.copied ? slot.len : 0) : slot.value,
						  .bytes = text && slot.copied ? at : NULL};
		at += text ? room : 0;
	}
	return true;
}

static bool give(const struct patch_forms *fs, const struct patch_form *f, const struct patch_group *g,
		 const uint32_t *ids, uint32_t target, struct aggregates *into)
{
	bool valued = f->a->kind != AGG_COUNT, is_unsigned = f->a->is_unsigned;
	struct plant_group out = {.probe = ids[f->counts], .target = target, .aggregate = f->aggregate,
				  .count = g->count, .min = WIDE_MAX, .max = WIDE_MIN, .nbuckets = f->nbuckets,
				  .buckets = f->nbuckets ? g->buckets : NULL};

	if (valued) {
		out.sum = (int128)((unsigned __int128)g->sum_high << 64 | g->sum);
		out.min = wide_of(patch_extreme(g->min, is_unsigned, true), is_unsigned);
		out.max = wide_of(patch_extreme(g->max, is_unsigned, false), is_unsigned);
	}
	if (!read_key(f, g, &out))
		return false;
	if (g->count && !fs->of[f->counts]->refused)
		aggregates_merge(into, &out);
	return true;
}

void patch_table_take(const struct patch_forms *f, struct patch_area *area, const struct patch_area *layout,
		      uint32_t slot, uint32_t turn, const uint32_t *ids, uint32_t target, struct aggregates *into,
		      uint64_t *damaged)
{
	struct patch_table *t = table_at(area, layout, slot, turn);
	uint64_t room = table_room(layout, slot), used = __atomic_load_n(&t->used, __ATOMIC_ACQUIRE);
	char *entries = (char *)t + layout->entries_off;
	uint64_t at = f->fixed_bytes, ngroups = t->ngroups;

	if (used > room) {
		*damaged += 1;
		used = room;
	}
	for (size_t i = 0; i < f->list.len; i++) {
		struct patch_group *g = (struct patch_group *)(void *)(entries + f->list.data[i].fixed);

		if (f->list.data[i].a->nkeys)
			continue;
		g->size = f->list.data[i].key_off;
		give(f, &f->list.data[i], g, ids, target, into);
	}
	while (used - at >= PATCH_COUNT_BYTES && at < used) {
		const struct patch_group *g = (const struct patch_group *)(const void *)(entries + at);
		const struct patch_form *form = g->form < f->list.len ? &f->list.data[g->form] : NULL;
		uint32_t size = g->size;

		if (!form || size < form->key_off || size > used - at || size % 8 ||
		    !give(f, form, g, ids, target, into)) {
			*damaged += 1;
			break;
		}
		at += size;
	}
	memset(entries, 0, used);
	if (ngroups)
		memset(t->index, 0, layout->nindex * sizeof(*t->index));
	t->ngroups = 0;
	__atomic_store_n(&t->used, f->fixed_bytes, __ATOMIC_RELEASE);
}
