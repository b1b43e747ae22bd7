#include "plant/tracestate.h"

#include <stdbool.h>
#include <string.h>

static void classify(uint8_t class[256])
{
	for (int c = 0x21; c <= 0x7e; c++)
		class[c] = TS_VALUE;
	for (int c = 'a'; c <= 'z'; c++)
		class[c] = TS_KEY_BEGIN;
	for (int c = '0'; c <= '9'; c++)
		class[c] = TS_KEY_BEGIN;
	for (const char *s = "_-*/@"; *s; s++)
		class[(uint8_t)*s] = TS_KEY;
	class['\t'] = TS_TAB;
	class[' '] = TS_BLANK;
	class[','] = TS_COMMA;
	class['='] = TS_EQUALS;
}

/* A blank belongs to a value if more of it comes: so it counts, and only what comes behind is too much. */
static void in_values(uint8_t step[TS_STATES][TS_CLASSES])
{
	static const uint8_t states[] = {TS_NO_VALUE, TS_IN_VALUE, TS_BLANKS};

	for (int k = 0; k < 3; k++) {
		const bool begun = states[k] != TS_NO_VALUE;

		step[states[k]][TS_BLANK] = (begun ? TS_BLANKS : TS_NO_VALUE) | TS_COUNT;
		step[states[k]][TS_KEY_BEGIN] = step[states[k]][TS_KEY] = step[states[k]][TS_VALUE] =
			TS_IN_VALUE | TS_COUNT | TS_LIMIT;
		step[states[k]][TS_TAB] = begun ? TS_BEHIND : TS_BAD;
		step[states[k]][TS_COMMA] = begun ? TS_BETWEEN : TS_BAD;
	}
	step[TS_BEHIND][TS_TAB] = step[TS_BEHIND][TS_BLANK] = TS_BEHIND;
	step[TS_BEHIND][TS_COMMA] = TS_BETWEEN;
}

void tracestate_rules(struct tracestate_rules *ret)
{
	memset(ret->class, TS_OTHER, sizeof(ret->class));
	memset(ret->step, TS_BAD, sizeof(ret->step));
	classify(ret->class);
	ret->step[TS_BEGIN][TS_COMMA] = TS_BETWEEN;
	ret->step[TS_BEGIN][TS_KEY_BEGIN] = ret->step[TS_BETWEEN][TS_KEY_BEGIN] =
		TS_IN_KEY | TS_FIRST | TS_COUNT | TS_MEMBER;
	ret->step[TS_BETWEEN][TS_TAB] = ret->step[TS_BETWEEN][TS_BLANK] = ret->step[TS_BETWEEN][TS_COMMA] = TS_BETWEEN;
	ret->step[TS_IN_KEY][TS_KEY_BEGIN] = ret->step[TS_IN_KEY][TS_KEY] = TS_IN_KEY | TS_COUNT | TS_LIMIT;
	ret->step[TS_IN_KEY][TS_EQUALS] = TS_NO_VALUE | TS_FIRST;
	in_values(ret->step);
}
