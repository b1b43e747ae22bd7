/*
 * binary/dwarf: types and locations against what other sources give, inlined instances, and damaged
 * sections. The damage is done to sections that were decompressed first: a flipped bit in a
 * compressed one only tests zlib.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "binary/dwarf.h"
#include "binary/insn.h"
#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "lib/touch.h"
#include "unit/open.h"

/* ---- locations ---- */

struct tally {
	size_t funcs, located, same, repeated, proved, wrong;
};

/* The compiler sometimes names one register for two parts; that is no place at function entry. */
static bool repeats_register(const struct dwarf_param *p)
{
	for (size_t i = 0; i < p->npieces; i++)
		for (size_t k = 0; k < i; k++)
			if (p->pieces[i].where != ON_STACK && p->pieces[k].where != ON_STACK &&
			    p->pieces[i].reg == p->pieces[k].reg)
				return true;
	return false;
}

static bool has_register(const struct param *p, uint8_t reg)
{
	for (size_t i = 0; i < p->npieces; i++)
		if (p->pieces[i].where != ON_STACK && p->pieces[i].reg == reg)
			return true;
	return false;
}

/* Offsets within the value are not compared: DWARF's pieces leave out padding. */
static bool same_place(const struct dwarf_param *d, const struct param *p)
{
	for (size_t i = 0; i < d->npieces; i++) {
		const struct piece *x = &d->pieces[i];

		if (x->where == ON_STACK ? !p->npieces || p->pieces[0].where != ON_STACK ||
		                               x->stack - (int32_t)x->offset != p->pieces[0].stack
		                         : !has_register(p, x->reg))
			return false;
	}
	return true;
}

static void compare_param(const struct func *f, const struct signature *s,
                          const struct dwarf_param *d, const struct param *p, struct tally *t)
{
	if (!d->located || p->why)
		return;
	t->located++;
	if (same_place(d, p)) {
		t->same++;
	} else if (repeats_register(d)) {
		t->repeated++;
	} else if (s->sources & SIG_SPILLS) {
		t->proved++; /* the code itself saves the registers that we say */
	} else {
		printf("%s: %s is elsewhere by DWARF\n", f->name, d->name);
		t->wrong++;
	}
}

static void compare_func(struct binary *b, const struct func *f, struct tally *t)
{
	const struct dwarf_param *d;
	struct signature s;
	size_t n, params = 0, at = 0;

	if (dwarf_function(b, f, &d, &n) || binary_signature(b, f, NULL, &s, NULL))
		return;
	for (size_t i = 0; i < n; i++)
		params += !d[i].result && strcmp(d[i].name, ".dict");
	if (params != s.nparams)
		return; /* DWARF leaves out what is not used */
	t->funcs++;
	for (size_t i = 0; i < n; i++)
		if (!d[i].result && strcmp(d[i].name, ".dict"))
			compare_param(f, &s, &d[i], &s.params[at++], t);
}

static void compare_locations(const char *path)
{
	struct binary *b = open_program(path);
	struct tally t = {0};
	struct func f;

	for (size_t i = 0; i < binary_func_count(b); i++)
		if (binary_func(b, i, &f) && !(f.flags & (FUNC_ASM | FUNC_NO_FUNCDATA)))
			compare_func(b, &f, &t);
	printf("%s: %zu functions, %zu located parameters, %zu alike, DWARF names a register twice "
	       "%zu, "
	       "the code saves others than DWARF says %zu, unexplained %zu\n",
	       strrchr(path, '/') + 1, t.funcs, t.located, t.same, t.repeated, t.proved, t.wrong);
	assert_true(t.funcs > 1000);
	assert_true(t.same * 100 > t.located * 95);
	assert_int_equal(t.wrong, 0);
	binary_free(b);
}

static void for_each(const char *pattern, void (*fn)(const char *path))
{
	if (!go_binaries_each(pattern, fn))
		skip();
}

static void test_locations(void **state)
{
	for_each("bin/httpd-go1.*-plain", compare_locations);
}

/* ---- types ---- */

