/*
 * The meaning of capture programs, written down as plainly as possible: runs one over simulated registers
 * and memory. Compiler tests check values with it, planters are compared with it. Not fast, not clever.
 */
#ifndef TESTS_IR_INTERP_H
#define TESTS_IR_INTERP_H

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "binary/arch_x86_64.h"
#include "event/event.h"
#include "event/loss.h"
#include "probe/ir_ops.h"
#include "unit/ir_chain.h"
#include "unit/ir_marks.h"

struct interp_input {
	uint64_t regs[16];   /* by GPR_RAX … */
	uint64_t xmm[16];
	uint64_t entry_sp;   /* the return address lies there */
	uint64_t g;
	uint64_t bias;
	uint64_t saved[IR_MAX_SAVED]; /* 0: none */
	uint64_t latency;
	size_t room;         /* for chunks; 0: as much as there is */
	struct interp_marks *marks; /* of programs that have any */
	bool (*read)(void *arg, uint64_t addr, void *out, size_t n); /* false: unreadable */
	bool (*write)(void *arg, uint64_t addr, const void *bytes, size_t n); /* all or nothing; IR_INJECT, IR_LEND */
	uint64_t loan;       /* IR_LOAN_BYTES that IR_LEND may lend; 0: none are free */
	void *arg;
};

struct interp_slot {
	enum slot_status status;
	uint64_t value;      /* scalars; images: where their chunk is in `chunks` */
	uint64_t len;        /* texts: full length; bytes holds what was copied, with a NUL behind */
	uint64_t copied;
	char bytes[EVENT_MAX_STRING + 1];
};

struct interp_result {
	bool dropped;
	bool lent, released;
	uint64_t lent_bytes; /* what the slice is told, beside the loan's address: length and capacity */
	int loss;            /* enum loss to count, or -1 */
	bool other_goroutine;
	uint64_t g, sp;      /* with other_goroutine; sp 0: none was given */
	uint64_t saved[IR_MAX_SAVED];
	struct interp_slot slots[EVENT_MAX_SLOTS];
	_Alignas(8) uint8_t chunks[EVENT_MAX_DATA];
	size_t chunk_bytes;
	uint32_t missed;
};

struct interp {
	const struct capture_program *p;
	const struct interp_input *in;
	struct interp_result *out;
	uint64_t r[IR_MAX_REGS];
	struct interp_mark_run *mark;
};

enum { INTERP_CHUNK_MAX = 8192 }; /* bytes that are copied for one pointer: as many as the planters copy */

/* Every step gives SLOT_OK or the status that it failed with. */

static enum slot_status interp_load(const struct interp *t, uint64_t addr, unsigned size, bool is_signed,
				    uint64_t *ret)
{
	uint64_t v = 0;
	unsigned shift = 64 - size * 8;

	if (!t->in->read(t->in->arg, addr, &v, size))
		return SLOT_UNREADABLE;
	*ret = is_signed ? (uint64_t)((int64_t)(v << shift) >> shift) : v;
	return SLOT_OK;
}

static uint64_t interp_extend(uint64_t v, unsigned size, bool is_signed)
{
	unsigned shift = 64 - size * 8;

	return is_signed ? (uint64_t)((int64_t)(v << shift) >> shift) : v << shift >> shift;
}

static uint64_t interp_bin(enum ir_bin op, uint64_t a, uint64_t b)
{
	int64_t x = (int64_t)a, y = (int64_t)b;

	switch (op) {
	case BIN_ADD: return a + b;
	case BIN_SUB: return a - b;
	case BIN_MUL: return a * b;
	case BIN_AND: return a & b;
	case BIN_OR: return a | b;
	case BIN_XOR: return a ^ b;
	case BIN_SHL: return a << (b & 63);
	case BIN_SHR: return a >> (b & 63);
	case BIN_EQ: return a == b;
	case BIN_NE: return a != b;
	case BIN_LT: return x < y;
	case BIN_LE: return x <= y;
	case BIN_GT: return x > y;
	case BIN_GE: return x >= y;
	case BIN_ULT: return a < b;
	case BIN_ULE: return a <= b;
	case BIN_UGT: return a > b;
	case BIN_UGE: return a >= b;
	case BIN_DIV: return b ? a / b : 0;
	case BIN_MOD: return b ? a % b : 0;
	}
	return 0;
}

/* The parts of a key, in the registers from b on. */
static bool interp_parts_are(const struct interp *t, uint64_t at, const struct ir_insn *i)
{
	char have[IR_MAX_STR], want[IR_MAX_STR];
	uint16_t reg = i->b;

	for (size_t k = 0; k < i->key->n; k++) {
		const struct ir_key_part *p = &i->key->parts[k];
		uint64_t word, addr;

		if (interp_load(t, at + p->offset + (p->size ? 0 : 8), p->size ? p->size : 8, false, &word) != SLOT_OK)
			return false;
		if (word != t->r[reg + (p->size ? 0 : 1)])
			return false;
		if (!p->size && (word > sizeof(have) || interp_load(t, at + p->offset, 8, false, &addr) != SLOT_OK ||
				 !t->in->read(t->in->arg, addr, have, word) ||
				 !t->in->read(t->in->arg, t->r[reg], want, word) || memcmp(have, want, word)))
			return false;
		reg = (uint16_t)(reg + (p->size ? 1 : 2));
	}
	return true;
}

/* Whether the text (address, length) at that address is the instruction's. */
static bool interp_text_is(const struct interp *t, uint64_t at, const struct ir_insn *i, bool fold)
{
	char text[IR_MAX_STR];
	uint64_t addr, len;

	if (interp_load(t, at, 8, false, &addr) != SLOT_OK ||
	    interp_load(t, at + 8, 8, false, &len) != SLOT_OK || len != (uint64_t)i->imm)
		return false;
	return !len || (t->in->read(t->in->arg, addr, text, len) &&
			!(fold ? strncasecmp : strncmp)(text, i->str, len));
}

static bool interp_key_is(const struct interp *t, uint64_t at, const struct ir_insn *i)
{
	if (i->op == IR_MAP_KEY)
		return interp_parts_are(t, at, i);

	if (i->map->key_indirect && interp_load(t, at, 8, false, &at))
		return false;
	return interp_text_is(t, at, i, i->op == IR_ANY_KEY);
}

