/*
 * Where a function can be patched from inside, decided from the binary alone. Only strict sites are
 * taken: see site.c for what that means, and why nothing else is needed for safety then.
 */
#ifndef PLANT_PATCH_SITE_H
#define PLANT_PATCH_SITE_H

#include "binary/binary.h"

#define PATCH_JUMP 5        /* bytes of jmp rel32 */
#define PATCH_MOVED_MAX 48  /* bytes of instructions that a trampoline takes over */

/*
 * A trampoline is: the bytes `before`, as they are; the branch to `morestack` if there is one; the record,
 * when SP + sp_delta is SP at the function's entry; the bytes `after`; then a jump to `resume`, or the
 * function's own ret.
 */
struct patch_site {
	enum site_kind kind;
	uint64_t addr;          /* image address of the instruction that becomes a jump */
	uint8_t len;            /* of that instruction: 4 or more */
	uint8_t pun;            /* len 4: the byte behind it, which must become the jump's last */
	uint8_t nbefore, nafter;
	unsigned char before[PATCH_MOVED_MAX], after[PATCH_MOVED_MAX]; /* position-independent */
	bool checked;           /* there is a stack check: `morestack` is where its branch goes … */
	uint8_t cond;           /* … on this condition (low four bits of the opcode) */
	uint64_t morestack;
	uint64_t resume;        /* entry: the address behind what was taken over; 0: ret */
	int32_t sp_delta;
	unsigned char old[PATCH_JUMP]; /* what lies at addr */
};

/* As the planter's locate gives it. */
struct patch_located {
	struct site site;
	struct patch_site patch;
};

static inline const struct patch_site *patch_site_of(const struct site *s)
{
	return &((const struct patch_located *)s)->patch;
}

/* Whether the jump's displacement must end in site->pun. */
static inline bool patch_punned(const struct patch_site *s)
{
	return s->len < PATCH_JUMP;
}
/* Whether a trampoline at the (image) address `to` can be reached by this site's jump. */
bool patch_reaches(const struct patch_site *s, uint64_t to);

/*
 * Which functions must not be patched at all: those that run in the signal handler or in a child between
 * fork and exec. Found once per binary, from its direct calls.
 */
struct patch_exclusion;
struct patch_exclusion *patch_exclusion_new(struct binary *b);
void patch_exclusion_free(struct patch_exclusion *x); /* NULL ok */
/* NULL, or the reason as the end of a sentence that begins with the function's name. */
const char *patch_excluded(const struct patch_exclusion *x, const struct func *f);

/* -ENOTSUP with the reason where f is not patched; -EPROTO where its code is damaged. */
int patch_entry_site(struct binary *b, const struct patch_exclusion *x, const struct func *f,
		     struct patch_site *ret, struct err *err);
/* The site for the RET at image address ret_addr in f. */
int patch_return_site(struct binary *b, const struct patch_exclusion *x, const struct func *f,
		      uint64_t ret_addr, struct patch_site *ret, struct err *err);

#endif
