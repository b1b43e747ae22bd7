/* What the rules of --keep name, and nothing that is observed has: a slip of the pen, by which nothing is kept. */
#ifndef CMD_KEEP_NAMES_H
#define CMD_KEEP_NAMES_H

#include "cmd/observation.h"
#include "probe/lang/question.h"
#include "probe/pack/pack_condition.h"

/* Notes each such attribute and pack, once. functions: those of --span, whose spans have attributes of their own. */
void keep_names_tell(struct observation *ob, const struct condition *const *rules, size_t nrules,
		     const struct span_question *functions, size_t nfunctions);

#endif
