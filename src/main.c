/* The table of verbs. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd/verb.h"
#include "cmd/weaving.h"

static const struct verb *const verbs[] = {&verb_run,     &verb_attach, &verb_trace, &verb_probes,
					   &verb_inspect, &verb_build, &verb_convert, &verb_usdt,
					   &verb_record,  &verb_doctor};

static void usage(FILE *out)
{
	fputs("Earshot shows what a Go program is doing without changing a line of it.\n\nusage:\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  earshot %s %s\n", verbs[i]->name, verbs[i]->synopsis);
	fputc('\n', out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\n`earshot VERB --help` explains a verb.\n", out);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;

	if (argc && !strcmp(slash ? slash + 1 : argv[0], TOOLEXEC_NAME))
		return toolexec_main(argc, argv);
	signal(SIGPIPE, SIG_IGN); /* a closed pipe or socket is an error of the write, and said where it happens */
	if (!name) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		usage(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(name, "--version")) {
		puts("earshot " EARSHOT_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(name, verbs[i]->name))
			return verbs[i]->run(verbs[i], argc - 1, argv + 1);
	return complain(EXIT_USAGE, "there is no verb \"%s\"; `earshot --help` lists them", name);
}
