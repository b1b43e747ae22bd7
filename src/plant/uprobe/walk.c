/*
 * Images: chunks of the program's memory, and what they lead to (probe/shape.h).
 *
 * The shapes of a binary lie in maps: an array of shapes, one of edges, and a hash map of the types that interfaces
 * may hold. The walk is table-driven, so its code is the same for every program: a callback of bpf_loop, of which each
 * run looks at one edge of one element, or goes on to the next chunk. What it has to remember lies in the scratch
 * element: the verifier does not track what is there, and walks the callback once.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>

#define CHUNK(field) ((int)offsetof(struct event_chunk, field))
#define EDGE(field) ((int)offsetof(struct walk_edge, field))
#define CHUNK_HEAD ((int)sizeof(struct event_chunk))
#define CHUNK_MAX 8192   /* bytes of one chunk */
#define CHUNKS_MAX 1024
#define STEPS_MAX 16384  /* edges and chunks that are looked at: some 0.5 ms */
#define CLEAR_UNROLLED 128
_Static_assert(IR_MAX_IMAGE <= CHUNK_MAX, "images are walked like other chunks");
_Static_assert(EVENT_MAX_SIZE + CHUNK_HEAD + CHUNK_MAX + 16 <= EVENT_MAX_SIZE + EVENT_MAX_CALL, "slack");

bool walk_used(const struct capture_program *p)
{
	return capture_has(p, IR_IMAGE);
}

static void count_missed(struct gen *g)
{
	emit_load(g->e, 4, R1, REG_RECORD, HEAD(missed));
	emit_alu_imm(g->e, BPF_ADD, R1, 1);
	emit_store(g->e, 4, REG_RECORD, HEAD(missed), R1);
}

/* ---- the images of slots ---- */

/* Clears size bytes behind R1 + off. Clobbers R1 and R3. */
static void clear(struct gen *g, int off, int size)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), at = 0;

	if (size > CLEAR_UNROLLED) {
		emit_alu_imm(e, BPF_MOV, R3, 0);
		emit_label(e, again);
		for (; at < 64; at += 8)
			emit_store_imm(e, 8, R1, off + at, 0);
		emit_alu_imm(e, BPF_ADD, R1, 64);
		emit_alu_imm(e, BPF_ADD, R3, 1);
		emit_jump_if_imm(e, BPF_JLT, R3, size / 64, again);
		size %= 64;
	}
	for (at = 0; at < size; at += 8)
		emit_store_imm(e, 8, R1, off + at, 0);
}

static uint8_t image_status(const struct gen *g, const struct ir_insn *i)
{
	const struct shape_table *t = g->p->shapes;

	return i->shape < t->shapes.len && t->shapes.data[i->shape].size > (uint64_t)i->imm ? SLOT_CUT : SLOT_OK;
}

static int gen_image_begin(struct gen *g, const struct ir_insn *i)
{
	int bytes = (int)ALIGN_UP(i->imm, 8), off = gen_slot_off(g, i->slot);
	struct emit *e = g->e;
	int room = emit_label_new(e), first = emit_label_new(e);

	emit_load(e, 4, R2, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JLE, R2, gen_record_limit(g) - CHUNK_HEAD - bytes, room);
	count_missed(g);
	emit_jump(e, gen_fail(g, SLOT_CUT));
	emit_label(e, room);
	emit_store_imm(e, 8, REG_RECORD, off, SLOT_OK);
	emit_store(e, 8, REG_RECORD, off + 8, R2);
	emit_load(e, 4, R1, REG_RECORD, HEAD(chunks));
	emit_jump_if_imm(e, BPF_JNE, R1, 0, first);
	emit_store(e, 4, REG_RECORD, HEAD(chunks), R2);
	emit_label(e, first);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu(e, BPF_ADD, R1, R2);
	if (i->a != IR_NO_REG)
		gen_get(g, R3, i->a);
	else
		emit_alu_imm(e, BPF_MOV, R3, 0);
	emit_store(e, 8, R1, CHUNK(addr), R3);
	emit_store_imm(e, 4, R1, CHUNK(shape), (int32_t)i->shape);
	emit_store_imm(e, 2, R1, CHUNK(len), (int32_t)i->imm);
	emit_store_imm(e, 1, R1, CHUNK(status), image_status(g, i));
	emit_store_imm(e, 1, R1, CHUNK(depth), (int32_t)MIN(ir_image_depth(i, g->p->shapes), 255u));
	emit_alu_imm(e, BPF_ADD, R2, CHUNK_HEAD + bytes);
	emit_store(e, 4, REG_RECORD, HEAD(size), R2);
	clear(g, CHUNK_HEAD, bytes);
	return 1;
}

