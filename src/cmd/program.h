/* An executable file, analysed once for all processes that run it. */
#ifndef CMD_PROGRAM_H
#define CMD_PROGRAM_H

#include "cmd/packs.h"
#include "plant/plant.h"
#include "probe/join.h"
#include "target/process.h"

struct program {
	struct binary *binary;
	struct join *joins;
	size_t njoins;
	struct plant_probe *probes;        /* of the joins that are not refused */
	const struct join **join_of_probe;
	size_t nprobes, nspans;            /* nspans: probes that open spans */
	unsigned refused;
	char why[600];                     /* why nothing can be observed, or "" */
	uint64_t key;                      /* process.file_key */
};

/* Never NULL; the reason is in `why` when there is nothing to plant. Probe ids count up from *next_probe. */
struct program *program_new(const struct process *proc, const pack_set *packs, uint32_t *next_probe);
void program_free(struct program *p); /* NULL ok */

#endif
