/*
 * Aggregates, in the code: what groups.h describes. A key is looked up in the slot's table by open addressing, by the
 * checksum (crc32) of its parts, which stay where they are; a group that is new is made of the zeros that lie there.
 * Nobody else writes to the table, so these are plain additions.
 *
 * Here RDI is the group, or where parts go, and RSI the table, or the bytes of a text; slot.words keeps what has no
 * register.
 */
#include "plant/patch/gen.h"

#include <string.h>

#include "event/loss.h"

#define TABLE(field) MEM(RSI, offsetof(struct patch_table, field))
#define GROUP(field) MEM(RDI, offsetof(struct patch_group, field))
#define INDEX ((struct x86_mem){.base = RSI, .index = RDX, .scale = 4, .disp = offsetof(struct patch_table, index)})
#define BUCKET ((struct x86_mem){.base = RDI, .index = RCX, .scale = 8, .disp = offsetof(struct patch_group, buckets)})
enum { WORD_GROUP, WORD_RECORD, WORD_TRIES, WORD_RSI };
#define WORD(n) SLOT_AT(words, n)

#define TRIES 256 /* groups that are looked at before the table counts as full */

/* ---- the scratch memory ---- */

void code_scratch_record(struct code *g)
{
	x86_load(&g->x, 8, false, REG_RECORD, SLOT(scratch));
}

/* Of the area; clobbers R12 like all that counts. */
static void count_loss(struct code *g, enum loss l)
{
	x86_imm(&g->x, R12, g->env->area);
	x86_lock_inc(&g->x, MEM(R12, g->env->layout->counts_off + g->env->counts * sizeof(struct patch_counts) +
					     offsetof(struct patch_counts, loss) + 8 * (size_t)l));
}

/* Counts a loss where the record is still needed. */
static void count_loss_beside(struct code *g, enum loss l)
{
	x86_store(&g->x, 8, WORD(WORD_RECORD), REG_RECORD);
	count_loss(g, l);
	x86_load(&g->x, 8, false, REG_RECORD, WORD(WORD_RECORD));
}

/* ---- parts of keys ---- */

/*
 * Where a slot is: in the record, or as it was kept. What tells keys apart is the slot's first word (of texts it has
 * the length, too), then its value, or the bytes of the text, which are padded with zeros to whole words.
 */
struct source {
	struct x86_mem first, value, bytes; /* bytes: if kept */
	bool kept;
	uint32_t text; /* room for the bytes of a text; 0: a scalar */
};

static struct source own_slot(const struct code *g, uint16_t slot)
{
	return (struct source){.first = code_slot(slot, 0), .value = code_slot(slot, 8),
			       .text = patch_text_bytes(g->p, slot)};
}

static uint32_t part_of(const struct code *g, uint16_t slot)
{
	const struct patch_parts *kept = &g->env->sums->kept;
	uint32_t i = 0;

	while (i + 1 < kept->n && kept->part[i].slot != slot)
		i++;
	return i;
}

/* Loads RSI. */
static struct source kept_slot(struct code *g, uint16_t slot)
{
	uint32_t i = part_of(g, slot), off = i * (uint32_t)sizeof(struct event_slot);
	const struct patch_kept *part = &g->env->sums->kept.part[i];

	x86_load(&g->x, 8, false, RSI, SLOT(held_parts));
	return (struct source){MEM(RSI, off), MEM(RSI, off + 8), MEM(RSI, part->text), true, part->bytes};
}

static struct source source_of(struct code *g, const struct ir_slot_ref *ref)
{
	return ref->at_entry ? kept_slot(g, ref->slot) : own_slot(g, ref->slot);
}

/* RSI = the bytes of a text, RCX = their number; to none when there are none. */
static void get_text(struct code *g, const struct source *s, int none)
{
	struct x86_mem copied = s->first;
	struct x86 *x = &g->x;

	copied.disp += (int32_t)offsetof(struct event_slot, copied);
	x86_load(x, 2, false, RCX, copied);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, none);
	if (s->kept) {
		x86_lea(x, RSI, s->bytes);
	} else {
		x86_load(x, 8, false, RSI, s->value);
		x86_alu(x, X_ADD, RSI, REG_RECORD);
	}
}

