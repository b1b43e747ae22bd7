/*
 * The compiler, against real binaries: programs are compiled for hand-made signatures and run by
 * ir_interp.h over a memory that the test lays out with the binary's own offsets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "binary/arch_x86_64.h"
#include "probe/lower/compile.h"
#include "probe/pack/pack.h"
#include "unit/ir_interp.h"

/* ---- binaries ---- */

static const char *cache(void)
{
	const char *c = getenv("EARSHOT_CACHE");

	return c ? c : "/var/cache/earshot";
}

/* Stripped builds of the test server, newest last; the caller frees with globfree. */
static size_t stripped(glob_t *g)
{
	char *pattern = xasprintf("%s/bin/httpd-go1.*-sw", cache());
	int r = glob(pattern, 0, NULL, g);

	free(pattern);
	if (!r)
		return g->gl_pathc;
	print_message("skipped: no Go test binaries in %s/bin (tests/lib/build.sh makes them)\n", cache());
	return 0;
}

/* ---- a simulated process ---- */

#define BASE 0xc000000000ull

struct world {
	struct binary *b;
	struct arena arena;
	uint8_t memory[1 << 16];
	uint64_t next;
	struct interp_input in;
	struct interp_result out;
	struct func func;
	struct signature signature;
	struct param params[16], results[4];
	const struct carried_value *carried;
	size_t ncarried;
	const char *error;
};

static bool world_read(void *arg, uint64_t addr, void *out, size_t n)
{
	struct world *w = arg;

	if (addr < BASE || addr - BASE > sizeof(w->memory) || n > sizeof(w->memory) - (addr - BASE))
		return false;
	memcpy(out, w->memory + (addr - BASE), n);
	return true;
}

static uint64_t allot(struct world *w, uint64_t n)
{
	uint64_t at = BASE + w->next;

	w->next += ALIGN_UP(n, 16) + 16;
	assert_true(w->next < sizeof(w->memory));
	return at;
}

static void put(struct world *w, uint64_t addr, uint64_t v, size_t n)
{
	memcpy(w->memory + (addr - BASE), &v, n);
}

static uint64_t put_text(struct world *w, const char *s)
{
	uint64_t at = allot(w, strlen(s) + 1);

	memcpy(w->memory + (at - BASE), s, strlen(s));
	return at;
}

static void put_string(struct world *w, uint64_t addr, const char *s)
{
	put(w, addr, put_text(w, s), 8);
	put(w, addr + 8, strlen(s), 8);
}

static struct world *world_new(const char *path)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct err err = {0};

	if (binary_open(path, &w->b, &err) < 0)
		fail_msg("%s", err.text);
	w->in = (struct interp_input){.read = world_read, .arg = w, .bias = 0x5000};
	w->in.entry_sp = allot(w, 512);
	put(w, w->in.entry_sp, 0x401234, 8);
	w->in.g = allot(w, 512);
	w->func.name = w->func.symbol = "net/http.serverHandler.ServeHTTP";
	w->signature = (struct signature){.params = w->params, .results = w->results, .results_known = true};
	return w;
}

static void world_free(struct world *w)
{
	binary_free(w->b);
	arena_done(&w->arena);
	free(w);
}

static const struct type *type_in(struct world *w, const char *text)
{
	struct err err = {0};
	const struct type *t = binary_type_parse(w->b, "net/http", text, &err);

	if (!t)
		fail_msg("%s", err.text);
	return t;
}

static uint64_t offset_of(struct world *w, const char *type, const char *field)
{
	struct field_path path;

	if (!type_field_find(w->b, type_in(w, type), field, &path) || path.n != 1)
		fail_msg("no field %s.%s", type, field);
	return path.steps[0].offset;
}

/* A parameter or result whose words lie in the registers first, first + 1, … */
static struct param in_regs(struct world *w, const char *name, const char *type, unsigned first)
{
	const struct type *t = type_in(w, type);
	size_t n = t->size <= 8 ? 1 : t->size / 8;
	struct piece *pieces = arena_array(&w->arena, struct piece, n);

	for (size_t i = 0; i < n; i++)
		pieces[i] = (struct piece){.where = IN_REG, .reg = (uint8_t)(first + i),
					   .size = (uint8_t)MIN(t->size, 8), .offset = (uint32_t)(i * 8)};
	return (struct param){.name = name, .type = t, .pieces = pieces, .npieces = n};
}

static struct param on_stack(struct world *w, const char *name, const char *type, int32_t at)
{
	struct piece *piece = arena_new(&w->arena, struct piece);
	const struct type *t = type_in(w, type);

	*piece = (struct piece){.where = ON_STACK, .bytes = (uint32_t)t->size, .stack = at};
	return (struct param){.name = name, .type = t, .pieces = piece, .npieces = 1};
}

static void add_param(struct world *w, struct param p)
{
	w->params[w->signature.nparams++] = p;
}

static int compile(struct world *w, const struct capture_request *request, enum site_kind at,
		   struct capture_result *ret)
{
	struct capture_scope scope = {.binary = w->b, .func = &w->func, .signature = &w->signature, .at = at,
				      .carried = w->carried, .ncarried = w->ncarried};
	struct err err = {0};
	int r = capture_compile(&scope, request, &w->arena, ret, &err);

	w->error = arena_strdup(&w->arena, err.text);
	return r;
}

/* Captures one expression and runs it; NULL when it does not compile (w->error). */
static const struct interp_slot *capture_at(struct world *w, const char *expression, enum site_kind at,
					    enum value_kind *ret_kind)
{
	const char *alternatives[] = {expression, NULL};
	struct capture_item item = {.name = "x", .alternatives = alternatives};
	struct capture_request request = {.items = &item, .nitems = 1};
	struct capture_result result;

	if (compile(w, &request, at, &result) < 0)
		return NULL;
	interp_run(&result.program, &w->in, &w->out);
	if (ret_kind)
		*ret_kind = result.program.slots[0].kind;
	return &w->out.slots[0];
}

static void expect_int(struct world *w, const char *expression, int64_t value)
{
	const struct interp_slot *s = capture_at(w, expression, SITE_ENTRY, NULL);

	if (!s)
		fail_msg("%s", w->error);
	if (s->status != SLOT_OK || (int64_t)s->value != value)
		fail_msg("%s is %lld (status %d), not %lld", expression, (long long)s->value, s->status,
			 (long long)value);
}

