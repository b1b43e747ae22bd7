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
