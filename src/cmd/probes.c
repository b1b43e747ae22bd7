/* earshot probes: the questions that go on in the background. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "cmd/named.h"
#include "cmd/verb.h"

struct probes_options {
	uint64_t ttl_ns;
	bool json;
};

static const struct option_def probes_defs[] = {
	{0, "ttl", "DURATION", "extend: how long from now (default 10m)", OPT_DURATION,
	 offsetof(struct probes_options, ttl_ns)},
	{0, "json", NULL, "list as JSON lines", OPT_FLAG, offsetof(struct probes_options, json)},
	{0},
};
static const struct option_group probes_groups[] = {{.title = "options", .defs = probes_defs}, {0}};

static uint64_t seconds_left(const struct named *n)
{
	uint64_t now = (uint64_t)time(NULL);

	return n->until > now ? n->until - now : 0;
}

static void print_text(const struct named *n)
{
	uint64_t left = seconds_left(n);

	printf("%-16s  pid %-7d  %" PRIu64 "m%02" PRIu64 "s left  %s  > %s\n", n->name, n->pid, left / 60, left % 60,
	       n->definition, n->output);
}

static void print_json(const struct named *n)
{
	_cleanup_(buf_done) struct buf out = {0};
	struct json j = {.out = &out};

	json_open(&j, '{');
	json_key(&j, "name");
	json_str(&j, n->name);
	json_key(&j, "pid");
	json_int(&j, n->pid);
	json_key(&j, "seconds_left");
	json_uint(&j, seconds_left(n));
	json_key(&j, "definition");
	json_str(&j, n->definition);
	json_key(&j, "output");
	json_str(&j, n->output);
	json_close(&j, '}');
	puts(out.data);
}

static int list(const struct probes_options *o)
{
	named_vec all = {0};
	struct err err = {0};

	if (named_list(&all, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	for (size_t i = 0; i < all.len; i++) {
		(o->json ? print_json : print_text)(&all.data[i]);
		named_done(&all.data[i]);
	}
	if (!all.len && !o->json)
		fputs("earshot: no question goes on in the background; `earshot trace --name N …` starts one\n",
		      stderr);
	vec_done(&all);
	return EXIT_DONE;
}

static int extend(const char *name, const struct probes_options *o)
{
	struct named n = {0};
	struct err err = {0};
	int r = named_read(name, &n, &err);

	if (r == 0) {
		n.until = (uint64_t)time(NULL) + o->ttl_ns / 1000000000;
		r = named_write(&n, &err);
	}
	named_done(&n);
	return r < 0 ? complain(EXIT_FAILED, "%s", err.text) : EXIT_DONE;
}

static int remove_one(const char *name, const struct probes_options *o)
{
	struct named n = {0};
	struct err err = {0};
	int r = named_read(name, &n, &err);

	(void)o;
	if (r == 0)
		r = named_stop(&n, &err);
	if (r == 0)
		named_remove_file(name);
	named_done(&n);
	return r < 0 ? complain(EXIT_FAILED, "%s", err.text) : EXIT_DONE;
}

static int each(int argc, char **argv, const struct probes_options *o,
		int (*fn)(const char *, const struct probes_options *))
{
	int code = EXIT_DONE;

	if (!argc)
		return complain(EXIT_USAGE, "say which question by its name; `earshot probes` lists them");
	for (int i = 0; i < argc; i++) {
		int r = fn(argv[i], o);

		code = r ? r : code;
	}
	return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct probes_options o = {.ttl_ns = UINT64_C(600000000000)};
	struct err err = {0};
	int rest, r = options_parse(v->groups, 0, &o, argc, argv, &rest, &err);
	const char *what = r >= 0 && rest < argc ? argv[rest] : "list";

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (!strcmp(what, "list"))
		return list(&o);
	if (!strcmp(what, "extend"))
		return each(argc - rest - 1, argv + rest + 1, &o, extend);
	if (!strcmp(what, "remove"))
		return each(argc - rest - 1, argv + rest + 1, &o, remove_one);
	return complain(EXIT_USAGE, "probes takes list, extend NAME or remove NAME, not \"%s\"", what);
}

const struct verb verb_probes = {
	.name = "probes",
	.synopsis = "[list | extend NAME... | remove NAME...] [--ttl DURATION]",
	.summary = "list, extend and remove the questions that go on in the background",
	.groups = probes_groups,
	.run = run,
};
