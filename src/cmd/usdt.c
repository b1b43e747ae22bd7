/* earshot usdt: the USDT probes of any program. What it does is said by a word of its own, a verb below this one. */
#include <stdio.h>
#include <string.h>

#include "cmd/usdt.h"

static const struct verb *const verbs[] = {&verb_usdt_list, &verb_usdt_script, &verb_usdt_attach};

static const char *word_of(const struct verb *v)
{
	return strchr(v->name, ' ') + 1;
}

static void help(const struct verb *v)
{
	printf("usage: earshot usdt VERB …\n\n%s\n", v->summary);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		printf("\nearshot %s %s\n  %s\n", verbs[i]->name, verbs[i]->synopsis, verbs[i]->summary);
		options_print(verbs[i]->groups, stdout);
	}
	puts("\nThe manual page earshot-usdt(1) has examples.");
}

static int run(const struct verb *v, int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (word && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
		help(v);
		return EXIT_DONE;
	}
	for (size_t i = 0; word && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(word, word_of(verbs[i])))
			return verbs[i]->run(verbs[i], argc - 1, argv + 1);
	if (word)
		return complain(EXIT_USAGE, "usdt has no \"%s\"; `earshot usdt --help` says what it has", word);
	return complain(EXIT_USAGE, "usdt expects what to do with probes: list, script, attach; `earshot usdt --help` "
			"says more");
}

const struct verb verb_usdt = {
	.name = "usdt",
	.synopsis = "list | script | attach …",
	.summary = "USDT probes of any program, Go or not: what there is, their hits and spans, scripts for bpftrace",
	.groups = (const struct option_group[]){{0}},
	.run = run,
};