static void compare_fields(struct binary *b, const struct type *t, const struct type *d)
{
	struct type_field x, y;

	assert_int_equal(d->size, t->size);
	assert_int_equal(d->kind, t->kind);
	assert_int_equal(d->align, t->align);
	assert_int_equal(type_field_count(b, d), type_field_count(b, t));
	for (size_t i = 0; type_field(b, t, i, &x) && type_field(b, d, i, &y); i++) {
		assert_string_equal(y.name, x.name);
		assert_int_equal(y.offset, x.offset);
		assert_int_equal(y.type->size, x.type->size);
		assert_int_equal(y.type->kind, x.type->kind);
	}
}

/* A type that has a descriptor comes out of DWARF as that descriptor; one that has none is read. */
static void check_types(const char *path)
{
	struct binary *b = open_program(path);
	const struct type *t = dwarf_type(b, "net/http.Request"), *d;

	assert_non_null(t);
	assert_ptr_equal(t, binary_type(b, "net/http.Request"));
	d = dwarf_type(b, "runtime.schedt");
	assert_non_null(d);
	assert_int_equal(d->source, TYPE_FROM_DWARF);
	assert_int_equal(d->kind, KIND_STRUCT);
	assert_string_equal(d->package, "runtime");
	assert_true(d->size > 100 && d->align == 8);
	assert_true(type_field_count(b, d) > 10);
	assert_ptr_equal(binary_type(b, "runtime.schedt"), d);
	assert_null(dwarf_type(b, "net/http.NoSuchType"));
	assert_int_equal(dwarf_type(b, "int")->kind, KIND_INT);
	binary_free(b);
}

static void test_types(void **state)
{
	for_each("bin/httpd-go1.*-plain", check_types);
}

static const char *const structs[] = {"net/http.Request", "net/url.URL",   "runtime.g",
                                      "bufio.Writer",     "net/http.conn", "crypto/tls.Config",
                                      "reflect.Value"};

/* With the descriptors' addresses ignored, the same layout must come out of DWARF alone. */
static void check_layouts(const char *path)
{
	struct binary *b = open_program(path);
	uint64_t types = b->md.types, etypes = b->md.etypes;
	const struct type *t[ARRAY_SIZE(structs)], *d;

	for (size_t i = 0; i < ARRAY_SIZE(structs); i++) {
		struct type_field f;

		t[i] = binary_type(b, structs[i]);
		for (size_t k = 0; t[i] && type_field(b, t[i], k, &f); k++)
			;
	}
	map_done(&b->types);
	b->types = (struct map){0};
	b->md.types = b->md.etypes = 0;
	for (size_t i = 0; i < ARRAY_SIZE(structs); i++) {
		d = t[i] ? dwarf_type(b, structs[i]) : NULL;
		if (d && d->source == TYPE_FROM_DWARF)
			compare_fields(b, t[i], d);
	}
	b->md.types = types;
	b->md.etypes = etypes;
	binary_free(b);
}

static void test_layouts(void **state)
{
	for_each("bin/httpd-go1.*-plain", check_layouts);
}

/* ---- inlined ---- */

static void check_inlined(const char *path)
{
	struct binary *b = open_program(path);
	struct inlined in[4];
	size_t n = binary_inlined(b, "sync.(*Mutex).Lock", in, ARRAY_SIZE(in));

	printf("%s: sync.(*Mutex).Lock inlined %zu times\n", strrchr(path, '/') + 1, n);
	assert_true(n > 10);
	for (size_t i = 0; i < ARRAY_SIZE(in); i++)
		assert_true(in[i].entry >= in[i].host.entry && in[i].entry < in[i].host.end);
	assert_int_equal(binary_inlined(b, "no.such", in, ARRAY_SIZE(in)), 0);
	binary_free(b);
}

static void test_inlined(void **state)
{
	for_each("bin/httpd-go1.*-plain", check_inlined);
}

