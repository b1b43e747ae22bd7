/*
 * Looking up a key in a Go map, from BPF: a constant string, or parts that lie in virtual registers. The hash is
 * seeded and uses AES, so it cannot be had here; instead all groups or buckets are searched, up to a bound that the
 * verifier can walk (IR_MAP_GROUPS, IR_MAP_BUCKETS, CANDIDATES). A map that is larger says so (SLOT_MAP_BUSY) unless
 * the key is found within the bound: an answer is never wrong. A group or bucket is read as a whole, one call each;
 * slots with a key of the right length (with the same words) are gathered, without a branch; then texts are compared.
 * What of a block cannot be read is passed over, and makes a key that is not found elsewhere unreadable, not absent.
 *
 * A program that looks for several constant texts in maps of one layout (a request's headers) gathers the keys that are
 * as long as any of these; what the first search of a map found is kept for the next ones, which only compare.
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

#define CANDIDATES 80       /* keys of the same length; then there is room for those of one more block */
#define SHARED_BRANCHES 4200 /* that the verifier is asked to bear for the candidates of all searches that share */
#define CANDIDATE_SIZE ((int)sizeof(struct map_candidate))
#define CANDIDATE(field) ((int)offsetof(struct map_candidate, field))
_Static_assert(ARRAY_SIZE(((struct scratch *)NULL)->candidates) == CANDIDATES + 8, "a block has 8 slots");

/*
 * Words in the scratch element rather than on the stack: the verifier tracks constants there, and would
 * walk the loops once for each combination of them.
 */
enum { CURRENT, LEFT, MORE, UNREAD, /* both kinds */
       BASE, OLD, OLD_LEFT,         /* old maps */
       READ,                        /* both: bytes of a block of which the rest is not there */
       KEPT, KEPT_END, KEPT_UNREAD, /* both: the map that was searched last, 0: none; what R8 and UNREAD were then */
       WORDS,
       FOUND = BASE };              /* both, once all is gathered: the element's address */
_Static_assert(WORDS == ARRAY_SIZE(((struct scratch *)NULL)->words), "each has its place");

struct lookup {
	struct gen *g;
	const struct ir_insn *insn;
	const struct map_layout *m;
	const struct ir_key *key;   /* in registers; NULL: the constant text of the instruction */
	int text;                   /* the key's part that is a text; -1: none */
	size_t len;                 /* of a constant text */
	bool shared;                /* what is found serves all searches for constant texts */
	int candidates;             /* that are looked at; CANDIDATES at most */
	int no_key, unreadable;
	struct map_block block;
};

/*
 * Reads the words at offsets offs[n] behind R3, which lie near each other; field i is then at STACK_BUF +
 * offs[i] - *ret_low.
 */
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

static int word_off(unsigned word)
{
	return SCRATCH_WORDS_OFF + (int)(8 * word);
}

static void set(struct lookup *l, unsigned word, uint8_t src)
{
	emit_store(l->g->e, 8, REG_RECORD, word_off(word), src);
}

static void set_imm(struct lookup *l, unsigned word, int32_t imm)
{
	emit_store_imm(l->g->e, 8, REG_RECORD, word_off(word), imm);
}

static void get(struct lookup *l, uint8_t dst, unsigned word)
{
	emit_load(l->g->e, 8, dst, REG_RECORD, word_off(word));
}

/* The register that a part of the key begins with. */
static uint16_t part_reg(const struct lookup *l, size_t part)
{
	uint16_t reg = l->insn->b;

	for (size_t k = 0; k < part; k++)
		reg = (uint16_t)(reg + (l->key->parts[k].size ? 1 : 2));
	return reg;
}

/* R1 = 0 when the words of the key at off in the work area are ours, of a text the length. Clobbers R3, R5. */
static void compare_parts(struct lookup *l, int off)
{
	struct emit *e = l->g->e;

	for (size_t k = 0; k < l->key->n; k++) {
		const struct ir_key_part *p = &l->key->parts[k];
		uint8_t reg = k ? R3 : R1;

		emit_load(e, p->size ? p->size : 8, reg, REG_RECORD, off + (int)p->offset + (p->size ? 0 : 8));
		gen_get(l->g, R5, (uint16_t)(part_reg(l, k) + (p->size ? 0 : 1)));
		emit_alu(e, BPF_XOR, reg, R5);
		if (k)
			emit_alu(e, BPF_OR, R1, R3);
	}
}

