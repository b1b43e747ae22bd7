/*
 * earshot build: a go command whose programs carry their own instrumentation. The go command runs each of its tools by
 * way of this program (-toolexec), under a name of one word, since a GOFLAGS with a space in a value is refused by
 * Go 1.19.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/verb.h"
#include "cmd/weaving.h"
#include "weave/go_flags.h"
#include "weave/paths.h"
#include "weave/spawn.h"

struct build_options {
	string_list packs, spans, traced;
	bool usdt;
};

static const struct option_def build_defs[] = {
	{0, "packs", "GLOB|FILE", "weave only these packs; a path adds a pack file (repeatable)", OPT_LIST,
	 offsetof(struct build_options, packs)},
	{0, "span", "FUNCTION", "a function of your own as a span, as `attach --span` has it (repeatable)", OPT_LIST,
	 offsetof(struct build_options, spans)},
	{0, "usdt", NULL, "points are USDT probes as well, for bpftrace, perf, and whoever knows these", OPT_FLAG,
	 offsetof(struct build_options, usdt)},
	{0, "trace", "FUNCTION", "calls of this function can be asked about without planting, as a pattern of many "
				 "(repeatable)", OPT_LIST, offsetof(struct build_options, traced)},
	{0},
};
static const struct option_group build_groups[] = {{.title = "options", .defs = build_defs}, {0}};

/* A build on its way. */
struct building {
	/* A folder of its own with the word that the go command runs, and with what it has said of packages. */
	char dir[PATH_MAX], link[PATH_MAX + 32], list[PATH_MAX + 32];
	struct buf flags;                        /* GOFLAGS */
	char *next;                              /* another -toolexec that was asked for; or NULL */
};

/* ---- the entry point ---- */

static int make_link(struct building *b, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(err, -errno, "cannot find this program: %s", strerror(errno));
	self[n] = 0;
	if (!tmp || *tmp != '/' || strpbrk(tmp, " \t'\"") || strlen(tmp) > PATH_MAX / 2)
		tmp = "/tmp";
	snprintf(b->dir, sizeof(b->dir), "%s/earshot-build-XXXXXX", tmp);
	if (!mkdtemp(b->dir))
		return err_set(err, -errno, "cannot make a folder in %s: %s", tmp, strerror(errno));
	snprintf(b->link, sizeof(b->link), "%s/%s", b->dir, TOOLEXEC_NAME);
	snprintf(b->list, sizeof(b->list), "%s/packages", b->dir);
	if (symlink(self, b->link) < 0)
		return err_set(err, -errno, "cannot make %s: %s", b->link, strerror(errno));
	return 0;
}

static void remove_link(struct building *b)
{
	if (*b->link)
		unlink(b->link);
	if (*b->list)
		unlink(b->list);
	if (*b->dir)
		rmdir(b->dir);
}

/* ---- another -toolexec ---- */

static void take_next(struct building *b, const char *value)
{
	free(b->next);
	b->next = *value ? xstrdup(value) : NULL;
}

/* A flag that says which packages and files there are, for whoever asks the go command about them. */
static void add_choosing(char **arg, string_list *flags)
{
	static const char *const choosing[] = {"mod", "modfile", "overlay", "tags"};
	const char *flag = *arg + strspn(*arg, "-");

	for (size_t i = 0; flag != *arg && i < ARRAY_SIZE(choosing); i++) {
		size_t n = strlen(choosing[i]);

		if (strncmp(flag, choosing[i], n) != 0 || (flag[n] && flag[n] != '='))
			continue;
		vec_push(flags, *arg);
		if (!flag[n] && arg[1])
			vec_push(flags, arg[1]);
	}
}

/*
 * The command line's goes before that of GOFLAGS, and before ours: it is taken out. What follows -args, and of `go run`
 * what follows its package, is the program's.
 */
static void read_arguments(struct building *b, char **argv, string_list *flags)
{
	bool runs = argv[1] && !strcmp(argv[1], "run"), ours = true;
	char **to = argv + 1;

	for (char **from = argv + 1; *from; from++) {
		const char *value = ours ? go_flag_toolexec(*from) : NULL;

		if (!strcmp(*from, "-args") || !strcmp(*from, "--") || (runs && from > argv + 1 && **from != '-'))
			ours = false;
		if (ours && !value)
			add_choosing(from, flags);
		if (value && *value == '=') {
			take_next(b, value + 1);
		} else if (value && !*value && from[1]) {
			from++;
			take_next(b, *from);
		} else {
			*to++ = *from;
		}
	}
	*to = NULL;
}