static enum slot_status interp_elem(const struct interp *t, uint64_t at, const struct map_layout *m,
				    uint64_t *ret)
{
	*ret = at;
	return m->elem_indirect ? interp_load(t, at, 8, false, ret) : SLOT_OK;
}

static enum slot_status interp_group(const struct interp *t, const struct ir_insn *i, uint64_t group,
				     uint64_t *ret)
{
	const struct map_layout *m = i->map;
	uint64_t control;

	if (interp_load(t, group, 8, false, &control) != SLOT_OK)
		return SLOT_UNREADABLE;
	for (unsigned s = 0; s < m->slots; s++) {
		uint64_t slot = group + m->group_slots_off + (uint64_t)s * m->slot_size;

		if (!(control >> (s * 8) & 0x80) && interp_key_is(t, slot + m->key_off, i))
			return interp_elem(t, slot + m->elem_off, m, ret);
	}
	return SLOT_NO_KEY;
}

static enum slot_status interp_swiss(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	const struct map_layout *m = i->map;
	uint64_t map = t->r[i->a], directory, n, table, groups, mask;

	if (interp_load(t, map + m->dir_ptr_off, 8, false, &directory) != SLOT_OK ||
	    interp_load(t, map + m->dir_len_off, 8, false, &n) != SLOT_OK)
		return SLOT_UNREADABLE;
	if (!directory)
		return SLOT_NO_KEY;
	if (!n)
		return interp_group(t, i, directory, ret);
	for (uint64_t d = 0; d < n; d++) {
		if (interp_load(t, directory + d * 8, 8, false, &table) != SLOT_OK ||
		    interp_load(t, table + m->table_groups_off, 8, false, &groups) != SLOT_OK ||
		    interp_load(t, table + m->table_mask_off, 8, false, &mask) != SLOT_OK)
			return SLOT_UNREADABLE;
		for (uint64_t g = 0; g <= mask; g++) {
			enum slot_status s = interp_group(t, i, groups + g * m->group_size, ret);

			if (s != SLOT_NO_KEY)
				return s;
		}
	}
	return SLOT_NO_KEY;
}

/* One bucket with its overflow chain. */
static enum slot_status interp_bucket(const struct interp *t, const struct ir_insn *i, uint64_t bucket,
				      uint64_t *ret)
{
	const struct map_layout *m = i->map;

	while (bucket) {
		uint64_t tops;

		if (interp_load(t, bucket, 8, false, &tops) != SLOT_OK)
			return SLOT_UNREADABLE;
		for (unsigned s = 0; s < m->slots; s++)
			/* tophash below 5 marks empty and evacuated entries */
			if ((tops >> (s * 8) & 0xff) >= 5 &&
			    interp_key_is(t, bucket + m->key_off + (uint64_t)s * m->key_size, i))
				return interp_elem(t, bucket + m->elem_off + (uint64_t)s * m->elem_size,
						   m, ret);
		if (interp_load(t, bucket + m->overflow_off, 8, false, &bucket) != SLOT_OK)
			return SLOT_UNREADABLE;
	}
	return SLOT_NO_KEY;
}

static enum slot_status interp_old_map(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	const struct map_layout *m = i->map;
	uint64_t map = t->r[i->a], bits, buckets[2];

	if (interp_load(t, map + m->b_off, 1, false, &bits) != SLOT_OK ||
	    interp_load(t, map + m->buckets_off, 8, false, &buckets[0]) != SLOT_OK ||
	    interp_load(t, map + m->oldbuckets_off, 8, false, &buckets[1]) != SLOT_OK)
		return SLOT_UNREADABLE;
	for (unsigned k = 0; k < 2; k++) {
		uint64_t n = 1ull << (k && bits ? bits - 1 : bits);

		for (uint64_t b = 0; buckets[k] && b < n; b++) {
			enum slot_status s =
				interp_bucket(t, i, buckets[k] + b * m->bucket_size, ret);

			if (s != SLOT_NO_KEY)
				return s;
		}
	}
	return SLOT_NO_KEY;
}

static enum slot_status interp_text(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	uint64_t len = t->r[i->b], want = (uint64_t)i->imm, at = t->r[i->a];
	char text[EVENT_MAX_STRING];

	*ret = 0;
	if (i->op == IR_STR_EQ ? len != want : len < want)
		return SLOT_OK;
	if (i->op == IR_STR_SUFFIX)
		at += len - want;
	if (i->op == IR_STR_CONTAINS)
		len = MIN(len, 256);
	else
		len = want;
	if (!t->in->read(t->in->arg, at, text, len))
		return SLOT_UNREADABLE;
	*ret = memmem(text, len, i->str, want) != NULL;
	if (i->op == IR_STR_CONTAINS && !*ret && t->r[i->b] > 256)
		return SLOT_UNREADABLE;
	return SLOT_OK;
}

static enum slot_status interp_order(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	uint64_t len = i->op == IR_STR_ORDER ? t->r[i->b] : t->r[i->c];
	uint64_t n = MIN(len, i->op == IR_STR_ORDER ? (uint64_t)i->imm : IR_MAX_ORDER);
	char a[IR_MAX_ORDER], b[IR_MAX_ORDER];
	int order;

	if (!t->in->read(t->in->arg, t->r[i->a], a, n) ||
	    (i->op == IR_MEM_ORDER && !t->in->read(t->in->arg, t->r[i->b], b, n)))
		return SLOT_UNREADABLE;
	order = memcmp(a, i->op == IR_STR_ORDER ? i->str : b, n);
	if (!order && i->op == IR_STR_ORDER)
		order = len < (uint64_t)i->imm ? -1 : len > (uint64_t)i->imm;
	else if (!order && len > n)
		return SLOT_UNREADABLE;
	*ret = order < 0 ? UINT64_MAX : order > 0;
	return SLOT_OK;
}

static enum slot_status interp_any_key(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	enum slot_status s = SLOT_NO_KEY;
	uint64_t at;

	if (t->r[i->a])
		s = i->map->swiss ? interp_swiss(t, i, &at) : interp_old_map(t, i, &at);
	*ret = s == SLOT_OK;
	return s == SLOT_NO_KEY ? SLOT_OK : s;
}

