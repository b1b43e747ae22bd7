/* Which packs a command line asks for. */
#ifndef CMD_PACKS_H
#define CMD_PACKS_H

#include "base/options.h"
#include "probe/pack/pack.h"

typedef VEC(struct pack *) pack_set;

/*
 * wanted: globs over the names of the built-in packs, and paths (with a '/' or ending in .yaml) of pack files;
 * empty: all built-in ones. Packs that only hold hooks are always taken. -EINVAL, -errno with a sentence.
 */
int packs_load(const string_list *wanted, pack_set *ret, struct err *err);
void packs_done(pack_set *packs);

#endif
