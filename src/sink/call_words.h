/* A traced call as a row of text, for people. */
#ifndef SINK_CALL_WORDS_H
#define SINK_CALL_WORDS_H

#include "base/vec.h"
#include "sink/text_sink.h"

/* A call as words, kept apart from the record, which does not last. */
struct call_word {
	enum call_value_kind kind;
	enum style style;
	const char *name;
	size_t at, len;         /* in text */
	unsigned columns;
};
struct call_words {
	const struct call_function *function;
	enum call_end end;
	struct buf text;
	VEC(struct call_word) words;
};
void call_words_make(const struct call_record *c, struct call_words *ret);
void call_words_done(struct call_words *w);
/* func(args) → results: where the row has no room for all, values are shortened, the longest arguments first. */
void call_words_show(const struct call_words *w, struct row *r);

/* The call's stack, a row a frame. */
void show_stack(struct text_sink *t, struct buf *out, const struct call_record *c, unsigned indent);

#endif
