#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <zlib.h>

#include "unit/value_stub.h"

#include "profile.pb-c.h"
#include "unit/calls.h"
#include "unit/open.h"
#include "unit/written_file.h"

#define BIAS 0x10000

static struct sink *sink;

static void begin(void)
{
	struct err err = {0};

	assert_int_equal(open_file(&sink_pprof, file_new(), &sink, &err), 0);
}

static void give_at(const struct call_function *function, const struct resource *p, uint64_t address,
		    const uint64_t *stack, size_t n, uint64_t duration_ns)
{
	sink->ops->call(sink, &(struct call_record){.function = function, .resource = p, .address = address,
						    .stack = stack, .nstack = n, .duration_ns = duration_ns});
}

static void give(const struct call_function *function, const struct resource *p, const uint64_t *stack, size_t n,
		 uint64_t duration_ns)
{
	give_at(function, p, 0x2000, stack, n, duration_ns);
}

static Pprof__Profile *profile_read(void)
{
	static uint8_t bytes[1 << 20];
	gzFile f = gzopen(file_path, "rb");
	int n = gzread(f, bytes, sizeof(bytes));
	Pprof__Profile *p = n < 0 ? NULL : pprof__profile__unpack(NULL, (size_t)n, bytes);

	gzclose(f);
	assert_non_null(p);
	return p;
}

/* "outermost;…;innermost calls ns", a sample a line. */
static void print_profile(const Pprof__Profile *p, struct buf *out)
{
	for (size_t i = 0; i < p->n_sample; i++) {
		const Pprof__Sample *s = p->sample[i];

		for (size_t k = s->n_location_id; k > 0; k--) {
			const Pprof__Location *l = p->location[s->location_id[k - 1] - 1];

			for (size_t m = l->n_line; m > 0; m--) {
				const Pprof__Function *f = p->function[l->line[m - 1]->function_id - 1];

				buf_printf(out, "%s%s", p->string_table[f->name], k > 1 || m > 1 ? ";" : "");
			}
		}
		buf_printf(out, " %" PRId64 " %" PRId64 "\n", s->value[0], s->value[1]);
	}
}

static void stacks_and_values(void **state)
{
	static const uint64_t stack[] = {0x1002, 0x1003};
	const struct call_function inlined = {.name = "main.tiny", .inlined_into = "main.host"};
	Pprof__Profile *p;
	struct buf out = {0};

	begin();
	give(&add_function, &shop, stack, 2, 100);
	give(&add_function, &shop, stack, 2, 11);
	give(&add_function, &shop, stack, 1, 5);
	give(&inlined, &shop, stack, 2, 0); /* the first frame lies in the function it is in */
	give(&add_function, &cart, NULL, 0, 7);
	sink->ops->close(sink, 2000);
	p = profile_read();
	print_profile(p, &out);
	assert_string_equal(out.data, "main.f2;main.f1;main.(*Cart).Add 2 111\n"
				      "main.f1;main.(*Cart).Add 1 5\n"
				      "main.f2;main.f1;main.tiny 1 0\n"
				      "main.(*Cart).Add 1 7\n");
	assert_string_equal(p->string_table[0], "");
	assert_int_equal(p->n_sample_type, 2);
	assert_string_equal(p->string_table[p->sample_type[0]->type], "calls");
	assert_string_equal(p->string_table[p->sample_type[0]->unit], "count");
	assert_string_equal(p->string_table[p->sample_type[1]->type], "duration");
	assert_string_equal(p->string_table[p->sample_type[1]->unit], "nanoseconds");
	assert_int_equal(p->n_mapping, 0); /* it is not known where their code is */
	pprof__profile__free_unpacked(p, NULL);
	buf_done(&out);
}

static const char *first_of(const char *pattern, glob_t *g)
{
	return glob(pattern, 0, NULL, g) == 0 ? g->gl_pathv[0] : NULL;
}

static const char *in_cache(const char *what, char path[300])
{
	const char *cache = getenv("EARSHOT_CACHE");

	snprintf(path, 300, "%s/%s", cache ? cache : "/var/cache/earshot", what);
	return path;
}

/* Functions, files and lines of a real program, as Go's own tool shows them. */
static void go_tool_pprof_reads_it(void **state)
{
	char path[300], command[700], line[500];
	glob_t tools = {0}, programs = {0};
	const char *tool = first_of(in_cache("toolchains/go*/pkg/tool/linux_amd64/pprof", path), &tools);
	const char *program = first_of(in_cache("bin/calls-go*-plain", path), &programs);
	struct resource resource = {.id = 1, .pid = 4711, .name = "calls"};
	const struct call_function function = {.name = "main.main"};
	struct func main_main, caller;
	struct arena arena = {0};
	struct binary *binary;
	struct buf out = {0};
	uint64_t stack[1];
	FILE *f;

	if (!tool || !program) {
		print_message("skipped: %s\n", tool ? "no Go program was built" : "no Go toolchain has pprof");
		globfree(&tools);
		globfree(&programs);
		skip();
	}
	binary = open_program(program);
	assert_true(binary_func_find(binary, "main.main", &main_main, 1) >= 1);
	assert_true(binary_func_find(binary, "runtime.main", &caller, 1) >= 1);
	resource.symbolizer = symbolizer_new(&arena, binary, BIAS, resource.name);
	stack[0] = caller.entry + 8 + BIAS;
	begin();
	give_at(&function, &resource, main_main.entry + BIAS, stack, 1, 3000000);
	give_at(&function, &resource, main_main.entry + BIAS, stack, 1, 4000000);
	sink->ops->close(sink, 2000);
	snprintf(command, sizeof(command), "%s -symbolize=none -top -lines %s 2>&1", tool, file_path);
	f = popen(command, "r");
	while (fgets(line, sizeof(line), f))
		buf_str(&out, line);
	if (pclose(f) != 0 || !strstr(out.data, "Type: duration") ||
	    !strstr(out.data, "7ms   100%   100%        7ms   100%  main.main /") ||
	    !strstr(out.data, "runtime.main /") || !strstr(out.data, "proc.go:"))
		fail_msg("%s", out.data);
	buf_done(&out);
	arena_done(&arena);
	binary_free(binary);
	globfree(&tools);
	globfree(&programs);
}

static void a_full_disk(void **state)
{
	struct run_summary sum = {0};
	struct err err = {0};

	assert_int_equal(open_file(&sink_pprof, "/dev/full", &sink, &err), 0);
	give(&add_function, &shop, NULL, 0, 1);
	assert_null(sink->ops->trouble(sink));
	sink->ops->summary(sink, &sum);
	assert_string_equal(sink->ops->trouble(sink), "/dev/full cannot be written: No space left on device");
	sink->ops->close(sink, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_and_values),
		cmocka_unit_test(go_tool_pprof_reads_it),
		cmocka_unit_test(a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, file_end);
}
