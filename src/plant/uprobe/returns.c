/*
 * Several programs can hang on one RET (two earshots), and each sees the registers as those before it have left them.
 * So a program first puts back what the hit began with, if what it finds is just what a return makes of that. Another
 * tool's probe on the same RET, which is a rare place for one, may see the registers as they are behind it.
 *
 * Shadow stacks would have to be popped, too: for processes that have them, this is not used (uprobe_plant).
 */
#include "plant/uprobe/returns.h"

#include "binary/arch_x86_64.h"
#include "plant/uprobe/gen.h"

enum { WORD = BK_KEY };

/* The word at SP + off, to WORD; to fault when that cannot be. */
static void read_word(struct emit *e, const struct arch *arch, int off, int fault)
{
	emit_store_imm(e, 8, FP, WORD, 0);
	emit_alu(e, BPF_MOV, R1, FP);
	emit_alu_imm(e, BPF_ADD, R1, WORD);
	emit_alu_imm(e, BPF_MOV, R2, 8);
	emit_load(e, 8, R3, REG_CTX, arch->saved_registers[arch->sp]);
	if (off)
		emit_alu_imm(e, BPF_ADD, R3, off);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, fault);
}

static void move_sp(struct emit *e, const struct arch *arch, int by)
{
	emit_load(e, 8, R1, REG_CTX, arch->saved_registers[arch->sp]);
	emit_alu_imm(e, BPF_ADD, R1, by);
	emit_store(e, 8, REG_CTX, arch->saved_registers[arch->sp], R1);
}

/* R0 = the address of the RET, R1 = the instruction pointer. */
static void load_places(struct emit *e, const struct arch *arch)
{
	emit_alu(e, BPF_MOV, R1, REG_CTX);
	emit_call(e, BPF_FUNC_get_func_ip);
	emit_load(e, 8, R1, REG_CTX, arch->saved_pc);
}

void returns_undo(struct emit *e, const struct arch *arch)
{
	int as_it_was = emit_label_new(e);

	load_places(e, arch);
	emit_jump_if(e, BPF_JEQ, R1, R0, as_it_was);
	emit_alu(e, BPF_MOV, R8, R0);
	emit_alu(e, BPF_MOV, R9, R1);
	read_word(e, arch, -8, as_it_was);
	emit_load(e, 8, R1, FP, WORD);
	emit_jump_if(e, BPF_JNE, R1, R9, as_it_was);
	emit_store(e, 8, REG_CTX, arch->saved_pc, R8);
	move_sp(e, arch, -8);
	emit_label(e, as_it_was);
}

void returns_run(struct emit *e, const struct arch *arch)
{
	int as_it_is = emit_label_new(e);

	load_places(e, arch);
	emit_jump_if(e, BPF_JNE, R1, R0, as_it_is);
	read_word(e, arch, 0, as_it_is);
	emit_load(e, 8, R1, FP, WORD);
	emit_store(e, 8, REG_CTX, arch->saved_pc, R1);
	move_sp(e, arch, 8);
	emit_label(e, as_it_is);
}

int returns_prog_load(const struct uprobe_means *m)
{
	_cleanup_(emit_done) struct emit e = {0};
	int r;

	emit_alu(&e, BPF_MOV, REG_CTX, R1);
	returns_undo(&e, &arch_x86_64);
	returns_run(&e, &arch_x86_64);
	emit_alu_imm(&e, BPF_MOV, R0, 0);
	emit_exit(&e);
	r = emit_finish(&e, NULL);
	return r < 0 ? r : uprobe_prog_load(m, "returns", e.code.data, e.code.len, NULL);
}

bool returns_work(const struct uprobe_means *m)
{
	/* get_func_ip is for programs of uprobe_multi, and the kernel refuses others that set registers. */
	_cleanup_(cleanup_fd) int fd = m->multi ? returns_prog_load(m) : -1;

	return fd >= 0;
}
