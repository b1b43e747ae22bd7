/*
 * binary/: what only some functions have, on tests/go/shapes as every toolchain builds it: inlined
 * instances, named and unnamed results, dictionaries of generic functions, captured variables, ways
 * out other than a RET.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <gelf.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "base/buf.h"
#include "binary/dwarf.h"
#include "binary/insn.h"
#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "unit/open.h"
#include "unit/uprobe_sites.h"
#include "unit/uprobe_sites.h"

static void for_each(const char *pattern, void (*fn)(struct binary *b))
{
	glob_t g;
	size_t n = go_binaries(pattern, &g);

	for (size_t i = 0; i < n; i++) {
		struct binary *b = open_program(g.gl_pathv[i]);

		fn(b);
		binary_free(b);
	}
	globfree(&g);
	if (!n)
		skip();
}

static struct func find(struct binary *b, const char *name)
{
	struct func f;

	if (!binary_func_find(b, name, &f, 1))
		fail_msg("%s has no %s", binary_name(b), name);
	return f;
}

/* ---- signatures as text ---- */

static void print_params(struct buf *s, const struct param *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(s, "%s%s %s", i ? ", " : "", *p[i].name ? p[i].name : "-",
		           p[i].type ? p[i].type->name : "?");
		for (size_t k = 0; k < p[i].npieces; k++) {
			const struct piece *x = &p[i].pieces[k];

			if (x->where == ON_STACK)
				buf_printf(s, " [%d]", x->stack);
			else if (x->where == IN_FLOAT_REG)
				buf_printf(s, " x%d", x->reg - XMM_0);
			else
				buf_printf(s, " r%d", x->reg);
			if (x->offset)
				buf_printf(s, "+%u", x->offset);
		}
	}
}

static void check_signature(struct binary *b, const char *name, const char *params,
                            const char *results)
{
	struct func f = find(b, name);
	struct buf p = {0}, r = {0};
	struct err err = {0};
	struct signature s;

	if (binary_signature(b, &f, NULL, &s, &err))
		fail_msg("%s", err.text);
	buf_str(&p, "");
	buf_str(&r, "");
	print_params(&p, s.params, s.nparams);
	print_params(&r, s.results, s.nresults);
	if (s.nparams && strcmp(p.data, params))
		fail_msg("%s: %s has parameters %s", binary_name(b), name, p.data);
	if (s.nresults && strcmp(r.data, results))
		fail_msg("%s: %s has results %s", binary_name(b), name, r.data);
	assert_int_equal(!s.nparams, !*params);
	assert_int_equal(!s.nresults, !*results);
	assert_true(s.results_known);
	buf_done(&p);
	buf_done(&r);
}

static void check_results(struct binary *b)
{
	struct func f = find(b, "main.Unnamed");
	struct signature s;

	check_signature(b, "main.Outer",
	                "f float64 x0, s string r0 r1+8, big [6]int [8], p main.Point r2 r3+8",
	                "n int r0, err error r1 r2+8");
	check_signature(b, "main.Deferred", "n int r0", "r int r0");
	check_signature(b, "main.Panics", "n int r0", "");
	check_signature(b, "main.Counter.func1", "by int r0", "- string r0 r1+8");
	check_signature(b, "main.(*Base).Get", "b *main.Base r0, a int r1", "- int r0");
	/* of the parameter without a name DWARF has no type before Go 1.22 */
	assert_int_equal(binary_signature(b, &f, NULL, &s, NULL), 0);
	assert_true(s.results_known);
	assert_int_equal(s.nparams, 2);
	assert_string_equal(s.params[0].name, "a");
	assert_int_equal(s.params[0].type->kind, KIND_INT);
	assert_string_equal(s.params[1].name, "");
	assert_int_equal(s.params[1].npieces, 2);
	assert_int_equal(s.nresults, 3);
	assert_int_equal(s.results[1].type->kind, KIND_STRING);
	assert_int_equal(s.results[2].pieces[0].reg, GPR_RDI);
	for (size_t i = 0; i < s.nresults; i++)
		assert_string_equal(s.results[i].name, "");
}

static void test_results(void **state)
{
	for_each("bin/shapes-go1.*-plain", check_results);
}

