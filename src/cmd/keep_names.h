/*
 * What the rules of --keep and --dump-on name, and nothing that is observed has: a slip of the pen, by which nothing
 * is kept or dumped.
 */
#ifndef CMD_KEEP_NAMES_H
#define CMD_KEEP_NAMES_H

#include "cmd/observation.h"
#include "probe/lang/question.h"
#include "probe/pack/pack_condition.h"

/*
 * Notes each such attribute and pack, once. more: what the option knows beside what spans have; ends with NULL.
 * functions: those of --span, whose spans have attributes of their own.
 */
void keep_names_tell(struct observation *ob, const char *option, const char *const *more,
		     const struct condition *const *rules, size_t nrules, const struct span_question *functions,
		     size_t nfunctions);

#endif
