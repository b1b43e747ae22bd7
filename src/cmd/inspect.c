/* earshot inspect: what can be observed in an executable; offline, without privileges. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "cmd/inspect_go.h"
#include "cmd/inspect_questions.h"
#include "cmd/packs.h"
#include "cmd/verb.h"
#include "cmd/without.h"
#include "plant/patch/site.h"
#include "plant/planters.h"
#include "probe/plan/call_plan.h"
#include "probe/pack/join.h"

enum { WITHOUT_INDENT = 22 }; /* under the signatures */

struct inspect_options {
	bool json, list_packs, ir, go_probe;
	const char *functions, *planter;
	string_list packs;
};

static const struct option_def inspect_defs[] = {
	{0, "json", NULL, "one JSON object instead of text", OPT_FLAG, offsetof(struct inspect_options, json)},
	{0, "functions", "GLOB", "list the functions that match, with signatures and sites", OPT_STRING,
	 offsetof(struct inspect_options, functions)},
	{0, "packs", "GLOB|FILE", "use only these packs; a path adds a pack file (repeatable)", OPT_LIST,
	 offsetof(struct inspect_options, packs)},
	{0, "list-packs", NULL, "list the packs there are", OPT_FLAG, offsetof(struct inspect_options, list_packs)},
	{0, "ir", NULL, "show the capture program of each probe, or of each QUESTION", OPT_FLAG,
	 offsetof(struct inspect_options, ir)},
	{0, "go-probe", NULL, "show what each probe captures as Go source", OPT_FLAG,
	 offsetof(struct inspect_options, go_probe)},
	{0, "planter", "NAME", "with --ir: for which planter, " PLANTER_NAMES, OPT_STRING,
	 offsetof(struct inspect_options, planter)},
	{0},
};
static const struct option_group inspect_groups[] = {{.title = "options", .defs = inspect_defs}, {0}};

static const char *const price_text[] = {"nop, cheapest", "emulated, cheap", "single-stepped, dear"};
static const char *const price_name[] = {"nop5", "emulated", "stepped"};
static const char *const role_name[] = {"start", "end", "note", "unwind", "exit", "panic", "join"};

/* ---- text ---- */

static bool is_library(const struct build_info *info)
{
	static const char *const modes[] = {"c-shared", "c-archive", "plugin", "shared"};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(info->build_mode, modes[i]))
			return true;
	return false;
}

static void print_facts(struct binary *b)
{
	const struct build_info *info = binary_build_info(b);
	struct err err = {0};

	printf("%s\n  %s, %s%s, %s, %s\n", binary_name(b), info->go_version, binary_arch(b)->name,
	       binary_image(b)->pie ? ", position-independent" : "",
	       info->has_symtab ? "symbols" : "no symbols (stripped)", info->has_dwarf ? "DWARF" : "no DWARF");
	if (info->main.path[0])
		printf("  module %s %s, %zu dependencies\n", info->main.path, info->main.version, info->ndeps);
	else
		printf("  no module list in the build info\n");
	printf("  %zu functions\n", binary_func_count(b));
	if (binary_check_runtime(b, &err) < 0)
		printf("  %s\n", err.text);
	if (is_library(info))
		printf("  a library (-buildmode=%s): inspect reads it, but run, attach and trace observe programs, not "
		       "the libraries in them\n", info->build_mode);
}

/* A capture that is left out is worth a line when nothing else gives that attribute. */
static bool worth_telling(const struct join *j, size_t item)
{
	const struct pack_capture *c = &j->variant->captures[item];

	if (!j->capture.why[item] || c->transform.hidden)
		return false;
	for (size_t i = 0; i < j->variant->ncaptures; i++)
		if (!strcmp(j->variant->captures[i].name, c->name) && (!j->capture.why[i] || i < item))
			return false;
	return true;
}

static void print_join(const struct join *j, bool ir)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s%s", j->span ? j->span->name : "", j->span ? "/" : "", j->point->name);
	if (!j->variant) {
		printf("  %-22s %-6s %s: %s\n", name, role_name[j->point->role], j->absent ? "absent" : "refused",
		       j->why);
		return;
	}
	printf("  %-22s %-6s %s\n", name, role_name[j->point->role], j->func.name);
	for (size_t i = 0; i < j->nsites; i++)
		printf("  %-22s        at 0x%" PRIx64 " %-32s %s\n", "", j->sites[i].addr, j->sites[i].insn,
		       price_text[j->sites[i].price]);
	for (size_t i = 0; i < j->variant->ncaptures; i++)
		if (worth_telling(j, i))
			printf("  %-22s        without %s: %.*s\n", "", j->variant->captures[i].name,
			       (int)strcspn(j->capture.why[i], ";"), j->capture.why[i]);
	if (ir) {
		_cleanup_(buf_done) struct buf text = {0};

		capture_print(&j->capture.program, &text);
		fputs(text.data ? text.data : "", stdout);
	}
}