/* A method's type has all results; DWARF has the same or none. */
static void compare_results(struct binary *b)
{
	size_t methods = 0, none = 0, n;
	const struct dwarf_param *d;
	struct signature s;
	struct func f;

	for (size_t i = 0; i < binary_func_count(b); i++) {
		size_t at = 0;

		if (!binary_func(b, i, &f) || binary_signature(b, &f, NULL, &s, NULL) ||
		    !(s.sources & SIG_METHOD) || !s.nresults || dwarf_function(b, &f, &d, &n))
			continue;
		for (size_t k = 0; k < n; k++) {
			if (!d[k].result)
				continue;
			assert_true(at < s.nresults);
			assert_string_equal(d[k].type->name, s.results[at++].type->name);
		}
		methods++;
		none += !at;
		assert_true(!at || at == s.nresults);
	}
	printf("%s: results of %zu methods alike, DWARF has none of %zu\n",
	       strrchr(binary_name(b), '/') + 1, methods - none, none);
	assert_true(methods > 500 && none * 15 < methods);
}

static void test_results_of_methods(void **state)
{
	for_each("bin/httpd-go1.*-plain", compare_results);
}

/* ---- inlined ---- */

static struct inlined inlined_in(struct binary *b, const char *name, const char *host)
{
	struct inlined in[16];
	size_t n = binary_inlined(b, name, in, ARRAY_SIZE(in));

	for (size_t i = 0; i < MIN(n, ARRAY_SIZE(in)); i++)
		if (!strcmp(in[i].host.name, host))
			return in[i];
	fail_msg("%s: %s was not inlined into %s", binary_name(b), name, host);
	return (struct inlined){0};
}

static struct signature inlined_signature(struct binary *b, const char *name, const char *host)
{
	struct inlined i = inlined_in(b, name, host);
	const char *approximate;
	struct err err = {0};
	struct signature s;
	struct uprobe_site site;