static enum slot_status interp_any(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	uint64_t n = t->r[i->b], len;

	*ret = 0;
	if (n > IR_MAX_ELEMENTS)
		return SLOT_MAP_BUSY;
	for (uint64_t k = 0; k < n && !*ret; k++) {
		uint64_t at = t->r[i->a] + k * i->at;
		char text[IR_MAX_STR];
		uint64_t addr;

		if (interp_load(t, at + 8, 8, false, &len) != SLOT_OK ||
		    interp_load(t, at, 8, false, &addr) != SLOT_OK ||
		    (len == (uint64_t)i->imm && !t->in->read(t->in->arg, addr, text, len)))
			return SLOT_UNREADABLE;
		*ret = interp_text_is(t, at, i, true);
	}
	return SLOT_OK;
}

/* ---- IR_INJECT ---- */

static size_t interp_inject_bytes(enum inject_form form, const uint64_t *w, char out[INJECT_LINE_BYTES + 1])
{
	const uint8_t *ids = (const uint8_t *)&w[INJECT_TRACE];
	char hex[56], *p = hex;

	p += sprintf(p, "00-");
	for (unsigned k = 0; k < 24; k++)
		p += sprintf(p, k == 16 ? "-%02x" : "%02x", ids[k]);
	sprintf(p, "-%02x", (unsigned)(w[INJECT_FLAGS] & 0xff));
	if (form == INJECT_LINE)
		return (size_t)sprintf(out, "Traceparent: %s\r\n", hex);
	memcpy(out, "\0\x0btraceparent\x37", 14);
	memcpy(out + 14, hex, 55);
	return INJECT_FIELD_BYTES;
}

/* Whether the filled part ends with a frame of that block, and where; SLOT_OTHER_TYPE: it does not. */
static enum slot_status interp_frame(const struct interp *t, const uint64_t *w, uint64_t *ret)
{
	uint64_t block = w[INJECT_BLOCK];
	uint8_t head[INJECT_FRAME_HEAD];

	if (block > w[INJECT_FILLED] || w[INJECT_FILLED] - block < INJECT_FRAME_HEAD)
		return SLOT_OTHER_TYPE;
	*ret = w[INJECT_BUFFER] + w[INJECT_FILLED] - block - INJECT_FRAME_HEAD;
	if (!t->in->read(t->in->arg, *ret, head, sizeof(head)))
		return SLOT_UNREADABLE;
	if ((uint64_t)(head[0] << 16 | head[1] << 8 | head[2]) != block || head[3] != 1 || (head[4] & 0x2c) != 4 ||
	    ((uint64_t)head[5] << 24 | (uint64_t)(head[6] << 16 | head[7] << 8 | head[8])) != w[INJECT_STREAM])
		return SLOT_OTHER_TYPE;
	return SLOT_OK;
}

/* As SLOT_OTHER_TYPE, INJECT_UNEXPECTED; as SLOT_CUT, INJECT_PRESENT. */
static enum slot_status interp_inject_end(const struct interp *t, enum inject_form form, const uint64_t *w,
					  uint64_t *ret_frame)
{
	uint64_t end = w[INJECT_BUFFER] + w[INJECT_FILLED], filled;
	uint64_t n = form == INJECT_LINE ? INJECT_LINE_BYTES : INJECT_FIELD_BYTES;
	char last[2], begin[8];

	if (!t->in->read(t->in->arg, w[INJECT_LENGTH_AT], &filled, 8))
		return SLOT_UNREADABLE;
	if (filled != w[INJECT_FILLED] || filled > w[INJECT_CAPACITY] || filled < 2)
		return SLOT_OTHER_TYPE;
	if (filled >= n && !t->in->read(t->in->arg, end - n, begin, 8))
		return SLOT_UNREADABLE;
	if (filled >= n && !memcmp(begin, form == INJECT_LINE ? INJECT_LINE_NAME : INJECT_FIELD_NAME, 8))
		return SLOT_CUT;
	if (form == INJECT_FRAME)
		return interp_frame(t, w, ret_frame);
	if (form == INJECT_FIELD)
		return SLOT_OK;
	if (!t->in->read(t->in->arg, end - 2, last, 2))
		return SLOT_UNREADABLE;
	return memcmp(last, "\r\n", 2) ? SLOT_OTHER_TYPE : SLOT_OK;
}

#define INTERP_STATE_BYTES (MARK_STATE_MAX + 32)
static size_t interp_state_bytes(enum inject_form form, const char *text, size_t len, char out[INTERP_STATE_BYTES])
{
	size_t n = 0;

	if (form == INJECT_LINE)
		return (size_t)sprintf(out, "Tracestate: %.*s\r\n", (int)len, text);
	memcpy(out, "\0\x0atracestate", 12);
	n = 12;
	if (len < 127) {
		out[n++] = (char)len;
	} else { /* RFC 7541, 5.1 */
		size_t rest = len - 127;

		out[n++] = 127;
		for (; rest >= 128; rest /= 128)
			out[n++] = (char)(rest % 128 + 128);
		out[n++] = (char)rest;
	}
	memcpy(out + n, text, len);
	return n + len;
}

/* What goes in front of the traceparent, which has its room already: *ret_n bytes. */
static enum inject_state interp_inject_state(const struct interp *t, enum inject_form form, const uint64_t *w,
					     size_t tail, char out[INTERP_STATE_BYTES], size_t *ret_n)
{
	size_t k, n;

	*ret_n = 0;
	k = w[INJECT_STATE] && t->mark->marks ? marks_root(t->mark) : SIZE_MAX;
	if (k == SIZE_MAX)
		return INJECT_STATE_NONE;
	if (w[INJECT_STATE] == INJECT_STATE_THERE)
		return INJECT_STATE_PRESENT;
	if (t->mark->marks->states[k].len > MARK_STATE_MAX)
		return INJECT_STATE_TOO_LONG;
	n = interp_state_bytes(form, t->mark->marks->states[k].text, t->mark->marks->states[k].len, out);
	if (w[INJECT_CAPACITY] - w[INJECT_FILLED] < n + tail ||
	    (form != INJECT_LINE &&
	     (form == INJECT_FIELD ? w[INJECT_FILLED] : w[INJECT_BLOCK]) + n + tail > INJECT_BLOCK_MAX))
		return INJECT_STATE_NO_ROOM;
	*ret_n = n;
	return INJECT_STATE_WRITTEN;
}

