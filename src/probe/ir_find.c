/* What there is in a capture program. */
#include "probe/ir.h"

const struct ir_insn *capture_find(const struct capture_program *p, enum ir_op op)
{
	for (size_t i = 0; i < p->ninsns; i++)
		if (p->insns[i].op == op)
			return &p->insns[i];
	return NULL;
}

bool capture_has(const struct capture_program *p, enum ir_op op)
{
	return capture_find(p, op);
}

bool capture_follows(const struct capture_program *p)
{
	return capture_has(p, IR_EMIT_CHAIN) || capture_has(p, IR_MARK_CHAIN) || capture_has(p, IR_MARK_PUT_CHAIN);
}

static bool has_region(const struct capture_program *p, uint16_t slot)
{
	for (size_t i = 0; i < p->ninsns; i++)
		if (p->insns[i].op == IR_REGION && p->insns[i].slot == slot)
			return true;
	return false;
}

bool capture_has_filter(const struct capture_program *p)
{
	return has_region(p, IR_SLOT_FILTER);
}

bool capture_has_marks(const struct capture_program *p)
{
	return has_region(p, IR_SLOT_MARK);
}

uint32_t capture_head_bytes(const struct capture_program *p)
{
	return (uint32_t)(sizeof(struct event_header) + p->nslots * sizeof(struct event_slot));
}

static int64_t emitted(const struct capture_program *p, enum ir_op op, uint16_t slot)
{
	for (size_t i = 0; i < p->ninsns; i++)
		if (p->insns[i].op == op && p->insns[i].slot == slot)
			return p->insns[i].imm;
	return 0;
}

uint32_t capture_stack_bytes(const struct capture_program *p, uint16_t slot)
{
	return (uint32_t)(8 * emitted(p, IR_EMIT_STACK, slot));
}

uint32_t capture_chain_bytes(const struct capture_program *p, uint16_t slot)
{
	int64_t links = emitted(p, IR_EMIT_CHAIN, slot);

	uint32_t span = p->contexts && p->contexts->span_key ? EVENT_CHAIN_SPAN_BYTES : 0;

	return links ? (uint32_t)(8 * (links + 1)) + span : 0;
}
