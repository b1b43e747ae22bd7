/*
 * Looking up a constant string in a Go map, from BPF. The hash is seeded and uses AES, so it cannot be
 * had here; instead all groups or buckets are searched, up to a bound that the verifier can walk
 * (SWISS_GROUPS, OLD_BUCKETS). A map that is larger says so (SLOT_MAP_BUSY) unless the key is found
 * within the bound: an answer is never wrong. A group or bucket is read as a whole, one call each, and
 * keys' bytes only where the length agrees.
 *
 * Swiss maps (Go 1.24 and later, internal/runtime/maps): the header points to one group, or
 * (dirLen > 0) to a directory of tables, each an array of lengthMask + 1 groups. A group is a word of 8
 * control bytes and 8 slots; a control byte with the top bit clear is a full slot. A directory of more
 * than one table means tables of 128 groups, beyond the bound: only the first is looked at.
 *
 * Old maps (runtime.hmap): 2^B buckets of 8 tophash bytes, 8 keys, 8 elements and an overflow pointer.
 * While it grows, what is not yet moved lies in oldbuckets, half as many (or as many, flag
 * sameSizeGrow). A tophash of minTopHash (5) and more is a full slot; moved ones are 2 to 4, so the
 * old buckets can be searched alike. Constants: runtime/map.go, map_noswiss.go.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>
#include <string.h>

#define SWISS_GROUPS 16
#define OLD_BUCKETS 32
#define OLD_MIN_TOPHASH 5
#define OLD_SAME_SIZE_GROW 8

/* Bookkeeping words. */
enum { CURRENT = BK_A, LEFT = BK_B, MORE = BK_C, UNREAD = BK_D,  /* both kinds */
       BASE = BK_E, OLD = BK_F, OLD_LEFT = BK_G };               /* old maps */

struct lookup {
	struct gen *g;
	const struct ir_insn *insn;
	const struct map_layout *m;
	size_t len;                 /* of the key */
	int found;                  /* R1 = the element's address */
	int no_key, unreadable;
	uint32_t block;             /* bytes of a group or bucket */
	uint32_t slots;             /* where slots (swiss) or keys (old) begin in it */
	uint32_t key_stride, key_off;
	uint32_t elem_stride, elem_off; /* from the block's start */
};

/* Reads the words at offsets offs[n] behind R3, which lie near each other; field i is then at STACK_BUF + offs[i] - *ret_low. */
static int read_fields(struct lookup *l, const uint32_t *offs, size_t n, uint32_t *ret_low)
{
	uint32_t low = UINT32_MAX, high = 0;

	for (size_t i = 0; i < n; i++) {
		low = MIN(low, offs[i] & ~7u);
		high = MAX(high, (offs[i] & ~7u) + 8);
	}
	if (high - low > STACK_BUF_SIZE)
		return err_set(l->g->err, -EOPNOTSUPP,
			       "the map's header fields lie %u bytes apart (at most %d expected)",
			       high - low, STACK_BUF_SIZE);
	if (low)
		emit_alu_imm(l->g->e, BPF_ADD, R3, (int32_t)low);
	gen_read_stack(l->g, STACK_BUF, high - low, l->unreadable);
	*ret_low = low;
	return 0;
}

static void field(struct lookup *l, unsigned size, uint8_t dst, uint32_t off, uint32_t low)
{
	emit_load(l->g->e, size, dst, FP, STACK_BUF + (int)(off - low));
}

static void set(struct lookup *l, int word, uint8_t src)
{
	emit_store(l->g->e, 8, FP, word, src);
}

static void get(struct lookup *l, uint8_t dst, int word)
{
	emit_load(l->g->e, 8, dst, FP, word);
}

/* R2 = number of the slot in R8 × stride + off. */
static void slot_offset(struct lookup *l, uint32_t stride, uint32_t off)
{
	emit_alu(l->g->e, BPF_MOV, R2, R8);
	emit_alu_imm(l->g->e, BPF_MUL, R2, (int32_t)stride);
	if (off)
		emit_alu_imm(l->g->e, BPF_ADD, R2, (int32_t)off);
}