/* R1 = the slot's chunk. */
static void slot_chunk(struct gen *g, uint16_t slot)
{
	struct emit *e = g->e;

	emit_load(e, 8, R2, REG_RECORD, gen_slot_off(g, slot) + 8);
	emit_jump_if_imm(e, BPF_JGT, R2, EVENT_MAX_SIZE, gen_fail(g, SLOT_UNREADABLE));
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu(e, BPF_ADD, R1, R2);
}

/* The bytes at the address in i->a, behind the chunk in R1. */
static void gen_image_copy(struct gen *g, const struct ir_insn *i)
{
	/* elsewhere than at the image's beginning its address is not that of the bytes */
	const struct pieces p = {.dst = R9, .dst_off = CHUNK_HEAD + (int)i->at, .size = R8, .max = (unsigned)i->imm,
				 .addr = FP, .addr_off = gen_reg_off(g, i->a), .pages = SCRATCH_WALK(status)};
	struct emit *e = g->e;
	int read = emit_label_new(e), none = emit_label_new(e);

	emit_alu(e, BPF_MOV, R9, R1);
	emit_alu_imm(e, BPF_ADD, R1, p.dst_off);
	emit_alu_imm(e, BPF_MOV, R2, (int32_t)i->imm);
	gen_get(g, R3, i->a);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, read);
	if (i->at) {
		emit_jump(e, gen_fail(g, SLOT_UNREADABLE));
		emit_label(e, read);
		return;
	}
	emit_alu_imm(e, BPF_MOV, R8, (int32_t)i->imm);
	emit_load(e, 1, R1, R9, CHUNK(status));
	state_store(g, SCRATCH_WALK(status), R1);
	gen_read_pieces(g, &p, none);
	state_load(g, R1, SCRATCH_WALK(status));
	emit_store(e, 1, R9, CHUNK(status), R1);
	emit_jump(e, read);
	emit_label(e, none); /* nobody may take its zeros for what is there */
	state_load(g, R1, SCRATCH_WALK(status));
	emit_store(e, 1, R9, CHUNK(status), R1);
	emit_jump(e, gen_fail(g, SLOT_UNREADABLE));
	emit_label(e, read);
}

static void table_get(struct gen *g, int map, int none);

void gen_load_bias(struct gen *g)
{
	if (g->knows_cookie) {
		state_load(g, R0, SCRATCH_COOKIE_OFF);
	} else {
		emit_alu(g->e, BPF_MOV, R1, REG_CTX);
		emit_call(g->e, BPF_FUNC_get_attach_cookie);
	}
	emit_alu_imm(g->e, BPF_ARSH, R0, COOKIE_TARGET_BITS);
	emit_alu_imm(g->e, BPF_LSH, R0, 12);
}

/* The type word is read to where the look-up's key is. */
static int gen_image_type(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int stays = emit_label_new(e);

	gen_get(g, R3, i->a);
	emit_alu_imm(e, BPF_ADD, R3, (int32_t)i->imm);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, SCRATCH_WALK(key));
	emit_alu_imm(e, BPF_MOV, R2, 8);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, stays);
	gen_load_bias(g);
	state_load(g, R1, SCRATCH_WALK(key));
	emit_alu(e, BPF_SUB, R1, R0);
	table_get(g, g->env->dynamic, stays);
	emit_load(e, 4, R3, R0, (int)offsetof(struct walk_dynamic, shape));
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, stays);
	slot_chunk(g, i->slot);
	emit_store(e, 4, R1, CHUNK(shape), R3);
	emit_label(e, stays);
	return 1;
}

