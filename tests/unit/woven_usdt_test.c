/* USDT probes of woven programs: what is woven, the stubs, and the notes that the executable gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/made_executable.h"
#include "unit/written_file.h"
#include "weave/points.h"

/* ---- names and stubs ---- */

static void names_have_letters_and_digits(void **state)
{
	static const char *const cases[][2] = {
	    {"net-http", "net_http"}, {"main.(*Shop).Add", "main_Shop_Add"},      {"a..b", "a_b"},
	    {"-x-", "x"},             {"gopkg.in/x.v2.Largest[...]", "gopkg_in_x_v2_Largest"}, {"", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(buf_done) struct buf out = {0};

		usdt_name(cases[i][0], &out);
		assert_string_equal(out.len ? out.data : "", cases[i][1]);
	}
}

static const struct weave_probe probe = {.provider = "shop",
                                         .name = "order_placed",
                                         .arguments = {{.parameter = USDT_GOROUTINE},
                                                       {.parameter = USDT_CONTEXT},
                                                       {USDT_SLOTS, 0, false},
                                                       {USDT_SLOTS, 32, true}},
                                         .narguments = 4,
                                         .symbol = "earshot.usdt_01",
                                         .key = 0x0102030405060708};

/* The words of a stub as the bytes that they become. */
static void read_stub(const char *text, const char *word, struct buf *out)
{
	for (const char *at = text; (at = strstr(at, word)); at++) {
		unsigned value;

		assert_int_equal(sscanf(at + strlen(word), " $0x%8x", &value), 1);
		buf_append(out, &value, 4);
	}
}

static void check_stub(const char *arch, const char *word, const void *code, const char *arguments)
{
	_cleanup_(buf_done) struct buf text = {0}, bytes = {0};
	static const uint64_t head[] = {USDT_MAGIC_0, USDT_MAGIC_1, 0x0102030405060708};
	const char *at;

	assert_int_equal(usdt_assembly(&probe, 1, arch, &text, NULL), 0);
	assert_non_null(strstr(text.data, "TEXT earshot·usdt_01<ABIInternal>(SB), 516, $0-0\n"));
	read_stub(text.data, word, &bytes);
	assert_memory_equal(bytes.data, code, 8);
	assert_memory_equal(bytes.data + 8, head, sizeof(head));
	at = bytes.data + 8 + sizeof(head);
	assert_string_equal(at, "shop");
	assert_string_equal(at + 5, "order_placed");
	assert_string_equal(at + 5 + 13, arguments);
}

static void stubs_of_both_machines(void **state)
{
	struct err err = {0};
	_cleanup_(buf_done) struct buf text = {0};

	check_stub("amd64", "LONG", "\x90\x0f\x1f\x44\x00\x00\xc3\xcc", "8@%rbx 8@%rcx 8@(%rax) -8@32(%rax)");
	check_stub("arm64", "WORD", "\x1f\x20\x03\xd5\xc0\x03\x5f\xd6", "8@x1 8@x2 8@[x0] -8@[x0, 32]");
	assert_int_equal(usdt_assembly(&probe, 1, "riscv64", &text, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "riscv64"));
}

/* ---- notes ---- */

static void check_note(const char *note, uint64_t address, uint64_t semaphore, const char *name)
{
	const Elf64_Nhdr *h = (const void *)note;
	uint64_t place[3];

	assert_int_equal(h->n_type, 3);
	assert_string_equal(note + sizeof(*h), "stapsdt");
	memcpy(place, note + sizeof(*h) + 8, sizeof(place));
	assert_int_equal(place[0], address);
	assert_int_equal(place[1], MADE_SEMAPHORES);
	assert_int_equal(place[2], semaphore);
	assert_string_equal(note + sizeof(*h) + 8 + 24, "shop");
	assert_string_equal(note + sizeof(*h) + 8 + 24 + 5, name);
	assert_string_equal(note + sizeof(*h) + 8 + 24 + 5 + strlen(name) + 1, "8@%rbx");
}

static const Elf64_Shdr *section(const char *file, const char *name, size_t skip)
{
	const Elf64_Ehdr *h = (const void *)file;
	const Elf64_Shdr *all = (const void *)(file + h->e_shoff);
	const char *names = file + all[h->e_shstrndx].sh_offset;

	for (size_t i = 0; i < h->e_shnum; i++)
		if (!strcmp(names + all[i].sh_name, name) && !skip--)
			return &all[i];
	return NULL;
}

static void an_executable_gets_notes(void **state)
{
	struct made_executable made;
	size_t n = 0;
	const char *file, *notes;
	const Elf64_Shdr *s;

	made_executable(&made, (struct made_options){.stubs = 2, .semaphores = 3});
	made_write(&made, file_new());
	assert_int_equal(usdt_write_notes(file_new(), &n, NULL), 0);
	assert_int_equal(n, 2);
	file = file_text();
	/* What was there is there still, but for the header. */
	assert_memory_equal(file + sizeof(Elf64_Ehdr), made.bytes + sizeof(Elf64_Ehdr),
	                    sizeof(made.bytes) - sizeof(Elf64_Ehdr));
	s = section(file, ".note.stapsdt", 0);
	assert_int_equal(s->sh_type, SHT_NOTE);
	assert_false(s->sh_flags & SHF_ALLOC);
	notes = file + s->sh_offset;
	check_note(notes, made_stub(0), made_semaphore(0) + 24, "probe_0");
	check_note(notes + s->sh_size / 2, made_stub(1), made_semaphore(1) + 24, "probe_1");
	/* The section that the semaphores are in has become four, of which none overlaps another. */
	assert_int_equal(section(file, ".noptrdata", 0)->sh_size, MADE_SEMAPHORES - MADE_DATA);
	assert_int_equal(section(file, ".stapsdt.base", 0)->sh_addr, MADE_SEMAPHORES);
	s = section(file, ".probes", 0);
	assert_true(s->sh_addr > MADE_SEMAPHORES && s->sh_addr <= made_semaphore(0) + 24);
	assert_int_equal(s->sh_addr + s->sh_size, made_semaphore(3));
	assert_int_equal(s->sh_offset, s->sh_addr - MADE_DATA + MADE_DATA_OFFSET);
	assert_int_equal(section(file, ".noptrdata", 1)->sh_addr, made_semaphore(3));
	assert_int_equal(section(file, ".noptrdata", 1)->sh_size, MADE_DATA + MADE_DATA_SIZE - made_semaphore(3));
}

static void check_untouched(struct made_options options, int want, const char *sentence)
{
	struct made_executable made;
	struct err err = {0};
	size_t n = 0;

	made_executable(&made, options);
	made_write(&made, file_new());
	assert_int_equal(usdt_write_notes(file_new(), &n, &err), want);
	assert_int_equal(n, 0);
	if (sentence && !strstr(err.text, sentence))
		fail_msg("%s", err.text);
	file_text();
	assert_int_equal(file_bytes.len, sizeof(made.bytes));
	assert_memory_equal(file_bytes.data, made.bytes, sizeof(made.bytes));
}

static void what_cannot_be_noted_stays(void **state)
{
	check_untouched((struct made_options){0}, 0, NULL);
	check_untouched((struct made_options){.semaphores = 2}, 0, NULL);
	check_untouched((struct made_options){.stubs = 2, .semaphores = 2, .foreign = true}, 0, NULL);
	check_untouched((struct made_options){.stubs = 2}, 0, NULL);
	check_untouched((struct made_options){.stubs = 1, .semaphores = 1, .endless_texts = true}, 0, NULL);
	check_untouched((struct made_options){.stubs = 1, .semaphores = 1, .no_sections = true}, -EINVAL,
	                "no table of sections");
	check_untouched((struct made_options){.stubs = 1, .semaphores = 2, .small_section = true}, -EINVAL,
	                "not in one section");
	assert_int_equal(usdt_write_notes("/nowhere/at/all", &(size_t){0}, NULL), -ENOENT);
}

/* ---- what is woven ---- */

static const char source_text[] = "package main\n"
                                  "func place(id string, total int) error {\n"
                                  "	return nil\n"
                                  "}\n";

static const char pack_text[] = "pack: my-shop\n"
                                "about: a test\n"
                                "packages: [main]\n"
                                "spans:\n"
                                "- name: order\n"
                                "  kind: internal\n"
                                "  titles: [order]\n"
                                "  points:\n"
                                "  - name: begin\n"
                                "    role: start\n"
                                "    variants:\n"
                                "    - func: main.place(id string, total int)\n"
                                "      capture: {id: id, total: total}\n"
                                "  - name: done\n"
                                "    role: end\n"
                                "    variants:\n"
                                "    - func: main.place(id string, total int)\n"
                                "      at: return\n";

struct woven {
	char dir[32];
	struct weave_package package;
	struct pack *pack;
	struct arena arena;
};

static void weave_source(struct woven *w, const char *source, const char *pack, const char *span, bool usdt)
{
	struct span_question q = {0};
	struct weave_wanted wanted = {.usdt = usdt};
	char path[48], *files[] = {path};
	struct err err = {0};
	FILE *f;

	snprintf(w->dir, sizeof(w->dir), "/tmp/earshot-usdt-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(path, sizeof(path), "%s/a.go", w->dir);
	f = fopen(path, "w");
	fputs(source, f);
	fclose(f);
	if (weave_package_open(&w->package, "main", files, 1, &err) ||
	    (pack && pack_parse("test.yaml", pack, strlen(pack), &w->pack, &err)) ||
	    (span && span_question_parse(span, &w->arena, &q, &err)))
		fail_msg("%s", err.text);
	wanted.packs = &w->pack;
	wanted.npacks = pack != NULL;
	wanted.spans = &q;
	wanted.nspans = span != NULL;
	assert_int_equal(weave_points(&w->package, &wanted, &err), 0);
	unlink(path);
	rmdir(w->dir);
}

static void weave(struct woven *w, const char *pack, const char *span, bool usdt)
{
	weave_source(w, source_text, pack, span, usdt);
}

static void woven_done(struct woven *w)
{
	weave_package_done(&w->package);
	pack_free(w->pack);
	arena_done(&w->arena);
}

static char *edited(struct woven *w)
{
	struct weave_file *f = &w->package.files[0];
	struct buf out = {0};

	assert_true(go_edits_apply(&f->edits, f->path, f->text.data, f->text.len, &out));
	return buf_take(&out);
}

static bool is_argument(const struct weave_probe *p, size_t i, enum usdt_parameter parameter, unsigned at,
                        bool is_signed)
{
	const struct usdt_argument *a = &p->arguments[i];

	return a->parameter == parameter && a->at == at && a->is_signed == is_signed;
}

static void points_are_probes(void **state)
{
	struct woven w = {0};
	_cleanup_(cleanup_free) char *text = NULL;
	const struct weave_probe *p;
	const char *added;

	weave(&w, pack_text, NULL, true);
	assert_int_equal(w.package.probes.len, 2);
	p = w.package.probes.data;
	assert_string_equal(p[0].provider, "my_shop");
	assert_string_equal(p[0].name, "order_start");
	assert_string_equal(p[1].name, "order_end");
	assert_true(p[0].key != p[1].key && strcmp(p[0].symbol, p[1].symbol));
	assert_int_equal(p[0].narguments, 5);
	assert_true(is_argument(p, 0, USDT_GOROUTINE, 0, false) && is_argument(p, 4, USDT_CONTEXT, 0, false));
	assert_true(is_argument(p, 1, USDT_SLOTS, 0, false) && is_argument(p, 2, USDT_SLOTS, 8, false));
	assert_true(is_argument(p, 3, USDT_SLOTS, 32, true));
	assert_int_equal(p[1].narguments, 2);
	text = edited(&w);
	assert_non_null(strstr(text, "if *earshotSwitch != earshot_p0.off || earshot_u0.listening != 0 {"));
	assert_non_null(strstr(text, "if *earshotSwitch != earshot_p1.off || earshot_u1.listening != 0 {"));
	added = w.package.added.data[0].text.data;
	assert_non_null(strstr(added, "\tif earshot_u0.listening != 0 {"));
	/* Behind a start's record there is a span, and behind an end's there is none. */
	assert_true(strstr(added, "(&earshot_p0") < strstr(added, "earshot_n0(&earshotS[0]"));
	assert_true(strstr(added, "(&earshot_p1") > strstr(added, "earshot_n1(nil"));
	woven_done(&w);
}

/* A function that is a span: its end's probe does without the start's record, and then no record is written. */
static void an_end_has_its_own_listeners(void **state)
{
	struct woven w = {0};
	_cleanup_(cleanup_free) char *text = NULL;

	weave(&w, NULL, "main.place", true);
	assert_int_equal(w.package.probes.len, 2);
	assert_string_equal(w.package.probes.data[0].provider, "functions");
	assert_string_equal(w.package.probes.data[0].name, "main_place_start");
	/* Of its captures not the function's own name, which is always the same. */
	assert_int_equal(w.package.probes.data[0].narguments, 5);
	text = edited(&w);
	assert_non_null(strstr(text, "off || earshot_u0.listening != 0 || earshot_u1.listening != 0 {"));
	assert_non_null(strstr(text, "{ earshotD = 0 }; if earshotD != 0 || earshot_u1.listening != 0 { defer"));
	assert_non_null(strstr(w.package.added.data[0].text.data, "written = earshotD != 0 && earshotWrite("));
	woven_done(&w);
}

/* Where the start's condition does not hold there is no end for the end's listeners, either. */
static void a_condition_is_that_of_both_probes(void **state)
{
	struct woven w = {0};
	_cleanup_(cleanup_free) char *text = NULL;
	const char *added;

	weave(&w, NULL, "main.place if total > 3", true);
	assert_int_equal(w.package.probes.len, 2);
	text = edited(&w);
	assert_non_null(strstr(text, "if earshotW, earshotO := earshot_f0(earshotD, id, total); !earshotO {"
	                             " if !earshotW { earshotD = 0 };"
	                             " if earshotW || earshot_u1.listening != 0 { defer"));
	added = w.package.added.data[0].text.data;
	assert_non_null(strstr(added, ") (written, out bool) {\n"));
	assert_non_null(strstr(added, "\treturn false, true\n"));
	assert_non_null(strstr(added, "\treturn written, false\n"));
	woven_done(&w);
}

static void without_the_option_there_are_none(void **state)
{
	struct woven w = {0};
	_cleanup_(cleanup_free) char *text = NULL;

	weave(&w, pack_text, NULL, false);
	assert_int_equal(w.package.probes.len, 0);
	text = edited(&w);
	assert_null(strstr(text, "listening"));
	assert_null(strstr(w.package.added.data[0].text.data, "listening != 0"));
	woven_done(&w);
}

/* ---- what the source asks for ---- */

static const char asking[] = "package main\n"
                             "type Order struct { ID string; Total int }\n"
                             "//earshot:usdt shop:order_placed o.ID, o.Total\n"
                             "func place(o *Order, n int8) error {\n"
                             "	sum := 1 //earshot:usdt shop:one int(sum), n\n"
                             "	switch sum {\n"
                             "	case 1: //earshot:usdt shop:two\n"
                             "	default:\n"
                             "		sum++\n"
                             "		//earshot:usdt shop:three len(list), []byte(text)\n"
                             "	}\n"
                             "	func(inner string) {\n"
                             "		//earshot:usdt shop:four inner\n"
                             "	}(o.ID)\n"
                             "	if sum == 2 {\n"
                             "		//earshot:usdt shop:five\n"
                             "		return nil\n"
                             "	}\n"
                             "	return nil\n"
                             "}\n";

static void sources_ask_for_probes(void **state)
{
	static const char *const names[] = {"order_placed", "one", "two", "three", "five", "four"};
	static const size_t arguments[] = {3, 2, 0, 3, 0, 2};
	struct woven w = {0};
	_cleanup_(cleanup_free) char *text = NULL;

	weave_source(&w, asking, NULL, NULL, true);
	if (w.package.warnings.len)
		fail_msg("%s", w.package.warnings.data[0]);
	assert_int_equal(w.package.probes.len, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_string_equal(w.package.probes.data[i].provider, "shop");
		assert_string_equal(w.package.probes.data[i].name, names[i]);
		assert_int_equal(w.package.probes.data[i].narguments, arguments[i]);
	}
	assert_true(is_argument(w.package.probes.data, 2, USDT_SLOTS, 32, true));
	text = edited(&w);
	assert_non_null(strstr(text, "error {; if earshot_u0.listening != 0 { earshot_f0(0, o) }; \n"));
	assert_non_null(strstr(text, "sum := 1 ; if earshot_u1.listening != 0 { earshot_f1(0, n, int(sum)) }; //"));
	assert_non_null(strstr(text, "{ earshot_f3(0, len(list), []byte(text)) }; //"));
	/* What is only a probe is no point of ours. */
	assert_null(strstr(w.package.added.data[0].text.data, "var earshot_p"));
	woven_done(&w);
	w = (struct woven){0};
	weave_source(&w, asking, NULL, NULL, false);
	assert_int_equal(w.package.added.len, 0);
	woven_done(&w);
}

static void check_refused(const char *body, const char *want)
{
	struct woven w = {0};
	_cleanup_(buf_done) struct buf source = {0};

	buf_printf(&source, "package main\nfunc f(id string, o any) int {\n%s\n}\n", body);
	weave_source(&w, source.data, NULL, NULL, true);
	assert_int_equal(w.package.probes.len, 0);
	assert_int_equal(w.package.warnings.len, 1);
	if (!strstr(w.package.warnings.data[0], want))
		fail_msg("%s", w.package.warnings.data[0]);
	woven_done(&w);
}

static void what_cannot_be_asked_for(void **state)
{
	check_refused("//earshot:usdt placed id\nreturn 1", "PROVIDER:NAME");
	check_refused("//earshot:usdt shop:pla-ced id\nreturn 1", "PROVIDER:NAME");
	check_refused("//earshot:usdt shop:a id,\nreturn 1", "no expression");
	check_refused("//earshot:usdt shop:a f(id\nreturn 1", "not closed");
	check_refused("//earshot:usdt shop:a int(1), int(x), int(x), int(x), int(x), int(x), int(x), int(x), int(x), "
	              "int(x), int(x), int(x), int(x)\nreturn 1",
	              "at most 12");
	check_refused("//earshot:usdt shop:a x\nreturn 1", "a.go:3: //earshot:usdt shop:a x is no probe: x");
	check_refused("//earshot:usdt shop:a string(x.y)\nreturn 1", "is no probe");
	check_refused("return 1\n//earshot:usdt shop:a id", "may have ended there");
	check_refused("if id == \"\" {\nreturn 1 //earshot:usdt shop:a\n} else {\nreturn 2\n}", "may have ended there");
	check_refused("panic(1)\n//earshot:usdt shop:a", "may have ended there");
	check_refused("print(1, //earshot:usdt shop:a\n2)\nreturn 1", "no statement may stand there");
	check_refused("switch id {\ncase 1:\nfallthrough //earshot:usdt shop:a\ncase 2:\n}\nreturn 1",
	              "no statement may stand there");
	check_refused("id, x := 1, 2\n//earshot:usdt shop:a id\nreturn id + x", "id is declared again");
	check_refused("var id = 1\n//earshot:usdt shop:a id\nreturn id", "id is declared again");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_have_letters_and_digits),
	    cmocka_unit_test(stubs_of_both_machines),
	    cmocka_unit_test(an_executable_gets_notes),
	    cmocka_unit_test(what_cannot_be_noted_stays),
	    cmocka_unit_test(points_are_probes),
	    cmocka_unit_test(an_end_has_its_own_listeners),
	    cmocka_unit_test(a_condition_is_that_of_both_probes),
	    cmocka_unit_test(without_the_option_there_are_none),
	    cmocka_unit_test(sources_ask_for_probes),
	    cmocka_unit_test(what_cannot_be_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, file_end);
}