static enum slot_status interp_inject_write(const struct interp *t, enum inject_form form, const uint64_t *w,
					    uint64_t frame, uint64_t *ret)
{
	char bytes[INTERP_STATE_BYTES + INJECT_LINE_BYTES + 1], tail[INJECT_LINE_BYTES + 1];
	const size_t ntail = interp_inject_bytes(form, w, tail);
	uint64_t filled, block;
	uint8_t length[3];
	size_t n;

	*ret = (uint64_t)interp_inject_state(t, form, w, ntail, bytes, &n) << INJECT_STATE_SHIFT | INJECT_WRITTEN;
	memcpy(bytes + n, tail, ntail);
	n += ntail;
	filled = w[INJECT_FILLED] + n;
	block = w[INJECT_BLOCK] + n;
	length[0] = (uint8_t)(block >> 16);
	length[1] = (uint8_t)(block >> 8);
	length[2] = (uint8_t)block;
	if (!t->in->write(t->in->arg, w[INJECT_BUFFER] + w[INJECT_FILLED], bytes, n) ||
	    (form == INJECT_FRAME && !t->in->write(t->in->arg, frame, length, 3)) ||
	    !t->in->write(t->in->arg, w[INJECT_LENGTH_AT], &filled, 8))
		return SLOT_UNREADABLE;
	return SLOT_OK;
}

static enum slot_status interp_inject(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	const uint64_t *w = &t->r[i->a];
	enum inject_form form = (enum inject_form)i->imm;
	uint64_t n = form == INJECT_LINE ? INJECT_LINE_BYTES : INJECT_FIELD_BYTES, frame = 0;
	enum slot_status s;

	*ret = INJECT_NO_SPAN;
	if (!(w[INJECT_TRACE] | w[INJECT_TRACE + 1]) || !w[INJECT_SPAN])
		return SLOT_OK;
	s = interp_inject_end(t, form, w, &frame);
	*ret = s == SLOT_CUT ? INJECT_PRESENT : INJECT_UNEXPECTED;
	if (s != SLOT_OK)
		return s == SLOT_OTHER_TYPE || s == SLOT_CUT ? SLOT_OK : s;
	*ret = INJECT_TOO_LARGE;
	if (form != INJECT_LINE && (form == INJECT_FIELD ? w[INJECT_FILLED] : w[INJECT_BLOCK]) + n > INJECT_BLOCK_MAX)
		return SLOT_OK;
	*ret = INJECT_NO_ROOM;
	if (w[INJECT_CAPACITY] - w[INJECT_FILLED] < n)
		return SLOT_OK;
	return interp_inject_write(t, form, w, frame, ret);
}

/* What lines there are, without the empty one at the end; -1: one of them is ours. */
static int64_t interp_lines(const struct interp *t, const uint64_t *w, char out[IR_LOAN_BYTES])
{
	const uint64_t n = w[INJECT_FILLED];

	if (!n)
		return sprintf(out, "NATS/1.0\r\n");
	t->in->read(t->in->arg, w[INJECT_BUFFER], out, n);
	for (uint64_t k = 0; k + 13 <= n; k++)
		if (out[k] == '\n' && !strncasecmp(out + k + 1, "traceparent:", 12))
			return -1;
	return (int64_t)n - 2;
}

/* The copy has the struct; where its list and our texts are in there is the planter's affair. */
static enum slot_status interp_lend_record(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	const uint64_t *w = &t->r[i->a], room = (IR_LOAN_BYTES - 80 - i->given->bytes) / INJECT_HEADER_BYTES;
	char bytes[IR_LOAN_BYTES];
	uint64_t list[2];

	*ret = INJECT_UNEXPECTED;
	if (!w[INJECT_BUFFER])
		return SLOT_OK;
	*ret = INJECT_NO_ROOM;
	if (!t->in->loan)
		return SLOT_OK;
	if (!t->in->read(t->in->arg, w[INJECT_BUFFER], bytes, i->given->bytes))
		return SLOT_UNREADABLE;
	memcpy(list, bytes + i->given->list, sizeof(list));
	*ret = INJECT_TOO_LARGE;
	if (list[1] > room - 1)
		return SLOT_OK;
	if (list[1] && !t->in->read(t->in->arg, list[0], bytes, list[1] * INJECT_HEADER_BYTES))
		return SLOT_UNREADABLE;
	*ret = INJECT_WRITTEN;
	t->out->lent = true;
	return SLOT_OK;
}

static enum slot_status interp_lend(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	const uint64_t *w = &t->r[i->a];
	char bytes[IR_LOAN_BYTES], first[8], last[4];
	int64_t n;

	*ret = INJECT_NO_SPAN;
	if (!(w[INJECT_TRACE] | w[INJECT_TRACE + 1]) || !w[INJECT_SPAN])
		return SLOT_OK;
	if (i->imm == INJECT_RECORD)
		return interp_lend_record(t, i, ret);
	*ret = INJECT_UNEXPECTED;
	if (w[INJECT_FILLED] ? w[INJECT_FILLED] < 12 : w[INJECT_BUFFER])
		return SLOT_OK;
	*ret = INJECT_TOO_LARGE;
	if (w[INJECT_FILLED] > IR_LOAN_BYTES - INJECT_LINE_BYTES)
		return SLOT_OK;
	*ret = INJECT_UNEXPECTED;
	if (w[INJECT_FILLED] && (!t->in->read(t->in->arg, w[INJECT_BUFFER], first, 8) ||
				 !t->in->read(t->in->arg, w[INJECT_BUFFER] + w[INJECT_FILLED] - 4, last, 4)))
		return SLOT_UNREADABLE;
	if (w[INJECT_FILLED] && (memcmp(first, "NATS/1.0", 8) || memcmp(last, "\r\n\r\n", 4)))
		return SLOT_OK;
	*ret = INJECT_PRESENT;
	n = interp_lines(t, w, bytes);
	if (n < 0)
		return SLOT_OK;
	*ret = INJECT_NO_ROOM;
	if (!t->in->loan)
		return SLOT_OK;
	*ret = INJECT_WRITTEN;
	n += (int64_t)interp_inject_bytes(INJECT_LINE, w, bytes + n);
	memcpy(bytes + n, "\r\n", 2);
	t->in->write(t->in->arg, t->in->loan, bytes, (size_t)n + 2);
	t->out->lent = true;
	t->out->lent_bytes = (uint64_t)n + 2;
	return SLOT_OK;
}

