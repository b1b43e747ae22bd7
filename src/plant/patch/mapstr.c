/*
 * Looking up a key in a Go map: what plant/uprobe/mapstr.c does, so that both planters give the
 * same answers. The hash is seeded and uses AES; so groups or buckets are searched in order, up
 * to a bound. A map that is larger says so (SLOT_MAP_BUSY) unless the key is found within it: an answer is never
 * wrong. The layouts of both kinds of maps are explained there.
 *
 * Other goroutines may change the map meanwhile, as Go's own readers must not allow: what is read may then be of
 * two moments. Every loop is bounded, and every address may fault.
 */
#include "plant/patch/gen.h"

#include <errno.h>

#define BLOCK_MAX (64 << 10)

/* Words of the slot. RSI is the current block, RCX the place in it. */
enum { LEFT, MORE, UNREAD, BOUND, BASE, OLD, OLD_LEFT, REST };

struct lookup {
	struct code *g;
	struct x86 *x;
	const struct ir_insn *insn;
	const struct map_layout *m;
	const struct ir_key *key;   /* in registers; NULL: the constant text of the instruction */
	int no_key, unreadable, found;
	struct map_block block;
};

static void set(struct lookup *l, unsigned word, uint8_t src)
{
	x86_store(l->x, 8, SLOT_AT(words, word), src);
}

static void set_imm(struct lookup *l, unsigned word, int32_t imm)
{
	x86_store_imm(l->x, 8, SLOT_AT(words, word), imm);
}

static void get(struct lookup *l, uint8_t dst, unsigned word)
{
	x86_load(l->x, 8, false, dst, SLOT_AT(words, word));
}

static void fault(struct lookup *l, int label)
{
	x86_lea_label(l->x, RDX, label);
	x86_store(l->x, 8, SLOT(fault), RDX);
}

/* To no when the bytes at RDI, as many as the register behind reg says, are not those at reg. RAX, RDX; RDI moves. */
static void match_variable(struct lookup *l, uint16_t reg, int no)
{
	int again = x86_label_new(l->x), equal = x86_label_new(l->x);

	x86_load(l->x, 8, false, RAX, SLOT_AT(regs, reg + 1));
	x86_alu_imm(l->x, X_CMP, RAX, IR_MAX_STR);
	x86_jcc(l->x, CC_A, code_fail(l->g, SLOT_MAP_BUSY));
	set(l, REST, RAX);
	x86_test(l->x, RAX, RAX);
	x86_jcc(l->x, CC_E, equal);
	x86_load(l->x, 8, false, RDX, SLOT_AT(regs, reg));
	x86_alu(l->x, X_ADD, RDX, RAX); /* the last bytes are read, too: what cannot be is noticed */
	x86_load(l->x, 1, false, RDX, MEM(RDX, -1));
	x86_load(l->x, 1, false, RDX, MEMX(RDI, RAX, -1));
	x86_load(l->x, 8, false, RDX, SLOT_AT(regs, reg));
	x86_label(l->x, again);
	x86_alu_mem_imm(l->x, X_CMP, 8, SLOT_AT(words, REST), 0);
	x86_jcc(l->x, CC_E, equal);
	x86_load(l->x, 1, false, RAX, MEM(RDI, 0));
	x86_store(l->x, 8, SLOT(work), RAX);
	x86_load(l->x, 1, false, RAX, MEM(RDX, 0));
	x86_alu_load(l->x, X_CMP, RAX, SLOT(work));
	x86_jcc(l->x, CC_NE, no);
	x86_alu_imm(l->x, X_ADD, RDI, 1);
	x86_alu_imm(l->x, X_ADD, RDX, 1);
	x86_alu_mem_imm(l->x, X_SUB, 8, SLOT_AT(words, REST), 1);
	x86_jmp(l->x, again);
	x86_label(l->x, equal);
}

/*
 * To no when the text at RDI is not ours: the one that begins with register reg, or the instruction's. One that cannot
 * be read is noted, and taken for another. RAX, RDX; RDI moves.
 */
static void match_text(struct lookup *l, uint16_t reg, int no)
{
	int unread = x86_label_new(l->x), differs = x86_label_new(l->x), equal = x86_label_new(l->x);

	fault(l, unread);
	if (l->key)
		match_variable(l, reg, differs);
	else
		code_match(l->g, RDI, RDX, l->insn, differs);
	fault(l, l->unreadable);
	x86_jmp(l->x, equal);
	x86_label(l->x, unread);
	set_imm(l, UNREAD, 1);
	x86_label(l->x, differs);
	fault(l, l->unreadable);
	x86_jmp(l->x, no);
	x86_label(l->x, equal);
}