static bool shares(const struct gen *g, const struct ir_insn *i)
{
	return g->shared_map && i->op == IR_MAP_STR && !memcmp(i->map, g->shared_map, sizeof(*i->map));
}

/*
 * R1 = 0 when the length in R1 is that of a text which is searched for. (Of a length that is none of them the product
 * may be 0 as well: whoever compares looks at the length.)
 */
static void compare_lengths(struct lookup *l)
{
	const struct capture_program *p = l->g->p;
	struct emit *e = l->g->e;
	uint64_t seen[(IR_MAX_STR + 64) / 64] = {0};

	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_XOR, R1, (int32_t)l->len);
	seen[l->len / 64] |= UINT64_C(1) << l->len % 64;
	for (size_t k = 0; l->shared && k < p->ninsns; k++) {
		size_t len = (size_t)p->insns[k].imm;

		if (!shares(l->g, &p->insns[k]) || seen[len / 64] >> len % 64 & 1)
			continue;
		seen[len / 64] |= UINT64_C(1) << len % 64;
		emit_alu(e, BPF_MOV, R5, R3);
		emit_alu_imm(e, BPF_XOR, R5, (int32_t)len);
		emit_alu(e, BPF_MUL, R1, R5);
	}
}

/* R1 = 1 when slot i of the block in the work area is full and its key as long as ours, else 0. */
static void is_candidate(struct lookup *l, uint32_t i)
{
	struct emit *e = l->g->e;
	int key = SCRATCH_WORK_OFF + (int)(l->block.key_off + i * l->m->key_stride);

	emit_load(e, 1, R2, REG_RECORD, SCRATCH_WORK_OFF + (int)i);
	if (l->m->swiss) {
		emit_alu_imm(e, BPF_AND, R2, 0x80);
	} else { /* the sign of the difference */
		emit_alu_imm(e, BPF_SUB, R2, MAP_TOPHASH_USED);
		emit_alu_imm(e, BPF_RSH, R2, 63);
	}
	if (l->key) {
		compare_parts(l, key);
	} else {
		emit_load(e, 8, R1, REG_RECORD, key + 8);
		compare_lengths(l);
	}
	emit_alu(e, BPF_OR, R1, R2);
	gen_is_zero(l->g, R1, R2);
}

static uint32_t text_off(const struct lookup *l)
{
	return l->key ? l->key->parts[l->text].offset : 0;
}

/* Notes slot i behind the candidates (R8: their size in bytes); it counts only if it is one. R4: CURRENT. */
static void note_slot(struct lookup *l, uint32_t i)
{
	uint32_t elem = l->block.elem_off + i * l->m->elem_stride;
	struct emit *e = l->g->e;

	emit_alu(e, BPF_MOV, R5, REG_RECORD);
	emit_alu(e, BPF_ADD, R5, R8);
	if (l->text >= 0) { /* where the text is */
		emit_load(e, 8, R3, REG_RECORD,
			  SCRATCH_WORK_OFF + (int)(l->block.key_off + i * l->m->key_stride + text_off(l)));
		emit_store(e, 8, R5, SCRATCH_CANDIDATES_OFF + CANDIDATE(key), R3);
	}
	if (l->shared) {
		emit_load(e, 8, R3, REG_RECORD, SCRATCH_WORK_OFF + (int)(l->block.key_off + i * l->m->key_stride + 8));
		emit_store(e, 8, R5, SCRATCH_CANDIDATES_OFF + CANDIDATE(len), R3);
	}
	if (l->m->elem_indirect) { /* a pointer that we have read already */
		emit_load(e, 8, R3, REG_RECORD, SCRATCH_WORK_OFF + (int)elem);
	} else {
		emit_alu(e, BPF_MOV, R3, R4);
		emit_alu_imm(e, BPF_ADD, R3, (int32_t)elem);
	}
	emit_store(e, 8, R5, SCRATCH_CANDIDATES_OFF + CANDIDATE(elem), R3);
	emit_alu_imm(e, BPF_MUL, R1, CANDIDATE_SIZE);
	emit_alu(e, BPF_ADD, R8, R1);
}

