/* span/assemble: attributes, by a pack's rules and out of a binary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <unistd.h>

#include "unit/assembling.h"

/* ---- attributes ---- */

static void attributes(void **state)
{
	start_init(1, 500, 10);
	record_int(&w.r, S_SECURE, 1);
	record_str(&w.r, S_HOST, "shop.example:8443");
	record_int(&w.r, S_LENGTH, 12);
	record_str(&w.r, S_EMPTY, "");
	send();
	record_init(&w.r, P_END, 1, 500, 20, E_END);
	record_int(&w.r, E_STATUS, 404);
	record_int(&w.r, E_SIZE, 19);
	record_str(&w.r, E_ROUTE, "GET shop.example/x/{id}");
	send();
	one("GET /x/{id} unset {method=GET path=/x scheme=https host=shop.example port=#8443 length=#12 "
	    "note= status=#404 size=#19 route=/x/{id}}");
}

static void nothing_is_no_attribute(void **state)
{
	record_init(&w.r, P_START, 1, 500, 10, S_START);
	record_str(&w.r, S_METHOD, "");
	record_str(&w.r, S_PATH, "");
	record_int(&w.r, S_LENGTH, (uint64_t)-1);
	record_status(&w.r, S_HOST, SLOT_NIL, 0, 0);
	send();
	record_init(&w.r, P_END, 1, 500, 20, E_END);
	record_status(&w.r, E_STATUS, SLOT_UNREADABLE, 0, 0); /* no default for what is not known */
	record_int(&w.r, E_HEAD, 1);
	record_str(&w.r, E_ROUTE, "no slash");
	send();
	one("GET unset {method=GET size=#0}");
}

static void unknown_method(void **state)
{
	start_init(1, 500, 10);
	record_str(&w.r, S_METHOD, "BREW");
	send();
	record_init(&w.r, P_END, 1, 500, 20, E_END);
	record_str(&w.r, E_ROUTE, "/pot");
	send();
	one("HTTP /pot unset {method=_OTHER method_original=BREW path=/x route=/pot}");
}

static void hosts(void **state)
{
	static const char *const cases[][2] = {
		{"a:80", "host=a port=#80"},
		{"a", "host=a"},
		{"[::1]:8080", "host=::1 port=#8080"},
		{"[::1]", "host=::1"},
		{"[fe80::1%eth0]:1", "host=fe80::1%eth0 port=#1"},
		{"::1", "host=::1"},
		{"a:", "host=a:"},
		{"a:http", "host=a:http"},
		{"a:65536", "host=a:65536"},
		{"a:99999999999999999999", "host=a:99999999999999999999"},
		{"[::1", "host=[::1"},
		{"[::1]x:80", "host=[::1]x:80"},
		{":80", "port=#80"},
		{"@", "host=@"},
	};
	char want[200];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		start_init(1, 500, 10);
		record_str(&w.r, S_HOST, cases[i][0]);
		send();
		end(1, 500, 20, 200);
		snprintf(want, sizeof(want), "GET unset {method=GET path=/x %s status=#200}",
			 cases[i][1]);
		one(i == 12 ? "GET unset {method=GET path=/x status=#200}" : want);
	}
}

static void cut_string(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_PATH, "/long", 5, 70000);
	send();
	end(1, 500, 20, 200);
	one("GET unset {method=GET path=/long earshot.truncated.path=#70000 status=#200}");
}

/* No room was left in the record: nothing of the value, but that there was one. */
static void cut_to_nothing(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_METHOD, "", 0, 3);
	record_bytes(&w.r, S_PATH, "", 0, 90);
	send();
	end(1, 500, 20, 200);
	one("HTTP unset {method=_OTHER method_original= earshot.truncated.method_original=#3 path= "
	    "earshot.truncated.path=#90 status=#200}");
}

/* What a value brought along goes with it: how long it was, what it was before it became another, its port. */
static void replaced_whole(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_METHOD, "BREWBREW", 8, 6000);
	record_bytes(&w.r, S_PATH, "/long", 5, 70000);
	record_str(&w.r, S_HOST, "shop:8080");
	send();
	for (unsigned i = 0; i < 3; i++) {
		record_init(&w.r, P_AGAIN, 1, 600, 15, S_START);
		record_bytes(&w.r, S_METHOD, "BREWBREWBREW", 12, i == 1 ? 6000 : 12);
		record_bytes(&w.r, S_PATH, "/long/er", 8, i == 1 ? 70000 : 8);
		record_str(&w.r, S_HOST, i == 1 ? "shop:8080" : "store");
		send();
	}
	end(1, 500, 20, 200);
	one("HTTP unset {method=_OTHER method_original=BREWBREWBREW path=/long/er host=store status=#200}");
}