static void expect_text(struct world *w, const char *expression, const char *text)
{
	const struct interp_slot *s = capture_at(w, expression, SITE_ENTRY, NULL);

	if (!s)
		fail_msg("%s", w->error);
	if (s->status != SLOT_OK || strcmp(s->bytes, text))
		fail_msg("%s is \"%s\" (status %d), not \"%s\"", expression, s->bytes, s->status, text);
}

static void expect_status(struct world *w, const char *expression, enum slot_status status)
{
	const struct interp_slot *s = capture_at(w, expression, SITE_ENTRY, NULL);

	if (!s)
		fail_msg("%s", w->error);
	if (s->status != status)
		fail_msg("%s has status %d, not %d", expression, s->status, status);
}

static void expect_error(struct world *w, const char *expression, const char *part)
{
	if (capture_at(w, expression, SITE_ENTRY, NULL))
		fail_msg("%s compiles", expression);
	if (!strstr(w->error, part))
		fail_msg("%s gives \"%s\" without \"%s\"", expression, w->error, part);
}

enum { KEPT, DROPPED, LOST, REFUSED };
static int filter(struct world *w, const char *condition)
{
	struct capture_request request = {.filter = condition};
	struct capture_result result;

	if (compile(w, &request, SITE_ENTRY, &result) < 0)
		return REFUSED;
	interp_run(&result.program, &w->in, &w->out);
	return !w->out.dropped ? KEPT : w->out.loss == LOSS_FILTER_UNREADABLE ? LOST : DROPPED;
}

static void expect_filter(struct world *w, const char *condition, int want)
{
	int got = filter(w, condition);

	if (got != want)
		fail_msg("%s: %d, not %d %s", condition, got, want, got == REFUSED ? w->error : "");
}

/* ---- an HTTP request in that memory ---- */

/* A map[string][]string with one entry, in whichever of the two ways this binary keeps maps. */
static uint64_t put_header(struct world *w, const char *key, const char *value)
{
	struct map_layout m;
	struct err err = {0};
	uint64_t map = allot(w, 128), table, list = allot(w, 32), key_at, elem_at;

	if (!type_map_layout(w->b, type_in(w, "Header"), &m, &err))
		fail_msg("%s", err.text);
	table = allot(w, m.swiss ? m.group_size : m.bucket_size);
	put(w, map + m.count_off, 1, 8);
	if (m.swiss) {
		put(w, map + m.dir_ptr_off, table, 8);
		put(w, table, 0x8080808080801180, 8); /* slot 1 is taken */
		key_at = table + m.group_slots_off + m.slot_size + m.key_off;
		elem_at = table + m.group_slots_off + m.slot_size + m.elem_off;
	} else {
		put(w, map + m.buckets_off, table, 8);
		put(w, table, 0x7700, 8);
		key_at = table + m.key_off + m.key_size;
		elem_at = table + m.elem_off + m.elem_size;
	}
	put_string(w, key_at, key);
	put(w, elem_at, list, 8);
	put(w, elem_at + 8, 1, 8);
	put_string(w, list, value);
	return map;
}

static uint64_t put_request(struct world *w)
{
	uint64_t req = allot(w, type_in(w, "Request")->size), url = allot(w, type_in(w, "net/url.URL")->size);

	put(w, req + offset_of(w, "Request", "URL"), url, 8);
	put_string(w, req + offset_of(w, "Request", "Method"), "GET");
	put_string(w, req + offset_of(w, "Request", "Host"), "shop.example:8080");
	put(w, req + offset_of(w, "Request", "ContentLength"), (uint64_t)-1, 8);
	put(w, req + offset_of(w, "Request", "Header"), put_header(w, "User-Agent", "curl/8"), 8);
	put_string(w, url + offset_of(w, "net/url.URL", "Path"), "/cart");
	put_string(w, url + offset_of(w, "net/url.URL", "RawQuery"), "id=7");
	return req;
}

static void request_world(struct world *w)
{
	add_param(w, in_regs(w, "rw", "ResponseWriter", GPR_RBX));
	add_param(w, in_regs(w, "req", "*Request", GPR_RDI));
	w->in.regs[GPR_RDI] = put_request(w);
}

static void check_request(struct world *w)
{
	expect_text(w, "req.URL.Path", "/cart");
	expect_text(w, "(*req).URL.RawQuery", "id=7");
	expect_text(w, "(*req.URL).Path", "/cart");
	expect_text(w, "req.Header[\"User-Agent\"][0]", "curl/8");
	expect_int(w, "req.ContentLength", -1);
	expect_int(w, "len(req.Header)", 1);
	expect_int(w, "len(req.Header[\"User-Agent\"])", 1);
	expect_int(w, "req.TLS != nil", 0);
	expect_int(w, "req.Method == \"GET\" && req.URL != nil", 1);
	expect_status(w, "req.Header[\"Cookie\"][0]", SLOT_NO_KEY);
	expect_status(w, "req.Header[\"User-Agent\"][1]", SLOT_RANGE);
	expect_status(w, "req.TLS.ServerName", SLOT_NIL);
	expect_status(w, "req.Trailer[\"x\"][0]", SLOT_NIL);
	expect_int(w, "len(req.Trailer)", 0);
	expect_int(w, "hasname(req.Header, \"agent\")", 0);
	expect_int(w, "hasname(req.Trailer, \"agent\")", 0);
	expect_int(w, "uintptr(req.Header[\"User-Agent\"]) != 0", 1);
	expect_filter(w, "req.Method != \"PRI\"", KEPT);
	expect_filter(w, "req.Method == \"PRI\"", DROPPED);
	expect_filter(w, "req.TLS.ServerName == \"a\"", DROPPED);
	expect_filter(w, "req.TLS != nil && req.TLS.ServerName == \"a\" || hasprefix(req.URL.Path, \"/c\")", KEPT);
	w->in.regs[GPR_RDI] = 0;
	expect_status(w, "req.URL.Path", SLOT_NIL);
	w->in.regs[GPR_RDI] = 0x10;
	expect_status(w, "req.URL.Path", SLOT_UNREADABLE);
	expect_filter(w, "req.Method != \"PRI\"", LOST);
}