/* R1 = address in the work area of what R2 is the offset of. */
static void work_address(struct lookup *l)
{
	emit_alu(l->g->e, BPF_MOV, R1, REG_RECORD);
	emit_alu(l->g->e, BPF_ADD, R1, R2);
}

static void check_full(struct lookup *l, int next)
{
	struct emit *e = l->g->e;

	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu(e, BPF_ADD, R1, R8);
	emit_load(e, 1, R1, R1, SCRATCH_WORK_OFF);
	if (l->m->swiss)
		emit_jump_if_imm(e, BPF_JSET, R1, 0x80, next);
	else
		emit_jump_if_imm(e, BPF_JLT, R1, OLD_MIN_TOPHASH, next);
}

/* Key bytes that are not resident may be the key's or not: noted, in case that nothing else matches. */
static void check_key(struct lookup *l, int next)
{
	struct emit *e = l->g->e;
	int unread = emit_label_new(e), compare = emit_label_new(e);

	slot_offset(l, l->key_stride, l->slots + l->key_off);
	work_address(l);
	emit_load(e, 8, R2, R1, SCRATCH_WORK_OFF + 8);
	emit_jump_if_imm(e, BPF_JNE, R2, (int32_t)l->len, next);
	if (!l->len)
		return;
	emit_load(e, 8, R3, R1, SCRATCH_WORK_OFF);
	gen_read_stack(l->g, STACK_BUF, (unsigned)l->len, unread);
	emit_jump(e, compare);
	emit_label(e, unread);
	emit_store_imm(e, 8, FP, UNREAD, 1);
	emit_jump(e, next);
	emit_label(e, compare);
	gen_compare(l->g, FP, STACK_BUF, l->insn->str, l->len, next);
}

/* R1 = the element's address in the program; an indirect one is a pointer that we have read already. */
static void take_element(struct lookup *l)
{
	struct emit *e = l->g->e;

	slot_offset(l, l->elem_stride, l->elem_off);
	if (l->m->elem_indirect) {
		work_address(l);
		emit_load(e, 8, R1, R1, SCRATCH_WORK_OFF);
	} else {
		get(l, R1, CURRENT);
		emit_alu(e, BPF_ADD, R1, R2);
	}
	emit_jump(e, l->found);
}

/* Reads the block at CURRENT and searches its slots; falls out where none matches. */
static void search_block(struct lookup *l)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), next = emit_label_new(e);

	emit_alu_imm(e, BPF_MOV, R2, (int32_t)l->block);
	get(l, R3, CURRENT);
	gen_read_work(l->g, l->unreadable);
	emit_alu_imm(e, BPF_MOV, R8, 0);
	emit_label(e, again);
	check_full(l, next);
	check_key(l, next);
	take_element(l);
	emit_label(e, next);
	emit_alu_imm(e, BPF_ADD, R8, 1);
	emit_jump_if_imm(e, BPF_JLT, R8, (int32_t)l->m->slots, again);
}

/* Everything was searched, unless MORE or UNREAD says otherwise. */
static void exhausted(struct lookup *l)
{
	struct emit *e = l->g->e;

	get(l, R1, UNREAD);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, l->unreadable);
	get(l, R1, MORE);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, l->no_key);
	emit_jump(e, gen_fail(l->g, SLOT_MAP_BUSY));
}