/* ---- a block of which a part is not there ---- */

/* None of the block's slots counts, and there is no overflow bucket. */
static void block_unread(struct lookup *l)
{
	struct emit *e = l->g->e;

	set_imm(l, UNREAD, 1);
	emit_imm(e, R1, l->m->swiss ? (int64_t)UINT64_C(0x8080808080808080) : 0);
	emit_store(e, 8, REG_RECORD, SCRATCH_WORK_OFF, R1);
	if (!l->m->swiss)
		emit_store_imm(e, 8, REG_RECORD, SCRATCH_WORK_OFF + (int)l->m->overflow_off, 0);
}

/*
 * What slot i would need lies beyond the READ bytes that are there: then it is no full one any more, and noted if it
 * was. Without a branch: there are eight of them in a loop.
 */
static void drop_unread_slot(struct lookup *l, uint32_t i)
{
	uint32_t key = l->block.key_off + i * l->m->key_stride + 16;
	uint32_t elem = l->block.elem_off + i * l->m->elem_stride + 8;
	uint32_t need = MAX(key, l->m->elem_indirect ? elem : 0);
	int at = SCRATCH_WORK_OFF + (int)i;
	struct emit *e = l->g->e;

	get(l, R2, READ);
	emit_alu_imm(e, BPF_SUB, R2, (int32_t)need);
	emit_alu_imm(e, BPF_RSH, R2, 63); /* 1: beyond */
	emit_load(e, 1, R1, REG_RECORD, at);
	emit_alu(e, BPF_MOV, R3, R1);
	if (l->m->swiss) {
		emit_alu_imm(e, BPF_RSH, R3, 7);
	} else {
		emit_alu_imm(e, BPF_SUB, R3, MAP_TOPHASH_USED);
		emit_alu_imm(e, BPF_RSH, R3, 63);
	}
	emit_alu_imm(e, BPF_XOR, R3, 1); /* 1: full */
	emit_alu(e, BPF_AND, R3, R2);
	get(l, R4, UNREAD);
	emit_alu(e, BPF_OR, R4, R3);
	set(l, UNREAD, R4);
	if (l->m->swiss) {
		emit_alu_imm(e, BPF_LSH, R2, 7);
		emit_alu(e, BPF_OR, R1, R2);
	} else {
		emit_alu_imm(e, BPF_SUB, R2, 1); /* all ones, or 0 where it is beyond */
		emit_alu(e, BPF_AND, R1, R2);
	}
	emit_store(e, 1, REG_RECORD, at, R1);
}

/* R1 = the work area and R3 = the block, behind what is read of it. */
static void piece_at(struct lookup *l, uint8_t read)
{
	struct emit *e = l->g->e;

	get(l, R3, CURRENT);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, SCRATCH_WORK_OFF);
	emit_alu(e, BPF_ADD, R1, read);
	emit_alu(e, BPF_ADD, R3, read);
}

/*
 * The block could not be read as a whole: it is, where its pages can be brought in; else its two pages are read one by
 * one, and the slots that are there count.
 */