static enum slot_status interp_mark_word(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	const struct mark *m = &t->mark->mark;

	if (!t->mark->has)
		return SLOT_ABSENT;
	if (i->imm == MARK_STATE)
		*ret = marks_root(t->mark) < SIZE_MAX ? t->mark->marks->states[marks_root(t->mark)].len : 0;
	else if (i->imm == MARK_FLAGS)
		*ret = m->flags;
	else
		memcpy(ret, i->imm == MARK_SPAN_ID ? m->span_id : &m->trace_id[8 * i->imm], sizeof(*ret));
	return SLOT_OK;
}

static enum slot_status interp_value(const struct interp *t, const struct ir_insn *i, uint64_t *ret)
{
	const struct interp_input *in = t->in;
	bool is_signed = i->flags & IR_SIGNED;

	switch (i->op) {
	case IR_CONST:
		*ret = (uint64_t)i->imm;
		return SLOT_OK;
	case IR_ARG_REG:
		*ret = interp_extend(in->regs[i->reg], i->size, is_signed);
		return SLOT_OK;
	case IR_ARG_FLOAT:
		*ret = interp_extend(in->xmm[i->reg], i->size, false);
		return SLOT_OK;
	case IR_ARG_STACK:
		return interp_load(t, in->entry_sp + (uint64_t)i->imm, i->size, is_signed, ret);
	case IR_SP:
		*ret = in->entry_sp + (uint64_t)i->imm;
		return SLOT_OK;
	case IR_ANY_STR:
		return interp_any(t, i, ret);
	case IR_INJECT:
		return interp_inject(t, i, ret);
	case IR_LEND:
		return interp_lend(t, i, ret);
	case IR_G:
		*ret = in->g;
		return SLOT_OK;
	case IR_PC_RET:
		return interp_load(t, in->entry_sp, 8, false, ret);
	case IR_LOAD:
		if (!t->r[i->a])
			return SLOT_NIL;
		return interp_load(t, t->r[i->a] + (uint64_t)i->imm, i->size, is_signed, ret);
	case IR_ADDR:
		*ret = t->r[i->a] + (uint64_t)i->imm;
		return t->r[i->a] ? SLOT_OK : SLOT_NIL;
	case IR_INDEX:
		*ret = t->r[i->a] + t->r[i->b] * (uint64_t)i->imm;
		return t->r[i->b] < t->r[i->c] ? SLOT_OK : SLOT_RANGE;
	case IR_TYPE:
		*ret = (uint64_t)i->imm + in->bias;
		return SLOT_OK;
	case IR_MAP_STR:
	case IR_MAP_KEY:
		if (!t->r[i->a])
			return SLOT_NIL;
		return i->map->swiss ? interp_swiss(t, i, ret) : interp_old_map(t, i, ret);
	case IR_ANY_KEY:
		return interp_any_key(t, i, ret);
	case IR_STR_ORDER:
	case IR_MEM_ORDER:
		return interp_order(t, i, ret);
	case IR_BIN:
		if ((i->bin == BIN_DIV || i->bin == BIN_MOD) && !t->r[i->b])
			return SLOT_UNREADABLE;
		*ret = interp_bin(i->bin, t->r[i->a], t->r[i->b]);
		return SLOT_OK;
	case IR_NOT:
		*ret = !t->r[i->a];
		return SLOT_OK;
	case IR_MOVE:
		*ret = t->r[i->a];
		return SLOT_OK;
	case IR_SAVED:
		*ret = t->in->saved[i->imm];
		return *ret ? SLOT_OK : SLOT_ABSENT;
	case IR_LATENCY:
		*ret = t->in->latency;
		return SLOT_OK;
	case IR_MARK_WORD:
		return interp_mark_word(t, i, ret);
	default:
		return interp_text(t, i, ret);
	}
}

static bool interp_sets(const struct ir_insn *i)
{
	return i->op <= IR_MOVE;
}

static enum slot_status interp_emit(const struct interp *t, const struct ir_insn *i)
{
	struct interp_slot *s = &t->out->slots[i->slot];
	uint64_t n;

	if (i->op == IR_EMIT) {
		s->value = t->r[i->a];
		s->status = SLOT_OK;
		return SLOT_OK;
	}
	n = MIN(t->r[i->b], (uint64_t)i->imm);
	s->len = t->r[i->b];
	s->value = t->r[i->a];
	if (n && !t->in->read(t->in->arg, t->r[i->a], s->bytes, n)) { /* what lies in the first page */
		uint64_t first = EVENT_PAGE - t->r[i->a] % EVENT_PAGE;

		if (first < n && t->in->read(t->in->arg, t->r[i->a], s->bytes, first))
			s->copied = first;
		return SLOT_NOT_RESIDENT;
	}
	s->bytes[n] = '\0';
	s->copied = n;
	s->status = n < t->r[i->b] ? SLOT_CUT : SLOT_OK;
	return SLOT_OK;
}

/* The caller's return address, then those along the chain of frame pointers. */
static enum slot_status interp_stack(const struct interp *t, const struct ir_insn *i)
{
	struct interp_slot *s = &t->out->slots[i->slot];
	uint64_t pc, frame = t->in->regs[GPR_RBP], at = t->in->entry_sp, next;
	int64_t n = 0;

	while (n < i->imm && interp_load(t, at, 8, false, &pc) == SLOT_OK && pc) {
		memcpy(s->bytes + n++ * 8, &pc, 8);
		if (!frame || interp_load(t, frame, 8, false, &next) != SLOT_OK)
			break;
		at = frame + 8;
		frame = next > frame ? next : 0;
	}
	s->len = s->copied = (uint64_t)n * 8;
	s->status = n ? SLOT_OK : SLOT_UNREADABLE;
	return s->status;
}

static enum slot_status interp_chain(const struct interp *t, const struct ir_insn *i)
{
	const struct chain_memory m = {t->in->read, t->in->arg, t->in->bias};
	struct interp_slot *s = &t->out->slots[i->slot];
	uint64_t words[CHAIN_WORDS_MAX];

	s->len = s->copied = 8 * chain_words(t->p->contexts, &m, t->r[i->a], t->r[i->b], (size_t)i->imm, words);
	memcpy(s->bytes, words, s->copied);
	s->status = SLOT_OK;
	return SLOT_OK;
}

/* ---- marks (mark.h) ---- */