	if (inlined_site(b, &i, &site, &approximate, &err) ||
	    binary_inlined_signature(b, &i, site.site.addr, &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(site.site.addr, i.entry);
	assert_int_equal(site.site.kind, JOIN_INLINED);
	assert_int_equal(site.flags_skip, 0);
	assert_int_equal(s.nresults, 0);
	assert_false(s.results_known);
	return s;
}

static void check_inlined(struct binary *b)
{
	struct signature s = inlined_signature(b, "main.middle", "main.Host");
	const char *name;
	bool found = false;
	size_t pos = 0;

	assert_int_equal(s.nparams, 2);
	assert_string_equal(s.params[0].name, "a");
	assert_int_equal(s.params[0].npieces, 1);
	assert_int_equal(s.params[0].pieces[0].reg, GPR_RAX);
	assert_null(s.params[0].why);
	/* only its length is used */
	assert_string_equal(s.params[1].name, "s");
	assert_int_equal(s.params[1].type->kind, KIND_STRING);
	assert_int_equal(s.params[1].npieces, 0);
	assert_non_null(strstr(s.params[1].why, "only a part"));
	/* inlined into what was inlined */
	inlined_signature(b, "main.inner", "main.Host");
	inlined_signature(b, "main.inner", "main.Outer");
	s = inlined_signature(b, "main.(*Point).Scale", "main.Host");
	assert_true(s.has_receiver);
	assert_string_equal(s.params[0].name, "p");
	assert_int_equal(s.params[0].pieces[0].reg, GPR_RDI);
	assert_string_equal(s.params[1].name, "by");
	s = inlined_signature(b, "main.spin", "main.Loops");
	assert_false(s.has_receiver);
	assert_int_equal(s.params[0].pieces[0].where, IN_REG);
	s = inlined_signature(b, "main.Mixed.weigh", "main.Loops");
	assert_true(s.has_receiver);
	while (binary_inlined_next(b, &pos, &name))
		found |= !strcmp(name, "main.inner");
	assert_true(found);
}

static void test_inlined(void **state)
{
	for_each("bin/shapes-go1.*-plain", check_inlined);
}

struct tally {
	size_t instances, params, located, proved, loops, refused, unknown;
};

static void check_instance(struct binary *b, const struct inlined *i, struct tally *t)
{
	const char *approximate = NULL;
	struct err err = {0};
	struct signature s;
	struct uprobe_site site;

	assert_true(i->entry >= i->host.entry && i->entry < i->host.end);
	assert_true(i->call >= i->host.entry && i->call < i->host.end);
	if (!i->die) { /* in wrappers that the compiler makes, and see compare_frames */
		t->unknown++;
		return;
	}
	assert_int_equal(binary_inlined_signature(b, i, i->entry, &s, &err), 0);
	t->instances++;
	t->params += s.nparams;
	for (size_t k = 0; k < s.nparams; k++) {
		const struct param *p = &s.params[k];
		uint64_t bytes = 0;

		t->located += !p->why;
		assert_true(!p->why != (!p->npieces && (!p->type || p->type->size)));
		for (size_t j = 0; j < p->npieces; j++) {
			assert_true(p->pieces[j].offset + p->pieces[j].bytes <= p->type->size);
			assert_true(p->pieces[j].where == ON_STACK || p->pieces[j].size <= 8);
			bytes += p->pieces[j].bytes;
		}
		assert_true(bytes <= (p->type ? p->type->size : 0));
	}
	if (!inlined_site(b, i, &site, &approximate, &err)) {
		assert_true(site.sp_delta >= 0 && site.sp_delta <= i->host.frame_size);
		assert_true(site.site.addr >= i->host.entry && site.site.addr < i->host.end);
		t->proved += !approximate;
		assert_true(!approximate || strstr(approximate, "inlined into "));
	} else if (strstr(err.text, "begins with a loop"))
		t->loops++;
	else
		t->refused++;
}

static void check_instances(struct binary *b)
{
	struct tally t = {0};
	struct inlined in[64];
	const char *name;
	size_t pos = 0;

	while (binary_inlined_next(b, &pos, &name)) {
		size_t n = MIN(binary_inlined(b, name, in, ARRAY_SIZE(in)), ARRAY_SIZE(in));

		for (size_t i = 0; i < n; i += 7)
			check_instance(b, &in[i], &t);
	}
	printf("%s: %zu instances, %zu of %zu parameters located, %zu sites proved, %zu loop to their "
	       "entry, %zu cannot carry a probe\n",
	       strrchr(binary_name(b), '/') + 1, t.instances, t.located, t.params, t.proved, t.loops,
	       t.refused);
	assert_true(t.proved * 3 > t.instances * 2);
	assert_true(t.instances > 1000 && t.located > 100);
	assert_true((t.loops + t.refused) * 20 < t.instances && t.unknown <= 9);
}

static void test_instances(void **state)
{
	for_each("bin/httpd-go1.*-plain", check_instances);
}

/* The runtime's own tables agree with DWARF on what was inlined where, and have positions. */
static void check_frames(struct binary *b)
{
	struct func f = find(b, "main.Host");
	struct pc_frame v[8];
	bool nested = false;

	for (uint64_t pc = f.entry; pc < f.end; pc++) {
		size_t n = binary_pc_frames(b, pc, v, ARRAY_SIZE(v));

		assert_true(n >= 1);
		assert_string_equal(v[n - 1].function, "main.Host");
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(v[i].inlined, i + 1 < n);
			assert_true(v[i].line > 0);
			assert_non_null(strstr(v[i].file, "shapes/main.go"));
		}
		if (n < 3)
			continue;
		nested = true;
		assert_string_equal(v[0].function, "main.inner");
		assert_string_equal(v[1].function, "main.middle");
		assert_true(v[0].line < v[1].line && v[1].line < v[2].line);
		assert_int_equal(binary_pc_frames(b, pc, v, 1), 1);
		assert_string_equal(v[0].function, "main.Host");
	}
	assert_true(nested);
	assert_int_equal(binary_pc_frames(b, 0x10, v, ARRAY_SIZE(v)), 0);
	assert_int_equal(binary_pc_frames(b, f.entry, v, 0), 0);
}

static void test_frames(void **state)
{
	for_each("bin/shapes-go1.*", check_frames);
}

/*
 * Where an instance begins, its name is among the frames. (Go 1.19 gives three instances' first
 * instruction to another in the runtime's table than in DWARF.)
 */
static void compare_frames(struct binary *b)
{
	size_t same = 0, other = 0, pos = 0;
	struct inlined in[16];
	const char *name;

	while (binary_inlined_next(b, &pos, &name)) {
		size_t n = MIN(binary_inlined(b, name, in, ARRAY_SIZE(in)), ARRAY_SIZE(in));

		for (size_t i = 0; i < n; i++) {
			struct pc_frame v[64];
			size_t k = 0, frames = binary_pc_frames(b, in[i].entry, v, ARRAY_SIZE(v));

			while (k < frames && !func_name_equal(v[k].function, name))
				k++;
			same += k < frames;
			other += k == frames;
		}
	}
	printf("%s: %zu instances alike, %zu not\n", strrchr(binary_name(b), '/') + 1, same,
	       other);
	assert_true(same > 1000);
	assert_true(other <= 3);
}

static void test_frames_of_instances(void **state)
{
	for_each("bin/httpd-go1.*-plain", compare_frames);
}

/* ---- generics ---- */

/* The address of a symbol that ends in tail; 0 if there is none. */
static uint64_t symbol(struct binary *b, const char *tail)
{
	const struct image *img = binary_image(b);
	uint64_t found = 0;
	Elf_Scn *scn = NULL;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_memory((char *)img->data, img->size);
	while ((scn = elf_nextscn(elf, scn))) {
		Elf64_Shdr *sh = elf64_getshdr(scn);
		Elf_Data *d = sh->sh_type == SHT_SYMTAB ? elf_getdata(scn, NULL) : NULL;
		GElf_Sym sym;

		for (int i = 0; d && gelf_getsym(d, i, &sym); i++) {
			const char *s = elf_strptr(elf, sh->sh_link, sym.st_name);

			if (s && strlen(s) >= strlen(tail) &&
			    !strcmp(s + strlen(s) - strlen(tail), tail))
				found = sym.st_value;
		}
	}
	elf_end(elf);
	return found;
}

static void check_real_type(struct binary *b, uint64_t dict, const struct param *p,
                            const char *want)
{
	const struct type *t = binary_dictionary_type(b, dict, p->dict_word);

	assert_non_null(t);
	assert_string_equal(t->name, want);
	assert_int_equal(t->kind, p->type->kind);
	assert_int_equal(t->size, p->type->size);
}

/* The instance of name whose i-th parameter has this kind. */
static struct signature instance(struct binary *b, const char *name, size_t i, enum type_kind kind)
{
	struct func f[16];
	size_t n = binary_func_find(b, name, f, ARRAY_SIZE(f));
	struct signature s;