static void read_again(struct lookup *l, int block)
{
	struct emit *e = l->g->e;
	int unread = emit_label_new(e);

	if (l->g->env->faults_in) {
		emit_alu_imm(e, BPF_MOV, R4, 0);
		piece_at(l, R4);
		emit_alu_imm(e, BPF_MOV, R2, (int32_t)l->block.size);
		gen_call_reader(l->g);
		emit_jump_if_imm(e, BPF_JEQ, R0, 0, block);
	}
	get(l, R1, CURRENT);
	emit_alu_imm(e, BPF_AND, R1, EVENT_PAGE - 1);
	emit_alu_imm(e, BPF_MOV, R2, EVENT_PAGE);
	emit_alu(e, BPF_SUB, R2, R1);
	emit_jump_if_imm(e, BPF_JGE, R2, (int32_t)l->block.size, unread);
	set(l, READ, R2);
	emit_alu_imm(e, BPF_MOV, R4, 0);
	piece_at(l, R4);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, unread);
	get(l, R4, READ);
	emit_jump_if_imm(e, BPF_JGE, R4, (int32_t)l->block.size, unread); /* for the verifier */
	emit_alu_imm(e, BPF_MOV, R2, (int32_t)l->block.size);
	emit_alu(e, BPF_SUB, R2, R4);
	piece_at(l, R4);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, block);
	for (uint32_t i = 0; i < l->m->slots; i++)
		drop_unread_slot(l, i);
	if (!l->m->swiss) { /* its last word, where other buckets may follow */
		get(l, R4, READ);
		emit_jump_if_imm(e, BPF_JGE, R4, (int32_t)l->m->overflow_off + 8, block);
		set_imm(l, UNREAD, 1);
		emit_store_imm(e, 8, REG_RECORD, SCRATCH_WORK_OFF + (int)l->m->overflow_off, 0);
	}
	emit_jump(e, block);
	emit_label(e, unread);
	block_unread(l);
}

/* Reads the block at CURRENT and gathers its candidates; to full when there are too many. */
static void gather(struct lookup *l, int full)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), block = emit_label_new(e);

	emit_jump_if_imm(e, BPF_JGT, R8, l->candidates * CANDIDATE_SIZE, full);
	emit_alu_imm(e, BPF_MOV, R2, (int32_t)l->block.size);
	get(l, R3, CURRENT);
	gen_read_work(l->g, again);
	emit_jump(e, block);
	emit_label(e, again);
	read_again(l, block);
	emit_label(e, block);
	get(l, R4, CURRENT);
	for (uint32_t i = 0; i < l->m->slots; i++) {
		is_candidate(l, i);
		note_slot(l, i);
	}
}

/*
 * R4 = 0: the candidate at R9 is it. Then FOUND is its element, and none is left to be compared (R8). Without a
 * branch: the verifier would remember one for each candidate of each lookup.
 */
static void note_equal(struct lookup *l)
{
	struct emit *e = l->g->e;

	emit_alu_imm(e, BPF_MOV, R1, 0);
	emit_alu(e, BPF_SUB, R1, R4);
	emit_alu(e, BPF_OR, R1, R4);
	emit_alu_imm(e, BPF_RSH, R1, 63); /* 1: it differs */
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_alu(e, BPF_MOV, R5, REG_RECORD);
	emit_alu(e, BPF_ADD, R5, R9);
	emit_load(e, 8, R2, R5, SCRATCH_CANDIDATES_OFF + CANDIDATE(elem));
	emit_alu(e, BPF_AND, R2, R1);
	set(l, FOUND, R2);
	emit_alu_imm(e, BPF_XOR, R1, -1);
	emit_alu(e, BPF_AND, R8, R1);
}

/* The candidate behind the one at R9; to again while there is room for one. */
static void next_candidate(struct lookup *l, int again)
{
	emit_alu_imm(l->g->e, BPF_ADD, R9, CANDIDATE_SIZE);
	emit_jump_if_imm(l->g->e, BPF_JLT, R9, (l->candidates + 8) * CANDIDATE_SIZE, again);
}

/* To found with the element's address in R1; falls out where there is none. */
static void take_found(struct lookup *l, int found)
{
	get(l, R1, FOUND);
	emit_jump_if_imm(l->g->e, BPF_JNE, R1, 0, found);
}

/* Without a text to compare, the first candidate is it. */
static void take_first(struct lookup *l, int found)
{
	int none = emit_label_new(l->g->e);

	emit_jump_if_imm(l->g->e, BPF_JEQ, R8, 0, none);
	emit_load(l->g->e, 8, R1, REG_RECORD, SCRATCH_CANDIDATES_OFF + CANDIDATE(elem));
	emit_jump(l->g->e, found);
	emit_label(l->g->e, none);
}

