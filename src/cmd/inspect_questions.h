/* What questions become in an executable: `inspect BINARY --ir QUESTION…`. */
#ifndef CMD_INSPECT_QUESTIONS_H
#define CMD_INSPECT_QUESTIONS_H

#include "cmd/packs.h"
#include "plant/plant.h"

/*
 * Prints for each question the capture programs of the functions it matches, what its slots mean, and what is refused
 * with the reason. planter: that the programs are for.
 */
void inspect_questions(struct binary *b, const pack_set *packs, const struct planter_ops *planter,
		       char *const *questions, size_t n);

#endif
