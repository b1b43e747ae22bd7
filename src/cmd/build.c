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
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/verb.h"
#include "cmd/weaving.h"
#include "weave/spawn.h"

struct build_options {
	string_list packs, spans;
};

static const struct option_def build_defs[] = {
	{0, "packs", "GLOB|FILE", "weave only these packs; a path adds a pack file (repeatable)", OPT_LIST,
	 offsetof(struct build_options, packs)},
	{0, "span", "FUNCTION", "a function of your own as a span, as `attach --span` has it (repeatable)", OPT_LIST,
	 offsetof(struct build_options, spans)},
	{0},
};
static const struct option_group build_groups[] = {{.title = "options", .defs = build_defs}, {0}};

/* A build on its way. */
struct building {
	char dir[PATH_MAX], link[PATH_MAX + 32]; /* a folder of its own with the word that the go command runs */
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
	if (symlink(self, b->link) < 0)
		return err_set(err, -errno, "cannot make %s: %s", b->link, strerror(errno));
	return 0;
}

static void remove_link(struct building *b)
{
	if (*b->link)
		unlink(b->link);
	if (*b->dir)
		rmdir(b->dir);
}

/* ---- another -toolexec ---- */

/* What -toolexec=, or --toolexec=, in a flag says; NULL: it is another flag. */
static const char *toolexec_value(const char *flag)
{
	while (*flag == '-')
		flag++;
	return strncmp(flag, "toolexec", 8) ? NULL : flag + 8;
}

static void take_next(struct building *b, const char *value, size_t n)
{
	free(b->next);
	b->next = n ? xstrndup(value, n) : NULL;
}

/* GOFLAGS without its -toolexec. A flag may be quoted as a whole. */
static void read_flags(struct building *b, const char *flags)
{
	for (const char *p = flags; *p;) {
		char quote = *p == '\'' || *p == '"' ? *p : 0;
		const char *flag = p + !!quote, *value;
		size_t n = quote ? strcspn(flag, (char[]){quote, 0}) : strcspn(flag, " \t\r\n");

		if (n) {
			_cleanup_(cleanup_free) char *one = xstrndup(flag, n);

			value = toolexec_value(one);
			if (value && *value == '=')
				take_next(b, value + 1, strlen(value + 1));
			else
				buf_printf(&b->flags, "%.*s ", (int)(n + 2 * !!quote), p);
		}
		p = flag + n;
		p += quote && *p;
		p += strspn(p, " \t\r\n");
	}
}

/*
 * The command line's goes before that of GOFLAGS, and before ours: it is taken out. What follows -args, and of `go run`
 * what follows its package, is the program's.
 */
static void read_arguments(struct building *b, char **argv)
{
	bool runs = argv[1] && !strcmp(argv[1], "run"), ours = true;
	char **to = argv + 1;

	for (char **from = argv + 1; *from; from++) {
		const char *value = ours && **from == '-' ? toolexec_value(*from) : NULL;

		if (!strcmp(*from, "-args") || !strcmp(*from, "--") || (runs && from > argv + 1 && **from != '-'))
			ours = false;
		if (value && *value == '=') {
			take_next(b, value + 1, strlen(value + 1));
		} else if (value && !*value && from[1]) {
			from++;
			take_next(b, *from, strlen(*from));
		} else {
			*to++ = *from;
		}
	}
	*to = NULL;
}

static bool is_go(const char *command)
{
	const char *slash = strrchr(command, '/'), *name = slash ? slash + 1 : command;

	return !strncmp(name, "go", 2) && strspn(name + 2, "0123456789.") == strlen(name + 2);
}

/* Those of the environment, or of the user's configuration. */
static int read_goflags(struct building *b, char *go, struct err *err)
{
	char *argv[] = {is_go(go) ? go : "go", "env", "GOFLAGS", NULL};
	_cleanup_(buf_done) struct buf text = {0};

	if (spawn_capture(argv, false, &text))
		return err_set(err, -ENOENT, "cannot run `%s env GOFLAGS`", argv[0]);
	read_flags(b, text.len ? text.data : "");
	buf_printf(&b->flags, "-toolexec=%s", b->link);
	return 0;
}

/* ---- the command ---- */

static volatile sig_atomic_t command_pid;

static void pass_signal(int number)
{
	if (command_pid > 0)
		kill(command_pid, number);
}

/* Its exit code. A terminal's interrupt reaches the command by itself, and we end behind it. */
static int run_command(char **argv)
{
	struct sigaction pass = {.sa_handler = pass_signal}, ignore = {.sa_handler = SIG_IGN};
	pid_t pid;
	int status;

	sigaction(SIGTERM, &pass, NULL);
	sigaction(SIGHUP, &pass, NULL);
	pid = fork();
	if (!pid) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], argv);
		complain(EXIT_FAILED, "cannot run %s: %s", argv[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		return complain(EXIT_FAILED, "cannot start a process: %s", strerror(errno));
	command_pid = pid;
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int build(const struct build_options *o, char **argv)
{
	struct weaving w = {.packs = o->packs, .spans = o->spans};
	struct building b = {0};
	struct err err = {0};
	int code, r = weaving_check(&w, &err);

	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (is_go(argv[0]))
		read_arguments(&b, argv);
	r = make_link(&b, &err);
	if (r >= 0)
		r = read_goflags(&b, argv[0], &err);
	if (r >= 0) {
		setenv("GOFLAGS", b.flags.data, 1);
		weaving_pass_on(&w, b.next);
		code = run_command(argv);
	} else {
		code = complain(EXIT_FAILED, "%s", err.text);
	}
	remove_link(&b);
	buf_done(&b.flags);
	free(b.next);
	return code;
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