int gen_image(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;

	if (!g->p->shapes || i->imm < 0 || i->imm > IR_MAX_IMAGE || i->at > IR_MAX_IMAGE)
		return err_set(g->err, -EINVAL, "an image of %lld bytes at %u (at most %d, with a table of shapes)",
			       (long long)i->imm, i->at, IR_MAX_IMAGE);
	if (i->op == IR_IMAGE)
		return gen_image_begin(g, i);
	if (i->op == IR_IMAGE_TYPE)
		return gen_image_type(g, i);
	slot_chunk(g, i->slot);
	if (i->op == IR_IMAGE_PUT) {
		gen_get(g, R3, i->a);
		emit_store(e, i->size, R1, CHUNK_HEAD + (int)i->imm, R3);
		return 1;
	}
	gen_image_copy(g, i);
	return 1;
}

/* ---- the walk ---- */

void walk_chunks(struct gen *g)
{
	static const int zero[] = {SCRATCH_WALK(elem), SCRATCH_WALK(edge), SCRATCH_WALK(made)};
	struct emit *e = g->e;
	int none = emit_label_new(e);

	if (!walk_used(g->p))
		return;
	g->walk = emit_label_new(e);
	emit_load(e, 4, R1, REG_RECORD, HEAD(chunks));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, none);
	state_store(g, SCRATCH_WALK(chunk), R1);
	for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
		emit_store_imm(e, 8, REG_RECORD, zero[i], 0);
	gen_load_bias(g);
	state_store(g, SCRATCH_WALK(bias), R0);
	gen_loop(g, g->walk, STEPS_MAX, BK_KEY);
	emit_jump_if_imm(e, BPF_JNE, R0, STEPS_MAX, none);
	count_missed(g);
	emit_label(e, none);
}

/* R0 = the element of an array or of the hash map of types whose key is R1; to none when it is not there. */
static void table_get(struct gen *g, int map, int none)
{
	struct emit *e = g->e;

	state_store(g, SCRATCH_WALK(key), R1);
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R2, SCRATCH_WALK(key));
	emit_map_fd(e, R1, map);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
}

/* The edge to look at now → R8, its chunk → R9; to next_chunk when there is none. */
static void next_edge(struct gen *g, int next_chunk, int stop)
{
	struct emit *e = g->e;
	int have = emit_label_new(e);

	state_load(g, R8, SCRATCH_WALK(chunk));
	emit_load(e, 4, R1, REG_RECORD, HEAD(size));
	emit_jump_if(e, BPF_JGE, R8, R1, stop);
	emit_jump_if_imm(e, BPF_JGT, R8, EVENT_MAX_SIZE, stop);
	emit_alu(e, BPF_MOV, R9, REG_RECORD);
	emit_alu(e, BPF_ADD, R9, R8);
	emit_load(e, 4, R1, R9, CHUNK(shape));
	table_get(g, g->env->shapes, next_chunk);
	emit_load(e, 4, R2, R0, (int)offsetof(struct walk_shape, nedges));
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, next_chunk);
	state_load(g, R1, SCRATCH_WALK(edge));
	state_load(g, R4, SCRATCH_WALK(elem));
	emit_jump_if(e, BPF_JLT, R1, R2, have);
	emit_load(e, 4, R3, R0, (int)offsetof(struct walk_shape, size));
	emit_alu(e, BPF_ADD, R4, R3);
	state_store(g, SCRATCH_WALK(elem), R4);
	emit_alu_imm(e, BPF_MOV, R1, 0);
	emit_label(e, have);
	emit_load(e, 2, R2, R9, CHUNK(len));
	emit_jump_if(e, BPF_JGE, R4, R2, next_chunk);
	emit_load(e, 4, R3, R0, (int)offsetof(struct walk_shape, first_edge));
	emit_alu(e, BPF_ADD, R3, R1);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	state_store(g, SCRATCH_WALK(edge), R1);
	emit_alu(e, BPF_MOV, R1, R3);
	table_get(g, g->env->edges, next_chunk);
	emit_alu(e, BPF_MOV, R8, R0);
}

/*
 * R1 + CHUNK_HEAD - size: where the chunk has `size` bytes at offset R3 of the element; to skip when it has not.
 * Clobbers R2 and R3.
 */
