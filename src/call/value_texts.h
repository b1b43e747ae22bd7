/* Which fields of a struct make the text of the error that it stands for: `texts` of the packs. */
#ifndef CALL_VALUE_TEXTS_H
#define CALL_VALUE_TEXTS_H

#include "probe/pack/pack.h"

struct value_texts;

/* Of these packs. */
struct value_texts *value_texts_new(struct pack *const *packs, size_t n);
void value_texts_free(struct value_texts *t); /* NULL ok */
/* The field's name, or a pattern with {Field}s; or NULL. t NULL: of the packs that are built in. */
const char *value_texts_find(const struct value_texts *t, const char *type_name);

#endif