/* The words of the chain that the instruction's registers name. */
static void interp_links(const struct interp *t, const struct ir_insn *i, size_t max, uint64_t words[CHAIN_WORDS_MAX])
{
	const struct chain_memory m = {t->in->read, t->in->arg, t->in->bias};

	chain_words(t->p->contexts, &m, t->r[i->a], t->r[i->b], max, words);
}

static void interp_mark_header(const struct interp *t, const struct ir_insn *i)
{
	char text[EVENT_MAX_STRING];
	uint64_t len = MIN(t->r[i->b], (uint64_t)sizeof(text));

	if (t->in->read(t->in->arg, t->r[i->a], text, len))
		marks_header(t->mark, text, len);
}

static void interp_mark_state(const struct interp *t, const struct ir_insn *i)
{
	char text[MARK_STATE_MAX];
	uint64_t len = t->r[i->b];

	if (len > sizeof(text) || t->in->read(t->in->arg, t->r[i->a], text, len))
		marks_state(t->mark, text, len);
}

static void interp_mark_begin(const struct interp *t, const struct ir_insn *i)
{
	uint64_t epoch[3] = {0};

	if (i->a != IR_NO_REG)
		memcpy(epoch, (const uint64_t[]){t->r[i->a], t->r[i->b], t->r[i->c]}, sizeof(epoch));
	marks_begin(t->mark, i, epoch);
}

static void interp_mark_find(const struct interp *t, const struct ir_insn *i)
{
	uint64_t word = t->r[i->a];

	if (i->flags & IR_MARK_NEED) {
		t->mark->sealed |= !t->mark->has && !marks_by(t->mark->marks, (uint64_t)i->imm, i->group, word);
		return;
	}
	marks_take(t->mark, marks_by(t->mark->marks, (uint64_t)i->imm, i->group, word));
	t->mark->sealed |= word && i->flags & IR_MARK_ONLY;
}

static void interp_mark_end(const struct interp *t, const struct ir_insn *i)
{
	struct mark *m = t->mark->has ? marks_of(t->mark->marks, mark_span(&t->mark->mark)) : NULL;

	if (m && !(t->mark->keyed && i->flags & IR_MARK_UNLESS_KEYED))
		marks_end(t->mark->marks, m);
}

/* What it does; false: the event is dropped. */
static bool interp_mark(const struct interp *t, const struct ir_insn *i)
{
	uint64_t words[CHAIN_WORDS_MAX];

	switch (i->op) {
	case IR_MARK_HEADER:
		interp_mark_header(t, i);
		return true;
	case IR_MARK_CHAIN:
		interp_links(t, i, (size_t)i->imm, words);
		if (!t->mark->has && !t->mark->sealed)
			marks_chain(t->mark, words);
		return true;
	case IR_MARK_GOROUTINE:
		marks_goroutine(t->mark, i);
		return true;
	case IR_MARK_CREATOR:
		marks_creator(t->mark, t->r[i->a]);
		return true;
	case IR_MARK_FIND:
		interp_mark_find(t, i);
		return true;
	case IR_MARK_BEGIN:
		interp_mark_begin(t, i);
		return true;
	case IR_MARK_STATE:
		interp_mark_state(t, i);
		return true;
	case IR_MARK_PUT:
		marks_put(t->mark, (uint64_t)i->imm, i->group, t->r[i->a]);
		return true;
	case IR_MARK_PUT_CHAIN:
		interp_links(t, i, 1, words);
		if (words[0] >= CHAIN_END_COUNT)
			marks_put(t->mark, MARK_CONTEXT, 0, words[0] & ~(uint64_t)CHAIN_BITS);
		return true;
	case IR_MARK_PUSH:
		if (!(t->mark->keyed && i->flags & IR_MARK_UNLESS_KEYED))
			marks_push(t->mark);
		return true;
	case IR_MARK_LEAVE:
		marks_leave(t->mark);
		return true;
	case IR_MARK_END:
		interp_mark_end(t, i);
		return true;
	case IR_MARK_UNWIND:
		marks_unwind(t->mark, i->imm);
		return true;
	default:
		return marks_admit(t->mark, i);
	}
}

static enum slot_status interp_emit_mark(const struct interp *t, const struct ir_insn *i)
{
	struct interp_slot *s = &t->out->slots[i->slot];
	struct event_context c;

	if (!t->mark->has)
		return SLOT_ABSENT;
	memcpy(&c, t->mark->mark.trace_id, sizeof(c.trace_id));
	memcpy(c.span_id, t->mark->mark.span_id, sizeof(c.span_id));
	c.flags = t->mark->mark.flags | (uint32_t)i->imm;
	memcpy(s->bytes, &c, sizeof(c));
	s->len = s->copied = sizeof(c);
	s->status = SLOT_OK;
	return SLOT_OK;
}

/* ---- images and what they lead to (shape.h) ---- */

static size_t interp_room(const struct interp *t)
{
	size_t all = t->in->room ? t->in->room : sizeof(t->out->chunks);

	return all - t->out->chunk_bytes;
}

/* A new chunk with room for its bytes, cleared; NULL: missed. */
static struct event_chunk *interp_chunk(const struct interp *t, uint64_t addr, uint32_t shape, size_t len,
					unsigned depth)
{
	struct interp_result *out = t->out;
	struct event_chunk *c = (void *)(out->chunks + out->chunk_bytes);

	if (sizeof(*c) + ALIGN_UP(len, 8) > interp_room(t)) {
		out->missed++;
		return NULL;
	}
	memset(c, 0, sizeof(*c) + ALIGN_UP(len, 8));
	*c = (struct event_chunk){.addr = addr, .shape = shape, .len = (uint16_t)len, .status = SLOT_OK,
				  .depth = (uint8_t)depth};
	out->chunk_bytes += sizeof(*c) + ALIGN_UP(len, 8);
	return c;
}

/*
 * The n bytes behind the chunk, from addr; of pages that cannot be read zeros, and a bit in its status.
 * False: none can.
 */
static bool interp_pages(const struct interp *t, struct event_chunk *c, uint64_t addr, size_t n)
{
	uint8_t *to = (uint8_t *)(c + 1);
	bool any = false;
	size_t size;

	if (t->in->read(t->in->arg, addr, to, n))
		return true;
	for (size_t at = 0, page = 0; at < n; at += size, page++) {
		size = MIN(EVENT_PAGE - (addr + at) % EVENT_PAGE, n - at);
		if (t->in->read(t->in->arg, addr + at, to + at, size)) {
			any = true;
			continue;
		}
		memset(to + at, 0, size);
		c->status |= (uint8_t)(1u << (page + EVENT_PAGES_SHIFT));
	}
	return any;
}

