/* earshot doctor: what this kernel and these privileges allow, and what a probe costs here. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/caps.h"
#include "base/file.h"
#include "base/json.h"
#include "cmd/verb.h"
#include "plant/plant.h"
#include "target/exec.h"

struct doctor_options {
	bool json;
};

static const struct option_def doctor_defs[] = {
	{0, "json", NULL, "one JSON object instead of text", OPT_FLAG, offsetof(struct doctor_options, json)},
	{0},
};
static const struct option_group doctor_groups[] = {{.title = "options", .defs = doctor_defs}, {0}};

struct check {
	const char *name;
	bool ok, needed;
	char text[640];
};

typedef VEC(struct check) check_vec;

static struct check *add(check_vec *all, const char *name, bool ok, bool needed, const char *text)
{
	struct check *c = vec_add(all);

	*c = (struct check){.name = name, .ok = ok, .needed = needed};
	snprintf(c->text, sizeof(c->text), "%s", text);
	return c;
}

/* CAP_SYS_ADMIN holds what BPF and PERFMON were split from in 5.8. */
static const struct {
	const char *name, *what;
	int bit;
	bool needed;
} capabilities[] = {
	{"CAP_BPF", "to load probe programs", CAP_BPF, true},
	{"CAP_PERFMON", "to attach them and read user memory", CAP_PERFMON, true},
	{"CAP_SYS_PTRACE", "to observe other users' processes", CAP_SYS_PTRACE, false},
};

static void check_capabilities(check_vec *all)
{
	uint64_t effective = caps_effective();

	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		bool has = caps_have(effective, capabilities[i].bit) || caps_have(effective, CAP_SYS_ADMIN);

		add(all, capabilities[i].name, has, capabilities[i].needed, capabilities[i].what);
	}
}

static void check_exec_events(check_vec *all)
{
	struct exec_watch *w = NULL;
	struct err err = {0};
	int r = exec_watch_new(&w, &err);

	add(all, "program starts", r >= 0, false,
	    r >= 0 ? "the kernel tells of every exec" : err.text);
	exec_watch_free(w);
}

struct prices {
	double ns[3]; /* of uprobes, by enum site_price */
	double patch;
};

/* perf_event_open of a uprobe was seen to want CAP_SYS_ADMIN on 6.1 and 6.18 whatever perf_event_paranoid says. */
static void explain_per_site(check_vec *all)
{
	bool admin = caps_have(caps_effective(), CAP_SYS_ADMIN);

	add(all, "uprobe_multi", false, false, "this kernel links each site by itself; attaching is slower");
	add(all, "CAP_SYS_ADMIN", admin, true, "to put a probe into a program without uprobe_multi");
}

static void check_planter(check_vec *all, struct prices *prices)
{
	struct planter_options o = {.procfs = "/proc"};
	struct planter *p = NULL;
	struct err err = {0};

	if (planter_uprobe.open(&o, &p, &err) < 0) {
		add(all, "uprobes", false, true, err.text);
		return;
	}
	add(all, "uprobes", true, true, "probe programs load, the event ring works");
	if (p->ops->multi(p))
		add(all, "uprobe_multi", true, false, "one link plants all sites of a probe");
	else
		explain_per_site(all);
	if (p->ops->loops(p))
		add(all, "bpf_loop", true, false, "calls can be traced, and whole structures read");
	else
		add(all, "bpf_loop", false, false,
		    "not here (Linux 5.17): `earshot trace` needs it to pair calls and to read structures; spans do "
		    "without");
	for (int i = 0; i < 3; i++)
		prices->ns[i] = p->ops->price_ns(p, (enum site_price)i);
	planter_close(p);
}

/* Who may hold others by ptrace, as the Yama security module has it (its documentation numbers them). */
static void check_ptrace(check_vec *all)
{
	static const char *const texts[] = {
		"of programs of the same user (kernel.yama.ptrace_scope is 0)",
		"of programs started by earshot only, without CAP_SYS_PTRACE (kernel.yama.ptrace_scope is 1)",
		"not without CAP_SYS_PTRACE (kernel.yama.ptrace_scope is 2)",
		"nobody may use it until the next boot (kernel.yama.ptrace_scope is 3)",
	};
	bool privileged = caps_have(caps_effective(), CAP_SYS_PTRACE);
	_cleanup_(buf_done) struct buf b = {0};
	unsigned scope = 0;

	if (file_read("/proc/sys/kernel/yama/ptrace_scope", &b, 0) == 0 && b.data)
		scope = (unsigned)strtoul(b.data, NULL, 10);
	scope = MIN(scope, 3u);
	if (scope < 3 && privileged)
		add(all, "ptrace", true, false, "of all programs");
	else
		add(all, "ptrace", scope < 2, false, texts[scope]);
}

