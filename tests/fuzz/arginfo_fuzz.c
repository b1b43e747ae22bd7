/*
 * The input is FUNCDATA of a function: the first bytes its pointer bitmap's header, then ArgInfo.
 * Parsed alone, and in a program whose functions it describes, with and without a declaration.
 */
#include "fuzz/replay.h"

#include "binary/insn.h"
#include "lib/tiny_binary.h"

static void ask_arginfo(const uint8_t *data, size_t size)
{
	struct arginfo a;

	if (!arginfo_parse(data, size, &a))
		return;
	if (a.nitems > ARGINFO_MAX || a.ncomponents > ARGINFO_MAX)
		__builtin_trap();
	for (size_t i = 0; i < a.nitems; i++)
		if (a.items[i].first + a.items[i].n > a.ncomponents)
			__builtin_trap();
}

static void check_params(const struct param *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!p[i].name || (p[i].npieces && p[i].why))
			__builtin_trap();
		for (size_t k = 0; k < p[i].npieces; k++)
			if (p[i].pieces[k].where != ON_STACK && p[i].pieces[k].size > 8)
				__builtin_trap();
	}
}

static void ask_signatures(struct binary *b)
{
	const struct declared_param params[] = {{"a", "NoSuchType"}, {"b", "string"}, {"c", NULL}};
	const struct declared_signature decl = {.params = params, .nparams = 3};
	struct signature s;
	struct func f;

	for (size_t i = 0; binary_func(b, i, &f); i++) {
		f.flags = 0;
		if (!binary_signature(b, &f, NULL, &s, NULL))
			check_params(s.params, s.nparams);
		if (!binary_signature(b, &f, &decl, &s, NULL))
			check_params(s.params, s.nparams);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binary *b;

	ask_arginfo(data, size);
	b = tiny_open_input((struct tiny_options){0}, TINY_GOFUNC, TINY_TYPES - TINY_GOFUNC, data, size);
	if (b)
		ask_signatures(b);
	binary_free(b);
	return 0;
}
