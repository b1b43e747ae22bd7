/*
 * Reading what could not be read at once: memory that the program got but has not touched has no page yet, and the
 * helper that never sleeps gives nothing at all of what touches one. So it is read again, page by page.
 *
 * From Linux 6.1 on our programs may sleep: they are loaded so (it costs nothing that can be measured), and the second
 * reading is by bpf_copy_from_user, which brings the page in as the program's own read would. What is still missing
 * then is nobody's to read. It comes second because it is the slower one, and a page fault is the program's time.
 */
#include "plant/uprobe/gen.h"

/* R4 = bytes of the first page from the address on. */
static void first_page(struct gen *g, const struct pieces *p)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, p->addr, p->addr_off);
	emit_alu_imm(e, BPF_AND, R1, EVENT_PAGE - 1);
	emit_alu_imm(e, BPF_MOV, R4, EVENT_PAGE);
	emit_alu(e, BPF_SUB, R4, R1);
}

/* The k-th piece's place in R4 and its size in R2; to end when there is none. */
static void piece(struct gen *g, const struct pieces *p, unsigned k, int end)
{
	struct emit *e = g->e;
	int fits = emit_label_new(e);

	first_page(g, p);
	if (!k) {
		emit_alu(e, BPF_MOV, R2, R4);
		emit_jump_if(e, BPF_JLE, R2, p->size, fits);
		emit_alu(e, BPF_MOV, R2, p->size);
		emit_label(e, fits);
		emit_alu_imm(e, BPF_MOV, R4, 0);
		return;
	}
	emit_alu_imm(e, BPF_ADD, R4, (int32_t)((k - 1) * EVENT_PAGE));
	emit_jump_if(e, BPF_JGE, R4, p->size, end);
	emit_alu(e, BPF_MOV, R2, p->size);
	emit_alu(e, BPF_SUB, R2, R4);
	emit_jump_if_imm(e, BPF_JLE, R2, EVENT_PAGE, fits);
	emit_alu_imm(e, BPF_MOV, R2, EVENT_PAGE);
	emit_label(e, fits);
}

void gen_read_pieces(struct gen *g, const struct pieces *p, int none)
{
	unsigned n = (p->max + EVENT_PAGE - 2) / EVENT_PAGE + 1;
	struct emit *e = g->e;
	int end = emit_label_new(e), some = emit_label_new(e);

	emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(read), 0);
	for (unsigned k = 0; k < n; k++) {
		int lost = emit_label_new(e), next = emit_label_new(e);

		piece(g, p, k, end);
		emit_jump_if_imm(e, BPF_JGT, R2, EVENT_PAGE, none); /* for the verifier */
		emit_alu(e, BPF_MOV, R1, p->dst);
		emit_alu_imm(e, BPF_ADD, R1, p->dst_off);
		emit_alu(e, BPF_ADD, R1, R4);
		emit_load(e, 8, R3, p->addr, p->addr_off);
		emit_alu(e, BPF_ADD, R3, R4);
		gen_call_reader(g);
		emit_jump_if_imm(e, BPF_JNE, R0, 0, lost);
		emit_store_imm(e, 8, REG_RECORD, SCRATCH_WALK(read), 1);
		emit_jump(e, next);
		emit_label(e, lost);
		emit_load(e, 8, R1, REG_RECORD, p->pages);
		emit_alu_imm(e, BPF_OR, R1, 1 << (k + EVENT_PAGES_SHIFT));
		emit_store(e, 8, REG_RECORD, p->pages, R1);
		emit_label(e, next);
	}
	emit_label(e, end);
	emit_load(e, 8, R1, REG_RECORD, SCRATCH_WALK(read));
	emit_jump_if_imm(e, BPF_JNE, R1, 0, some);
	emit_jump(e, none);
	emit_label(e, some);
}