static void test_request(void **state)
{
	glob_t g;
	size_t n = stripped(&g);

	if (!n)
		skip();
	for (size_t i = 0; i < n; i++) {
		struct world *w = world_new(g.gl_pathv[i]);

		print_message("%s\n", g.gl_pathv[i]);
		request_world(w);
		check_request(w);
		world_free(w);
	}
	globfree(&g);
}

/* ---- the language, on one binary ---- */

static struct world *newest(void)
{
	struct world *w;
	glob_t g;
	size_t n = stripped(&g);

	if (!n)
		skip();
	w = world_new(g.gl_pathv[n - 1]);
	globfree(&g);
	return w;
}

static struct world *language_world(void)
{
	struct world *w = newest();
	uint64_t list = allot(w, 64);

	add_param(w, in_regs(w, "n", "int", GPR_RAX));
	add_param(w, in_regs(w, "small", "int8", GPR_RBX));
	add_param(w, in_regs(w, "u", "uint16", GPR_RCX));
	add_param(w, in_regs(w, "big", "uint64", GPR_RDI));
	add_param(w, in_regs(w, "s", "string", GPR_RSI));   /* RSI, R8 */
	add_param(w, in_regs(w, "ss", "[]string", GPR_R9)); /* R9, R10, R11 */
	add_param(w, in_regs(w, "ok", "bool", GPR_RDX));
	add_param(w, in_regs(w, "p", "*Request", GPR_R12));
	add_param(w, on_stack(w, "array", "[4]int32", 8));
	add_param(w, on_stack(w, "body", "[]byte", 24));
	w->in.regs[GPR_RAX] = (uint64_t)-5;
	w->in.regs[GPR_RBX] = 0xabcdef80; /* int8 -128 under what the register held before */
	w->in.regs[GPR_RCX] = 0xffff0003;
	w->in.regs[GPR_RDI] = UINT64_MAX;
	w->in.regs[GPR_RSI] = put_text(w, "GET /index.html");
	w->in.regs[GPR_R8] = 15;
	put_string(w, list, "one");
	put_string(w, list + 16, "two");
	w->in.regs[GPR_R9] = list;
	w->in.regs[GPR_R10] = 2;
	w->in.regs[GPR_R11] = 4;
	w->in.regs[GPR_RDX] = 0xff01;
	for (unsigned i = 0; i < 4; i++)
		put(w, w->in.entry_sp + 8 + i * 4, (uint64_t)(10 - 20 * (int)(i & 1) + (int)i), 4);
	put(w, w->in.entry_sp + 24, put_text(w, "{\"a\":1}"), 8);
	put(w, w->in.entry_sp + 32, 7, 8);
	put(w, w->in.entry_sp + 40, 7, 8);
	return w;
}

static void test_integers(void **state)
{
	struct world *w = language_world();

	expect_int(w, "n", -5);
	expect_int(w, "small", -128);
	expect_int(w, "u", 3);
	expect_int(w, "arg0", -5);
	expect_int(w, "n + 2", -3);
	expect_int(w, "2 - n * 3", 17);
	expect_int(w, "-n", 5);
	expect_int(w, "-small", -128);
	expect_int(w, "small - 1", 127);
	expect_int(w, "u - 4", 65535);
	expect_int(w, "u << 15", 32768);
	expect_int(w, "n >> 1", -3);
	expect_int(w, "big >> 60", 15);
	expect_int(w, "n & 3 | 8 ^ 1", 10);
	expect_int(w, "array[0]", 10);
	expect_int(w, "array[3]", -7);
	expect_int(w, "int64(u) - 4", -1);
	expect_int(w, "uint8(n)", 251);
	expect_int(w, "int(big)", -1);
	expect_int(w, "len(array)+n", -1);
	expect_int(w, "n / 2", -2);
	expect_int(w, "n % 2", -1);
	expect_int(w, "7 / n", -1);
	expect_int(w, "7 % n", 2);
	expect_int(w, "small / -1", -128);
	expect_int(w, "small % 100", -28);
	expect_int(w, "u / 2", 1);
	expect_int(w, "big / 10 * 10 + big % 10", -1);
	expect_int(w, "-7 / 2 + n", -8);
	expect_int(w, "n &^ 4", -5 & ~4);
	expect_int(w, "u &^ 1", 2);
	expect_int(w, "+n", -5);
	expect_int(w, "^n", 4);
	expect_int(w, "^u", 65532);
	expect_int(w, "^7 + n", -13);
	expect_int(w, "1 << u", 8);
	expect_int(w, "n << u", -40);
	expect_int(w, "n >> u", -1);
	expect_int(w, "n >> big", -1);
	expect_int(w, "u << big", 0);
	expect_int(w, "n << 64", 0);
	expect_int(w, "len(s[u:8])", 5);
	expect_int(w, "len(ss[1:])", 1);
	expect_int(w, "cap(ss[1:])", 3);
	expect_status(w, "n / int(u - 3)", SLOT_UNREADABLE);
	expect_status(w, "1 << n", SLOT_RANGE);
	expect_status(w, "len(s[u:2])", SLOT_RANGE);
	expect_status(w, "len(s[:16])", SLOT_RANGE);
	expect_status(w, "len(s[n:])", SLOT_RANGE);
	expect_text(w, "s[4:9]", "/inde");
	expect_text(w, "body[:4]", "{\"a\"");
	world_free(w);
}

/* ---- numbers of the other kind, against the compiler's own ---- */

static uint64_t random_state = 1;

static uint64_t random_bits(void)
{
	static const uint64_t corners[] = {0, 1, 1ull << 63, UINT64_MAX, INT64_MAX, 0x7ff0000000000000,
					   0xfff0000000000000,
					   0x7ff8000000000001, 0x3ff0000000000000, 0x36a0000000000000,
					   0x380fffffe0000000,
					   0x47efffffe0000000, 0x47effffff0000000, 0x47efffffefffffff,
					   0x43e0000000000000,
					   0x0000000000000001, 0x000fffffffffffff, 1ull << 53, (1ull << 53) + 1,
					   (1ull << 24) + 1};
	uint64_t v;

	random_state = random_state * 6364136223846793005 + 1442695040888963407;
	v = random_state ^ random_state >> 29;
	switch (v % 5) {
	case 0:
		return corners[v / 5 % ARRAY_SIZE(corners)];
	case 1: /* an exponent near 1, or near the ends of float32 */
		return (v & 0x800fffffffffffff) | ((uint64_t)(1023 - 160 + (v >> 52) % 320) << 52);
	case 2:
		return v >> (v >> 58);
	case 3:
		return (uint64_t)-(int64_t)(v >> (v >> 58));
	default:
		return v;
	}
}