/* Adds the part to the checksum in RDX. */
static void hash_part(struct code *g, const struct source *s)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), done = x86_label_new(x);

	if (s->kept && s->text) {
		x86_crc32(x, RDX, s->value);
		return;
	}
	x86_crc32(x, RDX, s->first);
	if (!s->text) {
		x86_crc32(x, RDX, s->value);
		return;
	}
	get_text(g, s, done);
	x86_label(x, again);
	x86_crc32(x, RDX, MEM(RSI, 0));
	x86_alu_imm(x, X_ADD, RSI, 8);
	x86_alu_imm(x, X_SUB, RCX, 8);
	x86_jcc(x, CC_G, again);
	x86_label(x, done);
}

static void round_up(struct code *g)
{
	x86_alu_imm(&g->x, X_ADD, RCX, 7);
	x86_alu_imm(&g->x, X_AND, RCX, -8);
}

/* Those of RCX bytes, not 0, at RSI, with those at off of RDI. Clobbers RAX and RCX. */
static void compare_words(struct code *g, uint32_t most, int32_t off, int differs)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), done = x86_label_new(x);

	for (int32_t at = 0; most <= AGG_KEY_STR && at < (int32_t)most; at += 8) {
		if (at) {
			x86_alu_imm(x, X_CMP, RCX, at);
			x86_jcc(x, CC_BE, done);
		}
		x86_load(x, 8, false, RAX, MEM(RSI, at));
		x86_alu_load(x, X_CMP, RAX, MEM(RDI, off + at));
		x86_jcc(x, CC_NE, differs);
	}
	if (most > AGG_KEY_STR) {
		x86_alu_imm(x, X_SUB, RCX, 1); /* where the last word is */
		x86_alu_imm(x, X_AND, RCX, -8);
		x86_label(x, again);
		x86_load(x, 8, false, RAX, MEMX(RSI, RCX, 0));
		x86_alu_load(x, X_CMP, RAX, MEMX(RDI, RCX, off));
		x86_jcc(x, CC_NE, differs);
		x86_alu_imm(x, X_SUB, RCX, 8);
		x86_jcc(x, CC_NS, again);
	}
	x86_label(x, done);
}

/* Compares with what is at off of RDI, which goes on behind it. last: nothing comes behind, RDI stays. */
static void compare_part(struct code *g, const struct source *s, int32_t off, bool last, int differs)
{
	struct x86 *x = &g->x;
	int done = x86_label_new(x);

	x86_load(x, 8, false, RAX, s->first);
	x86_alu_load(x, X_CMP, RAX, MEM(RDI, off));
	x86_jcc(x, CC_NE, differs);
	if (!s->text) {
		x86_load(x, 8, false, RAX, s->value);
		x86_alu_load(x, X_CMP, RAX, MEM(RDI, off + 8));
		x86_jcc(x, CC_NE, differs);
		if (!last)
			x86_alu_imm(x, X_ADD, RDI, 16);
		return;
	}
	if (!last)
		x86_alu_imm(x, X_ADD, RDI, 8);
	get_text(g, s, done);
	compare_words(g, s->text, last ? off + 8 : off, differs);
	if (!last) {
		struct x86_mem copied = s->first;

		copied.disp += (int32_t)offsetof(struct event_slot, copied);
		if (s->kept)
			x86_load(x, 8, false, RSI, SLOT(held_parts));
		x86_load(x, 2, false, RCX, copied);
		round_up(g);
		x86_alu(x, X_ADD, RDI, RCX);
	}
	x86_label(x, done);
}