static enum slot_status interp_image(const struct interp *t, const struct ir_insn *i)
{
	struct interp_slot *s = &t->out->slots[i->slot];
	const struct shape_table *shapes = t->p->shapes;
	struct event_chunk *c;

	if (i->op == IR_IMAGE) {
		c = interp_chunk(t, i->a == IR_NO_REG ? 0 : t->r[i->a], i->shape, (size_t)i->imm,
				 ir_image_depth(i, shapes));
		if (!c)
			return SLOT_UNREADABLE;
		if (i->imm < shapes->shapes.data[i->shape].size)
			c->status = SLOT_CUT;
		s->value = (uint64_t)((uint8_t *)c - t->out->chunks);
		s->status = SLOT_OK;
		return SLOT_OK;
	}
	c = (void *)(t->out->chunks + s->value);
	if (i->op == IR_IMAGE_TYPE) {
		const struct shape_dynamic *d;
		uint64_t type;

		if (interp_load(t, t->r[i->a] + (uint64_t)i->imm, 8, false, &type) != SLOT_OK)
			return SLOT_OK;
		d = shape_dynamic_find(shapes, type - t->in->bias);
		c->shape = d && d->shape ? d->shape : c->shape;
		return SLOT_OK;
	}
	if (i->op == IR_IMAGE_PUT) {
		memcpy((uint8_t *)(c + 1) + i->imm, &t->r[i->a], i->size);
		return SLOT_OK;
	}
	if (!i->at)
		return interp_pages(t, c, t->r[i->a], (size_t)i->imm) ? SLOT_OK : SLOT_UNREADABLE;
	return t->in->read(t->in->arg, t->r[i->a], (uint8_t *)(c + 1) + i->at, (size_t)i->imm) ? SLOT_OK
											       : SLOT_UNREADABLE;
}

/* `count` elements at addr as a chunk. */
static void interp_copy(const struct interp *t, const struct shape_edge *e, uint32_t shape, uint64_t addr,
			uint64_t count, unsigned depth)
{
	uint64_t size = t->p->shapes->shapes.data[shape].size, take = MIN(count, e->max);
	uint64_t bytes = MIN(take, INTERP_CHUNK_MAX / size) * size;
	size_t room = interp_room(t), before = t->out->chunk_bytes;
	struct event_chunk *c;

	if (!bytes)
		bytes = INTERP_CHUNK_MAX; /* a part of one element */
	if (bytes + sizeof(*c) > room && room > sizeof(*c) + size)
		bytes = ((room - sizeof(*c)) & ~7ul) / size * size;
	c = interp_chunk(t, addr, shape, (size_t)bytes, depth);
	if (!c)
		return;
	if (bytes < count * size)
		c->status = SLOT_CUT;
	if (interp_pages(t, c, addr, (size_t)bytes))
		return;
	c->status = SLOT_UNREADABLE;
	c->len = 0;
	t->out->chunk_bytes = before + sizeof(*c);
}

static uint64_t interp_count(const struct shape_edge *e, const uint8_t *element)
{
	uint64_t word = 0;

	if (e->count == COUNT_ONE)
		return 1;
	memcpy(&word, element + e->count_off, e->count == COUNT_SHIFT ? 1 : 8);
	switch (e->count) {
	case COUNT_WORD:
		return (int64_t)word > 0 ? MIN(word, 1ull << 40) : 0;
	case COUNT_SHIFT:
		return 1ull << MIN(word, 20ull);
	case COUNT_MASK:
		return MIN(word, 1ull << 40) + 1;
	default:
		return word == 0;
	}
}

static void interp_interface(const struct interp *t, const struct shape_edge *e, const uint64_t words[2],
			     unsigned depth)
{
	const struct shape_table *shapes = t->p->shapes;
	const struct shape_dynamic *d;
	struct event_chunk *c;
	uint64_t type = words[0];

	if (e->kind == EDGE_IFACE && interp_load(t, type + shapes->itab_type_off, 8, false, &type) != SLOT_OK)
		return;
	d = shape_dynamic_find(shapes, type - t->in->bias);
	if (!d || !d->shape)
		return;
	if (!d->direct) {
		interp_copy(t, e, d->shape, words[1], 1, depth);
		return;
	}
	c = interp_chunk(t, 0, d->shape, 8, depth);
	if (c)
		memcpy(c + 1, &words[1], 8);
}

/* Whether the words that the edge needs are among the n bytes. */
static bool interp_has(const struct shape_edge *e, size_t n)
{
	size_t pointer = e->offset + (e->kind == EDGE_POINTER ? 8u : 16u);
	size_t count = e->count == COUNT_ONE ? 0 : e->count_off + (e->count == COUNT_SHIFT ? 1u : 8u);

	return pointer <= n && count <= n;
}

static void interp_edge(const struct interp *t, const struct shape_edge *e, const uint8_t *element, size_t n,
			unsigned depth)
{
	uint64_t words[2] = {0}, count;

	if (!interp_has(e, n) || e->costs > depth)
		return;
	memcpy(words, element + e->offset, e->kind == EDGE_POINTER ? 8 : 16);
	if (!words[0])
		return;
	depth -= e->costs;
	if (e->kind != EDGE_POINTER) {
		interp_interface(t, e, words, depth);
		return;
	}
	count = interp_count(e, element);
	if (count)
		interp_copy(t, e, e->shape, words[0], count, depth);
}

/* The chunks in order, those that are made on the way too. */
static void interp_walk(const struct interp *t)
{
	const struct shape_table *shapes = t->p->shapes;

	for (size_t at = 0; at < t->out->chunk_bytes;) {
		const struct event_chunk *c = (void *)(t->out->chunks + at);
		const struct shape *s = &shapes->shapes.data[c->shape];
		const uint8_t *bytes = (void *)(c + 1);

		for (size_t element = 0; element < c->len; element += s->size)
			for (uint32_t k = 0; k < s->nedges; k++)
				interp_edge(t, &shapes->edges.data[s->first_edge + k], bytes + element,
					    c->len - element, c->depth);
		at += sizeof(*c) + ALIGN_UP((size_t)c->len, 8);
	}
}