static bool is_go(const char *command)
{
	const char *name = path_base(command);

	return !strncmp(name, "go", 2) && strspn(name + 2, "0123456789.") == strlen(name + 2);
}

/* Those of the environment, or of the user's configuration. What the command line says was read before: it counts. */
static int read_goflags(struct building *b, char *go, struct err *err)
{
	char *argv[] = {is_go(go) ? go : "go", "env", "GOFLAGS", NULL};
	_cleanup_(buf_done) struct buf text = {0};
	char *next = NULL;

	if (spawn_capture(argv, SPAWN_OURS, &text))
		return err_set(err, -ENOENT, "cannot run `%s env GOFLAGS`", argv[0]);
	go_flags_read(text.len ? text.data : "", &b->flags, &next);
	if (b->next)
		free(next);
	else
		b->next = next;
	return 0;
}

/* ---- the command ---- */

static volatile sig_atomic_t command_pid;

static void pass_signal(int number)
{
	if (command_pid > 0)
		kill(command_pid, number);
}

/* What would end us waits from here on, so that nothing stays in the folder for temporary files. */
static void hold_signals(sigset_t *ret_before)
{
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGHUP);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGQUIT);
	sigaddset(&ending, SIGTERM);
	sigprocmask(SIG_BLOCK, &ending, ret_before);
}

/* Its exit code. A terminal's interrupt reaches the command by itself, and we end behind it. */
static int run_command(char **argv, const sigset_t *signals)
{
	struct sigaction pass = {.sa_handler = pass_signal}, ignore = {.sa_handler = SIG_IGN};
	pid_t pid = fork();

	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		sigprocmask(SIG_SETMASK, signals, NULL);
		execvp(argv[0], argv);
		complain(EXIT_FAILED, "cannot run %s: %s", argv[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		return complain(EXIT_FAILED, "cannot start a process: %s", strerror(errno));
	command_pid = pid;
	sigaction(SIGTERM, &pass, NULL);
	sigaction(SIGHUP, &pass, NULL);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	sigprocmask(SIG_SETMASK, signals, NULL);
	return spawn_wait(pid);
}

/* With the flags that are there, by way of our own. */
static int run_woven(struct building *b, const struct weaving *w, char **argv, struct err *err)
{
	sigset_t signals;
	int r;

	hold_signals(&signals);
	r = make_link(b, err);
	if (r >= 0) {
		buf_printf(&b->flags, "-toolexec=%s", b->link);
		setenv("GOFLAGS", b->flags.data, 1);
		weaving_pass_on(w, b->next, b->list);
		r = run_command(argv, &signals);
	}
	remove_link(b);
	return r;
}

static int build(const struct build_options *o, char **argv)
{
	struct weaving w = {.usdt = o->usdt};
	struct building b = {0};
	struct err err = {0};
	int r;

	for (size_t i = 0; i < o->packs.len; i++)
		vec_push(&w.packs, o->packs.data[i]);
	for (size_t i = 0; i < o->spans.len; i++)
		vec_push(&w.spans, o->spans.data[i]);
	for (size_t i = 0; i < o->traced.len; i++)
		vec_push(&w.traced, o->traced.data[i]);
	r = weaving_check(&w, &err);
	if (r < 0) {
		weaving_done(&w);
		return complain(EXIT_USAGE, "%s", err.text);
	}
	if (is_go(argv[0]))
		read_arguments(&b, argv, &w.flags);
	r = read_goflags(&b, argv[0], &err);
	if (r >= 0)
		r = run_woven(&b, &w, argv, &err);
	buf_done(&b.flags);
	weaving_done(&w);
	free(b.next);
	return r < 0 ? complain(EXIT_FAILED, "%s", err.text) : r;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct build_options o = {0};
	struct err err = {0};
	int rest, code, r = options_parse(v->groups, OPTIONS_STOP_AT_OPERAND, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0 && rest >= argc)
		r = err_set(&err, -EINVAL, "say how to build: earshot build -- go build ./...");
	code = r < 0 ? complain(EXIT_USAGE, "%s", err.text) : build(&o, argv + rest);
	options_done(v->groups, &o);
	return code;
}

const struct verb verb_build = {
	.name = "build",
	.synopsis = "[options] -- go build [ARG]...",
	.summary = "build Go programs that carry their own instrumentation",
	.groups = build_groups,
	.run = run,
};