static void check_stripped(const char *path)
{
	struct binary *b = open_program(path);
	const struct dwarf_param *p;
	struct signature sig;
	struct inlined in;
	struct func f;
	size_t n;

	assert_true(binary_func(b, 0, &f));
	assert_int_not_equal(dwarf_function(b, &f, &p, &n), 0);
	assert_null(dwarf_type(b, "runtime.schedt"));
	assert_true(binary_inlined(b, "sync.(*Mutex).Lock", &in, 1) > 10); /* the tables for tracebacks have it */
	assert_true(!in.die && in.call >= in.host.entry && in.call < in.host.end);
	assert_int_equal(binary_inlined_signature(b, &in, in.entry, &sig, NULL), -ENODATA);
	binary_free(b);
}

static void test_stripped(void **state)
{
	for_each("bin/httpd-go1.*-sw", check_stripped);
}

/* ---- damage ---- */

struct debug_file {
	int fd;
	uint64_t ranges[32][2]; /* offset and size of each debug section */
	size_t n;
};

static int copy_file(const char *path)
{
	int in = open(path, O_RDONLY | O_CLOEXEC), out = memfd_create("debug", MFD_CLOEXEC);
	char block[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, block, sizeof(block))) > 0)
		assert_int_equal(write(out, block, (size_t)n), n);
	close(in);
	return out;
}

/* Appends one debug section, decompressed, to the file and makes its header say so. */
static void move_section(struct debug_file *d, Elf_Scn *scn, uint64_t header, uint64_t *end)
{
	Elf64_Shdr sh = *elf64_getshdr(scn);
	Elf_Data *data;

	if (sh.sh_flags & SHF_COMPRESSED)
		assert_true(elf_compress(scn, 0, 0) >= 0);
	data = elf_rawdata(scn, NULL);
	assert_non_null(data);
	assert_int_equal(pwrite(d->fd, data->d_buf, data->d_size, (off_t)*end), data->d_size);
	sh.sh_flags &= ~(uint64_t)SHF_COMPRESSED;
	sh.sh_offset = *end;
	sh.sh_size = data->d_size;
	sh.sh_addralign = 1;
	assert_int_equal(pwrite(d->fd, &sh, sizeof(sh), (off_t)header), sizeof(sh));
	d->ranges[d->n][0] = *end;
	d->ranges[d->n++][1] = data->d_size;
	*end = ALIGN_UP(*end + data->d_size, 16u);
}

static void decompress(struct debug_file *d)
{
	Elf_Scn *scn = NULL;
	struct stat st;
	GElf_Ehdr eh;
	uint64_t end;
	Elf *elf;

	assert_int_equal(fstat(d->fd, &st), 0);
	end = ALIGN_UP((uint64_t)st.st_size, 16u);
	elf_version(EV_CURRENT);
	elf = elf_begin(d->fd, ELF_C_READ, NULL);
	assert_non_null(elf);
	assert_non_null(gelf_getehdr(elf, &eh));
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name = elf_strptr(elf, eh.e_shstrndx, elf64_getshdr(scn)->sh_name);

		if (name && !strncmp(name, ".debug_", 7) && d->n < ARRAY_SIZE(d->ranges))
			move_section(d, scn, eh.e_shoff + elf_ndxscn(scn) * sizeof(Elf64_Shdr),
			             &end);
	}
	elf_end(elf);
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Changes bytes and writes them back afterwards. */
static void damage(const struct debug_file *d, uint64_t *seed, void (*use)(int fd))
{
	unsigned char old[64];
	uint64_t at[64];
	size_t n = 1 + next_random(seed) % ARRAY_SIZE(at);

	for (size_t i = 0; i < n; i++) {
		const uint64_t *r = d->ranges[next_random(seed) % d->n];
		unsigned char c = (unsigned char)next_random(seed);

		at[i] = r[0] + (r[1] ? next_random(seed) % r[1] : 0);
		/* the tables at the start of a section steer everything else */
		if (next_random(seed) % 4 == 0)
			at[i] = r[0] + next_random(seed) % 64;
		if (pread(d->fd, &old[i], 1, (off_t)at[i]) != 1)
			old[i] = 0;
		assert_int_equal(pwrite(d->fd, &c, 1, (off_t)at[i]), 1);
	}
	use(d->fd);
	while (n--)
		assert_int_equal(pwrite(d->fd, &old[n], 1, (off_t)at[n]), 1);
}