static double as_double(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, 8);
	return d;
}

static float as_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

static void expect_double(struct world *w, const char *expression, double want)
{
	const struct interp_slot *s = capture_at(w, expression, SITE_ENTRY, NULL);
	double have;

	if (!s)
		fail_msg("%s", w->error);
	have = as_double(s->value);
	if (s->status != SLOT_OK || (isnan(want) ? !isnan(have) : memcmp(&have, &want, 8)))
		fail_msg("%s: %.17g (%a), not %.17g (%a)", expression, have, have, want, want);
}

static void expect_float(struct world *w, const char *expression, float want)
{
	const struct interp_slot *s = capture_at(w, expression, SITE_ENTRY, NULL);
	float have;

	if (!s)
		fail_msg("%s", w->error);
	have = as_float((uint32_t)s->value);
	if (s->status != SLOT_OK || s->value >> 32 || (isnan(want) ? !isnan(have) : memcmp(&have, &want, 4)))
		fail_msg("%s: %.9g (%a), not %.9g (%a)", expression, (double)have, (double)have, (double)want,
			 (double)want);
}

/* Without its fraction; what does not fit has no value. */
static void expect_whole(struct world *w, const char *expression, double d, double low, double high)
{
	if (trunc(d) >= low && trunc(d) < high)
		expect_int(w, expression, high > 9.3e18 ? (int64_t)(uint64_t)d : (int64_t)d);
	else
		expect_status(w, expression, SLOT_UNREADABLE);
}

static void expect_compared(struct world *w, double d, float f, int64_t i)
{
	expect_int(w, "d < 1.5", d < 1.5);
	expect_int(w, "d == d", !isnan(d));
	expect_int(w, "d != d", isnan(d));
	expect_int(w, "d >= float64(i)", d >= (double)i);
	expect_int(w, "float64(f) <= d", (double)f <= d);
	expect_int(w, "f > float32(d)", f > (float)d);
	expect_int(w, "f == 0.1", f == 0.1f);
	expect_int(w, "-d < 0.0", -d < 0);
}

static void test_conversions(void **state)
{
	struct world *w = newest();

	add_param(w, on_stack(w, "d", "float64", 8));
	add_param(w, on_stack(w, "f", "float32", 16));
	add_param(w, on_stack(w, "i", "int64", 24));
	add_param(w, on_stack(w, "u", "uint64", 32));
	for (unsigned k = 0; k < 4000; k++) {
		uint64_t bits = random_bits(), number = random_bits();
		uint32_t bits32 = (uint32_t)(k % 3 ? random_bits() >> 32 : random_bits());
		double d = as_double(bits);
		float f = as_float(bits32);

		put(w, w->in.entry_sp + 8, bits, 8);
		put(w, w->in.entry_sp + 16, bits32, 4);
		put(w, w->in.entry_sp + 24, number, 8);
		put(w, w->in.entry_sp + 32, number, 8);
		expect_double(w, "float64(i)", (double)(int64_t)number);
		expect_double(w, "float64(u)", (double)number);
		expect_double(w, "float64(f)", (double)f);
		expect_float(w, "float32(i)", (float)(int64_t)number);
		expect_float(w, "float32(u)", (float)number);
		expect_float(w, "float32(d)", (float)d);
		expect_double(w, "-d", -d);
		expect_whole(w, "int64(d)", d, -0x1p63, 0x1p63);
		expect_whole(w, "uint64(d)", d, 0, 0x1p64);
		expect_whole(w, "int32(d)", d, -0x1p31, 0x1p31);
		expect_whole(w, "int8(f)", (double)f, -128, 128);
		expect_whole(w, "uint16(f)", (double)f, 0, 65536);
		if (k % 4 == 0)
			expect_compared(w, d, f, (int64_t)number);
	}
	world_free(w);
}

static void test_comparisons(void **state)
{
	static const char *const kept[] = {
		"n == -5", "n < 0", "n <= -5", "-5 >= n", "small < 0", "u > 2", "big > 5", "big == 0xffffffffffffffff",
		"ok", "ok == true", "!!ok", "!(n == 3)", "n != 3 && u == 3", "n == 3 || u == 3", "true || n == 3",
		"s == \"GET /index.html\"", "s != \"GET\"", "\"GET\" != s", "hasprefix(s, \"GET \")",
		"hassuffix(s, \".html\")", "contains(s, \"/index\")", "contains(s, \"\")", "s != \"\"",
		"contains(body, \"\\\"a\\\"\")", "string(body) == `{\"a\":1}`", "len(s) == 15", "len(body) == 7",
		"cap(ss) == 4", "ss[1] == \"two\"", "ss[len(ss) - 1] == \"two\"", "ss[u - 2] == \"two\"",
		"s[0] == 'G'", "p == nil", "nil == p", "ss != nil", "uintptr(p) == 0", "3 < 4", "\"a\" < \"b\"",
		"n * -1 == 5 && (u == 9 || small == -128) && !(len(ss) == 3)", "array[1] < 0 && array[0] == 1e1",
		"n < 10ms", "1 + 2 == 3 && true != false", "goid == 77", "caller != nil",
		"caller != \"no.such\"", "!hasprefix(caller, \"no.such.\")",
		"s == s", "s <= s", "s >= \"GET\"", "s < \"GET0\"", "\"GET \" < s", "s > ss[0][:0]", "ss[0] < ss[1]",
		"ss[1] != ss[0]",
		"s > \"\"", "hasprefix(s, s[:3])", "hassuffix(s, s[4:])", "s[:3] == \"GET\"", "s[u:u+1] == \" \"",
		"s[:] == s",
		"string(body[1:4]) == `\"a\"`", "\"a\" + \"b\" == \"ab\"", "len(\"abc\"[1:]) == 2", "1.5 < 2",
		"1.5 * 2 == 3.0", "2.5 > 1.5 && 0x10 == 16.0",
		"n % 2 == -1 && n / 2 == -2", "ss[1:][0] == \"two\"", "strings.HasPrefix(s, \"GET\")",
		"array == [4]int32{10, -9, 12, -7}",
		"array != [4]int32{10}",
	};
	static const char *const dropped[] = {
		"n > 0", "big < 5", "!ok", "false", "s == \"GET\"", "hasprefix(s, \"POST\")", "hassuffix(s, \"x\")",
		"contains(s, \"zzz\")", "s == \"\"", "p != nil", "p.Method == \"\"", "ss[2] == \"x\"", "ss[n] == \"x\"",
		"n == 3 && p.Method == \"\"", "p.Method == \"GET\" || true",
		"s != s", "s < s", "s < \"GET\"", "s == ss[0]", "s[:2] == \"GET\"", "s[3:2] == \"\"", "s[20:] == \"\"",
		"ss[5:][0] == \"x\"",
		"hasprefix(ss[0], s)", "array == [4]int32{10, -9, 12}", "1 << n == 1",
		"caller == \"no.such\"",
	};
	static const char *const lost[] = {"n / int(u - 3) == 1", "7 % (u - 3) == 0 || true"};
	struct goroutine_layout layout;
	struct world *w = language_world();

	assert_int_equal(binary_goroutine_layout(w->b, &layout, NULL), 0);
	put(w, w->in.g + layout.goid, 77, 8);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		expect_filter(w, kept[i], KEPT);
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		expect_filter(w, dropped[i], DROPPED);
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		expect_filter(w, lost[i], LOST);
	world_free(w);
}