/*
 * R1 = the address of the element whose key it is, of the candidates; falls out where none is. Bytes that
 * are not resident may be the key's or not: noted, in case that nothing else matches. The helper fills
 * with zeros then, and no key of ours has one.
 */
static void compare_candidates(struct lookup *l, int found)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), other = emit_label_new(e), end = emit_label_new(e);

	if (!l->len) { /* such a search is not shared */
		take_first(l, found);
		return;
	}
	gen_clear_stack(l->g, STACK_BUF, (unsigned)l->len);
	set_imm(l, FOUND, 0);
	emit_alu_imm(e, BPF_MOV, R9, 0);
	emit_checkpoint(e);
	emit_label(e, again);
	emit_jump_if(e, BPF_JGE, R9, R8, end);
	emit_alu(e, BPF_MOV, R3, REG_RECORD);
	emit_alu(e, BPF_ADD, R3, R9);
	if (l->shared) {
		emit_load(e, 8, R1, R3, SCRATCH_CANDIDATES_OFF + CANDIDATE(len));
		emit_jump_if_imm(e, BPF_JNE, R1, (int32_t)l->len, other);
	}
	emit_load(e, 8, R3, R3, SCRATCH_CANDIDATES_OFF + CANDIDATE(key));
	emit_alu(e, BPF_MOV, R1, FP);
	emit_alu_imm(e, BPF_ADD, R1, STACK_BUF);
	emit_alu_imm(e, BPF_MOV, R2, (int32_t)l->len);
	emit_call(e, BPF_FUNC_probe_read_user);
	get(l, R1, UNREAD);
	emit_alu(e, BPF_OR, R1, R0);
	set(l, UNREAD, R1);
	gen_difference(l->g, FP, STACK_BUF, l->insn->str, l->len, l->insn->op == IR_ANY_KEY);
	note_equal(l);
	emit_label(e, other);
	if (l->shared) /* else the verifier goes both ways from each candidate through some more */
		emit_checkpoint(e);
	next_candidate(l, again);
	emit_label(e, end);
	take_found(l, found);
}

/* R4 = 0 when the text in the work area, filled up with zeros, is the one behind it. Clobbers R2, R3. */
static void compare_work(struct lookup *l)
{
	struct emit *e = l->g->e;

	emit_alu_imm(e, BPF_MOV, R4, 0);
	for (int at = 0; at < IR_MAX_STR; at += 8) {
		emit_load(e, 8, R2, REG_RECORD, SCRATCH_WORK_OFF + at);
		emit_load(e, 8, R3, REG_RECORD, SCRATCH_WORK_OFF + IR_MAX_STR + at);
		emit_alu(e, BPF_XOR, R2, R3);
		emit_alu(e, BPF_OR, R4, R2);
	}
}

static void clear_work(struct lookup *l, int off)
{
	for (int at = 0; at < IR_MAX_STR; at += 8)
		emit_store_imm(l->g->e, 8, REG_RECORD, SCRATCH_WORK_OFF + off + at, 0);
}

/* R0 = 0 when the length in the register of our text and bytes at R3 were read to off in the work area. */
static void read_text(struct lookup *l, int off)
{
	struct emit *e = l->g->e;

	gen_get(l->g, R2, (uint16_t)(part_reg(l, (size_t)l->text) + 1));
	emit_jump_if_imm(e, BPF_JGT, R2, IR_MAX_STR, gen_fail(l->g, SLOT_MAP_BUSY));
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, SCRATCH_WORK_OFF + off);
	emit_call(e, BPF_FUNC_probe_read_user);
}