/* Copies it to RDI, which goes on behind it. */
static void put_part(struct code *g, const struct source *s)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), done = x86_label_new(x);

	x86_load(x, 8, false, RAX, s->first);
	x86_store(x, 8, MEM(RDI, 0), RAX);
	if (!s->text) {
		x86_load(x, 8, false, RAX, s->value);
		x86_store(x, 8, MEM(RDI, 8), RAX);
		x86_alu_imm(x, X_ADD, RDI, 16);
		return;
	}
	x86_alu_imm(x, X_ADD, RDI, 8);
	get_text(g, s, done);
	x86_label(x, again);
	x86_load(x, 8, false, RAX, MEM(RSI, 0));
	x86_store(x, 8, MEM(RDI, 0), RAX);
	x86_alu_imm(x, X_ADD, RSI, 8);
	x86_alu_imm(x, X_ADD, RDI, 8);
	x86_alu_imm(x, X_SUB, RCX, 8);
	x86_jcc(x, CC_G, again);
	x86_label(x, done);
}

/* ---- what a call keeps ---- */

/* reg = where what belongs to the entry at RSI (saved.c) is kept. Clobbers RAX. */
static void kept_at(struct code *g, uint8_t reg)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;

	x86_imul_imm(x, reg, RSI, (int32_t)(l->kept_bytes / sizeof(struct patch_saved)));
	x86_imm(x, RAX, g->env->area + l->kept_off -
				(g->env->area + l->saved_off) * (l->kept_bytes / sizeof(struct patch_saved)));
	x86_alu(x, X_ADD, reg, RAX);
	x86_store(x, 8, MEM(RSI, offsetof(struct patch_saved, kept)), reg);
}

bool code_keeps_directly(const struct code *g)
{
	const struct patch_sums *sums = g->env->sums;

	return g->p->role == PROGRAM_ENTRY && sums && !code_writes_record(g) && sums->kept.n &&
	       sums->kept.n == g->p->nslots && !capture_has(g->p, IR_EMIT_STACK);
}

void code_kept_record(struct code *g)
{
	kept_at(g, REG_RECORD);
	x86_alu_imm(&g->x, X_SUB, REG_RECORD, sizeof(struct event_header));
}

int32_t code_kept_text(const struct code *g, uint16_t slot)
{
	return (int32_t)(sizeof(struct event_header) + g->env->sums->kept.part[part_of(g, slot)].text);
}

/* A text's slot at RDI, its bytes at off from there. Keeps RDI. */
static void keep_text(struct code *g, const struct source *s, int32_t off)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), done = x86_label_new(x);

	x86_imm(x, RDX, 0);
	hash_part(g, s);
	x86_store(x, 8, MEM(RDI, 8), RDX);
	get_text(g, s, done);
	x86_imm(x, RDX, 0);
	x86_label(x, again);
	x86_load(x, 8, false, RAX, MEMX(RSI, RDX, 0));
	x86_store(x, 8, MEMX(RDI, RDX, off), RAX);
	x86_alu_imm(x, X_ADD, RDX, 8);
	x86_alu(x, X_CMP, RDX, RCX);
	x86_jcc(x, CC_B, again);
	x86_label(x, done);
}

void code_keep_parts(struct code *g)
{
	const struct patch_sums *sums = g->env->sums;
	struct x86 *x = &g->x;

	if (!sums || !sums->kept.n)
		return;
	x86_store(x, 8, WORD(WORD_RSI), RSI);
	kept_at(g, RDI);
	for (uint32_t i = 0; i < sums->kept.n; i++) {
		const struct patch_kept *part = &sums->kept.part[i];
		const struct source s = own_slot(g, part->slot);
		const int32_t off = (int32_t)(i * sizeof(struct event_slot));

		x86_load(x, 8, false, RAX, s.first);
		x86_store(x, 8, MEM(RDI, off), RAX);
		if (part->bytes) {
			x86_alu_imm(x, X_ADD, RDI, off);
			keep_text(g, &s, (int32_t)part->text - off);
			x86_alu_imm(x, X_SUB, RDI, off);
		} else {
			x86_load(x, 8, false, RAX, s.value);
			x86_store(x, 8, MEM(RDI, off + 8), RAX);
		}
	}
	x86_load(x, 8, false, RSI, WORD(WORD_RSI));
}

bool code_holds_call(const struct code *g)
{
	return g->p->role == PROGRAM_RETURN && g->env->sums && g->env->sums->kept.n;
}

