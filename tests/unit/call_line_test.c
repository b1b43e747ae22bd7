#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "unit/value_stub.h"

#include "unit/calls.h"
#include "unit/written.h"

static struct sink *sink;
static struct call_value v[3];

static void begin(struct sink_setup setup)
{
	setup.gives = SINK_CALLS;
	sink = written_open(&sink_line, setup);
}

static void give(struct call_record c)
{
	sink->ops->call(sink, &c);
}

static void expect(const char *text)
{
	assert_string_equal(written_close(sink), text);
}

static void calls_are_aligned(void **state)
{
	struct call_record c = a_call(v, "alice", 3, 412000);

	begin((struct sink_setup){0});
	give(c);
	c = a_call(v, "bob", -1, 1234567890);
	v[2].value = (struct value_node){.form = FORM_ERROR, .text = "out of stock", .len = 12};
	give(c);
	expect("22:13:20.123   412 µs  main.(*Cart).Add(user=\"alice\", n=3) → err=nil\n"
	       "22:13:20.123   1.23 s  main.(*Cart).Add(user=\"bob\", n=-1) → err=out of stock\n");
}

static void other_ends(void **state)
{
	struct call_record c = a_call(v, "alice", 3, 900);

	begin((struct sink_setup){0});
	call_ended(&c, v, CALL_PANICKED);
	give(c);
	call_ended(&c, v, CALL_OPEN);
	give(c);
	call_ended(&c, v, CALL_EXITED);
	give(c);
	call_ended(&c, v, CALL_POINT);
	give(c);
	expect("22:13:20.123   900 ns  main.(*Cart).Add(user=\"alice\", n=3) → panicked\n"
	       "22:13:20.123   900 ns  main.(*Cart).Add(user=\"alice\", n=3) → still running\n"
	       "22:13:20.123   900 ns  main.(*Cart).Add(user=\"alice\", n=3) → the process exited\n"
	       "22:13:20.123           main.(*Cart).Add(user=\"alice\", n=3)\n");
}

static void stacks_processes_control_characters(void **state)
{
	static const uint64_t stack[] = {0x1002, 0x1003};
	struct call_record c = a_call(v, "al\033[31mice", 3, 900);

	begin((struct sink_setup){.show_process = true});
	c.stack = stack;
	c.nstack = 2;
	c.stack_cut = true;
	give(c);
	c = a_call(v, "bob", 3, 900);
	c.resource = &cart;
	give(c);
	expect("22:13:20.123   900 ns  shop[4711]  main.(*Cart).Add(user=\"al\\x1b[31mice\", n=3) → err=nil\n"
	       "                           main.f1 /src/f1.go:10\n"
	       "                           main.f2 /src/f2.go:20\n"
	       "                           … (more frames)\n"
	       "22:13:20.123   900 ns  cart[80]    main.(*Cart).Add(user=\"bob\", n=3) → err=nil\n");
}

static void printed_expressions_and_inlined(void **state)
{
	struct call_function function = {.name = "main.f", .takes_all = true};
	struct call_value e[] = {{.kind = CALL_EXPR, .name = "user.Name", .value = a_string("al")},
				 {.kind = CALL_EXPR, .name = "len(items)", .value = an_int(5)}};
	struct call_record c = {.function = &function, .resource = &shop, .end = CALL_POINT,
				.start_unix_ns = CALL_START, .values = e, .nvalues = 2};

	begin((struct sink_setup){0});
	give(c);
	function.inlined_into = "main.g";
	c.nvalues = 0;
	give(c);
	function.takes_all = false; /* { stack } */
	give(c);
	expect("22:13:20.123           main.f  user.Name=\"al\"  len(items)=5\n"
	       "22:13:20.123           main.f() in main.g\n"
	       "22:13:20.123           main.f in main.g\n");
}

static void colour(void **state)
{
	struct call_record c = a_call(v, "al", 3, 900);

	begin((struct sink_setup){.colour = true});
	v[2].value = (struct value_node){.form = FORM_ERROR, .text = "no", .len = 2};
	give(c);
	expect("\033[2m22:13:20\033[0m\033[2m.123\033[0m   900 ns  \033[1mmain.(*Cart).Add\033[0m("
	       "\033[2muser\033[0m\033[2m=\033[0m\"al\"\033[2m, \033[0m\033[2mn\033[0m\033[2m=\033[0m3)"
	       "\033[2m → \033[0m\033[2merr\033[0m\033[2m=\033[0m\033[1;31mno\033[0m\n");
}

/* On a terminal a row has one line: the longest values give way first. */
static void a_narrow_terminal(void **state)
{
	struct winsize size = {.ws_col = 80, .ws_row = 24};
	char text[1000] = "";
	int master, slave;
	struct call_record c;
	size_t n = 0;
	ssize_t got;

	setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	begin((struct sink_setup){.fd = slave});
	c = a_call(v, "a name that is much longer than what a line has room for", 3, 412000);
	v[2].value = (struct value_node){.form = FORM_ERROR, .text = "not in stock any more", .len = 21};
	sink->ops->call(sink, &c);
	v[2].value = (struct value_node){.form = FORM_ERROR,
					 .text = "a reason as long as the one that nobody ever reads", .len = 50};
	sink->ops->call(sink, &c);
	sink->ops->close(sink, 2000);
	while (n < sizeof(text) - 1 && !(strchr(text, '\n') && strchr(strchr(text, '\n') + 1, '\n')) &&
	       (got = read(master, text + n, sizeof(text) - 1 - n)) > 0)
		text[n += (size_t)got] = 0;
	close(master);
	assert_string_equal(text, "22:13:20.123   412 µs  main.(*Cart).Add(user=…, n=3) → err=not in stock any more\r\n"
				  "22:13:20.123   412 µs  main.(*Cart).Add(user=…, n=3) → err=a reason as long as "
				  "…\r\n");
}

static void calls_go_elsewhere(void **state)
{
	begin((struct sink_setup){.calls_elsewhere = true});
	give(a_call(v, "al", 3, 900));
	expect("");
}

static void nobody_reads(void **state)
{
	struct call_record c = a_call(v, "al", 3, 900);
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	begin((struct sink_setup){.fd = fds[1]});
	close(fds[0]);
	give(c);
	sink->ops->tick(sink);
	assert_true(sink->ops->gone(sink));
	assert_string_equal(sink->ops->trouble(sink),
			    "the reader of the output has closed it; calls after that were not written");
	sink->ops->close(sink, 2000);
}

static void a_full_disk(void **state)
{
	struct call_record c = a_call(v, "al", 3, 900);
	struct losses l = {0};
	int fd = open("/dev/full", O_WRONLY);

	begin((struct sink_setup){.fd = fd});
	give(c);
	assert_string_equal(sink->ops->trouble(sink), "the output cannot be written: No space left on device");
	sink->ops->losses(sink, &l);
	assert_int_equal(l.count[LOSS_SINK_REFUSED], 1);
	sink->ops->close(sink, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_aligned),
		cmocka_unit_test(other_ends),
		cmocka_unit_test(stacks_processes_control_characters),
		cmocka_unit_test(printed_expressions_and_inlined),
		cmocka_unit_test(colour),
		cmocka_unit_test(a_narrow_terminal),
		cmocka_unit_test(calls_go_elsewhere),
		cmocka_unit_test(nobody_reads),
		cmocka_unit_test(a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
