#include "weave/toolexec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "weave/paths.h"
#include "weave/recorder.h"
#include "weave/spawn.h"
#include "weave/tool_command.h"

enum { CANNOT_RUN = 127 };

/* ---- running the tool ---- */

typedef VEC(char *) arg_list;

/* The tool, by way of another -toolexec where there is one. */
static void full_command(const struct weaver *w, char **argv, arg_list *out)
{
	if (w->next)
		vec_push(out, (char *)w->next);
	for (; *argv; argv++)
		vec_push(out, *argv);
	vec_push(out, NULL);
}

static int exec_tool(const struct weaver *w, char **argv)
{
	arg_list all = {0};

	full_command(w, argv, &all);
	execvp(all.data[0], all.data);
	fprintf(stderr, "earshot: cannot run %s: %s\n", all.data[0], strerror(errno));
	return CANNOT_RUN;
}

/*
 * The tool's exit code. If a signal ended it, so do we: it may have been short of memory, and the go command would keep
 * what comes without being woven.
 */
static int run_tool(const struct weaver *w, char **argv, enum spawn_errors errors, struct buf *output)
{
	arg_list all = {0};
	int code;

	full_command(w, argv, &all);
	code = spawn_capture(all.data, errors, output);
	vec_done(&all);
	if (code > 128) {
		fprintf(stderr, "earshot: %s was ended by signal %d\n", path_base(*argv), code - 128);
		exit(code);
	}
	return code;
}

/* ---- the version ---- */

/*
 * The go command's word for what a tool does: of a released one the whole line counts, of another what is behind the
 * last slash of "buildID=", which is the last word.
 */
static int tell_version(const struct weaver *w, const struct tool_command *c)
{
	_cleanup_(buf_done) struct buf line = {0};
	const char *last;
	int code = run_tool(w, c->argv, SPAWN_OURS, &line);

	if (code || !line.len)
		return code ? code : 1;
	while (line.len && strchr(" \r\n", line.data[line.len - 1]))
		line.data[--line.len] = 0;
	last = strrchr(line.data, ' ');
	if (last && !strncmp(last + 1, "buildID=", 8))
		printf("%s-earshot-%s\n", line.data, w->key);
	else
		printf("%s +earshot-%s\n", line.data, w->key);
	return 0;
}

/* The first line of what a compiler says, without the line that names the package. */
static const char *first_line(struct arena *arena, const struct buf *output)
{
	const char *s = output->len ? output->data : "";

	while (*s == '#' || *s == '\n')
		s += strcspn(s, "\n") + (s[strcspn(s, "\n")] == '\n');
	return arena_strndup(arena, s, strcspn(s, "\n"));
}

/* ---- files ---- */

/* Beside what the go command itself makes for this package; it removes all of it. */
static int woven_dir(const struct tool_command *c, struct arena *arena, const char **ret, struct err *err)
{
	const char *dir;

	if (!c->out_dir)
		return err_set(err, -EINVAL, "%s was not told where its output goes", c->name);
	dir = arena_printf(arena, "%s/earshot", c->out_dir);
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make %s: %s", dir, strerror(errno));
	*ret = dir;
	return 0;
}