static void error_from_status(void **state)
{
	start(1, 500, 10);
	end(1, 500, 20, 499);
	start(1, 500, 30);
	end(1, 500, 40, 500);
	assert_string_equal(w.spans.data[0].text, "GET unset {method=GET path=/x status=#499}");
	assert_string_equal(w.spans.data[1].text,
			    "GET error {method=GET path=/x status=#500 error.type=500}");
	assert_null(w.spans.data[1].span.status_text);
}

/* Without a value of its own, error.type is what made it an error. */
static void error_from_another(void **state)
{
	start_init(1, 500, 10);
	record_str(&w.r, S_EMPTY, "broken");
	send();
	end(1, 500, 20, 204);
	one("GET error {method=GET path=/x note=broken status=#204 error.type=broken}");
}

static void notes(void **state)
{
	double ratio = 0.25;
	uint64_t bits;

	memcpy(&bits, &ratio, sizeof(bits));
	record_init(&w.r, P_NOTE, 1, 500, 5, 2);
	record_str(&w.r, 0, "/early");
	send(); /* no span: no word */
	start(1, 500, 10);
	for (int i = 0; i < 3; i++) {
		record_init(&w.r, P_NOTE, 1, 600, 15, 2);
		record_str(&w.r, 0, i == 0 ? "/a" : i == 1 ? "/a/longer/one" : "/b");
		record_int(&w.r, 1, bits);
		send();
	}
	record_init(&w.r, P_NOTE, 2, 600, 15, 2);
	record_str(&w.r, 0, "/other goroutine");
	send();
	end(1, 500, 20, 200);
	one("GET /b unset {method=GET path=/x route=/b ratio=0.25 status=#200}");
	assert_int_equal(lost(LOSS_UNPAIRED_END), 0);
}

static void route_is(uint8_t status, uint32_t probe, size_t slot, size_t slots)
{
	record_init(&w.r, probe, 1, 500, 20, slots);
	if (status == SLOT_OK)
		record_str(&w.r, slot, "/a");
	else
		record_status(&w.r, slot, status, 0, 0);
	send();
}

/* What cannot be read is lost, except where it may be gone and the attribute is known. */
static void gone(void **state)
{
	static const struct {
		uint8_t note, note_again, end;
		uint64_t lost;
		const char *span;
	} cases[] = {
		{SLOT_OK, SLOT_ABSENT, SLOT_UNREADABLE, 0, "GET /a unset {method=GET path=/x route=/a}"},
		{SLOT_ABSENT, SLOT_ABSENT, SLOT_UNREADABLE, 1, "GET unset {method=GET path=/x}"},
		{SLOT_OK, SLOT_UNREADABLE, SLOT_ABSENT, 1, "GET /a unset {method=GET path=/x route=/a}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		start(1, 500, 10);
		route_is(cases[i].note, P_NOTE, 0, 1);
		route_is(cases[i].note_again, P_NOTE, 0, 1);
		route_is(cases[i].end, P_END, E_ROUTE, E_END);
		one(cases[i].span);
		assert_int_equal(lost(LOSS_VALUE_UNREADABLE), cases[i].lost);
	}
}

static void prefix_of_another(void **state)
{
	static const char *const parts[] = {"/inner", "/outer/inner/more", "/outer/", "/outer/in", "/outer/x",
					   "/outer/{id}", "/in/{id}"};

	start_init(1, 500, 10);
	record_str(&w.r, S_PATH, "/outer/inner");
	send();
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		record_init(&w.r, P_NOTE, 1, 600, 15, 3);
		record_str(&w.r, 2, parts[i]);
		send();
	}
	end(1, 500, 20, 200);
	one("GET unset {method=GET path=/outer/inner part=/outer/{id} status=#200}");
}