/* Constants above the largest int64 are those of uint64. */
static void test_unsigned_constants(void **state)
{
	static const char *const kept[] = {
		"uintptr(p) < 1<<63", "uintptr(p) < 1<<63 + 5", "uintptr(p) != 0xffffffffffffffff - 1", "1<<63 > 5",
		"1<<63 - 1 == 9223372036854775807", "uintptr(p) | 1<<63 >= 1<<63", "-1<<63 < n",
	};
	static const char *const dropped[] = {"uintptr(p) >= 1<<63", "1<<63 == 1<<62", "uintptr(p) & (1<<63) != 0"};
	struct world *w = language_world();

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		expect_filter(w, kept[i], KEPT);
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		expect_filter(w, dropped[i], DROPPED);
	world_free(w);
}

static void test_kinds(void **state)
{
	static const struct {
		const char *expression;
		enum value_kind kind;
	} cases[] = {{"n", VALUE_INT}, {"u", VALUE_UINT}, {"ok", VALUE_BOOL}, {"n == 1", VALUE_BOOL},
		     {"s", VALUE_STRING}, {"body", VALUE_STRING}, {"p", VALUE_POINTER}, {"len(s)", VALUE_INT},
		     {"uintptr(p)", VALUE_UINT}, {"caller", VALUE_POINTER}, {"goid", VALUE_UINT}};
	struct world *w = language_world();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum value_kind kind = VALUE_TYPE;

		assert_non_null(capture_at(w, cases[i].expression, SITE_ENTRY, &kind));
		assert_int_equal(kind, cases[i].kind);
	}
	expect_text(w, "body", "{\"a\":1}");
	expect_text(w, "ss[0]", "one");
	expect_int(w, "caller", 0x401234);
	world_free(w);
}

