#include "event/inject.h"

#define X_NAME(id, name, text) [id] = name,
#define X_TEXT(id, name, text) [id] = text,

const char *inject_name(enum inject_outcome o)
{
	static const char *const names[] = {INJECT_TABLE(X_NAME)};

	return names[o];
}

const char *inject_text(enum inject_outcome o)
{
	static const char *const texts[] = {INJECT_TABLE(X_TEXT)};

	return texts[o];
}

const char *inject_state_name(enum inject_state s)
{
	static const char *const names[] = {INJECT_STATE_TABLE(X_NAME)};

	return names[s];
}

const char *inject_state_text(enum inject_state s)
{
	static const char *const texts[] = {INJECT_STATE_TABLE(X_TEXT)};

	return texts[s];
}