void code_hold_call(struct code *g)
{
	x86_store(&g->x, 8, SLOT(held), RSI);
	x86_load(&g->x, 8, false, RDX, MEM(RSI, offsetof(struct patch_saved, kept)));
	x86_store(&g->x, 8, SLOT(held_parts), RDX);
}

/* ---- the group ---- */

/*
 * RSI = the table in use. Clobbers RCX. Once for each search: the reader may turn it over at any moment, and what was
 * found in one table must not go on in the other.
 */
static void choose_table(struct code *g)
{
	struct x86 *x = &g->x;

	x86_imm(x, RCX, g->env->area + offsetof(struct patch_area, turn));
	x86_load(x, 4, false, RCX, MEM(RCX, 0));
	x86_load(x, 8, false, RSI, (struct x86_mem){.base = REG_SLOT, .index = RCX, .scale = 8,
						    .disp = offsetof(struct patch_slot, table)});
}

/* RSI = the table that the group at RDI lies in: the slot's second one comes behind its first. */
static void table_of_group(struct code *g)
{
	struct x86 *x = &g->x;
	int second = x86_label_new(x);

	x86_load(x, 8, false, RSI, SLOT_AT(table, 1));
	x86_alu(x, X_CMP, RDI, RSI);
	x86_jcc(x, CC_AE, second);
	x86_load(x, 8, false, RSI, SLOT_AT(table, 0));
	x86_label(x, second);
}

/* RDI = a group at the end of what is used, with its key, at RDX of the index. To full when it may not fit. */
static void new_group(struct code *g, const struct patch_form *f, int full)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;

	x86_alu_mem_imm(x, X_CMP, 8, TABLE(ngroups), (int32_t)l->max_groups);
	x86_jcc(x, CC_AE, full);
	x86_load(x, 8, false, RDI, TABLE(used));
	x86_lea(x, RCX, MEM(RDI, f->longest));
	x86_alu_load(x, X_CMP, RCX, TABLE(room));
	x86_jcc(x, CC_A, full);
	x86_lea(x, RDI, (struct x86_mem){.base = RSI, .index = RDI, .scale = 1, .disp = (int32_t)l->entries_off});
	x86_store(x, 8, WORD(WORD_GROUP), RDI);
	x86_store(x, 8, GROUP(hash), RAX);
	x86_alu_imm(x, X_ADD, RDI, (int32_t)f->key_off);
	for (size_t i = 0; i < f->a->nkeys; i++) {
		const struct source s = source_of(g, &f->a->keys[i]);

		put_part(g, &s);
	}
	x86_mov(x, RCX, RDI);
	x86_load(x, 8, false, RDI, WORD(WORD_GROUP));
	x86_alu(x, X_SUB, RCX, RDI);
	x86_store(x, 4, GROUP(size), RCX);
	x86_store_imm(x, 4, GROUP(form), (int32_t)f->number);
	x86_mov(x, RAX, RCX);
	table_of_group(g);
	x86_load(x, 8, false, RCX, TABLE(used));
	x86_alu(x, X_ADD, RCX, RAX);
	x86_mov(x, RAX, RDI);
	x86_alu(x, X_SUB, RAX, RSI);
	x86_shift(x, X_SHR, RAX, 3);
	x86_store(x, 4, INDEX, RAX);
	x86_store(x, 8, TABLE(used), RCX);
	x86_alu_mem_imm(x, X_ADD, 8, TABLE(ngroups), 1);
}

/* RAX = the checksum of the key, and the form above it; RDX = where the index is looked at first. */
static void hash_key(struct code *g, const struct patch_form *f)
{
	struct x86 *x = &g->x;

	x86_imm(x, RDX, f->number);
	for (size_t i = 0; i < f->a->nkeys; i++) {
		const struct source s = source_of(g, &f->a->keys[i]);

		hash_part(g, &s);
	}
	x86_mov(x, RAX, RDX);
	if (f->number) {
		x86_imm(x, RCX, (uint64_t)f->number << 32);
		x86_alu(x, X_OR, RAX, RCX);
	}
	x86_alu_imm(x, X_AND, RDX, (int32_t)(g->env->layout->nindex - 1));
}

