/* earshot inspect: what can be observed in an executable; offline, without privileges. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "cmd/call_options.h"
#include "cmd/inspect_go.h"
#include "cmd/inspect_questions.h"
#include "cmd/inspect_woven.h"
#include "cmd/local_packs.h"
#include "cmd/sdk_text.h"
#include "cmd/span_wanted.h"
#include "cmd/verb.h"
#include "cmd/without.h"
#include "plant/planters.h"
#include "probe/plan/call_plan.h"
#include "probe/pack/join.h"

enum { WITHOUT_INDENT = 22 }; /* under the signatures */

struct inspect_options {
	bool json, list_packs, ir, go_probe, propagate;
	const char *functions, *planter;
	string_list packs, functions_as_spans;

	/* Of the latter. */
	const struct span_question *spans;
	struct arena arena;
	const pack_set *loaded;
};

static const struct option_def inspect_defs[] = {
	{0, "json", NULL, "one JSON object instead of text", OPT_FLAG, offsetof(struct inspect_options, json)},
	{0, "functions", "GLOB", "list the functions that match, with signatures and sites", OPT_STRING,
	 offsetof(struct inspect_options, functions)},
	{0, "packs", "GLOB|FILE", "use only these packs; a path adds a pack file (repeatable)", OPT_LIST,
	 offsetof(struct inspect_options, packs)},
	{0, "span", "FUNCTION", "also what `attach --span FUNCTION` observes (repeatable)", OPT_LIST,
	 offsetof(struct inspect_options, functions_as_spans)},
	{0, "propagate", NULL, "also what `attach --propagate` does", OPT_FLAG,
	 offsetof(struct inspect_options, propagate)},
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

/* ---- sites ---- */

/* Whose sites are shown: that of the option, else the default. */
static const struct planter_ops *planter_of(const struct inspect_options *o)
{
	return o->planter ? planter_named(o->planter) : planters[0];
}

static const struct price_class *price_of(const struct planter_ops *planter, const struct site *s)
{
	return &planter->prices[s->price];
}

struct insn_buf {
	char text[48];
};

static const char *insn_at(struct binary *b, const struct site *s, struct insn_buf *buf)
{
	return binary_insn_text(b, s->addr, buf->text, sizeof(buf->text)) ? buf->text : "";
}

/* ---- points ---- */

/* What the planter finds of a point. */
struct found {
	const char *status;       /* "ready", "absent", "refused" */
	const struct site *sites; /* NULL: see why */
	const char *why;
};

static struct found find(struct binary *b, const struct planter_ops *planter, const struct join *j)
{
	struct plant_probe probe;

	if (!j->variant)
		return (struct found){.status = j->absent ? "absent" : "refused", .why = j->why};
	plant_probe_locate(&probe, planter, b, &j->at);
	return (struct found){probe.sites ? "ready" : "refused", probe.sites, probe.why};
}

/* ---- text ---- */

static bool is_library(const struct build_info *info)
{
	static const char *const modes[] = {"c-shared", "c-archive", "plugin", "shared"};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(info->build_mode, modes[i]))
			return true;
	return false;
}

