/*
 * earshot usdt script: a script for bpftrace (0.17, Debian 12's, and newer) that prints each hit of the probes.
 *
 * What bpftrace reads wrongly, or not at all, is left out, with a comment that says so:
 *	- of sym(%rip) it prints a number that is none, and goes on as if all were well;
 *	- at a float, an index without a base, and what is no operand, it stops reading the note: the arguments before
 *	  that one are right, those behind it are not there;
 *	- on x86-64 it has no names for arguments behind arg5;
 *	- a probe of several sites is one clause, and an argument must be right at each.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <elf.h>

#include "cmd/usdt.h"

enum { NAMED_ARGS = 6, PROBES_AT_ONCE = 512 /* that bpftrace attaches unless told otherwise */ };

static const struct option_group script_groups[] = {{0}};

/* Whether an operand's address or number has a symbol in it: "8@40+stats(%rip)". */
static bool names_symbol(const struct usdt_arg *a)
{
	const char *s = strchr(a->text, '@');

	for (s = s ? s + 1 : ""; *s && *s != '(' && *s != '%'; s++)
		if (isalpha((unsigned char)*s) || *s == '_')
			return true;
	return false;
}

/* Where bpftrace gives up the note. */
static bool stops(const struct usdt_arg *a)
{
	return a->place == USDT_REFUSED || a->is_float || (a->place == USDT_MEMORY && a->base < 0 && a->index >= 0);
}

/* Why the argument is left out of the script; NULL: it is not. */
static const char *left_out(const struct usdt_site *s, size_t arg)
{
	if (arg >= s->n_args)
		return "not every site of the probe has it";
	for (size_t i = 0; i < arg; i++)
		if (stops(&s->args[i]))
			return "bpftrace does not read behind an argument that it does not know";
	if (s->args[arg].why)
		return s->args[arg].why;
	if (s->args[arg].is_float)
		return "bpftrace does not read floats";
	if (stops(&s->args[arg]))
		return "bpftrace does not read an index without a base";
	if (names_symbol(&s->args[arg]))
		return "bpftrace prints a wrong number for an address with a symbol in it";
	return arg >= NAMED_ARGS ? "bpftrace has no name for it: arg0 to arg5 on x86-64" : NULL;
}

/* The same of all sites. ret_site: the first one that speaks against it. */
static const char *left_out_anywhere(const struct usdt_site *sites, size_t n, size_t arg,
				     const struct usdt_site **ret_site)
{
	const char *why = NULL;

	for (size_t i = 0; i < n && !why; i++) {
		why = left_out(&sites[i], arg);
		*ret_site = &sites[i];
	}
	return why;
}

/* Signed where it is at any site; what may be a pointer in hexadecimal. */
static const char *format_of(const struct usdt_site *sites, size_t n, size_t arg)
{
	bool is_signed = false, is_word = false;

	for (size_t i = 0; i < n; i++) {
		is_signed |= sites[i].args[arg].size < 0;
		is_word |= sites[i].args[arg].size == 8;
	}
	return is_signed ? "%ld" : is_word ? "0x%lx" : "%lu";
}

static size_t most_args(const struct usdt_site *sites, size_t n)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++)
		most = MAX(most, sites[i].n_args);
	return most;
}

static bool is_plain(const char *name)
{
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_-.", *name))
			return false;
	return true;
}

/* Why the whole probe is left out; NULL. */
static const char *probe_left_out(const struct usdt_site *sites, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sites[i].why)
			return sites[i].why;
	return is_plain(sites->provider) && is_plain(sites->name) ? NULL : "bpftrace has no way to write its name";
}

static void print_left_out(const struct usdt_site *sites, size_t n)
{
	const struct usdt_site *site;

	for (size_t a = 0; a < most_args(sites, n); a++) {
		const char *why = left_out_anywhere(sites, n, a, &site);

		if (why)
			printf("\t// arg%zu%s%s is left out: %s\n", a, a < site->n_args ? ", " : "",
			       a < site->n_args ? site->args[a].text : "", why);
	}
}

