/* The parts that every construct of the code generator is made of: virtual registers, labels, what failures lead to. */
#include "plant/patch/gen.h"

static int label_once(struct code *g, int *label)
{
	if (*label < 0)
		*label = x86_label_new(&g->x);
	return *label;
}

int code_drop(struct code *g, unsigned drop)
{
	return label_once(g, &g->drop[drop]);
}

bool code_writes_record(const struct code *g)
{
	return !g->env->sums || !g->p->no_record;
}

/* Whether something is left to do for an event that goes no further. */
static bool ends(const struct code *g)
{
	return g->p->role == PROGRAM_RETURN ? code_writes_record(g) : g->p->role == PROGRAM_ENTRY && g->env->sums;
}

unsigned code_not_passed(const struct code *g)
{
	return ends(g) ? DROP_ENDED : DROP_SILENT;
}

int code_fail(struct code *g, enum slot_status s)
{
	if (!g->in_region)
		return code_drop(g, LOSS_NO_GOROUTINE);
	if (!g->in_filter)
		return label_once(g, &g->fail[s]);
	if (s == SLOT_UNREADABLE || s == SLOT_NOT_RESIDENT || s == SLOT_MAP_BUSY)
		return code_drop(g, LOSS_FILTER_UNREADABLE);
	return code_drop(g, code_not_passed(g));
}

void code_fault(struct code *g, int label)
{
	if (g->fault == label)
		return;
	x86_lea_label(&g->x, RDX, label);
	x86_store(&g->x, 8, SLOT(fault), RDX);
	g->fault = label;
}

void code_join(struct code *g, int label)
{
	x86_label(&g->x, label);
	g->fault = -1;
	g->cached = IR_NO_REG;
}

void code_get(struct code *g, uint8_t dst, uint16_t vreg)
{
	if (g->cached != vreg)
		x86_load(&g->x, 8, false, dst, SLOT_AT(regs, vreg));
	else if (dst != RAX)
		x86_mov(&g->x, dst, RAX);
	if (dst == RAX)
		g->cached = vreg;
}

void code_put(struct code *g, uint16_t vreg)
{
	x86_store(&g->x, 8, SLOT_AT(regs, vreg), RAX);
	g->cached = vreg;
}

void code_forget(struct code *g)
{
	g->cached = IR_NO_REG;
}

struct x86_mem code_slot(uint16_t slot, unsigned off)
{
	return MEM(REG_RECORD, sizeof(struct event_header) + slot * sizeof(struct event_slot) + off);
}
