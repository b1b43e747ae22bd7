/*
 * Writes the seeds of image_fuzz, pclntab_fuzz and rtype_fuzz:
 *   cc -Itests -D_GNU_SOURCE tests/lib/tiny_seeds.c -o /tmp/tiny_seeds && /tmp/tiny_seeds
 * tests/fuzz/seeds
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/tiny_go.h"

static struct tiny tiny;

static void save(const char *dir, const char *fuzz, const char *name, const void *p, size_t n)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, fuzz, name);
	f = fopen(path, "wb");
	if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

/* A size with the two low bits that choose the form in pclntab_fuzz and rtype_fuzz. */
static size_t sized(size_t n, struct tiny_options o)
{
	return (n & ~(size_t)3) - 4 + (o.old_funcs ? 1 : 0) + (o.old_map ? 2 : 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct tiny_options o;
	} forms[] = {
		{"exec", {0}},
		{"pie", {.pie = true}},
		{"relr", {.pie = true, .relr = true}},
		{"go118", {.old_funcs = true, .old_fields = true, .old_map = true}},
		{"go119", {.old_funcs = true, .old_map = true}},
		{"split", {.split_map = true}},
	};

	for (size_t i = 0; argc == 2 && i < sizeof(forms) / sizeof(*forms); i++) {
		tiny_build(&tiny, forms[i].o);
		save(argv[1], "image", forms[i].name, tiny.data, sizeof(tiny.data));
		if (forms[i].o.pie)
			continue;
		save(argv[1], "pclntab", forms[i].name, tiny.data + TINY_PCLNTAB,
		     sized(TINY_TYPES - TINY_PCLNTAB, forms[i].o));
		save(argv[1], "rtype", forms[i].name, tiny.data + TINY_TYPES,
		     sized(TINY_ETYPES - TINY_TYPES, forms[i].o));
	}
	return argc != 2;
}