static int swiss_header(struct lookup *l)
{
	const struct map_layout *m = l->m;
	const uint32_t head[] = {m->count_off, m->dir_ptr_off, m->dir_len_off};
	const uint32_t table[] = {m->table_groups_off, m->table_mask_off};
	struct emit *e = l->g->e;
	int begin = emit_label_new(e);
	uint32_t low;
	int r = read_fields(l, head, ARRAY_SIZE(head), &low);

	if (r < 0)
		return r;
	field(l, 8, R1, m->count_off, low);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, l->no_key);
	field(l, 8, R3, m->dir_ptr_off, low);
	set(l, CURRENT, R3);
	emit_store_imm(e, 8, FP, LEFT, 1);
	emit_store_imm(e, 8, FP, MORE, 0);
	field(l, 8, R1, m->dir_len_off, low);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, begin);
	emit_alu_imm(e, BPF_SUB, R1, 1);
	set(l, MORE, R1);
	gen_read_stack(l->g, STACK_BUF, 8, l->unreadable); /* the first table's address */
	emit_load(e, 8, R3, FP, STACK_BUF);
	r = read_fields(l, table, ARRAY_SIZE(table), &low);
	field(l, 8, R1, m->table_groups_off, low);
	set(l, CURRENT, R1);
	field(l, 8, R1, m->table_mask_off, low);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	set(l, LEFT, R1);
	emit_label(e, begin);
	return r;
}

static int swiss_lookup(struct lookup *l)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), end = emit_label_new(e);
	int r = swiss_header(l);

	if (r < 0)
		return r;
	emit_alu_imm(e, BPF_MOV, R9, 0);
	emit_label(e, again);
	search_block(l);
	get(l, R1, LEFT);
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	set(l, LEFT, R1);
	get(l, R1, CURRENT);
	emit_alu_imm(e, BPF_ADD, R1, (int32_t)l->block);
	set(l, CURRENT, R1);
	emit_alu_imm(e, BPF_ADD, R9, 1);
	emit_jump_if_imm(e, BPF_JLT, R9, SWISS_GROUPS, again);
	emit_store_imm(e, 8, FP, MORE, 1);
	emit_label(e, end);
	exhausted(l);
	return 0;
}

/* BASE, CURRENT, LEFT: the buckets; OLD and OLD_LEFT: those before the growth, OLD 0 when there are none. */
static int old_header(struct lookup *l)
{
	const struct map_layout *m = l->m;
	const uint32_t head[] = {m->count_off, m->b_off, m->flags_off, m->buckets_off, m->oldbuckets_off};
	struct emit *e = l->g->e;
	int same = emit_label_new(e);
	uint32_t low;
	int r = read_fields(l, head, ARRAY_SIZE(head), &low);

	if (r < 0)
		return r;
	field(l, 8, R1, m->count_off, low);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, l->no_key);
	field(l, 8, R1, m->buckets_off, low);
	set(l, BASE, R1);
	set(l, CURRENT, R1);
	field(l, 8, R1, m->oldbuckets_off, low);
	set(l, OLD, R1);
	field(l, 1, R2, m->b_off, low);
	emit_alu_imm(e, BPF_AND, R2, 63);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_alu(e, BPF_LSH, R1, R2);
	set(l, LEFT, R1);
	field(l, 1, R2, m->flags_off, low);
	emit_jump_if_imm(e, BPF_JSET, R2, OLD_SAME_SIZE_GROW, same);
	emit_alu_imm(e, BPF_RSH, R1, 1);
	emit_label(e, same);
	set(l, OLD_LEFT, R1);
	emit_store_imm(e, 8, FP, MORE, 0);
	return 0;
}

/* CURRENT = the next bucket: overflow, neighbour, or the first old one; to end when there is none. */
static void old_next(struct lookup *l, int step, int end)
{
	struct emit *e = l->g->e;
	int neighbour = emit_label_new(e), old = emit_label_new(e);

	emit_load(e, 8, R1, REG_RECORD, SCRATCH_WORK_OFF + (int)l->m->overflow_off);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, neighbour);
	set(l, CURRENT, R1);
	emit_jump(e, step);
	emit_label(e, neighbour);
	get(l, R1, LEFT);
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, old);
	set(l, LEFT, R1);
	get(l, R1, BASE);
	emit_alu_imm(e, BPF_ADD, R1, (int32_t)l->block);
	set(l, BASE, R1);
	set(l, CURRENT, R1);
	emit_jump(e, step);
	emit_label(e, old);
	get(l, R1, OLD);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	set(l, BASE, R1);
	set(l, CURRENT, R1);
	get(l, R1, OLD_LEFT);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	set(l, LEFT, R1);
	emit_store_imm(e, 8, FP, OLD, 0);
}

