/* What the patch planter needs to know of an executable file, beside the sites. */
#ifndef PLANT_PATCH_FACTS_H
#define PLANT_PATCH_FACTS_H

#include "plant/patch/site.h"

struct facts {
	struct binary *binary;
	struct patch_exclusion *exclusion;
	uint64_t syscall_insn;  /* image address of a `syscall` */
	uint64_t main_entry;    /* of main.main, 0 when it is not found */
	uint64_t text, etext;   /* of Go's code */
	uint32_t m_p, p_id;     /* offsets: p in runtime.m, id in runtime.p */
};

/* -EOPNOTSUPP with a sentence when the program lacks what is needed. */
int facts_read(const char *path, struct facts *ret, struct err *err);
void facts_done(struct facts *f);

/* The place to patch for a site that another planter's analysis found: its function's entry, or that return. */
int facts_site(const struct facts *f, const struct site *s, struct patch_site *ret, struct err *err);

#endif