static void field_at(struct gen *g, int size, int skip)
{
	struct emit *e = g->e;

	state_load(g, R1, SCRATCH_WALK(elem));
	emit_alu(e, BPF_ADD, R3, R1);
	emit_alu_imm(e, BPF_ADD, R3, size);
	emit_load(e, 2, R2, R9, CHUNK(len));
	emit_jump_if(e, BPF_JGT, R3, R2, skip);
	emit_jump_if_imm(e, BPF_JGT, R3, CHUNK_MAX, skip);
	emit_alu(e, BPF_MOV, R1, R9);
	emit_alu(e, BPF_ADD, R1, R3);
}

/* walk.n = how many elements the edge in R8 leads to, as many as the program says. */
static void count_elements(struct gen *g, int skip)
{
	struct emit *e = g->e;
	int word = emit_label_new(e), shift = emit_label_new(e), mask = emit_label_new(e), done = emit_label_new(e);
	int small = emit_label_new(e), zero = emit_label_new(e);

	emit_load(e, 1, R4, R8, EDGE(count));
	emit_alu_imm(e, BPF_MOV, R0, 1);
	emit_jump_if_imm(e, BPF_JEQ, R4, COUNT_ONE, done);
	emit_load(e, 4, R3, R8, EDGE(count_off));
	emit_jump_if_imm(e, BPF_JEQ, R4, COUNT_SHIFT, shift);
	field_at(g, 8, skip);
	emit_load(e, 8, R1, R1, CHUNK_HEAD - 8);
	emit_jump_if_imm(e, BPF_JEQ, R4, COUNT_ONE_IF_ZERO, zero);
	emit_jump_if_imm(e, BPF_JEQ, R4, COUNT_MASK, mask);
	emit_label(e, word);
	emit_jump_if_imm(e, BPF_JSLE, R1, 0, skip);
	emit_alu(e, BPF_MOV, R0, R1);
	emit_jump(e, done);
	emit_label(e, mask);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	emit_jump(e, word);
	emit_label(e, zero);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, skip);
	emit_jump(e, done);
	emit_label(e, shift);
	field_at(g, 1, skip);
	emit_load(e, 1, R1, R1, CHUNK_HEAD - 1);
	emit_alu_imm(e, BPF_MOV, R0, 1);
	emit_jump_if_imm(e, BPF_JLE, R1, 20, small);
	emit_alu_imm(e, BPF_MOV, R1, 20);
	emit_label(e, small);
	emit_alu(e, BPF_LSH, R0, R1);
	emit_label(e, done);
	state_store(g, SCRATCH_WALK(n), R0);
}

/* A new chunk's place: R8 = its offset; to missed when there is none. */
static void chunk_begin(struct gen *g, int missed)
{
	struct emit *e = g->e;

	state_load(g, R1, SCRATCH_WALK(made));
	emit_jump_if_imm(e, BPF_JGE, R1, CHUNKS_MAX, missed);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	state_store(g, SCRATCH_WALK(made), R1);
	emit_load(e, 4, R8, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R8, gen_record_limit(g) - CHUNK_HEAD - 8, missed);
}

/* R1 = the chunk at R8, its head written but for len and status. Clobbers R2. */
static void chunk_head(struct gen *g)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu(e, BPF_ADD, R1, R8);
	state_load(g, R2, SCRATCH_WALK(ptr));
	emit_store(e, 8, R1, CHUNK(addr), R2);
	state_load(g, R2, SCRATCH_WALK(shape));
	emit_store(e, 4, R1, CHUNK(shape), R2);
	state_load(g, R2, SCRATCH_WALK(depth));
	emit_store(e, 1, R1, CHUNK(depth), R2);
}

/*
 * An interface: walk.shape and walk.ptr of what it holds. A value that lies in the data word itself becomes a
 * chunk of its own here.
 */