static int old_lookup(struct lookup *l)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), step = emit_label_new(e), end = emit_label_new(e);
	int r = old_header(l);

	if (r < 0)
		return r;
	emit_alu_imm(e, BPF_MOV, R9, 0);
	emit_label(e, again);
	search_block(l);
	old_next(l, step, end);
	emit_label(e, step);
	emit_alu_imm(e, BPF_ADD, R9, 1);
	emit_jump_if_imm(e, BPF_JLT, R9, OLD_BUCKETS, again);
	emit_store_imm(e, 8, FP, MORE, 1);
	emit_label(e, end);
	exhausted(l);
	return 0;
}

static void set_strides(struct lookup *l)
{
	const struct map_layout *m = l->m;

	if (m->swiss) {
		l->block = m->group_size;
		l->slots = m->group_slots_off;
		l->key_stride = l->elem_stride = m->slot_size;
		l->key_off = m->key_off;
		l->elem_off = m->group_slots_off + m->elem_off;
	} else {
		l->block = m->bucket_size;
		l->key_stride = m->key_size;
		l->key_off = m->key_off;
		l->elem_stride = m->elem_indirect ? 8 : m->elem_size;
		l->elem_off = m->elem_off;
	}
}

static bool within(const struct lookup *l, uint32_t off, uint32_t stride, uint32_t size)
{
	return off <= l->block && (uint64_t)off + (uint64_t)stride * (l->m->slots - 1) + size <= l->block;
}

static int check_layout(const struct lookup *l)
{
	const struct map_layout *m = l->m;

	if (m->key_size != 16 || m->key_indirect)
		return err_set(l->g->err, -EOPNOTSUPP,
			       "the map's keys are not strings of 16 bytes in place (they have %u)",
			       m->key_size);
	if (l->len > IR_MAX_STR)
		return err_set(l->g->err, -EOPNOTSUPP, "a map key of %zu bytes (at most %d)", l->len,
			       IR_MAX_STR);
	if (l->block > SCRATCH_WORK_SIZE || m->slots < 1 || m->slots > 8 ||
	    l->key_stride > l->block || l->elem_stride > l->block ||
	    !within(l, l->slots + l->key_off, l->key_stride, 16) ||
	    (m->elem_indirect && !within(l, l->elem_off, l->elem_stride, 8)) ||
	    (!m->swiss && (m->overflow_off & 7 || m->overflow_off + 8 > l->block)))
		return err_set(l->g->err, -EOPNOTSUPP,
			       "the map's layout is not one that can be searched (%u slots in %u bytes)",
			       m->slots, l->block);
	return 0;
}

int gen_map_str(struct gen *g, const struct ir_insn *i)
{
	struct lookup l = {.g = g, .insn = i, .m = i->map, .len = (size_t)i->imm};
	int r;

	set_strides(&l);
	r = check_layout(&l);
	if (r < 0)
		return r;
	l.found = emit_label_new(g->e);
	l.no_key = gen_fail(g, SLOT_NO_KEY);
	l.unreadable = gen_fail(g, SLOT_UNREADABLE);
	gen_get(g, R3, i->a);
	emit_jump_if_imm(g->e, BPF_JEQ, R3, 0, gen_fail(g, SLOT_NIL));
	emit_store_imm(g->e, 8, FP, UNREAD, 0);
	r = i->map->swiss ? swiss_lookup(&l) : old_lookup(&l);
	if (r < 0)
		return r;
	emit_label(g->e, l.found);
	gen_put(g, i->dst, R1);
	return 1;
}