/* RDI is a group of the same checksum and form. */
static void compare_key(struct code *g, const struct patch_form *f, int differs)
{
	for (size_t i = 0; i < f->a->nkeys; i++) {
		const struct source s = source_of(g, &f->a->keys[i]);

		compare_part(g, &s, (int32_t)f->key_off, i + 1 == f->a->nkeys, differs);
	}
}

/* RDI = the group of the key; to skip where there is no room for one, which is counted. */
static void find_group(struct code *g, const struct patch_form *f, int skip)
{
	struct x86 *x = &g->x;
	int probe = x86_label_new(x), next = x86_label_new(x), fresh = x86_label_new(x);
	int differs = x86_label_new(x), full = x86_label_new(x), found = x86_label_new(x);

	hash_key(g, f);
	choose_table(g);
	x86_store_imm(x, 8, WORD(WORD_TRIES), TRIES);
	x86_label(x, probe);
	x86_load(x, 4, false, RDI, INDEX);
	x86_test(x, RDI, RDI);
	x86_jcc(x, CC_E, fresh);
	x86_lea(x, RDI, (struct x86_mem){.base = RSI, .index = RDI, .scale = 8});
	x86_alu_load(x, X_CMP, RAX, GROUP(hash));
	x86_jcc(x, CC_NE, next);
	if (f->a->nkeys > 1)
		x86_store(x, 8, WORD(WORD_GROUP), RDI);
	compare_key(g, f, differs);
	if (f->a->nkeys > 1)
		x86_load(x, 8, false, RDI, WORD(WORD_GROUP));
	x86_jmp(x, found);
	x86_label(x, differs);
	if (f->a->nkeys > 1)
		x86_load(x, 8, false, RDI, WORD(WORD_GROUP));
	x86_load(x, 8, false, RAX, GROUP(hash));
	table_of_group(g);
	x86_label(x, next);
	x86_alu_imm(x, X_ADD, RDX, 1);
	x86_alu_imm(x, X_AND, RDX, (int32_t)(g->env->layout->nindex - 1));
	x86_alu_mem_imm(x, X_SUB, 8, WORD(WORD_TRIES), 1);
	x86_jcc(x, CC_NE, probe);
	x86_label(x, full);
	count_loss_beside(g, LOSS_GROUPS_FULL);
	x86_jmp(x, skip);
	x86_label(x, fresh);
	new_group(g, f, full);
	x86_label(x, found);
}

/* ---- its values ---- */

/* The value is in RAX here and stays there. */
static void add_sum(struct code *g, bool is_unsigned)
{
	struct x86 *x = &g->x;

	if (is_unsigned) {
		x86_imm(x, RCX, 0);
	} else {
		x86_mov(x, RCX, RAX);
		x86_shift(x, X_SAR, RCX, 63);
	}
	x86_alu_store(x, X_ADD, GROUP(sum), RAX);
	x86_alu_store(x, X_ADC, GROUP(sum_high), RCX);
}

/* RCX is how the value is compared (patch_extreme). */
static void grow(struct code *g, struct x86_mem at)
{
	struct x86 *x = &g->x;
	int keep = x86_label_new(x);

	x86_alu_load(x, X_CMP, RCX, at);
	x86_jcc(x, CC_BE, keep);
	x86_store(x, 8, at, RCX);
	x86_label(x, keep);
}

static void set_extremes(struct code *g, bool is_unsigned, bool is_min, bool is_max)
{
	struct x86 *x = &g->x;

	x86_imm(x, RCX, patch_extreme(0, is_unsigned, is_min));
	x86_alu(x, X_XOR, RCX, RAX);
	if (is_min)
		grow(g, GROUP(min));
	if (is_min && is_max)
		x86_alu_imm(x, X_XOR, RCX, -1);
	if (is_max)
		grow(g, GROUP(max));
}

