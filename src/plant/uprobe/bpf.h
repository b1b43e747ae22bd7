/* The kernel's side of uprobes: what is missing, loading programs, linking them to sites. */
#ifndef PLANT_UPROBE_BPF_H
#define PLANT_UPROBE_BPF_H

#include <stdbool.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "plant/uprobe/emit.h"

/* How programs are linked to sites here: one link for many (uprobe_multi), or a perf event each. */
struct uprobe_means {
	bool multi;
	bool faults_in; /* programs may sleep, and so bring in a page that is not there: bpf_copy_from_user */
	bool private_stack; /* this kernel gives programs a stack a CPU, which they must do without (compile.c) */
	bool returns; /* programs may run the RET that they are on (returns.h) */
	int pmu;    /* type number of the uprobe PMU, -1: none */
};

enum { MEANS_NO_MULTI = 1,    /* use perf events even where uprobe_multi works */
       MEANS_NO_FAULTS = 2 }; /* read what is there only */

/* -ENOSYS, -EPERM with what is missing by name. */
int uprobe_means_detect(unsigned flags, struct uprobe_means *ret, struct err *err);

/* Whether programs may have loops (bpf_loop, Linux 5.17). Asks the kernel: not for what runs often. */
bool uprobe_loops_work(void);

/* -EPERM naming the capabilities that this process lacks for BPF and uprobes. */
int uprobe_check_caps(struct err *err);

/* Creates a map; what: "ring buffer" …, for the message. Returns its fd or a negative errno. */
int uprobe_map_create(enum bpf_map_type type, const char *what, uint32_t key_size, uint32_t value_size,
		      uint32_t entries, struct err *err);
/* An array that user space can map. */
int uprobe_mapped_array_create(uint32_t value_size, uint32_t entries, struct err *err);
/* A hash map whose elements take memory only while they are there; where the kernel cannot, one with fewer entries. */
int uprobe_hash_create(uint32_t key_size, uint32_t value_size, uint32_t entries, struct err *err);

/* Returns the program's fd or a negative errno; the sentence has the verifier's last word. */
int uprobe_prog_load(const struct uprobe_means *m, const char *label, const struct bpf_insn *insns,
		     size_t n, struct err *err);
/* For code that may have subprograms: their types, of which uprobe_prog_load_btf also tells the kernel. */
struct uprobe_btf {
	int fd;             /* -1: not loaded */
	int main, callback; /* type numbers */
};
int uprobe_btf_load(struct uprobe_btf *ret, struct err *err);
int uprobe_prog_load_code(const struct uprobe_means *m, const char *label, const struct emit *code,
			  const struct uprobe_btf *btf, struct err *err);

/* The links that hold a program at its sites: closed, the kernel removes the probes. */
struct uprobe_links {
	int *fds;
	size_t n;
};
struct uprobe_places {
	const char *path;        /* opens the file */
	const uint64_t *offsets; /* in it, n of them */
	const uint64_t *semaphores; /* of each, in it, too, or 0; NULL: none has one */
	size_t n;
	uint64_t cookie;         /* what the program gets at each */
	int pid;                 /* 0: every process that maps the file */
};
int uprobe_link(const struct uprobe_means *m, int prog, const struct uprobe_places *at, struct uprobe_links *ret,
		struct err *err);
void uprobe_links_done(struct uprobe_links *l);
/* Closes the links of many at once: each close waits for the kernel's readers, together they wait once. */
void uprobe_links_done_all(struct uprobe_links *const *l, size_t n);

#endif