/* To no when the key at RDI is not that in registers. The words are compared first. RAX, RDX; RDI moves. */
static void match_parts(struct lookup *l, int no)
{
	uint16_t reg = l->insn->b, text_reg = 0;
	int text = -1;

	for (size_t k = 0; k < l->key->n; k++) {
		const struct ir_key_part *p = &l->key->parts[k];

		x86_load(l->x, p->size ? p->size : 8, false, RAX, MEM(RDI, p->offset + (p->size ? 0 : 8)));
		x86_alu_load(l->x, X_CMP, RAX, SLOT_AT(regs, reg + (p->size ? 0 : 1)));
		x86_jcc(l->x, CC_NE, no);
		if (!p->size) {
			text = (int)k;
			text_reg = reg;
		}
		reg = (uint16_t)(reg + (p->size ? 1 : 2));
	}
	if (text < 0)
		return;
	x86_load(l->x, 8, false, RDI, MEM(RDI, l->key->parts[text].offset));
	match_text(l, text_reg, no);
}

/* RCX is a full place of the block at RSI: to no when its key is not ours. Keys that cannot be read are noted. */
static void match_key(struct lookup *l, int no)
{
	x86_imul_imm(l->x, RAX, RCX, (int32_t)l->m->key_stride);
	x86_alu_imm(l->x, X_ADD, RAX, (int32_t)l->block.key_off);
	x86_lea(l->x, RDI, MEMX(RSI, RAX, 0));
	if (l->key) {
		match_parts(l, no);
		return;
	}
	x86_alu_mem_imm(l->x, X_CMP, 8, MEM(RDI, 8), (int32_t)l->insn->imm);
	x86_jcc(l->x, CC_NE, no);
	if (!l->insn->imm)
		return;
	x86_load(l->x, 8, false, RDI, MEM(RDI, 0));
	match_text(l, IR_NO_REG, no);
}

/* Searches the block at RSI, to found with the element's address in RAX. */
static void search_block(struct lookup *l)
{
	int again = x86_label_new(l->x), next = x86_label_new(l->x);

	x86_imm(l->x, RCX, 0);
	x86_label(l->x, again);
	if (l->m->swiss) {
		x86_test_mem8(l->x, MEMX(RSI, RCX, 0), 0x80);
		x86_jcc(l->x, CC_NE, next);
	} else {
		x86_alu_mem_imm(l->x, X_CMP, 1, MEMX(RSI, RCX, 0), MAP_TOPHASH_USED);
		x86_jcc(l->x, CC_B, next);
	}
	match_key(l, next);
	x86_imul_imm(l->x, RAX, RCX, (int32_t)l->m->elem_stride);
	x86_alu_imm(l->x, X_ADD, RAX, (int32_t)l->block.elem_off);
	x86_alu(l->x, X_ADD, RAX, RSI);
	if (l->m->elem_indirect)
		x86_load(l->x, 8, false, RAX, MEM(RAX, 0));
	x86_jmp(l->x, l->found);
	x86_label(l->x, next);
	x86_alu_imm(l->x, X_ADD, RCX, 1);
	x86_alu_imm(l->x, X_CMP, RCX, l->m->slots);
	x86_jcc(l->x, CC_B, again);
}

/* Everything was searched, unless MORE or UNREAD says otherwise. */
static void exhausted(struct lookup *l)
{
	x86_alu_mem_imm(l->x, X_CMP, 8, SLOT_AT(words, UNREAD), 0);
	x86_jcc(l->x, CC_NE, l->unreadable);
	x86_alu_mem_imm(l->x, X_CMP, 8, SLOT_AT(words, MORE), 0);
	x86_jcc(l->x, CC_E, l->no_key);
	x86_jmp(l->x, code_fail(l->g, SLOT_MAP_BUSY));
}

/* RAX is the map. RSI = the first group, LEFT how many there are. */
static void swiss_header(struct lookup *l)
{
	const struct map_layout *m = l->m;
	int begin = x86_label_new(l->x);

	x86_alu_mem_imm(l->x, X_CMP, 8, MEM(RAX, m->count_off), 0);
	x86_jcc(l->x, CC_E, l->no_key);
	x86_load(l->x, 8, false, RSI, MEM(RAX, m->dir_ptr_off));
	x86_imm(l->x, RDI, 1);
	set_imm(l, MORE, 0);
	x86_load(l->x, 8, false, RCX, MEM(RAX, m->dir_len_off));
	x86_test(l->x, RCX, RCX);
	x86_jcc(l->x, CC_E, begin);
	x86_alu_imm(l->x, X_SUB, RCX, 1);
	set(l, MORE, RCX);
	x86_load(l->x, 8, false, RCX, MEM(RSI, 0)); /* the first table */
	x86_load(l->x, 8, false, RDI, MEM(RCX, m->table_mask_off));
	x86_alu_imm(l->x, X_ADD, RDI, 1);
	x86_load(l->x, 8, false, RSI, MEM(RCX, m->table_groups_off));
	x86_label(l->x, begin);
	set(l, LEFT, RDI);
}

static void swiss_search(struct lookup *l, int done)
{
	int again = x86_label_new(l->x);

	swiss_header(l);
	set_imm(l, BOUND, IR_MAP_GROUPS);
	x86_label(l->x, again);
	search_block(l);
	x86_alu_mem_imm(l->x, X_SUB, 8, SLOT_AT(words, LEFT), 1);
	x86_jcc(l->x, CC_E, done);
	x86_alu_imm(l->x, X_ADD, RSI, (int32_t)l->block.size);
	x86_alu_mem_imm(l->x, X_SUB, 8, SLOT_AT(words, BOUND), 1);
	x86_jcc(l->x, CC_NE, again);
	set_imm(l, MORE, 1);
}