/* RCX = the bucket. */
static void log2_bucket(struct code *g, bool is_unsigned)
{
	struct x86 *x = &g->x;
	int done = x86_label_new(x);

	x86_test(x, RAX, RAX);
	if (!is_unsigned) {
		x86_imm(x, RCX, 0);
		x86_jcc(x, CC_S, done);
	}
	if (__builtin_cpu_supports("lzcnt")) { /* BSR is slow on some processors */
		x86_lzcnt(x, RDX, RAX);
		x86_imm(x, RCX, 65);
		x86_alu(x, X_SUB, RCX, RDX);
	} else {
		x86_imm(x, RCX, 1);
		x86_jcc(x, CC_E, done);
		x86_bsr(x, RCX, RAX);
		x86_alu_imm(x, X_ADD, RCX, 2);
	}
	x86_label(x, done);
}

static void linear_bucket(struct code *g, const struct patch_form *f)
{
	struct x86 *x = &g->x;
	int done = x86_label_new(x);

	if (f->a->is_unsigned) {
		x86_imm(x, RCX, f->nbuckets - 1);
		x86_test(x, RAX, RAX);
		x86_jcc(x, CC_S, done);
	}
	x86_imm(x, RCX, 0);
	x86_imm(x, RDX, (uint64_t)f->a->low);
	x86_alu(x, X_CMP, RAX, RDX);
	x86_jcc(x, CC_L, done);
	x86_imm(x, RCX, f->nbuckets - 1);
	x86_imm(x, RDX, (uint64_t)f->a->high);
	x86_alu(x, X_CMP, RAX, RDX);
	x86_jcc(x, CC_GE, done);
	x86_imm(x, RDX, (uint64_t)f->a->low);
	x86_alu(x, X_SUB, RAX, RDX);
	x86_imm(x, RDX, 0);
	x86_imm(x, RCX, (uint64_t)f->a->step);
	x86_div(x, RCX);
	x86_lea(x, RCX, MEM(RAX, 1));
	x86_label(x, done);
}

/* What has no value counts nowhere, but as a loss where memory is the reason. */
static void check_value(struct code *g, const struct patch_form *f, int skip)
{
	static const enum slot_status unread[] = {SLOT_UNREADABLE, SLOT_NOT_RESIDENT, SLOT_MAP_BUSY};
	const struct source s = source_of(g, &f->a->value);
	struct x86 *x = &g->x;
	int ok = x86_label_new(x), lost = x86_label_new(x);

	x86_alu_mem_imm(x, X_CMP, 1, s.first, SLOT_OK);
	x86_jcc(x, CC_E, ok);
	for (size_t i = 0; i < ARRAY_SIZE(unread); i++) {
		x86_alu_mem_imm(x, X_CMP, 1, s.first, (int32_t)unread[i]);
		x86_jcc(x, CC_E, lost);
	}
	x86_jmp(x, skip);
	x86_label(x, lost);
	count_loss_beside(g, LOSS_AGGREGATE_UNREADABLE);
	x86_jmp(x, skip);
	x86_label(x, ok);
}

/* RAX = the value. */
static void get_value(struct code *g, const struct patch_form *f)
{
	const struct source s = source_of(g, &f->a->value);

	x86_load(&g->x, 8, false, RAX, s.value);
}

static void update(struct code *g, const struct patch_form *f)
{
	bool is_unsigned = f->a->is_unsigned;
	struct x86 *x = &g->x;
	int skip = x86_label_new(x);

	if (f->a->kind != AGG_COUNT)
		check_value(g, f, skip);
	if (f->a->nkeys) {
		find_group(g, f, skip);
	} else {
		choose_table(g);
		x86_lea(x, RDI, MEM(RSI, g->env->layout->entries_off + f->fixed));
	}
	if (f->a->kind != AGG_COUNT)
		get_value(g, f);
	if (f->a->kind == AGG_HIST)
		log2_bucket(g, is_unsigned);
	else if (f->nbuckets)
		linear_bucket(g, f);
	if (f->nbuckets) /* first: what comes next waits longest for it */
		x86_alu_mem_imm(x, X_ADD, 8, BUCKET, 1);
	if (f->a->kind == AGG_LINEAR)
		get_value(g, f); /* RAX again, and RDI stays */
	x86_alu_mem_imm(x, X_ADD, 8, GROUP(count), 1);
	if (f->a->kind != AGG_COUNT)
		add_sum(g, is_unsigned);
	if (f->a->kind == AGG_MIN || f->a->kind == AGG_MAX || f->nbuckets)
		set_extremes(g, is_unsigned, f->a->kind != AGG_MAX, f->a->kind != AGG_MIN);
	x86_label(x, skip);
}

