/* The tiny program, into whose first function another was inlined: its tree, its table, its code are given. */
#ifndef TESTS_TINY_INLINE_H
#define TESTS_TINY_INLINE_H

#include "lib/tiny_binary.h"

enum {
	TINY_TREE = 32,		/* in the funcdata */
	TINY_TREE_SIZE = 64,	/* four records */
	TINY_INDEX = 16,	/* in the pc-value tables: which call an instruction belongs to */
	TINY_INDEX_SIZE = 48,
	TINY_CODE_SIZE = 0x38,
	TINY_INLINED_NAME = 10, /* main.(*Point).Move, in the names */
};

static inline void tiny_copy(struct tiny *t, size_t at, size_t room, const void *p, size_t n)
{
	if (n)
		memcpy(t->data + at, p, n < room ? n : room);
}

/* All parts may be shorter than what has room. */
static inline struct binary *tiny_open_inlined(const void *tree, size_t ntree, const void *index, size_t nindex,
					       const void *code, size_t ncode)
{
	static struct tiny t;
	const size_t pcs = TINY_PCLNTAB + 0xe0, record = TINY_PCLNTAB + 0x120 + 0x28, words = record + 44;
	const uint32_t data[] = {8, 0, TINY_INDEX, 0, 0xffffffff, 0xffffffff, TINY_TREE};

	tiny_build(&t, (struct tiny_options){0});
	tiny_u32(&t, record + 28, 3); /* npcdata; then as many words as it has otherwise */
	t.data[record + 43] = 4;      /* nfuncdata */
	memcpy(t.data + words, data, sizeof(data));
	tiny_copy(&t, TINY_GOFUNC + TINY_TREE, TINY_TREE_SIZE, tree, ntree);
	tiny_copy(&t, pcs + TINY_INDEX, TINY_INDEX_SIZE, index, nindex);
	tiny_copy(&t, TINY_TEXT, TINY_CODE_SIZE, code, ncode);
	return tiny_open(&t, NULL);
}

#endif
