/* An executable file, analysed once for all processes that run it. */
#ifndef CMD_PROGRAM_H
#define CMD_PROGRAM_H

#include "cmd/observe.h"
#include "cmd/packs.h"
#include "probe/pack/join.h"

struct program {
	struct subject subject;            /* first: the observer knows it by this */
	struct join *joins;
	size_t njoins;
	const struct join **join_of_probe; /* the subject's probes are those of the joins that are not refused */
	size_t nspans;                     /* probes that open spans */
	unsigned refused;
};

/* Never NULL; the reason is in subject.why when there is nothing to plant. Probe ids count up from *next_probe. */
struct program *program_new(const struct process *proc, const pack_set *packs, const struct planter_ops *planter,
			    uint32_t *next_probe);
void program_free(struct program *p); /* NULL ok */

#endif