static void print_clause(const char *path, const struct usdt_site *sites, size_t n)
{
	_cleanup_(buf_done) struct buf format = {0}, args = {0};
	const struct usdt_site *site;

	for (size_t a = 0; a < most_args(sites, n); a++)
		if (!left_out_anywhere(sites, n, a, &site)) {
			buf_printf(&format, " arg%zu=%s", a, format_of(sites, n, a));
			buf_printf(&args, ", arg%zu", a);
		}
	printf("\nusdt:\"%s\":\"%s\":\"%s\"\n{\n", path, sites->provider, sites->name);
	print_left_out(sites, n);
	printf("\tprintf(\"%%s %%d %s:%s%s\\n\", comm, tid%s);\n}\n", sites->provider, sites->name,
	       format.data ? format.data : "", args.data ? args.data : "");
}

/* With path NULL nothing is printed; returns how many clauses there are. */
static size_t print_clauses(const struct usdt_notes *notes, const char *path, const char *glob)
{
	size_t n = 0, end;

	for (size_t i = 0; i < notes->n; i = end) {
		const struct usdt_site *sites = &notes->sites[i];
		const char *why;

		end = usdt_probe_end(notes, i);
		if (!usdt_site_matches(sites, glob))
			continue;
		why = probe_left_out(sites, end - i);
		n += !why;
		if (path && why)
			printf("\n// %s:%s is left out: %s\n", sites->provider, sites->name, why);
		else if (path)
			print_clause(path, sites, end - i);
	}
	return n;
}

static void print_script(const struct usdt_notes *notes, const char *path, const char *glob, size_t n)
{
	printf("#!/usr/bin/env bpftrace\n"
	       "// Each hit of %s%sUSDT probes of %s, as `earshot usdt script` has found them.\n"
	       "// A line is: the thread's name and number, the probe, its arguments.\n"
	       "// Text that an argument points to: str(arg0), or, of Go, str(arg0, arg1) with its length.\n",
	       glob ? glob : "all", glob ? " among the " : " ", path);
	if (n > PROBES_AT_ONCE)
		printf("// They are more than bpftrace attaches unless told so: BPFTRACE_MAX_PROBES=%zu "
		       "BPFTRACE_MAX_BPF_PROGS=%zu\n", n, n);
	print_clauses(notes, path, glob);
}

static int script(const struct usdt_file *f, const char *path, const char *glob)
{
	size_t n = print_clauses(f->notes, NULL, glob);

	if (f->notes->machine != EM_X86_64)
		return complain(EXIT_FAILED, "%s is not built for x86-64: scripts are written for that alone", path);
	if (!f->notes->n)
		return complain(EXIT_NOTHING, "%s has no USDT probes that can be found; `earshot usdt list` says "
				"more", path);
	if (!n)
		return complain(EXIT_NOTHING, "no probe of %s that bpftrace can attach to is called \"%s\"; "
				"`earshot usdt list` lists them", path, glob ? glob : "*");
	if (strpbrk(path, ":\"*\\\n"))
		return complain(EXIT_FAILED, "bpftrace cannot be told of a file whose path has one of : \" * \\ in it: "
				"%s; give it another name", path);
	print_script(f->notes, path, glob, n);
	if (n > PROBES_AT_ONCE)
		complain(0, "these are %zu probes, and bpftrace attaches %d unless BPFTRACE_MAX_PROBES and "
			 "BPFTRACE_MAX_BPF_PROGS say more; a GLOB makes them fewer", n, PROBES_AT_ONCE);
	return EXIT_DONE;
}

/* A script runs in any folder. What lies in memory alone has no such path, but /proc/PID/fd/N. */
static char *path_anywhere(const char *name)
{
	char *path = !strncmp(name, "/proc/", 6) ? NULL : realpath(name, NULL);

	return path ? path : xstrdup(name);
}

static int read_and_write(const char *name, const char *glob)
{
	_cleanup_(cleanup_free) char *path = path_anywhere(name);
	usdt_file_vec files = {0};
	struct err err = {0};
	int code;

	if (usdt_file_read(path, &files, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	code = script(&files.data[0], path, glob);
	usdt_files_done(&files);
	return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct err err = {0};
	char nothing;
	int rest, r = options_parse(v->groups, 0, &nothing, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0 && argc - rest != 1 && argc - rest != 2)
		r = err_set(&err, -EINVAL, "usdt script takes a program or library, and perhaps a GLOB of probes");
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	return read_and_write(argv[rest], rest + 1 < argc ? argv[rest + 1] : NULL);
}

const struct verb verb_usdt_script = {
	.name = "usdt script",
	.synopsis = "BINARY [GLOB]",
	.summary = "write a bpftrace script that prints each hit of USDT probes",
	.groups = script_groups,
	.run = run,
};