/* RAX is the map. RSI = BASE = the first bucket, LEFT; OLD, OLD_LEFT: those before the growth (OLD 0: none). */
static void old_header(struct lookup *l)
{
	const struct map_layout *m = l->m;
	int same = x86_label_new(l->x);

	x86_alu_mem_imm(l->x, X_CMP, 8, MEM(RAX, m->count_off), 0);
	x86_jcc(l->x, CC_E, l->no_key);
	x86_load(l->x, 8, false, RSI, MEM(RAX, m->buckets_off));
	set(l, BASE, RSI);
	x86_load(l->x, 8, false, RCX, MEM(RAX, m->oldbuckets_off));
	set(l, OLD, RCX);
	x86_load(l->x, 1, false, RCX, MEM(RAX, m->b_off));
	x86_imm(l->x, RDI, 1);
	x86_shift_cl(l->x, X_SHL, RDI);
	set(l, LEFT, RDI);
	x86_test_mem8(l->x, MEM(RAX, m->flags_off), MAP_SAME_SIZE_GROW);
	x86_jcc(l->x, CC_NE, same);
	x86_shift(l->x, X_SHR, RDI, 1);
	x86_label(l->x, same);
	set(l, OLD_LEFT, RDI);
	set_imm(l, MORE, 0);
}

/* RSI = the next bucket: overflow, neighbour, or the first old one; to end when there is none. */
static void old_next(struct lookup *l, int step, int end)
{
	int neighbour = x86_label_new(l->x), old = x86_label_new(l->x);

	x86_load(l->x, 8, false, RAX, MEM(RSI, l->m->overflow_off));
	x86_test(l->x, RAX, RAX);
	x86_jcc(l->x, CC_E, neighbour);
	x86_mov(l->x, RSI, RAX);
	x86_jmp(l->x, step);
	x86_label(l->x, neighbour);
	x86_alu_mem_imm(l->x, X_SUB, 8, SLOT_AT(words, LEFT), 1);
	x86_jcc(l->x, CC_E, old);
	get(l, RSI, BASE);
	x86_alu_imm(l->x, X_ADD, RSI, (int32_t)l->block.size);
	set(l, BASE, RSI);
	x86_jmp(l->x, step);
	x86_label(l->x, old);
	get(l, RSI, OLD);
	x86_test(l->x, RSI, RSI);
	x86_jcc(l->x, CC_E, end);
	get(l, RAX, OLD_LEFT);
	x86_test(l->x, RAX, RAX);
	x86_jcc(l->x, CC_E, end);
	set(l, BASE, RSI);
	set(l, LEFT, RAX);
	set_imm(l, OLD, 0);
}

static void old_search(struct lookup *l, int done)
{
	int again = x86_label_new(l->x), step = x86_label_new(l->x);

	old_header(l);
	set_imm(l, BOUND, IR_MAP_BUCKETS);
	x86_label(l->x, again);
	search_block(l);
	old_next(l, step, done);
	x86_label(l->x, step);
	x86_alu_mem_imm(l->x, X_SUB, 8, SLOT_AT(words, BOUND), 1);
	x86_jcc(l->x, CC_NE, again);
	set_imm(l, MORE, 1);
}

int code_map(struct code *g, const struct ir_insn *i)
{
	struct lookup l = {.g = g, .x = &g->x, .insn = i, .m = i->map, .key = i->op == IR_MAP_KEY ? i->key : NULL};
	int done, none, end, r;
	bool asks;

	r = map_layout_block(l.m, l.key ? 0 : 16, BLOCK_MAX, &l.block, g->err);
	if (r < 0)
		return r;
	l.found = x86_label_new(l.x);
	done = x86_label_new(l.x);
	asks = i->op == IR_ANY_KEY;
	none = x86_label_new(l.x);
	l.no_key = asks ? none : code_fail(g, SLOT_NO_KEY);
	l.unreadable = code_fail(g, SLOT_UNREADABLE);
	code_fault(g, l.unreadable);
	code_get(g, RAX, i->a);
	code_forget(g);
	x86_test(l.x, RAX, RAX);
	x86_jcc(l.x, CC_E, asks ? none : code_fail(g, SLOT_NIL));
	set_imm(&l, UNREAD, 0);
	if (i->map->swiss)
		swiss_search(&l, done);
	else
		old_search(&l, done);
	x86_label(l.x, done);
	exhausted(&l);
	code_join(g, l.found);
	if (asks) {
		end = x86_label_new(l.x);
		x86_imm(l.x, RAX, 1);
		x86_jmp(l.x, end);
		x86_label(l.x, none);
		x86_imm(l.x, RAX, 0);
		code_join(g, end);
	}
	code_put(g, i->dst);
	return 0;
}