/* The attribute that a rule makes of a text of which `full` bytes are the program's, or "-". */
static const char *rule_gives(unsigned rule, const char *text, size_t full, const char *path)
{
	static char got[600];
	const char *at;

	start_init(1, 500, 10);
	record_str(&w.r, S_PATH, path);
	send();
	record_init(&w.r, P_RULES, 1, 600, 15, R_END);
	if (rule == R_SAME)
		record_str(&w.r, R_SAME, "kept");
	record_bytes(&w.r, rule == R_SAME ? R_PATH : rule, text, strlen(text), (uint32_t)full);
	send();
	end(1, 500, 20, 0);
	snprintf(got, sizeof(got), " %s=", rule_captures[rule].name);
	at = strstr(w.spans.data[w.spans.len - 1].text, got);
	if (!at)
		return "-";
	snprintf(got, sizeof(got), "%s", strchr(at, '=') + 1);
	got[strcspn(got, " }")] = '\0';
	return got;
}

static void ips(void **state)
{
	static const char v6[17] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1",
			  mapped[17] = "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\3\7";
	static const struct {
		const char *bytes;
		size_t len, full;
		const char *text; /* NULL: no attribute */
	} cases[] = {
		{"\x7f\0\0\1", 4, 4, "127.0.0.1"}, {"::12", 4, 4, "58.58.49.50"}, {v6, 16, 16, "2001:db8::1"},
		{mapped, 16, 16, "10.0.3.7"}, {"", 0, 0, NULL}, {"\x7f\0\0\1\1", 5, 5, NULL}, {v6, 4, 16, NULL},
	};
	char want[100];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		start(1, 500, 10);
		record_init(&w.r, P_RULES, 1, 600, 15, R_END);
		record_bytes(&w.r, R_IP, cases[i].bytes, cases[i].len, (uint32_t)cases[i].full);
		send();
		end(1, 500, 20, 200);
		snprintf(want, sizeof(want), "GET unset {method=GET path=/x%s%s status=#200}",
			 cases[i].text ? " ip=" : "", cases[i].text ? cases[i].text : "");
		one(want);
	}
}

