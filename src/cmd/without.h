/* The parameters and results of a function that cannot be read, and why: for the listings of functions. */
#ifndef CMD_WITHOUT_H
#define CMD_WITHOUT_H

#include "base/arena.h"
#include "base/json.h"
#include "base/vec.h"
#include "binary/binary.h"

struct missing_value { /* borrowed */
	const char *name, *why;
};
struct without {
	struct arena arena; /* the names that were made up */
	VEC(struct missing_value) values;
};
/*
 * What the signature says, which must outlive w; named as `earshot trace` names them (arg0, ret0, … for
 * want of a name).
 */
void without_signature(struct without *w, const struct signature *s);
void without_done(struct without *w);

/* A line for each reason: "without n, text: the reason". */
void without_print(const struct without *w, int indent);
/* "without": {"n": "the reason"}; no key when nothing is missing. */
void without_json(const struct without *w, struct json *j);

#endif