static int write_file(const char *path, const struct buf *text, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : write_all(fd, text->data, text->len);

	return r < 0 ? err_set(err, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

/* ---- USDT probes ---- */

/* What is behind a member's name in an archive of Go's: no time, nobody, a size. */
static void add_member(const char *name, const struct buf *object, struct buf *out)
{
	buf_printf(out, "%-16s%-12d%-6d%-6d%-8o%-10zu`\n", name, 0, 0, 0, 0644, object->len);
	buf_append(out, object->data, object->len);
	if (object->len % 2)
		buf_char(out, 0);
}

static int append_object(const char *archive, const char *object, struct err *err)
{
	_cleanup_(buf_done) struct buf bytes = {0}, member = {0};
	_cleanup_(cleanup_fd) int fd = open(archive, O_WRONLY | O_APPEND | O_CLOEXEC);
	int r = fd < 0 ? -errno : file_read(object, &bytes, 0);

	if (r >= 0) {
		add_member("earshot.o", &bytes, &member);
		r = write_all(fd, member.data, member.len);
	}
	return r < 0 ? err_set(err, r, "cannot add %s to %s: %s", object, archive, strerror(-r)) : 0;
}

/*
 * Go's assembler lets package runtime alone say by which convention a function is called; the object is in whatever
 * package its archive is of. Older ones want one more flag for that, which newer ones do not know.
 */
static int assemble(const struct weaver *w, const struct tool_command *c, struct arena *arena, const char *source,
                    const char *object, struct err *err)
{
	char *tool = arena_printf(arena, "%s/asm", path_folder(arena, *c->argv));
	char *argv[] = {tool, "-p", "runtime", "-trimpath", (char *)(c->trimpath ? c->trimpath : ""), "-o",
	                (char *)object, (char *)source, NULL, NULL};
	_cleanup_(buf_done) struct buf said = {0}, more = {0};

	if (!run_tool(w, argv, SPAWN_TAKEN, &said))
		return 0;
	argv[ARRAY_SIZE(argv) - 2] = argv[ARRAY_SIZE(argv) - 3];
	argv[ARRAY_SIZE(argv) - 3] = "-compiling-runtime";
	if (!run_tool(w, argv, SPAWN_TAKEN, &more))
		return 0;
	return err_set(err, -EINVAL, "its USDT probes cannot be assembled: %s", first_line(arena, &said));
}

static int add_probes(const struct weaver *w, const struct tool_command *c, struct weave_package *p, struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};
	const char *dir, *source, *object;
	int r = p->probes.len ? woven_dir(c, &p->arena, &dir, err) : 1;

	if (r > 0)
		return 0;
	if (r >= 0)
		r = usdt_assembly(p->probes.data, p->probes.len, getenv("GOARCH"), &text, err);
	if (r < 0)
		return r;
	source = arena_printf(&p->arena, "%s/earshot_usdt.s", dir);
	object = arena_printf(&p->arena, "%s/earshot_usdt.o", dir);
	r = write_file(source, &text, err);
	if (r >= 0)
		r = assemble(w, c, &p->arena, source, object, err);
	return r < 0 ? r : append_object(c->out, object, err);
}

static int link_program(const struct weaver *w, const struct tool_command *c)
{
	_cleanup_(buf_done) struct buf output = {0};
	struct err err = {0};
	size_t n = 0;
	int code = run_tool(w, c->argv, SPAWN_OURS, &output);

	if (output.len)
		fwrite(output.data, 1, output.len, stdout);
	if (!code && usdt_write_notes(c->out, &n, &err) < 0)
		fprintf(stderr, "earshot: its USDT probes stay without notes, so nobody finds them: %s\n", err.text);
	return code;
}

/* ---- compile ---- */

static int write_changed(struct weave_package *p, const char *dir, size_t i, char **arg, struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct weave_file *f = &p->files[i];
	char *path;
	int r;

	if (!f->edits.all.len)
		return 0;
	if (!go_edits_apply(&f->edits, f->path, f->text.data, f->text.len, &text))
		return err_set(err, -EINVAL, "%s: what is to be woven overlaps", path_base(f->path));
	path = arena_printf(&p->arena, "%s/%s", dir, path_base(f->path));
	r = write_file(path, &text, err);
	if (r >= 0)
		*arg = path;
	return r;
}

/* It belongs to the package's folder as the others do, wherever it lies. */
static int write_added(struct weave_package *p, const char *dir, const struct weave_added *a, char **arg,
                       struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};
	char *path = arena_printf(&p->arena, "%s/%s", dir, a->name);
	int r;

	buf_printf(&text, "//line %s/%s:1\n", path_folder(&p->arena, p->files[0].path), a->name);
	buf_append(&text, a->text.data, a->text.len);
	r = write_file(path, &text, err);
	if (r >= 0)
		*arg = path;
	return r;
}

