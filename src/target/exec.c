/*
 * A raw tracepoint program of a dozen instructions that sends process id and time through a small ring. Raw
 * tracepoints need neither tracefs nor BTF. Losing events here (a burst of execs) costs no span: the caller
 * rescans now and then anyway.
 */
#include "target/exec.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "base/macro.h"

#define WANTED_MAX 1024

_Static_assert(sizeof(struct exec_event) == 32, "the program below writes it");

struct exec_watch {
	int map, wanted, prog, link; /* wanted: the map of whom to tell of */
	struct ring_buffer *ring;
	void (*fn)(void *arg, const struct exec_event *e);
	void *arg;
};

/* R0 = what the map has of the word at fp + off, or 0: five instructions. */
#define LOOK_UP(map, at)                                                                                              \
	{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = (map)},        \
	{0},                                                                                                          \
	{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10},                           \
	{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = (at)},                                     \
	{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem}

static int load_program(int map, int wanted)
{
	const struct bpf_insn insns[] = {
		/* struct exec_event at fp - 32: bpf_get_current_pid_tgid() >> 32, bpf_ktime_get_ns(), the name */
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
		{.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 32},
		{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0, .off = -32},
		LOOK_UP(wanted, -32),
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = 7},
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -40, .imm = EXEC_ALL},
		LOOK_UP(wanted, -40),
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 13}, /* to the end */
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ktime_get_ns},
		{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0, .off = -24},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -16},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 16},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_comm},
		/* bpf_ringbuf_output(map, fp - 32, 32, 0) */
		{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -(int)sizeof(struct exec_event)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = sizeof(struct exec_event)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ringbuf_output},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "earshot_exec", "Dual MIT/GPL", insns,
			     ARRAY_SIZE(insns), NULL);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct exec_watch *w = ctx;
	struct exec_event e;

	if (size >= sizeof(e)) {
		memcpy(&e, data, sizeof(e));
		e.name[sizeof(e.name) - 1] = 0;
		w->fn(w->arg, &e);
	}
	return 0;
}

int exec_watch_new(struct exec_watch **ret, struct err *err)
{
	struct exec_watch *w = xcalloc(1, sizeof(*w));
	int r;

	w->prog = w->link = w->wanted = -1;
	w->map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "earshot_exec", 0, 0, 65536, NULL);
	if (w->map >= 0)
		w->wanted = bpf_map_create(BPF_MAP_TYPE_HASH, "earshot_execs", sizeof(uint64_t), sizeof(uint64_t),
					   WANTED_MAX, NULL);
	if (w->wanted >= 0)
		w->prog = load_program(w->map, w->wanted);
	if (w->prog >= 0)
		w->link = bpf_raw_tracepoint_open("sched_process_exec", w->prog);
	if (w->link < 0) {
		r = -errno;
		exec_watch_free(w);
		return err_set(err, r, "the kernel does not tell us of program starts (sched_process_exec: %s)",
			       strerror(-r));
	}
	w->ring = ring_buffer__new(w->map, on_record, w, NULL);
	if (!w->ring) {
		r = -errno;
		exec_watch_free(w);
		return err_set(err, r, "cannot map the ring for program starts: %s", strerror(-r));
	}
	*ret = w;
	return 0;
}

void exec_watch_free(struct exec_watch *w)
{
	if (!w)
		return;
	ring_buffer__free(w->ring);
	close_fd(w->link);
	close_fd(w->prog);
	close_fd(w->wanted);
	close_fd(w->map);
	free(w);
}

int exec_watch_fd(struct exec_watch *w)
{
	return ring_buffer__epoll_fd(w->ring);
}

void exec_watch_add(struct exec_watch *w, uint64_t pid)
{
	const uint64_t all = EXEC_ALL, yes = 1;

	if (bpf_map_update_elem(w->wanted, &pid, &yes, BPF_ANY) < 0 && pid != all)
		bpf_map_update_elem(w->wanted, &all, &yes, BPF_ANY);
}

void exec_watch_remove(struct exec_watch *w, uint64_t pid)
{
	bpf_map_delete_elem(w->wanted, &pid);
}

void exec_watch_drain(struct exec_watch *w, void (*fn)(void *arg, const struct exec_event *e), void *arg)
{
	w->fn = fn;
	w->arg = arg;
	ring_buffer__consume(w->ring);
}