static void test_errors(void **state)
{
	static const char *const cases[][2] = {
		{"m", "m is not known here; there are n, small, u, big, s, ss, ok, p, array, body, goid, caller\n"
		      "  m\n  ^"},
		{"bdy", "did you mean body?"},
		{"result", "result is a result of net/http.serverHandler.ServeHTTP: it is known only where"},
		{"p.Metod", "net/http.Request has no field Metod; did you mean Method? It has Method, URL"},
		{"p.URL.Zzzzzzz", "net/url.URL has no field Zzzzzzz; it has Scheme"},
		{"p.URL.Zzzzzzz", "\n  p.URL.Zzzzzzz\n        ^"},
		{"p.Body.x", "p.Body is an interface (io.ReadCloser); say which type it holds: p.Body.(*T).x"},
		{"n.x", "n is an int, which has no fields"},
		{"*n", "n is an int, not a pointer"},
		{"p == 3", "a constant number cannot be used as a *net/http.Request"},
		{"n == \"a\"", "n is an int, it cannot be compared with a text"},
		{"s == 3", "3 is a constant number, it cannot be compared with a text"},
		{"body == \"a\"", "to compare it with a text write string(body)"},
		{"small == 300", "300 does not fit into an int8\n  small == 300\n           ^"},
		{"u == -1", "-1 does not fit into a uint16"},
		{"n == 1.5", "1.5 is no int"},
		{"n == u", "mismatched types int and uint16; convert one"},
		{"n + u", "mismatched types int and uint16"},
		{"s + \"a\"", "texts cannot be joined"},
		{"ok + 1", "a constant number cannot be used as a bool"},
		{"n << s", "a shift count is an integer"},
		{"ok > true", "it can be compared with == and != only"},
		{"ok == 1", "a constant number cannot be used as a bool"},
		{"n && ok", "n is an int; a condition is expected here"},
		{"!n", "a condition is expected here"},
		{"-s", "`-` works on numbers"},
		{"+s", "`+` works on numbers; s is a string"},
		{"^s", "`^` works on integers"},
		{"n % 0", "this divides by zero"},
		{"1 / 0 == n", "this divides by zero"},
		{"float64(n) + 1.5 > 2.0", "floating-point values can be compared and converted, not calculated"},
		{"n[1:2]", "n is an int, of which no part can be taken"},
		{"\"abc\"[2:1] == s", "the part ends before it begins"},
		{"float32(1e300) > 1.0", "does not fit into a float32"},
		{"caller == n", "cannot be compared"},
		{"n == nil", "n is an int, which is never nil"},
		{"s == nil", "s is a string, which is never nil"},
		{"nil == nil", "cannot be compared"},
		{"array[4]", "the array has 4 elements: this index is out of range\n  array[4]\n        ^"},
		{"array[n]", "an array that is passed by value can be indexed by a constant only"},
		{"ss[-1]", "an index cannot be negative"},
		{"ss[\"a\"]", "cannot be used as an int"},
		{"ss[s]", "an index is an integer"},
		{"n[0]", "n is an int, which cannot be indexed"},
		{"p.Header[3]", "a constant number cannot be used as a string"},
		{"p.Header[n]", "n is an int; the map's keys are of type string"},
		{"len(n)", "n is an int, which has no length"},
		{"cap(s)", "s is a string, which has no capacity"},
		{"len(s, s)", "len takes one argument, not 2"},
		{"length(s)", "there is no function length"},
		{"haspefix(s, \"a\")", "there is no function haspefix, did you mean hasprefix"},
		{"hasprefix(s)", "hasprefix takes two arguments"},
		{"contains(s, s)", "contains looks for a constant text"},
		{"hasprefix(s, n)", "n is an int; a text is expected here"},
		{"hasprefix(\"abc\", s)", "is a constant: the text to search comes first"},
		{"hasprefix(n, \"a\")", "n is an int; hasprefix looks into strings"},
		{"contains(s, \"a\\x00b\")", "none is 0"},
		{"hasname(s, \"a\")", "s is a string; hasname looks into maps whose keys are strings, and lists"},
		{"hasname(ss, \"a\")", "ss is a []string; hasname looks into maps"},
		{"hasname(p.Header, s)", "hasname looks for a constant text of the letters a to z"},
		{"hasname(p.Header, \"X-A\")", "hasname looks for a constant text of the letters a to z"},
		{"hasname(p.Header)", "hasname takes two arguments"},
		{"typeof(n)", "n is an int, not an interface"},
		{"n.(*Request)", "n is an int, not an interface"},
		{"p.Body.(*NoSuchType)", "NoSuchType"},
		{"p.Body.(io.Reader)", "only a concrete type can be asked for"},
		{"p.Body", "p.Body is an interface (io.ReadCloser): capture typeof(p.Body)"},
		{"*p", "*p is a struct (net/http.Request): capture one of its fields"},
		{"ss", "ss is a []string: capture an element"},
		{"3", "3 is a constant; there is nothing to capture"},
		{"int8(300)", "300 does not fit"},
		{"int(s)", "a string cannot be converted to int"},
		{"string(n)", "only strings and []byte"},
		{"9223372036854775807 + 1 == n", "does not fit into an int"},
		{"1<<63 == n", "does not fit into an int"},
		{"1<<64 == n", "does not fit into 64 bits"},
		{"1<<63 + 1<<63 == n", "does not fit into 64 bits"},
		{"-1 - 1<<63 == n", "does not fit into 64 bits"},
		{"a b", "an operator or the end"},
	};
	struct world *w = language_world();

	w->results[0] = in_regs(w, "result", "int", GPR_RAX);
	w->signature.nresults = 1;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_error(w, cases[i][0], cases[i][1]);
	world_free(w);
}

static void test_results(void **state)
{
	struct world *w = language_world();
	const struct interp_slot *s;

	w->results[0] = in_regs(w, "", "int", GPR_RAX);
	w->results[1] = in_regs(w, "", "error", GPR_RBX);
	w->signature.nresults = 2;
	w->in.regs[GPR_RBX] = 0;
	s = capture_at(w, "ret0", SITE_RETURN, NULL);
	assert_int_equal(s->value, (uint64_t)-5);
	assert_non_null(capture_at(w, "uintptr(err)", SITE_RETURN, NULL));
	s = capture_at(w, "err == nil", SITE_RETURN, NULL);
	assert_int_equal(s->value, 1);
	assert_null(capture_at(w, "n", SITE_RETURN, NULL));
	assert_non_null(strstr(w->error, "n is a parameter of"));
	assert_null(capture_at(w, "ret2", SITE_RETURN, NULL));
	assert_non_null(strstr(w->error, "there are ret0, ret1") ?: strstr(w->error, "did you mean ret"));
	w->signature.results_known = false;
	assert_null(capture_at(w, "x", SITE_RETURN, NULL));
	assert_non_null(strstr(w->error, "declare it: net/http.serverHandler.ServeHTTP(…)"));
	world_free(w);
}

/* ---- interfaces ---- */

static uint64_t put_itab(struct world *w, uint64_t type)
{
	uint64_t itab = allot(w, 64);

	put(w, itab + 8, type, 8);
	return itab;
}

static void test_interfaces(void **state)
{
	struct world *w = newest();
	uint64_t type = type_in(w, "*response")->rtype + w->in.bias, response = allot(w, 1024);

	add_param(w, in_regs(w, "rw", "ResponseWriter", GPR_RAX)); /* an itab and data */
	add_param(w, in_regs(w, "e", "any", GPR_RCX));             /* a type and data */
	put(w, response + offset_of(w, "response", "status"), 404, 8);
	w->in.regs[GPR_RAX] = put_itab(w, type);
	w->in.regs[GPR_RBX] = response;
	w->in.regs[GPR_RCX] = type;
	w->in.regs[GPR_RDI] = response;
	expect_int(w, "rw.(*response).status", 404);
	expect_int(w, "e.(*response).status", 404);
	expect_int(w, "typeof(rw)", (int64_t)type);
	expect_int(w, "typeof(e)", (int64_t)type);
	expect_filter(w, "rw.(*response) != nil", KEPT);
	expect_filter(w, "rw.(*response) == nil", DROPPED);
	expect_filter(w, "rw.(*Request) != nil || e.(*response) != nil", KEPT);
	expect_filter(w, "!(rw.(*Request) != nil)", KEPT);
	expect_filter(w, "rw.(*Request) == nil", DROPPED);
	expect_filter(w, "typeof(e) == \"*response\"", KEPT);
	expect_filter(w, "typeof(rw) != \"*net/http.Request\"", KEPT);
	expect_filter(w, "typeof(e) == \"[5]*response\" || typeof(e) == \"gone/away.T\"", DROPPED); /* no descriptor */
	expect_filter(w, "typeof(e) != \"[5]*response\" && typeof(e) != \"gone/away.T\"", KEPT);
	expect_filter(w, "typeof(e) == \"[5*response\"", REFUSED);
	expect_filter(w, "rw != nil && e != nil", KEPT);
	expect_status(w, "rw.(*Request).Method", SLOT_OTHER_TYPE);
	expect_filter(w, "e.(*Request).Method == \"GET\"", DROPPED);
	w->in.regs[GPR_RBX] = w->in.regs[GPR_RDI] = 0; /* a nil *response in the interface */
	expect_filter(w, "rw.(*response) == nil && rw != nil", KEPT);
	expect_status(w, "e.(*response).status", SLOT_NIL);
	w->in.regs[GPR_RAX] = w->in.regs[GPR_RCX] = 0;
	expect_status(w, "rw.(*response).status", SLOT_NIL);
	expect_status(w, "typeof(rw)", SLOT_NIL);
	expect_status(w, "typeof(e)", SLOT_NIL);
	expect_filter(w, "rw == nil && e == nil", KEPT);
	expect_filter(w, "rw.(*response) != nil || e == nil", KEPT);
	world_free(w);
}

