#include "event/loss.h"

#include <stddef.h>

const char *loss_name(enum loss l)
{
	switch (l) {
#define X(id, number, name, text)                                                                  \
	case id:                                                                                   \
		return name;
		LOSS_TABLE(X)
#undef X
	case LOSS_COUNT:
		break;
	}
	return NULL;
}

const char *loss_text(enum loss l)
{
	switch (l) {
#define X(id, number, name, text)                                                                  \
	case id:                                                                                   \
		return text;
		LOSS_TABLE(X)
#undef X
	case LOSS_COUNT:
		break;
	}
	return NULL;
}

void losses_add(struct losses *l, const struct losses *more)
{
	for (int i = 0; i < LOSS_COUNT; i++)
		l->count[i] += more->count[i];
}

void losses_subtract(struct losses *l, const struct losses *less)
{
	for (int i = 0; i < LOSS_COUNT; i++)
		l->count[i] -= less->count[i] < l->count[i] ? less->count[i] : l->count[i];
}

bool losses_any(const struct losses *l)
{
	for (int i = 0; i < LOSS_COUNT; i++)
		if (l->count[i])
			return true;
	return false;
}