static void follow_interface(struct gen *g, int skip, int missed)
{
	struct emit *e = g->e;
	int type = emit_label_new(e), behind = emit_label_new(e);

	emit_load(e, 4, R3, R8, EDGE(offset));
	field_at(g, 16, skip);
	emit_load(e, 8, R2, R1, CHUNK_HEAD - 8);
	state_store(g, SCRATCH_WALK(ptr), R2);
	emit_load(e, 8, R3, R1, CHUNK_HEAD - 16);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, skip);
	emit_load(e, 1, R4, R8, EDGE(kind));
	emit_jump_if_imm(e, BPF_JEQ, R4, EDGE_EFACE, type);
	emit_alu_imm(e, BPF_ADD, R3, (int32_t)g->p->shapes->itab_type_off);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, SCRATCH_WALK(key));
	emit_alu_imm(e, BPF_MOV, R2, 8);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, skip);
	state_load(g, R3, SCRATCH_WALK(key));
	emit_label(e, type);
	state_load(g, R1, SCRATCH_WALK(bias));
	emit_alu(e, BPF_SUB, R3, R1);
	emit_alu(e, BPF_MOV, R1, R3);
	table_get(g, g->env->dynamic, skip);
	emit_load(e, 4, R1, R0, (int)offsetof(struct walk_dynamic, shape));
	state_store(g, SCRATCH_WALK(shape), R1);
	emit_load(e, 4, R1, R0, (int)offsetof(struct walk_dynamic, direct));
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(n), 1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, behind);
	chunk_begin(g, missed);
	chunk_head(g);
	state_load(g, R2, SCRATCH_WALK(ptr));
	emit_store(e, 8, R1, CHUNK_HEAD, R2);
	emit_store_imm(e, 8, R1, CHUNK(addr), 0);
	emit_store_imm(e, 2, R1, CHUNK(len), 8);
	emit_store_imm(e, 1, R1, CHUNK(status), SLOT_OK);
	emit_alu_imm(e, BPF_ADD, R8, CHUNK_HEAD + 8);
	emit_store(e, 4, REG_RECORD, HEAD(size), R8);
	emit_jump(e, skip);
	emit_label(e, behind);
	state_load(g, R1, SCRATCH_WALK(ptr));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, skip);
}

/* R6 = at most R3 bytes of R6, in whole elements of R9 bytes, unless it is less than one: R6 then. */
static void whole_elements(struct gen *g, int none)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_MOV, R6, R3);
	emit_alu(e, BPF_DIV, R6, R9);
	emit_alu(e, BPF_MUL, R6, R9);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(status), SLOT_CUT);
	emit_jump_if_imm(e, BPF_JEQ, R6, 0, none);
}

/* The chunk: walk.n elements of walk.shape at walk.ptr. */
static void copy_chunk(struct gen *g, int skip, int missed)
{
	struct emit *e = g->e;
	const struct pieces pieces = {.dst = R9, .dst_off = CHUNK_HEAD, .size = R6, .max = CHUNK_MAX,
				      .addr = REG_RECORD, .addr_off = SCRATCH_WALK(ptr), .pages = SCRATCH_WALK(status)};
	int fits = emit_label_new(e), room = emit_label_new(e), read = emit_label_new(e), partly = emit_label_new(e);
	int unread = emit_label_new(e), put = emit_label_new(e);

	state_load(g, R1, SCRATCH_WALK(shape));
	table_get(g, g->env->shapes, skip);
	emit_load(e, 4, R9, R0, (int)offsetof(struct walk_shape, size));
	emit_jump_if_imm(e, BPF_JEQ, R9, 0, skip);
	state_load(g, R6, SCRATCH_WALK(n));
	emit_alu(e, BPF_MUL, R6, R9);
	emit_jump_if_imm(e, BPF_JLE, R6, CHUNK_MAX, fits);
	emit_alu_imm(e, BPF_MOV, R3, CHUNK_MAX);
	whole_elements(g, partly);
	emit_jump(e, fits);
	emit_label(e, partly);
	emit_alu_imm(e, BPF_MOV, R6, CHUNK_MAX);
	emit_label(e, fits);
	chunk_begin(g, missed);
	emit_alu_imm(e, BPF_MOV, R3, gen_record_limit(g) - CHUNK_HEAD);
	emit_alu(e, BPF_SUB, R3, R8);
	emit_jump_if(e, BPF_JLE, R6, R3, room);
	whole_elements(g, missed);
	emit_label(e, room);
	emit_jump_if_imm(e, BPF_JGT, R6, CHUNK_MAX, skip);
	chunk_head(g);
	emit_alu(e, BPF_MOV, R9, R1);
	emit_store(e, 2, R9, CHUNK(len), R6);
	emit_alu_imm(e, BPF_ADD, R1, CHUNK_HEAD);
	emit_alu(e, BPF_MOV, R2, R6);
	state_load(g, R3, SCRATCH_WALK(ptr));
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, read);
	gen_read_pieces(g, &pieces, unread);
	emit_label(e, read);
	state_load(g, R2, SCRATCH_WALK(status));
	emit_store(e, 1, R9, CHUNK(status), R2);
	emit_jump(e, put);
	emit_label(e, unread);
	emit_store_imm(e, 2, R9, CHUNK(len), 0);
	emit_store_imm(e, 1, R9, CHUNK(status), SLOT_UNREADABLE);
	emit_alu_imm(e, BPF_MOV, R6, 0);
	emit_label(e, put);
	emit_alu_imm(e, BPF_ADD, R6, CHUNK_HEAD + 7);
	emit_alu_imm(e, BPF_AND, R6, ~7);
	emit_alu(e, BPF_ADD, R8, R6);
	emit_store(e, 4, REG_RECORD, HEAD(size), R8);
}