/* ---- floating-point registers, unlocated and untyped parameters ---- */

static void test_locations(void **state)
{
	struct world *w = newest();
	const char *alternatives[] = {"f", NULL};
	struct capture_item item = {.name = "f", .alternatives = alternatives};
	struct capture_request request = {.items = &item, .nitems = 1,
					  .caps = &(struct planter_caps){.reads_float_regs = true}};
	struct capture_result result;
	struct piece xmm = {.where = IN_FLOAT_REG, .reg = XMM_0 + 2, .size = 8}, reg = {.where = IN_REG, .size = 4};

	add_param(w, (struct param){.name = "f", .type = type_in(w, "float64"), .pieces = &xmm, .npieces = 1});
	add_param(w, (struct param){.name = "lost", .type = type_in(w, "int"), .why = "its shape is unknown"});
	add_param(w, (struct param){.name = "", .pieces = &reg, .npieces = 1});
	add_param(w, (struct param){.name = ""});
	w->in.xmm[2] = 0x3ff8000000000000;
	w->in.regs[GPR_RAX] = 0xffffffff00000007;
	expect_error(w, "f", "f is passed in a floating-point register, which a uprobe cannot read");
	expect_error(w, "f > 1.5", "f is passed in a floating-point register, which a uprobe cannot read");
	expect_error(w, "lost", "lost cannot be read: its shape is unknown");
	expect_error(w, "arg3", "the type of arg3 is not known; declare");
	expect_int(w, "arg2", 7);
	assert_int_equal(compile(w, &request, SITE_ENTRY, &result), 0);
	assert_int_equal(result.program.slots[0].kind, VALUE_FLOAT64);
	interp_run(&result.program, &w->in, &w->out);
	assert_int_equal(w->out.slots[0].value, 0x3ff8000000000000);
	world_free(w);
}

/* ---- whole requests ---- */

static void test_items(void **state)
{
	const char *path[] = {"req.NoSuchField", "req.URL.Path", NULL}, *none[] = {NULL};
	const char *missing[] = {"req.Nope", "req.Neither", NULL}, *method[] = {"req.Method", NULL};
	struct capture_item items[] = {
		{.name = "path", .alternatives = path},
		{.name = "missing", .alternatives = missing, .optional = true},
		{.name = "mark", .alternatives = none, .when = "req.Method == \"GET\" && req.ContentLength < 0"},
		{.name = "absent", .alternatives = method, .when = "req.Method == \"PUT\""},
		{.name = "present", .alternatives = method, .when = "req.Method == \"PUT\" || req.Host != \"\""},
	};
	struct capture_request request = {.filter = "req != nil", .items = items, .nitems = ARRAY_SIZE(items)};
	struct world *w = newest();
	struct capture_result r;

	request_world(w);
	if (compile(w, &request, SITE_ENTRY, &r) < 0)
		fail_msg("%s", w->error);
	assert_int_equal(r.program.nslots, 4);
	assert_int_equal(r.slot_of_item[0], 0);
	assert_int_equal(r.slot_of_item[1], -1);
	assert_int_equal(r.slot_of_item[4], 3);
	assert_non_null(strstr(r.why[1], "no field Nope"));
	assert_null(strchr(r.why[1], '\n'));
	assert_null(r.why[0]);
	assert_string_equal(r.program.slots[1].name, "mark");
	interp_run(&r.program, &w->in, &w->out);
	assert_string_equal(w->out.slots[0].bytes, "/cart");
	assert_int_equal(w->out.slots[1].value, 1);
	assert_int_equal(w->out.slots[2].status, SLOT_ABSENT);
	assert_string_equal(w->out.slots[3].bytes, "GET");
	items[1].optional = false;
	assert_int_equal(compile(w, &request, SITE_ENTRY, &r), -EINVAL);
	assert_int_equal(strncmp(w->error, "missing: net/http.Request has no field Nope", 43), 0);
	world_free(w);
}

/* What the start saves (here a *Request, as number 1) is a name in the other programs of the span. */
static void test_saved(void **state)
{
	const char *value[] = {"req", NULL}, *text[] = {"req.Host", NULL};
	struct capture_item item = {.name = "saved.req", .alternatives = value, .carry = 2};
	struct capture_request request = {.items = &item, .nitems = 1};
	struct world *w = newest();
	struct carried_value saved[2] = {{.number = 0}, {.number = 1}};
	struct expr *other, *of_req;
	struct capture_result r;
	uint64_t req;

	request_world(w);
	assert_int_equal(compile(w, &request, SITE_ENTRY, &r), 0);
	interp_run(&r.program, &w->in, &w->out);
	req = w->out.saved[1];
	assert_int_equal(req, w->out.slots[0].value);
	assert_string_equal(r.program.slots[0].type->name, "*net/http.Request");
	item.alternatives = text;
	assert_int_equal(compile(w, &request, SITE_ENTRY, &r), -EINVAL);
	assert_non_null(strstr(w->error, "only a pointer or a number can be saved"));

	assert_int_equal(expr_parse("saved.other", &w->arena, &other, NULL), 0);
	assert_int_equal(expr_parse("saved.req", &w->arena, &of_req, NULL), 0);
	saved[0].expr = other;
	saved[1].expr = of_req;
	saved[0].type = saved[1].type = binary_type_parse(w->b, "net/http", "*Request", NULL);
	w->carried = saved;
	w->ncarried = 2;
	w->in.saved[1] = req;
	expect_text(w, "saved.req.URL.Path", "/cart");
	expect_status(w, "saved.other.Method", SLOT_ABSENT);
	expect_error(w, "saved.rex", "no start of this span saves rex; saved are other, req");
	expect_filter(w, "saved.req != nil", REFUSED);
	assert_non_null(strstr(w->error, "not in the condition of the whole point"));
	world_free(w);
}

