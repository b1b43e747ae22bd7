#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sink/text.h"
#include "unit/spans.h"
#include "unit/written.h"

static struct sink *sink;

static void begin(struct sink_setup setup)
{
	sink = written_open(&sink_line, setup);
}

static void give(struct span s)
{
	sink->ops->span(sink, &s);
}

static void expect(const char *text)
{
	assert_string_equal(written_close(sink), text);
}

static void a_request(void **state)
{
	const struct attr a[] = {STR("http.request.method", "GET"), STR("url.path", "/users/42"),
				 STR("url.query", "verbose=1"), STR("http.route", "/users/{id}"),
				 INT("http.response.status_code", 200),
				 INT("http.response.body.size", 1234), INT("http.request.body.size", 0),
				 STR("client.address", "192.0.2.7"), STR("server.address", "shop")};
	const struct attr b[] = {STR("url.path", "/cart"), INT("http.response.status_code", 503),
				 STR("error.type", "503")};
	struct span bad = span_make("GET /cart", 1234567890, b, 3);

	bad.status = SPAN_STATUS_ERROR;
	begin((struct sink_setup){0});
	give(span_make("GET /users/{id}", 1234567, a, ARRAY_SIZE(a)));
	give(bad);
	expect("22:13:20.124  GET /users/{id}       200  1.23 ms  /users/42?verbose=1  ↓1.2 kB  192.0.2.7\n"
	       "22:13:21.358  GET /cart             503   1.23 s\n");
}

static void panicked(void **state)
{
	const struct attr a[] = {STR("url.path", "/x"), STR("error.type", "*errors.errorString")};
	struct span s = span_make("GET", 900, a, 2);

	s.status = SPAN_STATUS_ERROR;
	s.status_text = "panic";
	begin((struct sink_setup){0});
	give(s);
	expect("22:13:20.123  GET                   ERR   900 ns  /x  panic: *errors.errorString\n");
}

static void colours(void **state)
{
	const struct attr ok[] = {INT("http.response.status_code", 204)};
	const struct attr moved[] = {INT("http.response.status_code", 302)};
	const struct attr missing[] = {INT("http.response.status_code", 404)};
	const struct attr broken[] = {INT("http.response.status_code", 500)};
	const struct attr *const all[] = {ok, moved, missing, broken};
	static const char *const codes[] = {"\033[32m204\033[0m", "\033[36m302\033[0m",
					    "\033[33m404\033[0m", "\033[1;31m500\033[0m"};
	char *at;

	begin((struct sink_setup){.colour = true});
	for (size_t i = 0; i < 4; i++)
		give(span_make("GET", i == 3 ? 300000000 : 1000, all[i], 1));
	at = (char *)written_close(sink);
	for (size_t i = 0; i < 4; i++) {
		at = strstr(at, codes[i]);
		assert_non_null(at);
	}
	assert_non_null(strstr(at, "\033[33m300 ms\033[0m"));
}

/* What comes from outside may not steer the terminal. */
static void hostile(void **state)
{
	const struct attr a[] = {STR("url.path", "/\033]0;owned\007\n\x9b\xff\x7f\xc2\x9b\xe2\x80\xae"),
				 STR("url.query", "a\tb\r")};

	begin((struct sink_setup){.colour = false});
	give(span_make("GET\033[2J", 1000, a, 2));
	expect("22:13:20.123  GET\\x1b[2J                 1.00 µs  /\\x1b]0;owned\\x07\\n"
	       "\\x9b\\xff\\x7f\\u{9b}\\u{202e}?a\\tb\\r\n");
}

static void services(void **state)
{
	static const struct resource other = {.service = "a-service-with-a-long-name"};
	struct span s = span_make("GET /b", 2000, NULL, 0);

	s.resource = &other;
	begin((struct sink_setup){.show_process = true});
	give(span_make("GET /a", 1000, NULL, 0));
	give(s);
	give(span_make("GET /a", 1000, NULL, 0));
	expect("22:13:20.123  shop  GET /a                     1.00 µs\n"
	       "22:13:20.123  a-service-with-…  GET /b                     2.00 µs\n"
	       "22:13:20.123  shop              GET /a                     1.00 µs\n");
}