static void print_facts(struct binary *b, const pack_set *packs)
{
	_cleanup_(buf_done) struct buf sdk = {0};
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
	else if (binary_lineage_layout(b, &(struct lineage_layout){0}, &err) < 0)
		printf("  which goroutine created which is not known: %s\n", err.text);
	if (sdk_text(b, packs, &sdk))
		printf("  %s\n", sdk.data);
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

static void print_join(struct binary *b, const struct planter_ops *planter, const struct join *j, bool ir)
{
	const struct found found = find(b, planter, j);
	struct insn_buf insn;
	char name[128];

	snprintf(name, sizeof(name), "%s%s%s", j->span ? j->span->name : "", j->span ? "/" : "", j->point->name);
	if (!found.sites) {
		printf("  %-22s %-6s %s: %s\n", name, point_role_names[j->point->role], found.status, found.why);
		return;
	}
	printf("  %-22s %-6s %s\n", name, point_role_names[j->point->role], j->func.name);
	for (const struct site *s = found.sites; s; s = s->next)
		printf("  %-22s        at 0x%" PRIx64 " %-32s %s\n", "", s->addr, insn_at(b, s, &insn),
		       price_of(planter, s)->text);
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

static void print_joins(struct binary *b, const struct planter_ops *planter, const struct join *joins, size_t n,
			bool ir)
{
	const struct pack *last = NULL;

	for (size_t i = 0; i < n; i++) {
		if (joins[i].pack != last)
			printf("\n%s: %s\n", joins[i].pack->name, joins[i].pack->about ? joins[i].pack->about : "");
		last = joins[i].pack;
		print_join(b, planter, &joins[i], ir);
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

static void json_sites(struct json *j, struct binary *b, const struct planter_ops *planter, const struct site *sites)
{
	struct insn_buf insn;

	json_key(j, "sites");
	json_open(j, '[');
	for (const struct site *s = sites; s; s = s->next) {
		json_open(j, '{');
		json_key(j, "address");
		json_uint(j, s->addr);
		json_key(j, "instruction");
		json_str(j, insn_at(b, s, &insn));
		json_key(j, "price");
		json_str(j, price_of(planter, s)->name);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_without(struct json *j, const struct join *join)
{
	json_key(j, "without");
	json_open(j, '{');
	for (size_t i = 0; i < join->variant->ncaptures; i++)
		if (join->capture.why[i]) {
			json_key(j, join->variant->captures[i].name);
			json_str(j, join->capture.why[i]);
		}
	json_close(j, '}');
}

static void json_join(struct json *j, struct binary *b, const struct planter_ops *planter, const struct join *join)
{
	const struct found found = find(b, planter, join);

	json_open(j, '{');
	json_key(j, "pack");
	json_str(j, join->pack->name);
	json_key(j, "span");
	json_str(j, join->span ? join->span->name : NULL);
	json_key(j, "point");
	json_str(j, join->point->name);
	json_key(j, "role");
	json_str(j, point_role_names[join->point->role]);
	json_key(j, "status");
	json_str(j, found.status);
	if (found.sites) {
		json_key(j, "function");
		json_str(j, join->func.name);
		json_sites(j, b, planter, found.sites);
		json_without(j, join);
	} else {
		json_key(j, "reason");
		json_str(j, found.why);
	}
	json_close(j, '}');
}

/* ---- functions ---- */

/* Whether this planter can have the entry, and the returns that there are; else the reason. */
static bool plantable(const struct planter_ops *planter, struct binary *b, const struct func *f, struct err *err)
{
	const struct site *sites = NULL;
	struct join_point at;
	int r;

	join_point_entry(b, f, &at, NULL); /* what that refuses a planter refuses in its own words */
	r = planter->locate(b, &at, &sites, err);
	if (!r && !join_point_returns(b, f, &at, NULL))
		r = planter->locate(b, &at, &sites, err);
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
	const struct site *sites = NULL;
	struct join_point at;

	if (!x) {
		x = arena_new(&t->arena, struct inlined_tally);
		x->name = name;
		strmap_set(&t->by_name, name, strlen(name), x);
	}
	x->calls++;
	if (join_point_inlined(b, i, &at, NULL) || planters[0]->locate(b, &at, &sites, NULL))
		x->refused++;
	else
		x->approximate += at.approximate != NULL;
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

/* "patch": whether it can have the function; why: NULL if so. */
static void json_planter(struct json *j, const struct planter_ops *planter, const char *why)
{
	char key[40];

	json_key(j, planter->name);
	json_bool(j, !why);
	if (!why)
		return;
	snprintf(key, sizeof(key), "%s_reason", planter->name);
	json_key(j, key);
	json_str(j, why);
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
	json_sites(json, NULL, NULL, NULL);
	json_key(json, "reason");
	json_str(json, why);
	for (size_t i = 1; planters[i]; i++)
		json_planter(json, planters[i], why);
	json_close(json, '}');
}

static void list_rest(struct binary *b, struct inlined_tallies *t, struct json *json)
{
	const char *name;
	size_t pos = 0;

	while (binary_intact(b) && binary_inlined_next(b, &pos, &name)) {
		struct inlined_tally *x = tally_of(t, name);

		if (x && !x->listed)
			list_bodiless(x, json);
		if (x)
			x->listed = true;
	}
	strmap_done(&t->by_name);
	arena_done(&t->arena);
}

/* A function as it is listed. */
struct listed {
	struct func func;
	struct buf signature;
	struct without without;
	const struct inlined_tally *inlined;
	const struct site *site;                  /* NULL: see why */
	struct err why;
	struct buf others;                        /* of a site: which planters have none */
};

static void listed_done(struct listed *l)
{
	buf_done(&l->signature);
	buf_done(&l->others);
	without_done(&l->without);
}

/* "uprobe only: …", where another planter cannot have what the first can. */
static void tell_others(struct binary *b, struct listed *l)
{
	_cleanup_(buf_done) struct buf names = {0};
	struct err first = {0};

	buf_str(&names, planters[0]->name);
	for (size_t i = 1; planters[i]; i++) {
		struct err why = {0};

		if (plantable(planters[i], b, &l->func, &why))
			buf_printf(&names, ", %s", planters[i]->name);
		else if (!first.code)
			first = why;
	}
	if (first.code)
		buf_printf(&l->others, "  # %s only: %s", names.data, first.text);
}

static void look_at(struct binary *b, struct listed *l)
{
	struct signature sig = {0};
	struct join_point at;

	binary_signature(b, &l->func, NULL, &sig, NULL);
	signature_print(l->func.name, &sig, &l->signature);
	without_signature(&l->without, &sig);
	if (!join_point_entry(b, &l->func, &at, &l->why))
		planters[0]->locate(b, &at, &l->site, &l->why);
	if (l->site)
		tell_others(b, l);
}

static void list_json(struct binary *b, const struct listed *l, struct json *j)
{
	json_open(j, '{');
	json_key(j, "name");
	json_str(j, l->func.name);
	json_key(j, "signature");
	json_strn(j, l->signature.data, l->signature.len);
	without_json(&l->without, j);
	json_inlined(j, l->inlined);
	json_sites(j, b, planters[0], l->site);
	if (!l->site) {
		json_key(j, "reason");
		json_str(j, l->why.text);
	}
	for (size_t i = 1; planters[i]; i++) {
		struct err why = {0};

		json_planter(j, planters[i], plantable(planters[i], b, &l->func, &why) ? NULL : why.text);
	}
	json_close(j, '}');
}

/* Nothing of it is read now: whoever reads what is printed may hold it up, and the file is another then. */
static void list_text(const struct listed *l)
{
	printf("0x%08" PRIx64 "  %-8s  %s", l->func.entry, l->site ? price_of(planters[0], l->site)->name : "refused",
	       l->signature.data);
	if (!l->site)
		printf("  # %s", l->why.text);
	else if (l->others.len)
		fputs(l->others.data, stdout);
	putchar('\n');
	without_print(&l->without, WITHOUT_INDENT);
	print_inlined(l->inlined);
}

/* As far as the file is what it was: binary_check says so afterwards. */
static void list_functions(struct binary *b, const char *glob, struct json *json)
{
	struct inlined_tallies inlined = {0};

	tally_inlined(b, glob, &inlined);
	for (size_t i = 0; i < binary_func_count(b); i++) {
		_cleanup_(listed_done) struct listed l = {0};
		struct inlined_tally *t;

		if (!binary_func(b, i, &l.func) || fnmatch(glob, l.func.name, 0))
			continue;
		t = tally_of(&inlined, l.func.name);
		if (t)
			t->listed = true;
		l.inlined = t;
		look_at(b, &l);
		if (!binary_intact(b))
			break;
		if (json)
			list_json(b, &l, json);
		else
			list_text(&l);
	}
	list_rest(b, &inlined, json);
}

/* ---- the verb ---- */

/* Whether there is anything to pay for by --span: its pack is the one that is for this binary alone. */
static bool has_functions(const struct join *joins, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (joins[i].variant && !joins[i].pack->packages)
			return true;
	return false;
}

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
	print_facts(b, o->loaded);
	print_joins(b, planter_of(o), joins, n, o->ir);
	inspect_woven_print(b);
	if (has_functions(joins, n) && planter_of(o)->cheaper)
		printf("  A call passes its entry and one return (prices: earshot doctor). Where there are many calls, "
		       "--planter %s\n  costs a fraction.\n", planter_of(o)->cheaper);
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
			json_join(&j, b, planter_of(o), &joins[i]);
		json_close(&j, ']');
		inspect_woven_json(&j, b);
	}
	json_close(&j, '}');
	if (binary_check(b, err) == 0)
		puts(out.data);
	buf_done(&out);
	return err->code;
}

/* What of --span is refused, or known in part only. */
static void tell_functions(const struct span_plan *p)
{
	fflush(stdout); /* it comes behind what it is about */
	for (size_t i = 0; i < p->refused.len; i++)
		complain(0, "%s", p->refused.data[i]);
	for (size_t i = 0; i < p->partial.len; i++)
		complain(0, "%s", p->partial.data[i]);
}

/* argv: the executable, and questions. */
static int inspect(char *const *argv, size_t nquestions, const struct inspect_options *o, const pack_set *packs)
{
	const struct planter_ops *planter = planter_of(o);
	_cleanup_(cleanup_binary) struct binary *b = NULL;
	const struct join_options with = {.caps = &planter->caps, .propagate = o->propagate};
	struct span_plan functions = {0};
	struct shape_table *shapes = NULL;
	struct join *joins = NULL;
	struct err err = {0};
	size_t n = 0;
	int r;

	if (binary_open(argv[0], &b, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	if (nquestions) {
		inspect_questions(b, packs, planter, argv + 1, nquestions);
		return binary_check(b, &err) < 0 ? complain(EXIT_FAILED, "%s", err.text) : EXIT_DONE;
	}
	packs_declare_types(b, packs->data, packs->len);
	if (o->functions_as_spans.len)
		span_plan_make(b, o->spans, o->functions_as_spans.len, &functions);
	r = o->functions ? 0 : span_joins(b, packs, functions.pack, &with, &shapes, &joins, &n, &err);
	if (r >= 0)
		r = o->json ? report_json(b, o, joins, n, &err) : report_text(b, o, joins, n, &err);
	tell_functions(&functions);
	shape_table_free(shapes);
	pack_free(functions.pack);
	span_plan_done(&functions);
	return r < 0 ? complain(EXIT_FAILED, "%s", err.text) : EXIT_DONE;
}

static void list_pack(const struct pack *p)
{
	printf("%-16s %s%s%s%s\n", p->name, p->about ? p->about : "", p->on_request ? " (only with --packs " : "",
	       p->on_request ? p->name : "", p->on_request ? ")" : "");
}

/* What is there for those who know of it. */
static void list_on_request(void)
{
	for (const struct pack_source *s = pack_builtin; s->file; s++) {
		struct pack *p;

		if (pack_parse(s->file, s->text, s->len, &p, NULL) < 0)
			continue;
		if (p->on_request)
			list_pack(p);
		pack_free(p);
	}
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
		r = span_questions_parse(o.functions_as_spans.data, o.functions_as_spans.len, &o.arena, &o.spans, &err);
	if (r >= 0)
		r = packs_load(&o.packs, &(struct local_packs){.directory = "."}, &packs, &err);
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	for (size_t i = 0; o.list_packs && i < packs.len; i++)
		list_pack(packs.data[i]);
	if (o.list_packs && !o.packs.len)
		list_on_request();
	o.loaded = &packs;
	if (rest < argc)
		code = inspect(&argv[rest], (size_t)(argc - rest) - 1, &o, &packs);
	packs_done(&packs);
	vec_done(&o.packs);
	vec_done(&o.functions_as_spans);
	arena_done(&o.arena);
	return code;
}

const struct verb verb_inspect = {
	.name = "inspect",
	.synopsis = "BINARY [--json] [--functions GLOB] | BINARY --ir [QUESTION…]",
	.summary = "say what can be observed in an executable; offline, without root",
	.groups = inspect_groups,
	.run = run,
};
