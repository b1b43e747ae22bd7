/* IR_INJECT: buffers as libraries have them, and a program that appends to them; planters are compared by these. */
#ifndef TESTS_IR_INJECT_H
#define TESTS_IR_INJECT_H

#include <stddef.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "probe/ir.h"

/* What a program of inject_program reads and changes. Its address is in RAX. */
struct inject_memory {
	uint64_t words[INJECT_WORDS];
	uint64_t length;
	uint64_t header, header_len, state, state_len; /* of inject_program_with_state: what came in */
	uint8_t buffer[20480];
};

static const uint8_t inject_ids[24] = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d,
				       0x0e, 0x0e, 0x47, 0x36, 0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};
#define INJECT_HEX "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/* The memory of an interp_input: this process's own. */
static inline bool inject_read(void *arg, uint64_t addr, void *out, size_t n)
{
	memcpy(out, (const void *)(uintptr_t)addr, n);
	return true;
}

static inline bool inject_write(void *arg, uint64_t addr, const void *bytes, size_t n)
{
	memcpy((void *)(uintptr_t)addr, bytes, n);
	return true;
}

static inline void inject_frame_head(uint8_t *at, uint32_t block, uint8_t type, uint8_t flags, uint32_t stream)
{
	const uint8_t head[INJECT_FRAME_HEAD] = {
	    (uint8_t)(block >> 16), (uint8_t)(block >> 8), (uint8_t)block, type, flags,
	    (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};

	memcpy(at, head, sizeof(head));
}

/* A buffer that takes the form: filled with `filled` bytes that end as they should, of which block are the frame's. */
static inline void inject_fill(struct inject_memory *m, enum inject_form form, uint64_t filled, uint64_t capacity,
			       uint64_t block)
{
	memset(m, 0xee, sizeof(*m));
	memcpy(&m->words[INJECT_TRACE], inject_ids, sizeof(inject_ids));
	m->words[INJECT_BUFFER] = (uintptr_t)m->buffer;
	m->words[INJECT_FILLED] = m->length = filled;
	m->words[INJECT_CAPACITY] = capacity;
	m->words[INJECT_LENGTH_AT] = (uintptr_t)&m->length;
	m->words[INJECT_FLAGS] = 0xabcdef01;
	m->words[INJECT_BLOCK] = block;
	m->words[INJECT_STREAM] = 0x7f010203;
	m->words[INJECT_STATE] = INJECT_STATE_UNWANTED;
	m->header_len = m->state_len = 0;
	if (form == INJECT_LINE)
		memcpy(m->buffer + filled - 2, "\r\n", 2);
	if (form == INJECT_FRAME)
		inject_frame_head(m->buffer + filled - block - INJECT_FRAME_HEAD, (uint32_t)block, 1, 5, 0x7f010203);
}

/* The words are read from where RAX points to; the outcome is the slot. insns has INJECT_PROGRAM of them. */
#define INJECT_PROGRAM (INJECT_WORDS + 5)
static inline struct capture_program inject_program(struct ir_insn *insns, enum inject_form form)
{
	static struct ir_slot slot = {.name = "propagated", .kind = VALUE_UINT};
	size_t n = 0;

	insns[n++] = (struct ir_insn){.op = IR_REGION};
	insns[n++] = (struct ir_insn){.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = INJECT_WORDS};
	for (unsigned k = 0; k < INJECT_WORDS; k++)
		insns[n++] = (struct ir_insn){.op = IR_LOAD, .size = 8, .dst = (uint16_t)k, .a = INJECT_WORDS,
					      .imm = 8 * k};
	insns[n++] = (struct ir_insn){.op = IR_INJECT, .dst = INJECT_WORDS, .a = 0, .imm = form};
	insns[n++] = (struct ir_insn){.op = IR_EMIT, .a = INJECT_WORDS};
	insns[n++] = (struct ir_insn){.op = IR_END};
	return (struct capture_program){.insns = insns, .ninsns = n, .slots = &slot, .nslots = 1,
					.nregs = INJECT_WORDS + 1};
}

/* Of IR_LEND: the call is told in RBX, RDI, and on the stack. */
static inline struct capture_program lend_program(struct ir_insn *insns)
{
	static const struct ir_given given = {{{.reg = GPR_RBX}, {.reg = GPR_RDI}, {.on_stack = true, .stack = 16}},
					      3, 0, 0};
	struct capture_program p = inject_program(insns, INJECT_MESSAGE);

	insns[INJECT_PROGRAM - 3].op = IR_LEND;
	insns[INJECT_PROGRAM - 3].given = &given;
	insns[INJECT_PROGRAM - 3].call = 7;
	return p;
}

/* A record of Kafka with its headers. */
struct lend_header {
	const char *name;
	uint64_t name_len;
	const char *value;
	uint64_t value_len, value_cap;
};
struct lend_record {
	uint64_t before[5];
	const struct lend_header *headers;
	uint64_t n, cap;
	uint64_t after[2];
};
_Static_assert(sizeof(struct lend_header) == INJECT_HEADER_BYTES, "it is a Go program's");

/* The call is told in RBX. */
static inline struct capture_program lend_record_program(struct ir_insn *insns)
{
	static const struct ir_given given = {{{.reg = GPR_RBX}}, 1, sizeof(struct lend_record),
					      offsetof(struct lend_record, headers)};
	struct capture_program p = lend_program(insns);

	insns[INJECT_PROGRAM - 3].imm = INJECT_RECORD;
	insns[INJECT_PROGRAM - 3].given = &given;
	return p;
}

/* What gives that back. insns has 3 of them. */
static inline struct capture_program release_program(struct ir_insn *insns)
{
	insns[0] = (struct ir_insn){.op = IR_REGION, .slot = IR_SLOT_FILTER};
	insns[1] = (struct ir_insn){.op = IR_RELEASE, .call = 7};
	insns[2] = (struct ir_insn){.op = IR_END};
	return (struct capture_program){.insns = insns, .ninsns = 3};
}

static inline void lend_fill(struct inject_memory *m, const char *headers, uint64_t n)
{
	memset(m, 0xee, sizeof(*m));
	memcpy(&m->words[INJECT_TRACE], inject_ids, sizeof(inject_ids));
	memcpy(m->buffer, headers, n);
	m->words[INJECT_BUFFER] = n ? (uintptr_t)m->buffer : 0;
	m->words[INJECT_FILLED] = n;
	m->words[INJECT_FLAGS] = 0xabcdef01;
}

/* Headers, and what must come of them. */
struct lend_case {
	const char *headers;
	enum inject_outcome outcome;
};
#define HDR "NATS/1.0\r\n"
static const struct lend_case lend_cases[] = {
	{"", INJECT_WRITTEN},
	{HDR "\r\n", INJECT_WRITTEN},
	{HDR "A: b\r\n\r\n", INJECT_WRITTEN},
	{HDR "Traceparent: 1\r\n\r\n", INJECT_PRESENT},
	{HDR "A: b\r\ntraceparent:\r\n\r\n", INJECT_PRESENT},
	{HDR "A: b\r\nTRACEPARENT: x\r\nB: c\r\n\r\n", INJECT_PRESENT},
	{HDR "A: b\r\n traceparent: x\r\n\r\n", INJECT_WRITTEN},
	{HDR "A: traceparent: x\r\n\r\n", INJECT_WRITTEN},
	{HDR "Xtraceparent: x\r\n\r\n", INJECT_WRITTEN},
	{HDR "Traceparents: x\r\n\r\n", INJECT_WRITTEN},
	{HDR "Traceparen: x\r\n\r\n", INJECT_WRITTEN},
	{HDR "Tracestate: traceparent\r\n\r\n", INJECT_WRITTEN},
	{"NATS/1.0 503\r\n\r\n", INJECT_WRITTEN},
	{HDR "A: b\r\n", INJECT_UNEXPECTED},
	{HDR "A: b\n\r\n", INJECT_UNEXPECTED},
	{"HTTP/1.0\r\nA: b\r\n\r\n", INJECT_UNEXPECTED},
	{HDR, INJECT_UNEXPECTED},
	{"\r\n\r\n", INJECT_UNEXPECTED},
	{"x", INJECT_UNEXPECTED},
};

/* A word of the memory; by way of register 2. */
static inline size_t inject_load(struct ir_insn *insns, uint16_t dst, size_t offset)
{
	insns[0] = (struct ir_insn){.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 2};
	insns[1] = (struct ir_insn){.op = IR_LOAD, .size = 8, .dst = dst, .a = 2, .imm = (int64_t)offset};
	return 2;
}

static inline size_t inject_region(struct ir_insn *insns, size_t text, size_t len, struct ir_insn op)
{
	size_t n = 0;

	insns[n++] = (struct ir_insn){.op = IR_REGION, .slot = IR_SLOT_MARK};
	n += inject_load(insns + n, 0, text);
	n += inject_load(insns + n, 1, len);
	op.a = op.op == IR_MARK_BEGIN ? IR_NO_REG : 0; /* no epoch */
	op.b = 1;
	insns[n++] = op;
	insns[n++] = (struct ir_insn){.op = IR_END};
	return n;
}

/* The run's mark is first one with what has come in; the one of the run before has ended. */
#define INJECT_STATE_PROGRAM (INJECT_PROGRAM + 5 * 7)
static inline struct capture_program inject_program_with_state(struct ir_insn *insns, enum inject_form form)
{
	enum { HEADER = offsetof(struct inject_memory, header), HEADER_LEN = offsetof(struct inject_memory, header_len),
	       STATE = offsetof(struct inject_memory, state), STATE_LEN = offsetof(struct inject_memory, state_len) };
	struct capture_program p;
	size_t n = 0;

	n += inject_region(insns + n, STATE, STATE_LEN, (struct ir_insn){.op = IR_MARK_UNWIND, .imm = 1});
	n += inject_region(insns + n, HEADER, HEADER_LEN, (struct ir_insn){.op = IR_MARK_HEADER});
	n += inject_region(insns + n, STATE, STATE_LEN, (struct ir_insn){.op = IR_MARK_BEGIN});
	n += inject_region(insns + n, STATE, STATE_LEN, (struct ir_insn){.op = IR_MARK_STATE});
	n += inject_region(insns + n, STATE, STATE_LEN, (struct ir_insn){.op = IR_MARK_PUSH});
	p = inject_program(insns + n, form);
	p.insns = insns;
	p.ninsns += n;
	return p;
}

/* Fixed cases: what is changed of a buffer that takes the form, and what must come of it. */
struct inject_case {
	const char *name;
	enum inject_form form;
	uint64_t filled, capacity, block;
	void (*spoil)(struct inject_memory *m);
	enum inject_outcome outcome;
};

static inline void spoil_trace(struct inject_memory *m) { m->words[INJECT_TRACE] = m->words[INJECT_TRACE + 1] = 0; }
static inline void spoil_half(struct inject_memory *m) { m->words[INJECT_TRACE] = 0; }
static inline void spoil_span(struct inject_memory *m) { m->words[INJECT_SPAN] = 0; }
static inline void spoil_length(struct inject_memory *m) { m->length++; }
static inline void spoil_cr(struct inject_memory *m) { m->buffer[m->length - 2] = ' '; }
static inline void spoil_lf(struct inject_memory *m) { m->buffer[m->length - 1] = '\r'; }
static inline void spoil_stream(struct inject_memory *m) { m->words[INJECT_STREAM]++; }
static inline void spoil_block(struct inject_memory *m) { m->words[INJECT_BLOCK]--; }
static inline void spoil_block_wide(struct inject_memory *m) { m->words[INJECT_BLOCK] |= UINT64_C(1) << 40; }
static inline void spoil_filled_wide(struct inject_memory *m)
{
	m->length = m->words[INJECT_FILLED] |= UINT64_C(1) << 63;
}
static inline uint8_t *frame_of(struct inject_memory *m)
{
	return m->buffer + m->length - m->words[INJECT_BLOCK] - INJECT_FRAME_HEAD;
}
static inline void spoil_type(struct inject_memory *m) { frame_of(m)[3] = 9; }
static inline void spoil_end(struct inject_memory *m) { frame_of(m)[4] = 1; }
static inline void spoil_padded(struct inject_memory *m) { frame_of(m)[4] |= 8; }
static inline void spoil_priority(struct inject_memory *m) { frame_of(m)[4] |= 0x20; }

/* As if another observer had been there before. */
static inline void spoil_line_there(struct inject_memory *m)
{
	if (m->length >= INJECT_LINE_BYTES)
		memcpy(m->buffer + m->length - INJECT_LINE_BYTES, "Traceparent: ", 13);
}
static inline void spoil_field_there(struct inject_memory *m)
{
	if (m->length >= INJECT_FIELD_BYTES)
		memcpy(m->buffer + m->length - INJECT_FIELD_BYTES, "\0\x0btraceparent\x37", 14);
}
static inline void spoil_nearly_there(struct inject_memory *m)
{
	if (m->length >= INJECT_FIELD_BYTES)
		memcpy(m->buffer + m->length - INJECT_FIELD_BYTES, "\0\x0btraceless!", 12);
}

static const struct inject_case inject_cases[] = {
	{"a line that is there", INJECT_LINE, 400, 4096, 0, spoil_line_there, INJECT_PRESENT},
	{"nothing but that line", INJECT_LINE, 70, 4096, 0, spoil_line_there, INJECT_PRESENT},
	{"a field that is there", INJECT_FIELD, 140, 300, 0, spoil_field_there, INJECT_PRESENT},
	{"a frame that has it", INJECT_FRAME, 500, 4096, 200, spoil_field_there, INJECT_PRESENT},
	{"another field", INJECT_FRAME, 500, 4096, 200, spoil_nearly_there, INJECT_WRITTEN},
	{"a line", INJECT_LINE, 64, 4096, 0, NULL, INJECT_WRITTEN},
	{"a line that just fits", INJECT_LINE, 4026, 4096, 0, NULL, INJECT_WRITTEN},
	{"a line that does not fit", INJECT_LINE, 4027, 4096, 0, NULL, INJECT_NO_ROOM},
	{"a full buffer", INJECT_LINE, 4096, 4096, 0, NULL, INJECT_NO_ROOM},
	{"a line end alone", INJECT_LINE, 2, 4096, 0, NULL, INJECT_WRITTEN},
	{"no line before", INJECT_LINE, 64, 4096, 0, spoil_cr, INJECT_UNEXPECTED},
	{"no line before", INJECT_LINE, 64, 4096, 0, spoil_lf, INJECT_UNEXPECTED},
	{"another length", INJECT_LINE, 64, 4096, 0, spoil_length, INJECT_UNEXPECTED},
	{"more than there can be", INJECT_LINE, 64, 63, 0, NULL, INJECT_UNEXPECTED},
	{"a negative length", INJECT_LINE, 64, 4096, 0, spoil_filled_wide, INJECT_UNEXPECTED},
	{"no trace", INJECT_LINE, 64, 4096, 0, spoil_trace, INJECT_NO_SPAN},
	{"half a trace", INJECT_LINE, 64, 4096, 0, spoil_half, INJECT_WRITTEN},
	{"no span", INJECT_LINE, 64, 4096, 0, spoil_span, INJECT_NO_SPAN},
	{"a field", INJECT_FIELD, 40, 128, 0, NULL, INJECT_WRITTEN},
	{"a field that just fits", INJECT_FIELD, 59, 128, 0, NULL, INJECT_WRITTEN},
	{"a field that does not fit", INJECT_FIELD, 60, 128, 0, NULL, INJECT_NO_ROOM},
	{"the largest block", INJECT_FIELD, 16315, 20000, 0, NULL, INJECT_WRITTEN},
	{"a block too large", INJECT_FIELD, 16316, 20000, 0, NULL, INJECT_TOO_LARGE},
	{"an empty block", INJECT_FIELD, 0, 128, 0, NULL, INJECT_UNEXPECTED},
	{"a frame", INJECT_FRAME, 49, 4096, 40, NULL, INJECT_WRITTEN},
	{"a frame behind others", INJECT_FRAME, 2000, 4096, 300, NULL, INJECT_WRITTEN},
	{"a frame that just fits", INJECT_FRAME, 4027, 4096, 300, NULL, INJECT_WRITTEN},
	{"a frame that does not fit", INJECT_FRAME, 4028, 4096, 300, NULL, INJECT_NO_ROOM},
	{"a frame whose length has a carry", INJECT_FRAME, 2000, 4096, 200, NULL, INJECT_WRITTEN},
	{"the largest frame", INJECT_FRAME, 17000, 20000, 16315, NULL, INJECT_WRITTEN},
	{"a frame too large", INJECT_FRAME, 17000, 20000, 16316, NULL, INJECT_TOO_LARGE},
	{"another stream", INJECT_FRAME, 2000, 4096, 300, spoil_stream, INJECT_UNEXPECTED},
	{"another block", INJECT_FRAME, 2000, 4096, 300, spoil_block, INJECT_UNEXPECTED},
	{"a block that is none", INJECT_FRAME, 2000, 4096, 300, spoil_block_wide, INJECT_UNEXPECTED},
	{"another frame", INJECT_FRAME, 2000, 4096, 300, spoil_type, INJECT_UNEXPECTED},
	{"a frame that goes on", INJECT_FRAME, 2000, 4096, 300, spoil_end, INJECT_UNEXPECTED},
	{"a padded frame", INJECT_FRAME, 2000, 4096, 300, spoil_padded, INJECT_UNEXPECTED},
	{"a frame with a priority", INJECT_FRAME, 2000, 4096, 300, spoil_priority, INJECT_UNEXPECTED},
};

#endif
