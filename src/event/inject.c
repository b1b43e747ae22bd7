#include "event/inject.h"

const char *inject_name(enum inject_outcome o)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		INJECT_TABLE(X)
#undef X
	};

	return names[o];
}

const char *inject_text(enum inject_outcome o)
{
	static const char *const texts[] = {
#define X(id, name, text) text,
		INJECT_TABLE(X)
#undef X
	};

	return texts[o];
}