static void check_patching(check_vec *all, struct prices *prices)
{
	struct planter_options o = {.procfs = "/proc"};
	struct planter *p = NULL;
	struct err err = {0};

	if (planter_patch.open(&o, &p, &err) < 0) {
		add(all, "patching", false, false, err.text);
		return;
	}
	add(all, "patching", true, false, "--planter patch has the clock it needs; it uses ptrace:");
	check_ptrace(all);
	prices->patch = p->ops->price_ns(p, PRICE_EMULATED);
	planter_close(p);
}

static const char *const price_keys[] = {"nop5", "emulated", "stepped"};
static const char *const price_texts[] = {"on a 5-byte nop", "on push, jump, call (most entries)",
					  "on any other instruction (returns)"};

static void report_text(const check_vec *all, const struct prices *prices, const struct utsname *u)
{
	printf("earshot " EARSHOT_VERSION ", %s %s, %s\n\n", u->sysname, u->release, u->machine);
	for (size_t i = 0; i < all->len; i++) {
		const struct check *c = &all->data[i];

		printf("  %-16s %-8s %s\n", c->name, c->ok ? "ok" : c->needed ? "MISSING" : "no", c->text);
	}
	printf("\nwhat one hit of a uprobe costs the observed program here:\n");
	for (int i = 0; i < 3; i++)
		if (prices->ns[i] > 0)
			printf("  %7.2f \xc2\xb5s  %s\n", prices->ns[i] / 1000, price_texts[i]);
		else
			printf("  unknown     %s\n", price_texts[i]);
	if (prices->patch > 0)
		printf("and with --planter patch, wherever it is:\n  %7.3f \xc2\xb5s\n", prices->patch / 1000);
}

static void report_json(const check_vec *all, const struct prices *prices, const struct utsname *u)
{
	struct buf out = {0};
	struct json j = {.out = &out};

	json_open(&j, '{');
	json_key(&j, "version");
	json_str(&j, EARSHOT_VERSION);
	json_key(&j, "kernel");
	json_str(&j, u->release);
	json_key(&j, "checks");
	json_open(&j, '[');
	for (size_t i = 0; i < all->len; i++) {
		json_open(&j, '{');
		json_key(&j, "name");
		json_str(&j, all->data[i].name);
		json_key(&j, "ok");
		json_bool(&j, all->data[i].ok);
		json_key(&j, "needed");
		json_bool(&j, all->data[i].needed);
		json_key(&j, "text");
		json_str(&j, all->data[i].text);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_key(&j, "price_ns");
	json_open(&j, '{');
	for (int i = 0; i < 3; i++)
		if (prices->ns[i] > 0) {
			json_key(&j, price_keys[i]);
			json_double(&j, prices->ns[i]);
		}
	if (prices->patch > 0) {
		json_key(&j, "patch");
		json_double(&j, prices->patch);
	}
	json_close(&j, '}');
	json_close(&j, '}');
	puts(out.data);
	buf_done(&out);
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct doctor_options o = {0};
	struct prices prices = {0};
	check_vec all = {0};
	struct err err = {0};
	struct utsname u;
	int rest, code = EXIT_DONE, r = options_parse(v->groups, 0, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0 && rest < argc)
		r = err_set(&err, -EINVAL, "doctor takes no operand");
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	uname(&u);
	check_capabilities(&all);
	check_planter(&all, &prices);
	check_patching(&all, &prices);
	check_exec_events(&all);
	(o.json ? report_json : report_text)(&all, &prices, &u);
	for (size_t i = 0; i < all.len; i++)
		if (all.data[i].needed && !all.data[i].ok)
			code = EXIT_FAILED;
	vec_done(&all);
	return code;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.synopsis = "[--json]",
	.summary = "say what this kernel and these privileges allow, and what a probe costs here",
	.groups = doctor_groups,
	.run = run,
};