static void print_joins(const struct join *joins, size_t n, bool ir)
{
	const struct pack *last = NULL;

	for (size_t i = 0; i < n; i++) {
		if (joins[i].pack != last)
			printf("\n%s: %s\n", joins[i].pack->name, joins[i].pack->about ? joins[i].pack->about : "");
		last = joins[i].pack;
		print_join(&joins[i], ir);
	}
	if (!n)
		printf("\nNo pack applies to it.\n");
}

/* ---- JSON ---- */

static void json_facts(struct json *j, struct binary *b)
{
	const struct build_info *info = binary_build_info(b);

	json_key(j, "file");
	json_str(j, binary_name(b));
	json_key(j, "go_version");
	json_str(j, info->go_version);
	json_key(j, "pie");
	json_bool(j, binary_image(b)->pie);
	json_key(j, "symbols");
	json_bool(j, info->has_symtab);
	json_key(j, "dwarf");
	json_bool(j, info->has_dwarf);
	json_key(j, "build_mode");
	json_str(j, info->build_mode[0] ? info->build_mode : NULL);
	json_key(j, "module");
	json_str(j, info->main.path[0] ? info->main.path : NULL);
	json_key(j, "modules");
	json_open(j, '[');
	for (size_t i = 0; i < info->ndeps; i++) {
		json_open(j, '{');
		json_key(j, "path");
		json_str(j, info->deps[i].path);
		json_key(j, "version");
		json_str(j, info->deps[i].version);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_key(j, "functions");
	json_uint(j, binary_func_count(b));
}

static void json_sites(struct json *j, const struct site *sites, size_t n)
{
	json_key(j, "sites");
	json_open(j, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, '{');
		json_key(j, "address");
		json_uint(j, sites[i].addr);
		json_key(j, "instruction");
		json_str(j, sites[i].insn);
		json_key(j, "price");
		json_str(j, price_name[sites[i].price]);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_join(struct json *j, const struct join *join)
{
	json_open(j, '{');
	json_key(j, "pack");
	json_str(j, join->pack->name);
	json_key(j, "span");
	json_str(j, join->span ? join->span->name : NULL);
	json_key(j, "point");
	json_str(j, join->point->name);
	json_key(j, "role");
	json_str(j, role_name[join->point->role]);
	json_key(j, "status");
	json_str(j, join->variant ? "ready" : join->absent ? "absent" : "refused");
	if (join->variant) {
		json_key(j, "function");
		json_str(j, join->func.name);
		json_sites(j, join->sites, join->nsites);
		json_key(j, "without");
		json_open(j, '{');
		for (size_t i = 0; i < join->variant->ncaptures; i++)
			if (join->capture.why[i]) {
				json_key(j, join->variant->captures[i].name);
				json_str(j, join->capture.why[i]);
			}
		json_close(j, '}');
	} else {
		json_key(j, "reason");
		json_str(j, join->why);
	}
	json_close(j, '}');
}

/* ---- functions ---- */

/* Whether the entry, and the returns that there are, can be patched from inside the process; else the reason. */
static bool patchable(struct binary *b, const struct patch_exclusion *x, const struct func *f, struct err *err)
{
	const struct site *returns = NULL;
	struct patch_site site;
	size_t n = 0;
	int r = patch_entry_site(b, x, f, &site, err);

	if (!r)
		binary_return_sites(b, f, &returns, &n, NULL);
	for (size_t i = 0; i < n && !r; i++)
		r = patch_return_site(b, x, f, returns[i].addr, &site, err);
	return !r;
}

/* The calls of one function that were inlined: how many there are, and of how many the number is not certain. */
struct inlined_tally {
	const char *name;
	size_t calls, approximate, refused;
	bool listed;
};
struct inlined_tallies {
	struct strmap by_name;
	struct arena arena;
};

static struct inlined_tally *tally_of(const struct inlined_tallies *t, const char *name)
{
	return strmap_get(&t->by_name, name, strlen(name));
}

static void tally(struct inlined_tallies *t, struct binary *b, const struct inlined *i, const char *name)
{
	struct inlined_tally *x = tally_of(t, name);
	const char *approximate;
	struct site site;

	if (!x) {
		x = arena_new(&t->arena, struct inlined_tally);
		x->name = name;
		strmap_set(&t->by_name, name, strlen(name), x);
	}
	x->calls++;
	if (binary_inlined_site(b, i, &site, &approximate, NULL))
		x->refused++;
	else
		x->approximate += approximate != NULL;
}

/* Function by function into which others were inlined: so each is looked at once. */
static void tally_inlined(struct binary *b, const char *glob, struct inlined_tallies *ret)
{
	VEC(struct inlined) calls = {0};
	VEC(const char *) names = {0};
	struct func f;

	for (size_t i = 0; i < binary_func_count(b); i++) {
		size_t n = binary_func(b, i, &f) ? binary_inlined_into(b, &f, NULL, NULL, 0) : 0;

		while (calls.len < n) {
			vec_add(&calls);
			vec_add(&names);
		}
		n = n ? binary_inlined_into(b, &f, calls.data, names.data, n) : 0;
		for (size_t k = 0; k < n; k++)
			if (!fnmatch(glob, names.data[k], 0))
				tally(ret, b, &calls.data[k], names.data[k]);
	}
	vec_done(&calls);
	vec_done(&names);
}

static void print_inlined(const struct inlined_tally *t)
{
	if (!t)
		return;
	printf("%*sinlined %zu %s", WITHOUT_INDENT, "", t->calls, t->calls == 1 ? "time" : "times");
	if (t->approximate)
		printf(", %zu not counted exactly", t->approximate);
	if (t->refused)
		printf(", %zu not seen", t->refused);
	putchar('\n');
}

static void json_inlined(struct json *j, const struct inlined_tally *t)
{
	if (!t)
		return;
	json_key(j, "inlined");
	json_open(j, '{');
	json_key(j, "calls");
	json_uint(j, t->calls);
	json_key(j, "approximate");
	json_uint(j, t->approximate);
	json_key(j, "refused");
	json_uint(j, t->refused);
	json_close(j, '}');
}

/* A function that was inlined wherever it is called. */
static void list_bodiless(const struct inlined_tally *t, struct json *json)
{
	static const char *const why = "it has no code of its own: it is inlined wherever it is called";

	if (!json) {
		printf("%-10s  %-8s  %s  # %s\n", "-", "inlined", t->name, why);
		print_inlined(t);
		return;
	}
	json_open(json, '{');
	json_key(json, "name");
	json_str(json, t->name);
	json_inlined(json, t);
	json_sites(json, NULL, 0);
	json_key(json, "reason");
	json_str(json, why);
	json_key(json, "patch");
	json_bool(json, false);
	json_key(json, "patch_reason");
	json_str(json, why);
	json_close(json, '}');
}

static void list_rest(struct binary *b, struct inlined_tallies *t, struct json *json)
{
	const char *name;
	size_t pos = 0;

	while (binary_inlined_next(b, &pos, &name)) {
		struct inlined_tally *x = tally_of(t, name);

		if (x && !x->listed)
			list_bodiless(x, json);
		if (x)
			x->listed = true;
	}
	strmap_done(&t->by_name);
	arena_done(&t->arena);
}

/* As far as the file is what it was: binary_check says so afterwards. */
static void list_functions(struct binary *b, const char *glob, struct json *json)
{
	struct patch_exclusion *exclusion = patch_exclusion_new(b);
	struct inlined_tallies inlined = {0};
	struct func f;

	tally_inlined(b, glob, &inlined);

	for (size_t i = 0; i < binary_func_count(b); i++) {
		_cleanup_(buf_done) struct buf text = {0};
		_cleanup_(without_done) struct without without = {0};
		struct signature sig = {0};
		struct err err = {0}, why = {0};
		struct inlined_tally *t;
		struct site site;
		bool patch;
		int r;

		if (!binary_func(b, i, &f) || fnmatch(glob, f.name, 0))
			continue;
		t = tally_of(&inlined, f.name);
		if (t)
			t->listed = true;
		binary_signature(b, &f, NULL, &sig, NULL);
		signature_print(f.name, &sig, &text);
		without_signature(&without, &sig);
		r = binary_entry_site(b, &f, &site, &err);
		patch = patchable(b, exclusion, &f, &why);
		if (!binary_intact(b))
			break;
		if (json) {
			json_open(json, '{');
			json_key(json, "name");
			json_str(json, f.name);
			json_key(json, "signature");
			json_strn(json, text.data, text.len);
			without_json(&without, json);
			json_inlined(json, t);
			json_sites(json, &site, r < 0 ? 0 : 1);
			if (r < 0) {
				json_key(json, "reason");
				json_str(json, err.text);
			}
			json_key(json, "patch");
			json_bool(json, patch);
			if (!patch) {
				json_key(json, "patch_reason");
				json_str(json, why.text);
			}
			json_close(json, '}');
		} else {
			printf("0x%08" PRIx64 "  %-8s  %s%s%s\n", f.entry, r < 0 ? "refused" : price_name[site.price],
			       text.data, r < 0 ? "  # " : patch ? "" : "  # uprobe only: ",
			       r < 0 ? err.text : why.text);
			without_print(&without, WITHOUT_INDENT);
			print_inlined(t);
		}
	}
	list_rest(b, &inlined, json);
	patch_exclusion_free(exclusion);
}

/* ---- the verb ---- */

static int report_text(struct binary *b, const struct inspect_options *o, const struct join *joins, size_t n,
		       struct err *err)
{
	if (o->functions) {
		list_functions(b, o->functions, NULL);
		return binary_check(b, err);
	}
	binary_build_info(b);
	if (binary_check(b, err) < 0)
		return err->code;
	if (o->go_probe) {
		inspect_go(joins, n);
		return 0;
	}
	print_facts(b);
	print_joins(joins, n, o->ir);
	return 0;
}

static int report_json(struct binary *b, const struct inspect_options *o, const struct join *joins, size_t n,
		       struct err *err)
{
	struct buf out = {0};
	struct json j = {.out = &out};

	json_open(&j, '{');
	json_facts(&j, b);
	if (o->functions) {
		json_key(&j, "matches");
		json_open(&j, '[');
		list_functions(b, o->functions, &j);
		json_close(&j, ']');
	} else {
		json_key(&j, "probes");
		json_open(&j, '[');
		for (size_t i = 0; i < n; i++)
			json_join(&j, &joins[i]);
		json_close(&j, ']');
	}
	json_close(&j, '}');
	if (binary_check(b, err) == 0)
		puts(out.data);
	buf_done(&out);
	return err->code;
}

/* argv: the executable, and questions. */
static int inspect(char *const *argv, size_t nquestions, const struct inspect_options *o, const pack_set *packs)
{
	const struct planter_caps *caps = o->planter ? &planter_named(o->planter)->caps : NULL;
	_cleanup_(cleanup_binary) struct binary *b = NULL;
	struct join *joins = NULL;
	struct err err = {0};
	size_t n = 0;
	int r;

	if (binary_open(argv[0], &b, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	if (nquestions) {
		inspect_questions(b, packs, caps, argv + 1, nquestions);
		return binary_check(b, &err) < 0 ? complain(EXIT_FAILED, "%s", err.text) : EXIT_DONE;
	}
	if (!o->functions && join_packs(b, packs->data, packs->len, caps, &joins, &n, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	r = o->json ? report_json(b, o, joins, n, &err) : report_text(b, o, joins, n, &err);
	return r < 0 ? complain(EXIT_FAILED, "%s", err.text) : EXIT_DONE;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct inspect_options o = {0};
	pack_set packs = {0};
	struct err err = {0};
	int rest, code = EXIT_DONE, r = options_parse(v->groups, 0, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0 && o.planter && !planter_named(o.planter))
		r = err_set(&err, -EINVAL, "--planter expects " PLANTER_NAMES ", not \"%s\"", o.planter);
	if (r >= 0 && (o.ir ? rest + 1 > argc : rest + 1 != argc) && !o.list_packs)
		r = err_set(&err, -EINVAL, "say which one executable to inspect: earshot inspect ./server");
	if (r >= 0)
		r = packs_load(&o.packs, &packs, &err);
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	for (size_t i = 0; o.list_packs && i < packs.len; i++)
		printf("%-16s %s\n", packs.data[i]->name, packs.data[i]->about ? packs.data[i]->about : "");
	if (rest < argc)
		code = inspect(&argv[rest], (size_t)(argc - rest) - 1, &o, &packs);
	packs_done(&packs);
	vec_done(&o.packs);
	return code;
}

const struct verb verb_inspect = {
	.name = "inspect",
	.synopsis = "BINARY [--json] [--functions GLOB] | BINARY --ir [QUESTION…]",
	.summary = "say what can be observed in an executable; offline, without root",
	.groups = inspect_groups,
	.run = run,
};