/* The command line with what is woven in the place of the original files. */
static int woven_command(const struct tool_command *c, struct weave_package *p, char ***ret, struct err *err)
{
	int n = c->first + c->nfiles, r;
	char **argv = arena_array(&p->arena, char *, (size_t)n + p->added.len + 1);
	const char *dir;

	memcpy(argv, c->argv, (size_t)n * sizeof(*argv));
	r = woven_dir(c, &p->arena, &dir, err);
	for (size_t i = 0; r >= 0 && i < p->nfiles; i++)
		r = write_changed(p, dir, i, &argv[c->first + (int)i], err);
	for (size_t i = 0; r >= 0 && i < p->added.len; i++)
		r = write_added(p, dir, &p->added.data[i], &argv[n + (int)i], err);
	*ret = argv;
	return r;
}

static bool is_changed(const struct weave_package *p)
{
	size_t n = p->added.len;

	for (size_t i = 0; i < p->nfiles; i++)
		n += p->files[i].edits.all.len;
	return n;
}

static void say(const struct weave_package *p)
{
	for (size_t i = 0; i < p->warnings.len; i++)
		fprintf(stderr, "earshot: %s: %s\n", p->path, p->warnings.data[i]);
}

/*
 * 0: what was woven is compiled. Else nothing is, and err says why: whether the compiler would take the original files
 * shows when it gets them.
 */
static int compile_woven(const struct weaver *w, const struct tool_command *c, struct weave_package *p, struct err *err)
{
	_cleanup_(buf_done) struct buf output = {0};
	char **argv;
	int r = woven_command(c, p, &argv, err), code;

	if (r < 0)
		return r;
	code = run_tool(w, argv, SPAWN_TAKEN, &output);
	if (code)
		return err_set(err, -EINVAL, "what was woven does not compile: %s", first_line(&p->arena, &output));
	r = add_probes(w, c, p, err);
	if (r < 0)
		return r;
	say(p);
	if (output.len)
		fwrite(output.data, 1, output.len, stderr);
	return 0;
}

/* A warning only where the package itself compiles. */
static int compile_original(const struct weaver *w, const struct tool_command *c, struct weave_package *p)
{
	_cleanup_(buf_done) struct buf output = {0};
	int code = run_tool(w, c->argv, SPAWN_TAKEN, &output);

	if (!code)
		say(p);
	if (output.len)
		fwrite(output.data, 1, output.len, stderr);
	return code;
}

static int compile_package(const struct weaver *w, const struct tool_command *c)
{
	struct weave_package p = {0};
	struct err err = {0};
	int code, r = weave_package_open(&p, c->package, c->argv + c->first, (size_t)c->nfiles, &err);

	if (r >= 0)
		r = w->weave(w->arg, &p, &err);
	if (r >= 0 && is_changed(&p))
		r = compile_woven(w, c, &p, &err);
	else if (r >= 0)
		r = 1;
	if (r < 0)
		weave_package_warn(&p, "nothing of it is woven: %s", err.text);
	code = r ? compile_original(w, c, &p) : 0;
	weave_package_done(&p);
	return code;
}

/* ---- package runtime ---- */

/* The recorder knows the system calls and the registers of these. */
static const char *recorder_assembly(const char *arch)
{
	const char *os = getenv("GOOS");

	if (!os || strcmp(os, "linux") || !arch)
		return NULL;
	return !strcmp(arch, "amd64") ? recorder_amd64_s : !strcmp(arch, "arm64") ? recorder_arm64_s : NULL;
}

static const char *noop_mark(struct arena *arena, const char *dir)
{
	return arena_printf(arena, "%s/noop", dir);
}

/*
 * What does nothing brings no assembly: the go command has already listed what the assembly with the recorder defines,
 * and assembles it after this. So the list is given without, and a mark tells the assembler's call.
 */
static int without_assembly(const struct tool_command *c, struct weave_package *p, struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0}, out = {0};
	const char *dir;
	char *path;
	int r = woven_dir(c, &p->arena, &dir, err);

	if (r >= 0)
		r = write_file(noop_mark(&p->arena, dir), &out, err);
	if (r < 0 || !c->symabis)
		return r;
	r = file_read(c->argv[c->symabis], &text, 0);
	if (r < 0)
		return err_set(err, r, "cannot read %s", c->argv[c->symabis]);
	for (char *line = text.data, *end; line && *line; line = end) {
		end = line + strcspn(line, "\n");
		end += *end == '\n';
		if (!memmem(line, (size_t)(end - line), "earshot", 7))
			buf_append(&out, line, (size_t)(end - line));
	}
	path = arena_printf(&p->arena, "%s/symabis", dir);
	r = write_file(path, &out, err);
	if (r >= 0)
		c->argv[c->symabis] = path;
	return r;
}

