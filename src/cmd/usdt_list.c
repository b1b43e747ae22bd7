/* earshot usdt list: which USDT probes a file, or all that a process has mapped, carries. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "cmd/usdt.h"
#include "sink/text.h"

struct list_options {
	bool json, sites;
	uint64_t pid;
};

static const struct option_def list_defs[] = {
	{'p', "pid", "PID", "of all files that this process has code of: its executable, its libraries", OPT_UINT,
	 offsetof(struct list_options, pid)},
	{0, "sites", NULL, "also each site: where it is, and where its arguments lie", OPT_FLAG,
	 offsetof(struct list_options, sites)},
	{0, "json", NULL, "one JSON object instead of text", OPT_FLAG, offsetof(struct list_options, json)},
	{0},
};
static const struct option_group list_groups[] = {{.title = "options", .defs = list_defs}, {0}};

struct listing {
	const struct list_options *o;
	const char *glob;
	usdt_file_vec files;
	string_list trouble;
};

/* What one hit of an attached probe costs, in words; the kernel decides by the instruction. */
static const char *price_of(enum usdt_instruction i)
{
	static const char *const prices[] = {
		[USDT_NOP] = "cheap", [USDT_NOP5] = "cheap on Linux 6.18",
		[USDT_NOP_OTHER] = "depends on the kernel", [USDT_INSTRUCTION_OTHER] = "dear"};

	return prices[i];
}

/* ---- text ---- */

/* "uint64"; "int32|uint64" where sites differ. */
static void arg_type(const struct usdt_site *sites, size_t n, size_t arg, struct buf *out)
{
	const size_t from = out->len;

	for (size_t i = 0; i < n; i++) {
		const char *type = arg < sites[i].n_args ? usdt_type_name(&sites[i].args[arg]) : "absent";
		bool is_new = true;

		for (size_t k = 0; k < i && is_new; k++)
			is_new = strcmp(type, arg < sites[k].n_args ? usdt_type_name(&sites[k].args[arg]) : "absent");
		if (is_new)
			buf_printf(out, "%s%s", out->len > from ? "|" : "", type);
	}
}

static void print_types(const struct usdt_site *sites, size_t n)
{
	_cleanup_(buf_done) struct buf out = {0};
	size_t n_args = 0;

	for (size_t i = 0; i < n; i++)
		n_args = MAX(n_args, sites[i].n_args);
	for (size_t a = 0; a < n_args; a++) {
		buf_str(&out, a ? ", " : "");
		arg_type(sites, n, a, &out);
	}
	printf("(%s)", out.data ? out.data : "");
}

static bool all_refused(const struct usdt_site *sites, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!sites[i].why)
			return false;
	return true;
}

/* "nop", "nop, nop5": each kind once. */
static void print_instructions(const struct usdt_site *sites, size_t n)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t bit = 1u << sites[i].instruction;

		if (!sites[i].why && !(seen & bit))
			printf(", %s (%s)", usdt_instruction_name(sites[i].instruction),
			       price_of(sites[i].instruction));
		seen |= sites[i].why ? 0 : bit;
	}
}

static void print_site(const struct usdt_site *s)
{
	printf("      0x%-10" PRIx64 " %-9s", s->address, usdt_instruction_name(s->instruction));
	for (size_t a = 0; a < s->n_args; a++)
		printf(" %s", s->args[a].text);
	if (s->semaphore)
		printf("  semaphore 0x%" PRIx64, s->semaphore);
	putchar('\n');
}

static void print_refused(const struct usdt_site *s)
{
	if (s->why)
		printf("      0x%" PRIx64 " is refused: %s\n", s->address, s->why);
	for (size_t a = 0; a < s->n_args; a++)
		if (s->args[a].why)
			printf("      0x%" PRIx64 " arg%zu, %s, is refused: %s\n", s->address, a, s->args[a].text,
			       s->args[a].why);
}

static void print_probe(const struct listing *l, const struct usdt_site *sites, size_t n)
{
	printf("  %s:%s", sites->provider, sites->name);
	print_types(sites, n);
	if (n > 1)
		printf("  %zu sites", n);
	else
		printf("  1 site");
	print_instructions(sites, n);
	printf("%s%s\n", sites->semaphore ? ", semaphore" : "", all_refused(sites, n) ? ", refused" : "");
	for (size_t i = 0; i < n; i++) {
		if (l->o->sites)
			print_site(&sites[i]);
		print_refused(&sites[i]);
	}
}