/* To found where a candidate has the text that is in registers, as compare_candidates: ours is read once. */
static void compare_variables(struct lookup *l, int found)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), end = emit_label_new(e);

	if (l->text < 0) {
		take_first(l, found);
		return;
	}
	emit_alu_imm(e, BPF_MOV, R9, 0);
	set_imm(l, FOUND, 0);
	emit_jump_if_imm(e, BPF_JEQ, R8, 0, end);
	clear_work(l, IR_MAX_STR);
	gen_get(l->g, R3, part_reg(l, (size_t)l->text));
	read_text(l, IR_MAX_STR);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, l->unreadable);
	emit_checkpoint(e);
	emit_label(e, again);
	emit_jump_if(e, BPF_JGE, R9, R8, end);
	clear_work(l, 0);
	emit_alu(e, BPF_MOV, R3, REG_RECORD);
	emit_alu(e, BPF_ADD, R3, R9);
	emit_load(e, 8, R3, R3, SCRATCH_CANDIDATES_OFF + CANDIDATE(key));
	read_text(l, 0);
	get(l, R1, UNREAD);
	emit_alu(e, BPF_OR, R1, R0);
	set(l, UNREAD, R1);
	compare_work(l);
	emit_alu(e, BPF_OR, R4, R0);
	note_equal(l);
	next_candidate(l, again);
	emit_label(e, end);
	take_found(l, found);
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

/* A map without entries: nothing is there to be compared. To empty, or, where nothing is kept of it, to no_key. */
static void when_empty(struct lookup *l, int empty)
{
	set_imm(l, MORE, 0);
	emit_alu_imm(l->g->e, BPF_MOV, R8, 0); /* no candidates */
	emit_jump_if_imm(l->g->e, BPF_JEQ, R1, 0, l->shared ? empty : l->no_key);
}

static int swiss_header(struct lookup *l, int empty)
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
	when_empty(l, empty);
	field(l, 8, R3, m->dir_ptr_off, low);
	set(l, CURRENT, R3);
	set_imm(l, LEFT, 1);
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

/* Gathers from all groups; to done. */
static int swiss_search(struct lookup *l, int done)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), more = emit_label_new(e);
	int r = swiss_header(l, done);

	emit_alu_imm(e, BPF_MOV, R8, 0);
	emit_alu_imm(e, BPF_MOV, R9, 0);
	emit_checkpoint(e);
	emit_label(e, again);
	gather(l, more);
	get(l, R1, LEFT);
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, done);
	set(l, LEFT, R1);
	emit_alu_imm(e, BPF_ADD, R4, (int32_t)l->block.size);
	set(l, CURRENT, R4);
	emit_alu_imm(e, BPF_ADD, R9, 1);
	emit_jump_if_imm(e, BPF_JLT, R9, IR_MAP_GROUPS, again);
	emit_label(e, more);
	set_imm(l, MORE, 1);
	return r;
}

/* BASE, CURRENT, LEFT: the buckets; OLD and OLD_LEFT: those before the growth, OLD 0 when there are none. */
static int old_header(struct lookup *l, int empty)
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
	when_empty(l, empty);
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
	emit_jump_if_imm(e, BPF_JSET, R2, MAP_SAME_SIZE_GROW, same);
	emit_alu_imm(e, BPF_RSH, R1, 1);
	emit_label(e, same);
	set(l, OLD_LEFT, R1);
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
	emit_alu_imm(e, BPF_ADD, R1, (int32_t)l->block.size);
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
	set_imm(l, OLD, 0);
}

/* The candidates of all buckets, as swiss_search; to done when there is no other bucket. */
static int old_search(struct lookup *l, int done)
{
	struct emit *e = l->g->e;
	int again = emit_label_new(e), step = emit_label_new(e), more = emit_label_new(e);
	int r = old_header(l, done);

	emit_alu_imm(e, BPF_MOV, R8, 0);
	emit_alu_imm(e, BPF_MOV, R9, 0);
	emit_checkpoint(e);
	emit_label(e, again);
	gather(l, more);
	old_next(l, step, done);
	emit_label(e, step);
	emit_alu_imm(e, BPF_ADD, R9, 1);
	emit_jump_if_imm(e, BPF_JLT, R9, IR_MAP_BUCKETS, again);
	emit_label(e, more);
	set_imm(l, MORE, 1);
	return r;
}