static struct span with_summary(struct span s, const char *const *parts, struct arena *arena)
{
	struct err err = {0};

	if (summary_parse(parts, arena, &s.summary, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static void other_libraries(void **state)
{
	const struct attr db[] = {STR("db.query.text", "SELECT 1"), STR("server.address", "db"),
				  INT("server.port", 5432)};
	const struct attr rpc[] = {STR("rpc.method", "Get"), INT("rpc.grpc.status_code", 14)};
	const struct attr own[] = {STR("a", "x"), INT("b", 2), {.key = "c", .kind = ATTR_BOOL, .b = true},
				   {.key = "d", .kind = ATTR_DOUBLE, .d = 0.5}, STR("e", "too many")};
	static const char *const of_db[] = {"{db.query.text}", "{server.address:dim}[:{server.port:dim}]", NULL};
	static const char *const of_rpc[] = {"{rpc.grpc.status_code:status}", "{rpc.method}", NULL};
	struct span s = span_make("SELECT", 1000, db, 3);
	struct arena arena = {0};

	begin((struct sink_setup){0});
	s.kind = SPAN_CLIENT;
	give(with_summary(s, of_db, &arena));
	give(with_summary(span_make("shop.Cart/Add", 1000, rpc, 2), of_rpc, &arena));
	s = span_make("work", 1000, own, 5);
	s.summary = NULL;
	give(s);
	arena_done(&arena);
	expect("22:13:20.123  → SELECT                   1.00 µs  SELECT 1  db:5432\n"
	       "22:13:20.123  shop.Cart/Add          14  1.00 µs  Get\n"
	       "22:13:20.123  work                       1.00 µs  a=x  b=2  c=true  d=0.5\n");
}

static void summaries(void **state)
{
	const struct attr a[] = {STR("a", "x"), INT("n", 1500), INT("zero", 0), STR("empty", ""), STR("word", "GET"),
				 STR("part", "GE"), {.key = "b", .kind = ATTR_BOOL, .b = true},
				 STR("error.type", "eof")};
	static const struct {
		const char *parts[4], *shown;
	} cases[] = {
		{{"{a} → {n}"}, "eof  x → 1500"},
		{{"{a}", "{error}", "{b}"}, "x  eof  true"},
		{{"{a}{gone}", "{a}[{gone}]", "{a}[-{n}][+{b}]"}, "eof  x  x-1500+true"},
		{{"{zero}", "{zero:size}", "{n:size}"}, "eof  0  1.5 kB"},
		{{"{a:size}", "{empty}", "<{empty}>"}, "eof"},
		{{"{word}", "{word:dim}", "{word}!"}, "eof  GET  GET!"},
		{{"{word}[?{empty}]", "{word}[?{a}]", "{part}"}, "eof  GET?x  GE"},
		{{"{gone}"}, "eof"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena arena = {0};
		struct span s = with_summary(span_make("GET /", 1000, a, ARRAY_SIZE(a)), cases[i].parts, &arena);
		char want[200];

		s.status = SPAN_STATUS_ERROR;
		snprintf(want, sizeof(want), "22:13:20.123  GET /                 ERR  1.00 µs  %s\n", cases[i].shown);
		begin((struct sink_setup){0});
		give(s);
		expect(want);
		arena_done(&arena);
	}
}

/* A text is drawn like the attribute that it belongs to. */
static void dim_summaries(void **state)
{
	static const char *const parts[] = {"<{a}>", "<{a:dim}>[?{a}]", NULL};
	const struct attr a[] = {STR("a", "x")};
	struct arena arena = {0};

	begin((struct sink_setup){.colour = true});
	give(with_summary(span_make("GET", 1000, a, 1), parts, &arena));
	assert_non_null(strstr(written_close(sink), "  <x>  \033[2m<\033[0m\033[2mx\033[0m>?x\n"));
	arena_done(&arena);
}

static unsigned widest(const char *text)
{
	unsigned most = 0;

	while (*text) {
		size_t n = strcspn(text, "\n");

		most = MAX(most, text_columns(text, n));
		text += n + (text[n] == '\n');
	}
	return most;
}

static void fits_the_terminal(void **state)
{
	char path[400];
	struct attr a[] = {STR("url.path", ""), INT("http.response.status_code", 200)};

	memset(path, 'p', sizeof(path));
	for (size_t i = 0; i + 3 <= sizeof(path); i += 9)
		memcpy(path + i, "日", 3);
	a[0].s = path;
	for (unsigned width = 1; width < 200; width++) {
		begin((struct sink_setup){.width = width});
		for (a[0].len = 0; a[0].len < 300; a[0].len += 7)
			give(span_make("GET /a/rather/long/route/{with}/{many}/{parts}/{in}/{it}", 1000, a, 2));
		assert_in_range(widest(written_close(sink)), 1, width);
	}
	a[0].len = 9;
	begin((struct sink_setup){.width = 60});
	give(span_make("GET /a/rather/long/route/{with}", 1000, a, 2));
	a[0] = (struct attr)STR("url.path", "/just/fits!");
	give(span_make("GET /", 1000, a, 2));
	a[0] = (struct attr)STR("url.path", "/just/fails!");
	give(span_make("GET /", 1000, a, 2));
	expect("22:13:20.123  GET /a/rather/long/rout…  200  1.00 µs  日ppp…\n"
	       "22:13:20.123  GET /                     200  1.00 µs  /just…\n"
	       "22:13:20.123  GET /                     200  1.00 µs  /just…\n");
}

/* Cutting must not cut a colour in two, nor leave one on. */
static void cut_in_colour(void **state)
{
	const struct attr a[] = {STR("client.address", "a-client-with-a-name")};
	const char *text, *end;

	for (unsigned width = 5; width < 70; width++) {
		begin((struct sink_setup){.colour = true, .width = width});
		give(span_make("GET /", 2000000000, a, 1));
		text = written_close(sink);
		end = strstr(text, "…");
		if (end) {
			assert_string_equal(end, "…\n");
			assert_memory_equal(end - 4, "\033[0m", 4);
		}
		for (const char *p = text; (p = strchr(p, '\033')); p++)
			assert_non_null(memchr(p, 'm', MIN(strlen(p), 7)));
	}
}

static void durations(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{0, "0 ns"}, {999, "999 ns"}, {1000, "1.00 µs"}, {9994, "9.99 µs"}, {9996, "10.0 µs"},
		{99960, "100 µs"}, {999499, "999 µs"}, {999500, "1.00 ms"}, {12345678, "12.3 ms"},
		{999499999, "999 ms"}, {999500000, "1.00 s"}, {99900000000, "99.9 s"},
		{100000000000, "1m40s"}, {3599000000000, "59m59s"}, {7260000000000, "2h01m"},
		{UINT64_MAX, "5124095h34m"},
	};
	char text[24];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		format_duration(cases[i].ns, text);
		assert_string_equal(text, cases[i].text);
	}
	format_size(999, text);
	assert_string_equal(text, "999 B");
	format_size(1000, text);
	assert_string_equal(text, "1.0 kB");
	format_size(999999, text);
	assert_string_equal(text, "1.0 MB");
	format_size(INT64_MAX, text);
	assert_string_equal(text, "9.2 EB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request),	     cmocka_unit_test(panicked),
		cmocka_unit_test(colours),	     cmocka_unit_test(hostile),
		cmocka_unit_test(services),	     cmocka_unit_test(other_libraries),
		cmocka_unit_test(fits_the_terminal), cmocka_unit_test(cut_in_colour),
		cmocka_unit_test(durations),	     cmocka_unit_test(summaries),
		cmocka_unit_test(dim_summaries),
	};

	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