	for (size_t k = 0; k < n; k++)
		if (!binary_signature(b, &f[k], NULL, &s, NULL) && s.nparams > i &&
		    s.params[i].type->kind == kind && s.dictionary)
			return s;
	fail_msg("%s: no such instance of %s", binary_name(b), name);
	return s;
}

static void check_generics(struct binary *b)
{
	struct signature s = instance(b, "main.Max", 0, KIND_INT);
	uint64_t dict = symbol(b, "main..dict.Max[main.MyInt]");
	struct func f;

	assert_int_equal(s.nparams, 2);
	assert_int_equal(s.dictionary->npieces, 1);
	assert_int_equal(s.dictionary->pieces[0].reg, GPR_RAX);
	assert_int_equal(s.params[0].pieces[0].reg, GPR_RBX);
	check_real_type(b, dict, &s.params[0], "main.MyInt");
	check_real_type(b, dict, &s.results[0], "main.MyInt");
	f = find(b, "main.Max");
	assert_string_equal(binary_instance_name(b, &f, dict), "main.Max[main.MyInt]");
	assert_null(binary_instance_name(b, &f, dict + 1));
	check_real_type(b, symbol(b, "main..dict.Max[int]"), &s.params[1], "int");
	s = instance(b, "main.Max", 0, KIND_FLOAT64);
	assert_int_equal(s.params[0].pieces[0].where, IN_FLOAT_REG);
	s = instance(b, "main.Map", 0, KIND_SLICE);
	dict = symbol(b, strstr(s.params[1].type->name, "float64") ? "main..dict.Map[main.MyInt,float64]"
	                                                           : "main..dict.Map[int,string]");
	assert_non_null(binary_dictionary_type(b, dict, s.params[0].dict_word));
	assert_int_equal(binary_dictionary_type(b, dict, s.params[0].dict_word)->kind, KIND_SLICE);
	s = instance(b, "main.(*Stack[...]).Push", 1, KIND_POINTER);
	dict = symbol(b, "[*main.Point]).Push");
	if (!dict)
		dict = symbol(b, "main..dict.Stack[*main.Point]");
	assert_true(s.has_receiver);
	f = find(b, "main.(*Stack[...]).Push");
	assert_string_equal(binary_instance_name(b, &f, dict), "main.(*Stack[*main.Point]).Push");
	check_real_type(b, dict, &s.params[1], "*main.Point");
	check_real_type(b, dict, &s.params[0], "*main.Stack[*main.Point]");
	assert_null(binary_dictionary_type(b, dict, 0));
	assert_null(binary_dictionary_type(b, 0x10, 1));
	assert_null(binary_dictionary_type(b, find(b, "main.main").entry, 1));
}

static void test_generics(void **state)
{
	for_each("bin/shapes-go1.*-plain", check_generics);
}

/* ---- closures ---- */

static size_t captured;

static void check_closures(struct binary *b)
{
	struct func f = find(b, "main.Counter.func1");
	const struct closure_var *v;
	struct err err = {0};
	size_t n;

	if (binary_closure_vars(b, &f, &v, &n, &err)) {
		assert_int_equal(err.code, -ENODATA);
		assert_non_null(strstr(err.text, "main.Counter.func1"));
		return;
	}
	captured++;
	assert_int_equal(n, 2);
	assert_string_equal(v[0].name, "count");
	assert_true(v[0].by_reference);
	assert_int_equal(v[0].type->kind, KIND_INT);
	assert_int_equal(v[0].offset, 8);
	assert_string_equal(v[1].name, "name");
	assert_false(v[1].by_reference);
	assert_int_equal(v[1].type->kind, KIND_STRING);
	assert_int_equal(v[1].offset, 16);
	f = find(b, "main.Walk");
	assert_int_equal(binary_closure_vars(b, &f, &v, &n, NULL), -ENODATA);
}

static void test_closures(void **state)
{
	for_each("bin/shapes-go1.*-plain", check_closures);
	assert_true(captured >= 1);
	for_each("bin/shapes-go1.*-sw", check_closures);
}

/* Method values, and what the compiler wraps around go and defer statements. */
static void check_generated(struct binary *b)
{
	struct signature s;
	struct func f;

	for (size_t i = 0; i < binary_func_count(b); i++)
		if (binary_func(b, i, &f) && !strncmp(f.name, "main.", 5)) {
			assert_int_equal(binary_signature(b, &f, NULL, &s, NULL), 0);
			assert_true(s.nparams <= 4);
		}
	f = find(b, "main.(*Point).Scale-fm");
	assert_int_equal(binary_signature(b, &f, NULL, &s, NULL), 0);
	assert_false(s.has_receiver);
	assert_int_equal(s.nparams, 1);
	assert_true(s.params[0].npieces || s.params[0].why);
	if (s.params[0].npieces)
		assert_int_equal(s.params[0].pieces[0].reg, GPR_RAX);
}

static void test_generated(void **state)
{
	for_each("bin/shapes-go1.*", check_generated);
}

/* ---- sites ---- */

/* Any instruction that can carry a probe, as an inlined call's. */
static void check_places(struct binary *b)
{
	struct func f = find(b, "main.Epilogues");
	struct err err = {0};
	struct disasm c;
	size_t taken = 0;

	assert_int_equal(func_disasm(b, &f, &c, &err), 0);
	for (size_t i = 0; i < c.n; i++) {
		const struct spot spot = {.offset = (uint32_t)(c.insns[i].addr - f.entry), .len = c.insns[i].len};
		const struct join_point at = {.kind = JOIN_INLINED, .func = f.index, .spots = &spot, .nspots = 1};
		const struct site *s = NULL;
		int r = uprobe_locate(b, &at, &s, &err);
		int32_t delta;

		assert_true(r == 0 || r == -ENOTSUP);
		if (r)
			continue;
		taken++;
		assert_true(func_sp_delta(b, &f, c.insns[i].addr, &delta));
		assert_int_equal(uprobe_site_of(s)->sp_delta, delta);
		assert_int_equal(s->addr, c.insns[i].addr);
		assert_int_equal(s->kind, JOIN_INLINED);
		assert_int_equal(uprobe_site_of(s)->flags_skip, 0);
	}
	assert_true(taken > 20);
	disasm_done(&c);
}

static void test_places(void **state)
{
	for_each("bin/shapes-go1.*", check_places);
}

static void check_exit(struct binary *b, const char *name, int code, size_t least, const char *words)
{
	struct func f = find(b, name);
	const struct site *s;
	struct err err = {0};
	size_t n = 0;

	assert_int_equal(return_sites(b, &f, &s, &n, &err), code);
	assert_true(n >= least);
	assert_true(!words || strstr(err.text, words));
	assert_int_equal(binary_returns_complete(b, &f, &err), 0);
}

/* Promoted methods are wrappers that call, or jump when the receiver needs no more than that. */
static void check_promoted(struct binary *b)
{
	struct func f = find(b, "main.(*Front).Get");
	int r, complete;
	const struct site *s;
	struct err err = {0};
	size_t n;

	complete = binary_returns_complete(b, &f, &err);
	r = return_sites(b, &f, &s, &n, NULL);
	assert_int_equal(r, complete);
	if (!r)
		return;
	assert_int_equal(r, -ENOTSUP);
	assert_string_equal(err.text, "main.(*Front).Get leaves by a jump to main.(*Base).Get, so "
	                              "its return cannot be seen; probe main.(*Base).Get");
}

static void check_exits(struct binary *b)
{
	check_exit(b, "main.Forever", -ENOENT, 0, "never returns");
	check_exit(b, "main.Panics", -ENOENT, 0, "never returns");
	check_exit(b, "main.Epilogues", 0, 3, NULL);
	check_exit(b, "main.Deferred", 0, 2, NULL);
	check_promoted(b);
}

static void test_exits(void **state)
{
	for_each("bin/shapes-go1.*", check_exits);
}

/* By the binary's own tables SP is at the return address at every RET and at every jump out. */
static void check_sp(struct binary *b)
{
	size_t rets = 0, tails = 0, partly = 0;
	struct func f;

	for (size_t i = 0; i < binary_func_count(b); i++) {
		const struct site *s = NULL;
		size_t n = 0;
		int32_t delta;
		int r;

		if (!binary_func(b, i, &f) || f.flags & (FUNC_ASM | FUNC_NO_FUNCDATA))
			continue;
		r = return_sites(b, &f, &s, &n, NULL);
		for (; s; s = s->next) {
			assert_true(func_sp_delta(b, &f, s->addr, &delta));
			assert_int_equal(delta, uprobe_site_of(s)->sp_delta);
		}
		rets += n;
		if (binary_returns_complete(b, &f, NULL) != -ENOTSUP)
			continue;
		tails++;
		partly += !r;
	}
	printf("%s: %zu returns, %zu functions leave by a jump, %zu of them only sometimes\n",
	       strrchr(binary_name(b), '/') + 1, rets, tails, partly);
	assert_true(rets > 1000);
}

static void test_sp(void **state)
{
	for_each("bin/httpd-go1.*-sw", check_sp);
	for_each("third-party/*/prometheus/usr/bin/prometheus", check_sp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_results),   cmocka_unit_test(test_results_of_methods),
	    cmocka_unit_test(test_inlined),   cmocka_unit_test(test_instances),
	    cmocka_unit_test(test_generics),  cmocka_unit_test(test_closures),
	    cmocka_unit_test(test_generated), cmocka_unit_test(test_places),
	    cmocka_unit_test(test_exits),     cmocka_unit_test(test_sp),
	    cmocka_unit_test(test_frames),    cmocka_unit_test(test_frames_of_instances),
	};

	return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
