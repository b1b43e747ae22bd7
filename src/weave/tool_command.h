/* What the go command asks a tool to do: `-toolexec X` makes it run X with the tool's own command line behind it. */
#ifndef WEAVE_TOOL_COMMAND_H
#define WEAVE_TOOL_COMMAND_H

#include <stdbool.h>

#include "base/arena.h"

struct tool_command {
	char **argv;         /* NULL-terminated; argv[0] is the tool */
	const char *name;    /* "compile", "asm" */
	const char *package; /* import path by -p, or NULL */
	const char *out;     /* -o; or NULL */
	const char *out_dir; /* its folder, which the go command makes for this package alone; or NULL */
	const char *trimpath; /* -trimpath; or NULL */
	int symabis;         /* argv[symabis]: the file that -symabis names; 0: none */
	int first, nfiles;   /* argv[first], …: the source files */
	bool asks_version;   /* -V=full */
};

/* Points into argv and arena. */
void tool_command_read(char **argv, struct arena *arena, struct tool_command *ret);

#endif
