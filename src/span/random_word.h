/* Random words, of which ids are made: different, and spread evenly, as of the SDKs; they are no secret. */
#ifndef SPAN_RANDOM_WORD_H
#define SPAN_RANDOM_WORD_H

#include <stdint.h>

struct random_words { /* zero: not seeded yet */
	uint64_t seed[2];
};

uint64_t random_word(struct random_words *r);

#endif