static void escaped(void **state)
{
	static const char *const cases[][2] = {
		{"/plain/-_.~$&+,:;=@", "/plain/-_.~$&+,:;=@"}, {"/a b/€", "/a%20b/%E2%82%AC"}, {"/?#%", "/%3F%23%25"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_ESCAPE, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
}

/* What the forms make of these values of once, path and number; NULL: not captured. */
static const char *composes(const char *const *forms, const char *once, const char *path, bool number)
{
	_cleanup_(arena_done) struct arena arena = {0};
	static char got[100];
	const char *at;

	again(1, false, 0);
	assert_int_equal(summary_parse(forms, &arena, &whole.forms, NULL), 0);
	record_init(&w.r, P_COMPOSED, 1, 500, 10, R_END);
	if (once)
		record_str(&w.r, R_ONCE, once);
	if (path)
		record_str(&w.r, R_ESCAPE, path);
	if (number)
		record_int(&w.r, R_NUMBER, 1);
	send();
	bare(P_COMPOSED_END, 1, 500, 20);
	at = strstr(w.spans.data[0].text, "whole=");
	snprintf(got, sizeof(got), "%s", at ? at + strlen("whole=") : "-");
	got[strcspn(got, " }")] = '\0';
	return got;
}

static void composed_of_others(void **state)
{
	static const char *const forms[] = {"{once}:/[{path}][?{number}#{path}]", "just:{number}", NULL};

	assert_string_equal(composes(forms, "a", "/b c", true), "a://b%20c?431#/b%20c");
	assert_string_equal(composes(forms, "a", "/b", false), "a://b");
	assert_string_equal(composes(forms, "a", NULL, true), "a:/");
	assert_string_equal(composes(forms, NULL, "/b", true), "just:431");
	assert_string_equal(composes(forms, NULL, "/b", false), "-");
}

static void unescaped(void **state)
{
	static const char *const cases[][2] = {{"/a%20b", "/a"}, {"/%E2%82%AC", "/€"}, {"/%2f%2F%zz%4", "///%zz%4"},
					       {"/a+b", "/a+b"}, {"", "-"}, {"%", "%"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_PATH, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
	/* an escape that the cut went through is not there */
	assert_string_equal(rule_gives(R_PATH, "/a%4", 100, "/x"), "/a");
	assert_string_equal(rule_gives(R_PATH, "/a%", 100, "/x"), "/a");
}

static void same_as_another(void **state)
{
	static const struct {
		const char *text;
		size_t full;
		const char *path, *want;
	} cases[] = {
		{"/x", 2, "/x", "kept"},       {"/y", 2, "/x", "-"},	    {"/x/", 3, "/x", "-"},
		{"/%78", 4, "/x", "kept"},     {"/long", 900, "/long/er", "kept"}, {"/long", 900, "/lo", "-"},
		{"/lang", 900, "/long/er", "-"}, {"/x", 2, "", "kept"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_SAME, cases[i].text, cases[i].full, cases[i].path), cases[i].want);
}

static void unless_known(void **state)
{
	start(1, 500, 10);
	for (int i = 0; i < 2; i++) {
		record_init(&w.r, P_RULES, 1, 600, 15, R_END);
		record_str(&w.r, R_ONCE, i ? "second" : "first");
		send();
	}
	end(1, 500, 20, 0);
	one("GET unset {method=GET path=/x once=first status=#200}");
}

static void redacted(void **state)
{
	static const char *const cases[][2] = {
		{"sig=1", "sig=REDACTED"}, {"a=1&sig=2&b=3", "a=1&sig=REDACTED&b=3"}, {"sig", "sig"},
		{"sig=", "sig=REDACTED"},
		{"SIG=1&key=2&sigs=3&xsig=4", "SIG=1&key=2&sigs=3&xsig=4"},
		{"Key=1&Key=2", "Key=REDACTED&Key=REDACTED"},
		{"%73%69g=1&s+ig=2&sig%20=3", "%73%69g=REDACTED&s+ig=2&sig%20=3"}, {"a=sig=1", "a=sig=1"},
		{"sig=a;b=c&d", "sig=REDACTED&d"}, {"a;sig=1;b&c", "a;sig=REDACTED&c"},
		{"&&sig=&=&", "&&sig=REDACTED&=&"},
		{"=sig", "=sig"}, {"a=%", "a=%"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_QUERY, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
	assert_string_equal(rule_gives(R_QUERY, "a=1&sig=secre", 900, "/x"), "a=1&sig=REDACTED");
	assert_non_null(strstr(w.spans.data[w.spans.len - 1].text, "earshot.truncated.query=#900"));
}

static void redacted_by_the_user(void **state)
{
	static const char *const chosen[] = {"q", NULL}, *const none[] = {NULL};

	teardown(NULL);
	memset(&w, 0, sizeof(w));
	w.redact = chosen;
	begin(1, false, 0);
	assert_string_equal(rule_gives(R_QUERY, "q=1&sig=2", 9, "/x"), "q=REDACTED&sig=2");
	teardown(NULL);
	memset(&w, 0, sizeof(w));
	w.redact = none;
	begin(1, false, 0);
	assert_string_equal(rule_gives(R_QUERY, "q=1&sig=2", 9, "/x"), "q=1&sig=2");
}

static void peers(void **state)
{
	static const char *const cases[][2] = {{"@", "-"}, {"none", "-"}, {"@a:1", "@a:1"}, {"/tmp/a:80", "/tmp/a:80"},
					       {"10.0.0.1:80", "10.0.0.1"}, {"[::1]:80", "::1"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_PEER, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
}

static void after(void **state)
{
	static const char *const cases[][2] = {
		{"/shop.Cart/Add", "shop.Cart/Add"}, {"dns:///host:80", "//host:80"}, {"Add", "-"}, {"/", "-"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_AFTER, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
}

static void constant_number(void **state)
{
	start(1, 500, 10);
	record_init(&w.r, P_RULES, 1, 600, 15, R_END);
	record_int(&w.r, R_NUMBER, 0);
	send();
	end(1, 500, 20, 0);
	one("GET unset {method=GET path=/x number=#431 status=#200}");
}

/* ---- with a real binary ---- */

static struct binary *any_binary(void)
{
	const char *cache = getenv("EARSHOT_CACHE");
	static const char *const names[] = {"httpd-go1.26-plain", "httpd-go1.24-plain", "httpd-go1.22-sw",
					    "httpd-go1.19-plain"};
	struct binary *b = NULL;
	struct err err;
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(names) && !b; i++) {
		snprintf(path, sizeof(path), "%s/bin/%s", cache ? cache : "/var/cache/earshot", names[i]);
		if (access(path, R_OK) == 0)
			binary_open(path, &b, &err);
	}
	if (!b)
		print_message("skipped: no httpd-go1.* under %s/bin\n", cache ? cache : "/var/cache/earshot");
	return b;
}

static void with_binary(uint32_t id, struct binary *b)
{
	struct assembler_probe p = {.id = id, .pack = &pack, .slot_of_item = identity, .binary = b};

	p.span = id == P_PANIC ? NULL : &request;
	p.point = id == P_PANIC ? &panic_point : &start_point;
	p.variant = id == P_PANIC ? &v_panic : &v_start;
	p.program = id == P_PANIC ? &panic_program : &start_program;
	assembler_add_probe(w.a, &p);
}

static void panic_type_by_name(void **state)
{
	_cleanup_(cleanup_binary) struct binary *b = any_binary();
	const struct type *t, *p;

	if (!b)
		skip();
	t = binary_type(b, "errors.errorString");
	p = t ? binary_type_pointer_to(b, t) : NULL;
	if (!p || !p->rtype)
		skip();
	with_binary(P_PANIC, b);
	start(1, 500, 10);
	record_init(&w.r, P_PANIC, 1, 1200, 20, 1);
	record_int(&w.r, 0, p->rtype + 0x10000);
	send();
	bare(P_CLOSE, 1, 1500, 40);
	one("GET error [panic] {method=GET path=/x error.type=*errors.errorString}");
}

/* Bytes of a read-only segment are taken from the file; of a writable one they are not. */
static void literal_from_the_file(void **state)
{
	_cleanup_(cleanup_binary) struct binary *b = any_binary();
	const struct image *img = b ? binary_image(b) : NULL;
	const struct image_segment *seg = NULL, *data = NULL;
	struct buf want = {0};
	uint64_t at;

	if (!b)
		skip();
	for (size_t i = 0; i < img->nsegments; i++)
		*(img->segments[i].flags & PF_W ? &data : &seg) = &img->segments[i];
	for (at = seg->vaddr; strnlen(image_at(img, at, 5000), 4) < 4; at += 8)
		;
	with_binary(P_START, b);
	start_init(1, 500, 10);
	record_status(&w.r, S_PATH, SLOT_NOT_RESIDENT, at + 0x10000, 5000);
	record_status(&w.r, S_HOST, SLOT_NOT_RESIDENT, data->vaddr + 0x10000, 5);
	record_status(&w.r, S_UPGRADE, SLOT_NOT_RESIDENT, UINT64_MAX, 5);
	send();
	end(1, 500, 20, 200);
	assert_int_equal(w.spans.len, 1);
	buf_printf(&want, "GET unset {method=GET path=");
	assert_memory_equal(w.spans.data[0].text, want.data, want.len);
	assert_memory_equal(w.spans.data[0].text + want.len, image_at(img, at, 4), 4);
	assert_non_null(strstr(w.spans.data[0].text, "earshot.truncated.path=#5000"));
	assert_null(strstr(w.spans.data[0].text, "host="));
	assert_int_equal(lost(LOSS_VALUE_UNREADABLE), 2);
	buf_done(&want);
}

/* Of a string that could be read up to the end of a page that is shown, as one that is cut; and counted. */
static void part_of_a_string(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_PATH, "\1\2\3\4\5\6\7\0/products", 17, 90);
	record_slot(&w.r, S_PATH)->status = SLOT_NOT_RESIDENT;
	record_slot(&w.r, S_PATH)->value += 8;
	record_slot(&w.r, S_PATH)->copied -= 8;
	send();
	end(1, 500, 20, 200);
	assert_int_equal(w.spans.len, 1);
	assert_non_null(strstr(w.spans.data[0].text, "path=/products earshot.truncated.path=#90"));
	assert_int_equal(lost(LOSS_VALUE_UNREADABLE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(attributes), T(nothing_is_no_attribute), T(unknown_method), T(hosts), T(cut_string),
		T(cut_to_nothing), T(replaced_whole), T(error_from_status), T(error_from_another), T(notes),
		T(gone), T(prefix_of_another), T(ips), T(escaped), T(composed_of_others),
		T(unescaped), T(same_as_another), T(unless_known),
		T(redacted), T(redacted_by_the_user), T(peers), T(after), T(constant_number), T(panic_type_by_name),
		T(literal_from_the_file), T(part_of_a_string),
	};

	return cmocka_run_group_tests_name("assemble_attributes", tests, NULL, NULL);
}