static void ask(int fd)
{
	static const char *const names[] = {"runtime.schedt", "net/http.conn", "main.config",
	                                    "error"};
	struct binary *b = NULL;
	struct func f;

	if (binary_open_fd(fd, "damaged", &b, NULL))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct type *t = dwarf_type(b, names[i]);
		struct type_field x;

		for (size_t k = 0; t && type_field(b, t, k, &x); k++)
			assert_non_null(x.type);
	}
	for (size_t i = 0; i < binary_func_count(b); i += 7)
		if (binary_func(b, i, &f))
			touch_func(b, &f, true);
	touch_inlined(b, 5);
	binary_free(b);
}

/* The newest program of the pattern, damaged so many times. */
static bool damage_program(const char *pattern, int runs)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	struct debug_file d = {0};
	glob_t g;
	size_t n = go_binaries(pattern, &g);

	if (n) {
		d.fd = copy_file(g.gl_pathv[n - 1]);
		decompress(&d);
	}
	globfree(&g);
	if (!n)
		return false;
	assert_true(d.n > 4);
	while (runs--)
		damage(&d, &seed, ask);
	close(d.fd);
	return true;
}

/* Both versions of DWARF that Go writes. */
static void test_damage(void **state)
{
	const char *runs = getenv("DAMAGE_RUNS");
	int n = runs ? atoi(runs) : 12;

	if (!damage_program("bin/httpd-go1.*-plain", n) ||
	    !damage_program("bin/shapes-go1.23-plain", n * 3) ||
	    !damage_program("bin/shapes-go1.*-plain", n * 3))
		skip();
}

/* ---- constants and variables ---- */

static int global(struct binary *b, const char *name, struct global *ret)
{
	struct err err = {0};
	int r = binary_global(b, name, ret, &err);

	assert_true(r == 0 || r == -ENOENT || err.text[0]);
	return r;
}

static void check_globals(const char *path)
{
	struct binary *b = open_program(path);
	bool has_dwarf = binary_build_info(b)->has_dwarf;
	const struct type *t = binary_type(b, "main.State");
	struct global g;

	assert_int_equal(global(b, "main.limits", &g), -ENOENT);
	assert_int_equal(global(b, "threshold", &g), -ENOENT);
	if (!has_dwarf && !binary_build_info(b)->has_symtab) {
		assert_int_equal(global(b, "main.threshold", &g), -ENOENT);
		assert_null(binary_constant_name(b, t, 2));
		binary_free(b);
		return;
	}
	assert_int_equal(global(b, "main.threshold", &g), 0);
	assert_true(g.is_variable && g.size == 8 && image_offset(&b->img, g.addr, &(uint64_t){0}));
	assert_int_equal(g.type != NULL, has_dwarf);
	assert_int_equal(global(b, "io.EOF", &g), 0);
	assert_int_equal(g.size, 16);
	assert_int_equal(global(b, "other/io.EOF", &g), -ENOENT);
	assert_int_equal(global(b, "main.limit", &g), has_dwarf ? 0 : -ENOENT);
	if (has_dwarf) {
		assert_true(!g.is_variable && g.number == 40);
		assert_int_equal(global(b, "main.narrow", &g), 0);
		assert_int_equal(g.number, -7);
		assert_string_equal(g.type->name, "int16");
		assert_int_equal(global(b, "fs.ModeDir", &g), 0); /* io/fs */
		assert_int_equal(g.number, INT64_C(1) << 31);
	}
	assert_non_null(t);
	if (has_dwarf)
		assert_string_equal(binary_constant_name(b, t, 2), "busy");
	else
		assert_null(binary_constant_name(b, t, 2));
	assert_null(binary_constant_name(b, t, 9));
	binary_free(b);
}

static void test_globals(void **state)
{
	size_t n = go_binaries_each("bin/conditions-go1.*-*", check_globals);

	if (!n)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_locations), cmocka_unit_test(test_types),
	    cmocka_unit_test(test_layouts),   cmocka_unit_test(test_inlined),
	    cmocka_unit_test(test_stripped),  cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_globals),
	};

	return cmocka_run_group_tests_name("dwarf", tests, NULL, NULL);
}
