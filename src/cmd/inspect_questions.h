/* What questions become in an executable: `inspect BINARY --ir QUESTION…`. */
#ifndef CMD_INSPECT_QUESTIONS_H
#define CMD_INSPECT_QUESTIONS_H

#include "cmd/packs.h"
#include "probe/planter_caps.h"

/*
 * Prints for each question the capture programs of the functions it matches, what its slots mean, and what is refused
 * with the reason. caps: of the planter that the programs are for; NULL: of any.
 */
void inspect_questions(struct binary *b, const pack_set *packs, const struct planter_caps *caps, char *const *questions,
		       size_t n);

#endif
