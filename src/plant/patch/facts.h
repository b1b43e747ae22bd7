/* What the patch planter needs to know of an executable file, and the sites that it has there. */
#ifndef PLANT_PATCH_FACTS_H
#define PLANT_PATCH_FACTS_H

#include "plant/patch/site.h"
#include "plant/patch/stop.h"

struct facts {
	struct patch_exclusion *exclusion;
	struct syscall_insns calls; /* image addresses */
	uint64_t main_entry;    /* of main.main, 0 when it is not found */
	uint64_t text, etext;   /* of Go's code */
	uint32_t m_p, p_id;     /* offsets: p in runtime.m, id in runtime.p */
};

/*
 * Found out at the first call, and kept with b. NULL with a sentence (-EOPNOTSUPP) when the program lacks what is
 * needed.
 */
const struct facts *facts_of(struct binary *b, struct err *err);

/*
 * Image address of the `syscall` of a function in assembly, which has its results in memory, when it only returns
 * behind that: then nobody sees what the call returned. 0: it is no such function.
 */
uint64_t facts_unread_syscall(struct binary *b, const struct func *f);

/* planter_ops.suits: as facts_of. */
int patch_suits(struct binary *b, struct err *err);
/* planter_ops.locate: the sites are struct patch_located. */
int patch_locate(struct binary *b, const struct join_point *at, const struct site **ret, struct err *err);

#endif