/* ---- JSON ---- */

static void json_register(struct json *j, const char *key, uint16_t machine, int reg)
{
	if (reg < 0)
		return;
	json_key(j, key);
	json_str(j, usdt_register_name(machine, reg));
}

static void json_place(struct json *j, uint16_t machine, const struct usdt_arg *a)
{
	static const char *const places[] = {"constant", "register", "memory", "refused"};

	json_key(j, "place");
	json_str(j, places[a->place]);
	json_register(j, a->place == USDT_REGISTER ? "register" : "base", machine, a->base);
	json_register(j, "index", machine, a->index);
	if (a->index >= 0) {
		json_key(j, "scale");
		json_int(j, a->scale);
	}
	if (a->place == USDT_CONSTANT || a->place == USDT_MEMORY) {
		json_key(j, a->place == USDT_CONSTANT ? "value" : a->base < 0 ? "address" : "offset");
		json_int(j, a->constant);
	}
}

static void json_arg(struct json *j, uint16_t machine, const struct usdt_arg *a)
{
	json_open(j, '{');
	json_key(j, "text");
	json_str(j, a->text);
	json_key(j, "type");
	json_str(j, usdt_type_name(a));
	json_place(j, machine, a);
	if (a->why) {
		json_key(j, "refused");
		json_str(j, a->why);
	}
	json_close(j, '}');
}

static void json_number_of(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_uint(j, v);
}

static void json_site(struct json *j, uint16_t machine, const struct usdt_site *s)
{
	json_open(j, '{');
	json_number_of(j, "address", s->address);
	json_number_of(j, "offset", s->file_offset);
	json_number_of(j, "semaphore", s->semaphore);
	json_number_of(j, "semaphore_offset", s->semaphore_offset);
	json_key(j, "instruction");
	json_str(j, usdt_instruction_name(s->instruction));
	json_key(j, "price");
	json_str(j, price_of(s->instruction));
	if (s->why) {
		json_key(j, "refused");
		json_str(j, s->why);
	}
	json_key(j, "args");
	json_open(j, '[');
	for (size_t a = 0; a < s->n_args; a++)
		json_arg(j, machine, &s->args[a]);
	json_close(j, ']');
	json_close(j, '}');
}

static void json_probe(struct json *j, uint16_t machine, const struct usdt_site *sites, size_t n)
{
	json_open(j, '{');
	json_key(j, "provider");
	json_str(j, sites->provider);
	json_key(j, "name");
	json_str(j, sites->name);
	json_key(j, "sites");
	json_open(j, '[');
	for (size_t i = 0; i < n; i++)
		json_site(j, machine, &sites[i]);
	json_close(j, ']');
	json_close(j, '}');
}

static void json_file_begin(struct json *j, const struct usdt_file *f)
{
	json_open(j, '{');
	json_key(j, "path");
	json_str(j, f->path);
	if (strcmp(f->path, f->open_path)) {
		json_key(j, "open_path");
		json_str(j, f->open_path);
	}
	json_key(j, "go");
	json_bool(j, f->notes->is_go);
	if (f->notes->why) {
		json_key(j, "trouble");
		json_str(j, f->notes->why);
	}
	json_key(j, "probes");
	json_open(j, '[');
}

/* ---- both ---- */

/* Calls each with the probes of f that are meant; returns how many. */
static size_t each_probe(const struct listing *l, const struct usdt_file *f, struct json *j, size_t *ret_sites)
{
	size_t probes = 0, end;

	for (size_t i = 0; i < f->notes->n; i = end) {
		end = usdt_probe_end(f->notes, i);
		if (!usdt_site_matches(&f->notes->sites[i], l->glob))
			continue;
		if (j)
			json_probe(j, f->notes->machine, &f->notes->sites[i], end - i);
		else if (!ret_sites)
			print_probe(l, &f->notes->sites[i], end - i);
		if (ret_sites)
			*ret_sites += end - i;
		probes++;
	}
	return probes;
}