static size_t interp_find(const struct capture_program *p, size_t from, enum ir_op op, uint16_t label)
{
	while (p->insns[from].op != op || (op == IR_LABEL && p->insns[from].label != label))
		from++;
	return from;
}

static void interp_drop(struct interp *t, int loss)
{
	t->out->dropped = true;
	t->out->loss = loss;
}

/* One instruction; *pc moves on, or to where a jump leads. */
static enum slot_status interp_step(struct interp *t, size_t *pc)
{
	const struct ir_insn *i = &t->p->insns[*pc];

	if (interp_sets(i)) {
		uint64_t v = 0;
		enum slot_status s = interp_value(t, i, &v);

		t->r[i->dst] = v;
		return s;
	}
	switch (i->op) {
	case IR_JUMP:
	case IR_JUMP_IF0:
		if (i->op == IR_JUMP || !t->r[i->a])
			*pc = interp_find(t->p, *pc, IR_LABEL, i->label);
		return SLOT_OK;
	case IR_REQUIRE:
		return t->r[i->a] ? SLOT_OK : (enum slot_status)i->imm;
	case IR_FILTER:
		if (!t->r[i->a])
			interp_drop(t, -1);
		return SLOT_OK;
	case IR_RELEASE:
		t->out->released = true;
		interp_drop(t, -1);
		return SLOT_OK;
	case IR_EMIT:
	case IR_EMIT_STR:
		return interp_emit(t, i);
	case IR_EMIT_STACK:
		return interp_stack(t, i);
	case IR_EMIT_CHAIN:
		return interp_chain(t, i);
	case IR_EMIT_MARK:
		return interp_emit_mark(t, i);
	case IR_IMAGE:
	case IR_IMAGE_PUT:
	case IR_IMAGE_COPY:
	case IR_IMAGE_TYPE:
		return interp_image(t, i);
	case IR_SAVE:
		t->out->saved[i->imm] = t->r[i->a];
		return SLOT_OK;
	case IR_GOROUTINE:
		t->out->other_goroutine = true;
		t->out->g = t->r[i->a];
		t->out->sp = i->b == IR_NO_REG ? 0 : t->r[i->b];
		return SLOT_OK;
	default:
		if (ir_is_mark(i) && !interp_mark(t, i))
			interp_drop(t, -1);
		return SLOT_OK;
	}
}

static void interp_failed(struct interp *t, int region, enum slot_status s)
{
	if (region == IR_SLOT_MARK)
		return;
	if (region >= 0 && region != IR_SLOT_FILTER)
		t->out->slots[region].status = s;
	else if (region < 0)
		interp_drop(t, LOSS_NO_GOROUTINE);
	else
		interp_drop(t, s == SLOT_UNREADABLE || s == SLOT_NOT_RESIDENT || s == SLOT_MAP_BUSY
				       ? LOSS_FILTER_UNREADABLE : -1);
}

/* The goroutine and the depth of the record, which marks want. */
static void interp_goroutine(const struct interp *t)
{
	uint64_t g = t->out->other_goroutine ? t->out->g : t->in->g;
	uint64_t sp = t->out->other_goroutine ? t->out->sp : t->in->entry_sp;

	interp_load(t, g + t->p->g.goid, 8, false, &t->mark->goid);
	interp_load(t, g + t->p->g.stack_hi, 8, false, &t->mark->depth);
	t->mark->depth = sp ? t->mark->depth - sp : 0;
}

static void interp_run(const struct capture_program *p, const struct interp_input *in,
		       struct interp_result *ret)
{
	struct interp_mark_run mark = {.marks = in->marks};
	struct interp t = {.p = p, .in = in, .out = ret, .mark = &mark};
	int region = -1;

	memset(ret, 0, sizeof(*ret));
	ret->loss = -1;
	for (size_t pc = 0; pc < p->ninsns && !ret->dropped; pc++) {
		enum slot_status s;

		if (p->insns[pc].op == IR_REGION)
			region = p->insns[pc].slot;
		if (region == IR_SLOT_MARK && p->insns[pc].op == IR_REGION)
			interp_goroutine(&t);
		s = interp_step(&t, &pc);
		if (s == SLOT_OK)
			continue;
		interp_failed(&t, region, s);
		if (!ret->dropped)
			pc = interp_find(p, pc, IR_END, 0);
	}
	if (p->shapes && !ret->dropped)
		interp_walk(&t);
}

/* The record that a planter would have written; returns its size. buf has EVENT_MAX_SIZE bytes, 8-aligned. */
static inline __attribute__((unused)) size_t interp_record(const struct capture_program *p,
							   const struct interp_result *out, void *buf)
{
	struct event_header *h = buf;
	struct event_slot *slots = (void *)(h + 1);
	size_t at = sizeof(*h) + p->nslots * sizeof(*slots);

	memset(buf, 0, at);
	for (size_t i = 0; i < p->nslots; i++) {
		const struct interp_slot *s = &out->slots[i];
		bool text = p->slots[i].kind == VALUE_STRING || p->slots[i].kind == VALUE_STACK ||
			    p->slots[i].kind == VALUE_CHAIN || p->slots[i].kind == VALUE_CONTEXT;

		slots[i] = (struct event_slot){.status = (uint8_t)s->status, .len = (uint32_t)s->len,
					       .value = s->value};
		if (!text || (s->status != SLOT_OK && s->status != SLOT_CUT && !s->copied))
			continue;
		if (s->status == SLOT_NOT_RESIDENT) { /* the address before what there is */
			memcpy((char *)buf + at, &s->value, 8);
			at += 8;
		}
		slots[i].copied = (uint16_t)s->copied;
		slots[i].value = at;
		memcpy((char *)buf + at, s->bytes, slots[i].copied);
		at += ALIGN_UP((size_t)slots[i].copied, 8);
	}
	for (size_t i = 0; i < p->nslots; i++)
		if (p->slots[i].kind == VALUE_IMAGE)
			slots[i].value += at;
	memcpy((char *)buf + at, out->chunks, out->chunk_bytes);
	*h = (struct event_header){.size = (uint32_t)(at + out->chunk_bytes), .version = EVENT_VERSION,
				   .slots = (uint16_t)p->nslots, .chunks = out->chunk_bytes ? (uint32_t)at : 0,
				   .missed = out->missed};
	return h->size;
}

#endif
