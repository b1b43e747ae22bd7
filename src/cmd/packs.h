/* Which packs a command line asks for. */
#ifndef CMD_PACKS_H
#define CMD_PACKS_H

#include "base/options.h"
#include "probe/pack/pack.h"

typedef VEC(struct pack *) pack_set;

struct local_packs;

/*
 * wanted: globs over the names of packs, and paths (with a '/' or ending in .yaml) of pack files; empty: all packs
 * there are, the built-in ones and those of local (local_packs.h; NULL: none). Packs that only hold hooks are always
 * taken. -EINVAL, -errno with a sentence.
 */
int packs_load(const string_list *wanted, const struct local_packs *local, pack_set *ret, struct err *err);
bool is_pack_path(const char *wanted);
/* Whether wanted selects p by its name. */
bool pack_is_wanted(const string_list *wanted, const struct pack *p);
void packs_done(pack_set *packs);

#endif