static size_t print_files(const struct listing *l)
{
	size_t all = 0;

	for (size_t i = 0; i < l->files.len; i++) {
		_cleanup_(buf_done) struct buf out = {0};
		struct row row = row_begin(&out, 0, false);
		const struct usdt_file *f = &l->files.data[i];
		size_t sites = 0, probes = each_probe(l, f, NULL, &sites);

		row_str(&row, STYLE_PLAIN, f->path); /* whoever has named the file */
		if (probes)
			printf("%s%s%s%s: %zu %s at %zu %s\n", out.data, f->is_deleted ? " (deleted), now " : "",
			       f->is_deleted ? f->open_path : "", f->notes->is_go ? ", a Go program" : "", probes,
			       probes == 1 ? "probe" : "probes", sites, sites == 1 ? "site" : "sites");
		each_probe(l, f, NULL, NULL);
		all += probes;
	}
	return all;
}

static size_t json_files(const struct listing *l)
{
	_cleanup_(buf_done) struct buf out = {0};
	struct json j = {.out = &out};
	size_t all = 0;

	json_open(&j, '{');
	if (l->o->pid)
		json_number_of(&j, "pid", l->o->pid);
	json_key(&j, "files");
	json_open(&j, '[');
	for (size_t i = 0; i < l->files.len; i++) {
		json_file_begin(&j, &l->files.data[i]);
		all += each_probe(l, &l->files.data[i], &j, NULL);
		json_close(&j, ']');
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	puts(out.data);
	return all;
}

static void tell_trouble(const struct listing *l)
{
	for (size_t i = 0; i < l->trouble.len; i++)
		complain(0, "%s", l->trouble.data[i]);
	for (size_t i = 0; i < l->files.len; i++)
		if (l->files.data[i].notes->why)
			complain(0, "%s: %s", l->files.data[i].path, l->files.data[i].notes->why);
}

static int explain_nothing(const struct listing *l, const char *path)
{
	size_t all = 0;

	for (size_t i = 0; i < l->files.len; i++)
		all += l->files.data[i].notes->n;
	if (all)
		return complain(EXIT_NOTHING, "no probe is called \"%s\"; without it all of them are listed", l->glob);
	if (l->o->pid)
		return complain(EXIT_NOTHING, "process %" PRIu64 " has no code of a file with USDT probes", l->o->pid);
	if (l->files.data[0].notes->no_sections)
		return complain(EXIT_NOTHING, "%s has no section headers, so that nobody can tell whether it has USDT "
				"probes: their notes are found by these", path);
	return complain(EXIT_NOTHING, "%s has no USDT probes", path);
}

static int list(struct listing *l, const char *path)
{
	struct err err = {0};
	int r = l->o->pid ? usdt_files_of_process("/proc", (int)l->o->pid, &l->files, &l->trouble, &err)
			  : usdt_file_read(path, &l->files, &err);
	size_t n;

	if (r < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	n = l->o->json ? json_files(l) : print_files(l);
	fflush(stdout);
	tell_trouble(l);
	return n ? EXIT_DONE : explain_nothing(l, path);
}

/* BINARY [GLOB], or with -p [GLOB]. */
static int check_operands(const struct list_options *o, int n, struct err *err)
{
	if (o->pid > INT32_MAX)
		return err_set(err, -EINVAL, "--pid expects the number of a process");
	if (o->pid ? n > 1 : n < 1 || n > 2)
		return err_set(err, -EINVAL, "usdt list takes a program or library and perhaps a GLOB of probes, or -p "
			       "PID and perhaps a GLOB");
	return 0;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct list_options o = {0};
	struct listing l = {.o = &o};
	struct err err = {0};
	int rest, code, r = options_parse(v->groups, 0, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0)
		r = check_operands(&o, argc - rest, &err);
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	l.glob = rest + !o.pid < argc ? argv[rest + !o.pid] : NULL;
	code = list(&l, o.pid ? NULL : argv[rest]);
	usdt_files_done(&l.files);
	for (size_t i = 0; i < l.trouble.len; i++)
		free((char *)l.trouble.data[i]);
	vec_done(&l.trouble);
	return code;
}

const struct verb verb_usdt_list = {
	.name = "usdt list",
	.synopsis = "BINARY | -p PID [GLOB]",
	.summary = "list USDT probes: names, types of arguments, sites and what a hit costs there",
	.groups = list_groups,
	.run = run,
};
