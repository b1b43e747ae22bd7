/*
 * The kernel hides the helper from programs in two cases, and says the same in both: lockdown (LOCKDOWN_BPF_WRITE_USER,
 * integrity and above), and no CAP_SYS_ADMIN; CAP_BPF and CAP_PERFMON do not do. Where both are so and the level of
 * lockdown cannot be read, the capability is what is told.
 */
#include "plant/uprobe/writes.h"

#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>

#include "base/buf.h"
#include "base/caps.h"
#include "base/file.h"
#include "plant/uprobe/emit.h"

#define LOCKDOWN_FILE "/sys/kernel/security/lockdown" /* "none [integrity] confidentiality" */
#define HELPER UPROBE_WRITES_HELPER

enum { LOG_MESSAGES = 4, LOG_BYTES = 4096 };

static bool locked_down(const char *lockdown)
{
	return strstr(lockdown, "[integrity]") || strstr(lockdown, "[confidentiality]");
}

int uprobe_writes_verdict(int loaded, const char *log, uint64_t caps, const char *lockdown, struct err *err)
{
	bool hidden = strstr(log, HELPER) != NULL;

	if (loaded >= 0)
		return 0;
	if ((hidden || loaded == -EPERM) && !locked_down(lockdown) && !caps_have(caps, CAP_SYS_ADMIN))
		return err_set(err, -EPERM,
			       "missing CAP_SYS_ADMIN, without which this kernel lets no probe write into a program "
			       "(" HELPER "); run as root, or use --planter patch, which needs none");
	if (hidden)
		return err_set(err, -EACCES,
			       "kernel lockdown%s forbids probes to write into a program (" HELPER "), whatever the "
			       "capabilities; use --planter patch, which it does not touch",
			       locked_down(lockdown) ? "" : " or a security module");
	return err_set(err, loaded, "this kernel refuses probes that write into a program (%s)", strerror(-loaded));
}

int uprobe_writes_explain(int code, const char *log, struct err *err)
{
	_cleanup_(buf_done) struct buf lockdown = {0};

	(void)file_read(LOCKDOWN_FILE, &lockdown, 256);
	return uprobe_writes_verdict(code, log, caps_effective(), lockdown.len ? lockdown.data : "", err);
}

static void write_a_word(struct emit *e)
{
	emit_store_imm(e, 8, BPF_REG_10, -8, 0);
	emit_alu_imm(e, BPF_MOV, BPF_REG_1, 0);
	emit_alu(e, BPF_MOV, BPF_REG_2, BPF_REG_10);
	emit_alu_imm(e, BPF_ADD, BPF_REG_2, -8);
	emit_alu_imm(e, BPF_MOV, BPF_REG_3, 8);
	emit_call(e, BPF_FUNC_probe_write_user);
	emit_alu_imm(e, BPF_MOV, BPF_REG_0, 0);
	emit_exit(e);
}

int uprobe_writes_check(struct err *err)
{
	char log[LOG_BYTES] = "";
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_level = LOG_MESSAGES, .log_buf = log, .log_size = sizeof(log));
	_cleanup_(emit_done) struct emit e = {0};
	int fd, r;

	write_a_word(&e);
	r = emit_finish(&e, err);
	if (r < 0)
		return r;
	fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "earshot", "GPL", e.code.data, e.code.len, &opts);
	if (fd < 0)
		return uprobe_writes_explain(-errno, log, err);
	close_fd(fd);
	return 0;
}