void code_sums(struct code *g)
{
	const struct patch_sums *sums = g->env->sums;

	if (!sums || !sums->forms)
		return;
	for (size_t i = 0; i < g->p->naggregates; i++)
		update(g, &sums->forms[i]);
	g->impatient = x86_label_new(&g->x);
	g->patient = x86_label_new(&g->x);
	x86_alu_mem_imm(&g->x, X_SUB, 4, SLOT(patience), 1);
	x86_jcc(&g->x, CC_E, g->impatient);
	x86_label(&g->x, g->patient);
	code_forget(g);
}

/* ---- what the control lets through ---- */

/* RDX = the probe's counters. */
static void get_counts(struct code *g)
{
	x86_imm(&g->x, RDX, g->env->area + g->env->layout->counts_off + g->env->counts * sizeof(struct patch_counts));
}

static void let_every(struct code *g, uint64_t every)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x);

	get_counts(g);
	x86_load(x, 8, false, RAX, MEM(RDX, offsetof(struct patch_counts, passed)));
	x86_label(x, again);
	x86_lea(x, RCX, MEM(RAX, 1));
	x86_lock_cmpxchg(x, MEM(RDX, offsetof(struct patch_counts, passed)), RCX);
	x86_jcc(x, CC_NE, again);
	x86_imm(x, RDX, 0);
	x86_imm(x, RCX, every);
	x86_div(x, RCX);
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_NE, code_drop(g, LOSS_EVERY));
}

/* The second and how many passed in it are one word, so no event is let through twice. */
static void let_rate(struct code *g, uint64_t per_second)
{
	const struct x86_mem window = MEM(RDX, offsetof(struct patch_counts, window));
	struct x86 *x = &g->x;
	int again = x86_label_new(x), same = x86_label_new(x), take = x86_label_new(x);

	x86_rdtsc(x);
	x86_shift(x, X_SHL, RDX, 32);
	x86_alu(x, X_OR, RAX, RDX);
	x86_imm(x, RDX, g->env->tsc_mult);
	x86_mul(x, RDX);
	x86_shift(x, X_SHR, RAX, 32);
	x86_shift(x, X_SHL, RDX, 32);
	x86_alu(x, X_OR, RAX, RDX);
	x86_imm(x, RDX, 0);
	x86_imm(x, RCX, 1000000000);
	x86_div(x, RCX);
	x86_shift(x, X_SHL, RAX, 32);
	x86_mov(x, RSI, RAX);
	get_counts(g);
	x86_load(x, 8, false, RAX, window);
	x86_label(x, again);
	x86_mov(x, RCX, RAX);
	x86_mov(x, RDI, RAX);
	x86_shift(x, X_SHR, RDI, 32);
	x86_shift(x, X_SHL, RDI, 32);
	x86_alu(x, X_CMP, RDI, RSI);
	x86_jcc(x, CC_E, same);
	x86_mov(x, RCX, RSI);
	x86_jmp(x, take);
	x86_label(x, same);
	x86_mov(x, RDI, RCX);
	x86_alu(x, X_SUB, RDI, RSI);
	x86_alu_imm(x, X_CMP, RDI, (int32_t)MIN(per_second, INT32_MAX));
	x86_jcc(x, CC_AE, code_drop(g, LOSS_RATE_LIMITED));
	x86_label(x, take);
	x86_alu_imm(x, X_ADD, RCX, 1);
	x86_lock_cmpxchg(x, window, RCX);
	x86_jcc(x, CC_NE, again);
}

void code_admit(struct code *g)
{
	const struct plant_control *c = g->env->sums ? &g->env->sums->control : NULL;

	if (!c || !g->p->controlled || (g->p->role != PROGRAM_POINT && g->p->role != PROGRAM_ENTRY))
		return;
	if (c->every > 1)
		let_every(g, c->every);
	if (c->per_second)
		let_rate(g, c->per_second);
	code_forget(g);
}