/* Whether the depth allows the edge in R8; walk.depth = what is left behind it. */
static void spend_depth(struct gen *g, int skip)
{
	struct emit *e = g->e;

	emit_load(e, 1, R1, R8, EDGE(costs));
	emit_load(e, 1, R2, R9, CHUNK(depth));
	emit_jump_if(e, BPF_JGT, R1, R2, skip);
	emit_alu(e, BPF_SUB, R2, R1);
	state_store(g, SCRATCH_WALK(depth), R2);
}

static void follow_pointer(struct gen *g, int skip)
{
	struct emit *e = g->e;
	int whole = emit_label_new(e);

	emit_load(e, 4, R3, R8, EDGE(offset));
	field_at(g, 8, skip);
	emit_load(e, 8, R2, R1, CHUNK_HEAD - 8);
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, skip);
	state_store(g, SCRATCH_WALK(ptr), R2);
	emit_load(e, 4, R1, R8, EDGE(shape));
	state_store(g, SCRATCH_WALK(shape), R1);
	count_elements(g, skip);
	state_load(g, R1, SCRATCH_WALK(n));
	emit_load(e, 4, R2, R8, EDGE(max));
	emit_jump_if(e, BPF_JLE, R1, R2, whole);
	state_store(g, SCRATCH_WALK(n), R2);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(status), SLOT_CUT);
	emit_label(e, whole);
}

void walk_callback(struct gen *g)
{
	struct emit *e = g->e;
	int next_chunk, stop, skip, missed, copy, plain;

	if (!walk_used(g->p))
		return;
	next_chunk = emit_label_new(e);
	stop = emit_label_new(e);
	skip = emit_label_new(e);
	missed = emit_label_new(e);
	copy = emit_label_new(e);
	plain = emit_label_new(e);
	emit_subprog(e, g->walk);
	emit_load(e, 8, REG_RECORD, R2, 0);
	next_edge(g, next_chunk, stop);
	spend_depth(g, skip);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(status), SLOT_OK);
	emit_load(e, 1, R1, R8, EDGE(kind));
	emit_jump_if_imm(e, BPF_JEQ, R1, EDGE_POINTER, plain);
	follow_interface(g, skip, missed);
	emit_jump(e, copy);
	emit_label(e, plain);
	follow_pointer(g, skip);
	emit_label(e, copy);
	copy_chunk(g, skip, missed);
	emit_label(e, skip);
	gen_return(g);
	emit_label(e, missed);
	count_missed(g);
	gen_return(g);
	emit_label(e, next_chunk);
	emit_load(e, 2, R1, R9, CHUNK(len));
	emit_alu_imm(e, BPF_ADD, R1, CHUNK_HEAD + 7);
	emit_alu_imm(e, BPF_AND, R1, ~7);
	state_load(g, R2, SCRATCH_WALK(chunk));
	emit_alu(e, BPF_ADD, R1, R2);
	state_store(g, SCRATCH_WALK(chunk), R1);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(elem), 0);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(edge), 0);
	gen_return(g);
	emit_label(e, stop);
	emit_alu_imm(e, BPF_MOV, R0, 1);
	emit_exit(e);
}