static void test_goroutine(void **state)
{
	struct capture_request request = {.goroutine = "gp", .sp = "gp._panic.sp"};
	struct world *w = newest();
	struct capture_result r;
	uint64_t gp = allot(w, 512), panic = allot(w, 128);

	w->func.name = w->func.symbol = "runtime.recovery";
	add_param(w, in_regs(w, "gp", "*runtime.g", GPR_RAX));
	w->in.regs[GPR_RAX] = gp;
	put(w, gp + offset_of(w, "runtime.g", "_panic"), panic, 8);
	put(w, panic + offset_of(w, "runtime._panic", "sp"), 0xc000001000, 8);
	assert_int_equal(compile(w, &request, SITE_ENTRY, &r), 0);
	interp_run(&r.program, &w->in, &w->out);
	assert_true(w->out.other_goroutine);
	assert_int_equal(w->out.g, gp);
	assert_int_equal(w->out.sp, 0xc000001000);
	w->in.regs[GPR_RAX] = 0;
	interp_run(&r.program, &w->in, &w->out);
	assert_true(w->out.dropped);
	assert_int_equal(w->out.loss, LOSS_NO_GOROUTINE);
	request.sp = "gp._panic";
	assert_int_equal(compile(w, &request, SITE_ENTRY, &r), 0);
	request.goroutine = "gp.goid == 3";
	assert_int_equal(compile(w, &request, SITE_ENTRY, &r), -EINVAL);
	assert_non_null(strstr(w->error, "a *g is expected here"));
	world_free(w);
}

static void test_too_complex(void **state)
{
	char text[2000] = "n";
	struct world *w = language_world();

	for (int i = 0; i < 45; i++)
		strcat(text, " + (n");
	for (int i = 0; i < 45; i++)
		strcat(text, ")");
	expect_error(w, text, "the expression is too complex");
	strcpy(text, "n == 1");
	for (int i = 0; i < 50; i++)
		strcat(text, " || n == 1");
	strcat(text, " || n == -5");
	expect_filter(w, text, KEPT);
	world_free(w);
}

/* ---- generated expressions: whatever compiles passes the verifier and runs ---- */

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void generate(struct buf *b, unsigned depth);

static void generate_leaf(struct buf *b)
{
	static const char *const leaves[] = {"n", "small", "u", "big", "s", "ss", "ok", "p", "array", "body",
					     "0", "1", "-3", "\"GET\"", "\"\"", "nil", "true", "1.5", "10ms",
					     "goid", "caller", "p.URL.Path", "p.Header", "p.Body", "p.URL"};

	buf_str(b, leaves[pick(ARRAY_SIZE(leaves))]);
}

static void generate_binary(struct buf *b, unsigned depth)
{
	static const char *const operators[] = {"+", "-", "*", "&", "|", "^", "<<", ">>", "==", "!=",
						"<", "<=", ">", ">=", "&&", "||", "&&", "||", "==", "!="};

	buf_char(b, '(');
	generate(b, depth - 1);
	buf_printf(b, " %s ", operators[pick(ARRAY_SIZE(operators))]);
	generate(b, depth - 1);
	buf_char(b, ')');
}

static void generate_call(struct buf *b, unsigned depth)
{
	static const char *const calls[] = {"len(", "cap(", "typeof(", "uintptr(", "string(", "uint8(", "int(", "!(",
					    "-("};

	buf_str(b, calls[pick(ARRAY_SIZE(calls))]);
	generate(b, depth - 1);
	buf_char(b, ')');
}

static void generate_path(struct buf *b, unsigned depth)
{
	static const char *const tails[] = {".URL", ".Path", ".Header[\"User-Agent\"]", "[0]", "[n]", ".TLS",
					    ".(*response)", ".(*Request).Method", "[u - 3]", ".Method"};

	generate(b, depth - 1);
	buf_str(b, tails[pick(ARRAY_SIZE(tails))]);
}

static void generate(struct buf *b, unsigned depth)
{
	static void (*const kinds[])(struct buf *, unsigned) = {generate_binary, generate_binary,
								generate_call, generate_path};

	if (!depth || !pick(4))
		generate_leaf(b);
	else
		kinds[pick(ARRAY_SIZE(kinds))](b, depth);
}

/* An expression that does not compile says why, at a column; it never fails the verifier. */
static bool check_generated(struct world *w, const char *text)
{
	if (capture_at(w, text, SITE_ENTRY, NULL))
		return true;
	if (strstr(w->error, "damaged") || !strchr(w->error, '^'))
		fail_msg("%s: %s", text, w->error);
	return false;
}

static void test_generated(void **state)
{
	unsigned compiled = 0, conditions = 0;
	struct world *w = language_world();

	w->in.regs[GPR_R12] = put_request(w);
	for (seed = 1; compiled < 3000;) {
		_cleanup_(buf_done) struct buf b = {0};
		int r;

		generate(&b, 1 + pick(5));
		if (b.len > 4000)
			continue;
		compiled += check_generated(w, b.data);
		r = filter(w, b.data);
		if (r == REFUSED && strstr(w->error, "damaged"))
			fail_msg("%s: %s", b.data, w->error);
		conditions += r != REFUSED;
	}
	print_message("%u captures and %u conditions compiled\n", compiled, conditions);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),	   cmocka_unit_test(test_integers),
		cmocka_unit_test(test_comparisons), cmocka_unit_test(test_conversions), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_unsigned_constants),
		cmocka_unit_test(test_errors),	   cmocka_unit_test(test_results),
		cmocka_unit_test(test_interfaces),  cmocka_unit_test(test_locations),
		cmocka_unit_test(test_items),	   cmocka_unit_test(test_goroutine),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_too_complex), cmocka_unit_test(test_generated),
	};

	return cmocka_run_group_tests_name("compile", tests, NULL, NULL);
}
