/*
 * What it takes to compare a running program's code with its file at the sites of probes, before they are planted:
 * microseconds for about so many sites, the first time (the kernel may have to bring the pages in) and the median of 20.
 *
 *   make && gcc -O2 -Isrc -D_GNU_SOURCE -o build/code_check bench/code_check.c build/libearshot.a -lbpf -ldw -lelf -lZydis &&
 *   build/code_check PID SITES
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "binary/binary.h"
#include "plant/code_check.h"
#include "plant/uprobe/uprobe.h"
#include "target/process.h"

#define RUNS 20

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Functions from all over the program, so that few sites share a page. */
static size_t take_sites(struct binary *b, size_t want, struct plant_probe *probes, size_t *ret_nsites)
{
	size_t count = binary_func_count(b), n = 0, step = count / want + 1;

	*ret_nsites = 0;
	for (size_t i = 0; i < count && *ret_nsites < want; i += step) {
		struct join_point at;
		struct func f;

		if (!binary_func(b, i, &f) || join_point_entry(b, &f, &at, NULL))
			continue;
		probes[n].label = f.name;
		plant_probe_locate(&probes[n++], &planter_uprobe, b, &at);
		++*ret_nsites;
		if (join_point_returns(b, &f, &at, NULL))
			continue;
		probes[n].label = f.name;
		plant_probe_locate(&probes[n++], &planter_uprobe, b, &at);
		*ret_nsites += at.nspots;
	}
	return n;
}

int main(int argc, char **argv)
{
	size_t want = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, n, nsites, refused = 0;
	struct plant_probe *probes = xcalloc(2 * want + 2, sizeof(*probes));
	struct plant_target t = {0};
	struct process p;
	struct binary *b;
	struct err err = {0};
	uint64_t took[RUNS], first;

	if (!want || process_read("/proc", atoi(argv[1]), &p, &err) < 0 || binary_open(p.exe_path, &b, &err) < 0 ||
	    process_bias("/proc", &p, binary_image(b), &t.bias, &err) < 0) {
		fprintf(stderr, "code_check: %s\n", want ? err.text : "PID SITES");
		return 1;
	}
	t.pid = p.pid;
	t.image = binary_image(b);
	n = take_sites(b, want, probes, &nsites);
	for (int i = 0; i < RUNS; i++) {
		struct verdicts v;
		uint64_t began;

		verdicts_init(&v, probes, n, NULL);
		began = clock_monotonic_ns();
		code_check_sites(&t, &v);
		took[i] = clock_monotonic_ns() - began;
		refused += v.nrefused;
		verdicts_done(&v);
	}
	first = took[0];
	qsort(took, RUNS, sizeof(took[0]), compare);
	printf("%zu sites, %zu refused, %.1f us the first time, %.1f us\n", nsites, refused, (double)first / 1e3,
	       (double)took[RUNS / 2] / 1e3);
	binary_free(b);
	return 0;
}