static int compile_noop(const struct weaver *w, const struct tool_command *c, struct weave_package *p)
{
	struct err err = {0};
	int r;

	weave_runtime_noop(p);
	r = without_assembly(c, p, &err);
	if (r >= 0)
		r = compile_woven(w, c, p, &err);
	if (r < 0)
		weave_package_warn(p, "nor does this Go take what stands in for it: %s", err.text);
	return r ? compile_original(w, c, p) : 0;
}

static int compile_runtime(const struct weaver *w, const struct tool_command *c)
{
	struct weave_package p = {0};
	struct err err = {0};
	const char *arch = getenv("GOARCH");
	int code, r = weave_package_open(&p, c->package, c->argv + c->first, (size_t)c->nfiles, &err);

	if (r >= 0 && !recorder_assembly(arch))
		r = err_set(&err, -ENOTSUP, "on %s/%s nothing is recorded", getenv("GOOS"), arch);
	if (r >= 0)
		r = weave_runtime(&p, &err);
	if (r >= 0)
		r = w->weave(w->arg, &p, &err);
	if (r >= 0)
		r = compile_woven(w, c, &p, &err);
	if (r < 0)
		weave_package_warn(&p, "THE PROGRAM WILL RECORD NOTHING: %s", err.text);
	code = r < 0 ? compile_noop(w, c, &p) : 0;
	weave_package_done(&p);
	return code;
}

/* asm_GOARCH.s of package runtime with what the recorder needs of it, in place of the original. */
static int add_assembly(const struct tool_command *c, struct arena *arena, int i, const char *more, struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};
	const char *original = c->argv[i], *dir;
	char *path;
	int r = woven_dir(c, arena, &dir, err);

	if (r < 0 || !access(noop_mark(arena, dir), F_OK))
		return r;
	buf_printf(&text, "#line 1 \"%s\"\n", original);
	r = file_read(original, &text, 0);
	if (r < 0)
		return err_set(err, r, "cannot read %s: %s", original, strerror(-r));
	buf_printf(&text, "\n%s", more);
	path = arena_printf(arena, "%s/%s", dir, path_base(original));
	r = write_file(path, &text, err);
	if (r >= 0)
		c->argv[i] = path;
	return r;
}

static int assemble_runtime(const struct weaver *w, const struct tool_command *c)
{
	struct arena arena = {0};
	const char *arch = getenv("GOARCH"), *more = recorder_assembly(arch);
	const char *name = arena_printf(&arena, "asm_%s.s", arch ? arch : "");
	struct err err = {0};

	for (int i = c->first; more && c->argv[i]; i++)
		if (!strcmp(path_base(c->argv[i]), name) && add_assembly(c, &arena, i, more, &err) < 0)
			fprintf(stderr, "earshot: runtime: %s\n", err.text);
	return exec_tool(w, c->argv);
}

/* ---- any tool ---- */

int toolexec(const struct weaver *w, char **argv)
{
	struct arena arena = {0};
	struct tool_command c;
	bool compiles, assembles, links;

	tool_command_read(argv, &arena, &c);
	compiles = !strcmp(c.name, "compile");
	assembles = !strcmp(c.name, "asm");
	links = w->usdt && !strcmp(c.name, "link");
	if (c.asks_version && (compiles || assembles || links))
		return tell_version(w, &c);
	if (compiles && c.nfiles && c.package && !strcmp(c.package, "runtime"))
		return compile_runtime(w, &c);
	if (compiles && c.nfiles && c.package && w->concerns(w->arg, c.package, c.argv + c.first, (size_t)c.nfiles))
		return compile_package(w, &c);
	if (links && c.out)
		return link_program(w, &c);
	if (assembles && c.package && !strcmp(c.package, "runtime"))
		return assemble_runtime(w, &c);
	return exec_tool(w, argv);
}
