/* Parts of a file's path, as texts. */
#ifndef WEAVE_PATHS_H
#define WEAVE_PATHS_H

#include <string.h>

#include "base/arena.h"

static inline const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "." where it names none. */
static inline const char *path_folder(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path)) : ".";
}

#endif
