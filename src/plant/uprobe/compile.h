/* Capture programs → BPF programs for uprobes. Needs no privileges: file descriptors are parameters. */
#ifndef PLANT_UPROBE_COMPILE_H
#define PLANT_UPROBE_COMPILE_H

#include "plant/uprobe/emit.h"
#include "probe/ir.h"

/*
 * What a record is built in when it does not fit the BPF stack: one element of an array map. Only the
 * BPF programs use it, so its layout is ours alone.
 */
#define SCRATCH_WORK_SIZE 2048 /* a map's bucket or group; a string that is searched */
/* What the saved map keeps: from a start, for the programs that run later on the same goroutine. */
struct saved_key {
	uint64_t goid;
	uint32_t target, group;
};
struct saved_words {
	uint64_t word[IR_MAX_SAVED]; /* 0: none */
};

#define WINDOWS_MAX 8
#define WINDOWS_SIZE 1024
struct scratch {
	uint64_t busy;
	struct saved_words saved;     /* taken from the map, or to be put there */
	uint64_t window_valid[WINDOWS_MAX];
	uint8_t window[WINDOWS_SIZE]; /* structs read ahead */
	uint64_t words[7];      /* of a map's search */
	struct {
		uint64_t key, elem;
	} candidates[40];
	uint8_t work[SCRATCH_WORK_SIZE];
	/* Slack behind the record: the verifier bounds offset and length of a string one by one. */
	uint8_t record[EVENT_MAX_SIZE + EVENT_MAX_STRING];
};

/* A program differs between sites by these, so sites that agree share one. */
struct site_shape {
	int32_t sp_delta;
	uint8_t flags_skip;
};

struct uprobe_env {
	int ring, scratch, losses, saved; /* maps */
	unsigned scratch_per_cpu;
	size_t ring_bytes;
};

/*
 * The losses that BPF programs count: an array by probe, a value has LOSS_KERNEL_COUNT words. What probes with
 * higher ids lose is counted together, at 0.
 */
#define LOSS_KERNEL_COUNT 4
#define LOSS_PROBES 8192
uint32_t loss_key(uint32_t probe_id);

/*
 * The cookie of a site tells its program the process: its number, and the load bias in pages.
 * -ERANGE when the parts do not fit.
 */
#define COOKIE_TARGET_BITS 28
int cookie_pack(uint32_t target, uint64_t bias, uint64_t *ret, struct err *err);

/* Appends to out, resolved. -E2BIG, -EINVAL (not a valid capture program), -EOPNOTSUPP. */
int uprobe_compile(const struct capture_program *p, uint32_t probe_id, const struct site_shape *shape,
		   const struct uprobe_env *env, struct emit *out, struct err *err);

#endif
