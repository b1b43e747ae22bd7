#include "weave/tool_command.h"

#include <string.h>

#include "weave/paths.h"

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

static bool is_source(const char *arg)
{
	return *arg != '-' && (ends_with(arg, ".go") || ends_with(arg, ".s"));
}

void tool_command_read(char **argv, struct arena *arena, struct tool_command *ret)
{
	struct tool_command c = {.argv = argv, .name = path_base(argv[0])};
	int n = 1;

	for (; argv[n]; n++) {
		if (!strcmp(argv[n], "-V=full"))
			c.asks_version = true;
		if (!argv[n + 1])
			continue;
		if (!strcmp(argv[n], "-p"))
			c.package = argv[n + 1];
		else if (!strcmp(argv[n], "-o"))
			c.out = argv[n + 1];
		else if (!strcmp(argv[n], "-trimpath"))
			c.trimpath = argv[n + 1];
		else if (!strcmp(argv[n], "-symabis"))
			c.symabis = n + 1;
	}
	c.first = n;
	while (c.first > 1 && is_source(argv[c.first - 1]))
		c.first--;
	c.nfiles = n - c.first;
	c.out_dir = c.out ? path_folder(arena, c.out) : NULL;
	*ret = c;
}