void map_choose(struct gen *g)
{
	const struct map_layout *first = NULL;

	for (size_t k = 0; k < g->p->ninsns; k++) {
		const struct ir_insn *i = &g->p->insns[k];

		if (i->op != IR_MAP_STR || !i->imm)
			continue;
		if (first && !memcmp(first, i->map, sizeof(*first)))
			g->shared_map = first;
		if (!first)
			first = i->map;
	}
}

void map_begin(struct gen *g)
{
	if (g->shared_map)
		emit_store_imm(g->e, 8, REG_RECORD, word_off(KEPT), 0);
}

/* Each candidate of a search that shares is two branches to the verifier. */
static int candidates_max(const struct gen *g, bool shared)
{
	int searches = 0;

	for (size_t k = 0; shared && k < g->p->ninsns; k++)
		searches += shares(g, &g->p->insns[k]);
	return searches ? MIN(CANDIDATES, SHARED_BRANCHES / 2 / searches - 8) : CANDIDATES;
}

/* To kept where R3 is the map that was searched last. */
static void take_kept(struct lookup *l, int kept)
{
	if (l->shared) {
		get(l, R1, KEPT);
		emit_jump_if(l->g->e, BPF_JEQ, R1, R3, kept);
	}
	if (l->g->shared_map)
		set_imm(l, KEPT, 0); /* what it found is overwritten here, and this search may fail midway */
}

/* What was gathered serves the searches to come; from kept on, one of these. */
static void keep(struct lookup *l, int kept)
{
	if (!l->shared)
		return;
	gen_get(l->g, R1, l->insn->a);
	set(l, KEPT, R1);
	set(l, KEPT_END, R8);
	get(l, R1, UNREAD);
	set(l, KEPT_UNREAD, R1);
	emit_label(l->g->e, kept);
	emit_checkpoint(l->g->e);
	get(l, R8, KEPT_END);
	get(l, R1, KEPT_UNREAD);
	set(l, UNREAD, R1);
}

int gen_map(struct gen *g, const struct ir_insn *i)
{
	struct lookup l = {.g = g, .insn = i, .m = i->map, .key = i->op == IR_MAP_KEY ? i->key : NULL,
			   .len = (size_t)i->imm};
	bool asks = i->op == IR_ANY_KEY; /* whether there is one: 1 or 0 */
	int found, done, behind, kept, r;

	l.shared = i->imm && shares(g, i);
	l.candidates = candidates_max(g, l.shared);
	l.text = l.key ? -1 : 0;
	for (size_t k = 0; l.key && k < l.key->n; k++)
		if (!l.key->parts[k].size)
			l.text = (int)k;
	r = map_layout_block(l.m, l.key ? 0 : 16, SCRATCH_WORK_SIZE, &l.block, g->err);
	if (r < 0)
		return r;
	found = emit_label_new(g->e);
	done = emit_label_new(g->e);
	behind = emit_label_new(g->e);
	kept = emit_label_new(g->e);
	l.no_key = asks ? emit_label_new(g->e) : gen_fail(g, SLOT_NO_KEY);
	l.unreadable = gen_fail(g, SLOT_UNREADABLE);
	gen_get(g, R3, i->a);
	emit_jump_if_imm(g->e, BPF_JEQ, R3, 0, asks ? l.no_key : gen_fail(g, SLOT_NIL));
	take_kept(&l, kept);
	set_imm(&l, UNREAD, 0);
	r = i->map->swiss ? swiss_search(&l, done) : old_search(&l, done);
	if (r < 0)
		return r;
	emit_label(g->e, done);
	keep(&l, kept);
	if (l.key)
		compare_variables(&l, found);
	else
		compare_candidates(&l, found);
	exhausted(&l);
	if (asks) {
		emit_label(g->e, l.no_key);
		emit_alu_imm(g->e, BPF_MOV, R1, 0);
		emit_jump(g->e, behind);
	}
	emit_label(g->e, found);
	if (asks)
		emit_alu_imm(g->e, BPF_MOV, R1, 1);
	emit_label(g->e, behind);
	gen_put(g, i->dst, R1);
	return 1;
}
