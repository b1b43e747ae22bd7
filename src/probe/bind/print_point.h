/*
 * Bound programs as Go that is built into the program: for each point of a package a function that captures into slots
 * (struct event_slot's meaning, earshotSlot of the recorder that is woven into package runtime) and writes the record.
 * Those of a package make one file of it.
 *
 *	func earshot_f3(earshotD uintptr, recv serverHandler, req *Request) (written bool) {
 *		… return earshotWrite(&earshot_p3, …)
 *	}
 */
#ifndef PROBE_PRINT_POINT_H
#define PROBE_PRINT_POINT_H

#include "base/buf.h"
#include "base/err.h"
#include "probe/bind/bound.h"

struct go_points;

/* What the file may import beside unsafe: a package that the others of the package import. */
typedef bool (*go_may_import_fn)(void *arg, const char *path);
/* package: the import path, or "main". It outlives this. */
struct go_points *go_points_new(const char *package, go_may_import_fn may_import, void *arg);
void go_points_free(struct go_points *p); /* NULL ok */

struct go_point_slot {
	size_t capture;   /* of the program's */
	const char *kind; /* as enum value_kind has it: "int", "string", "type" … */
};
struct go_point_left {
	size_t capture;
	const char *why;
};

/* All of it in the arena that was given. */
struct go_point {
	struct go_point_slot *slots; /* in the order of the record */
	size_t nslots;
	struct go_point_left *left; /* captures that were left out: optional, or of what woven code does not do */
	size_t nleft;
	const char *const *facts; /* what it has to be told (earshotKnown): lines without the word `need` */
	size_t nfacts;
	const bool *used; /* which of the parameters, or at a return the results, the function takes, in order */
	const bool *by_address; /* … and which of these by their addresses: what it changes */
	const char *const *types; /* … what their types are in the file */
	bool says_out; /* (written, out bool): its condition does not hold; of a GO_PROBE_BEHIND that has one */
};

/* What a point does with values that are kept from one point of a goroutine to another (earshotKeep). */
enum { GO_KEPT_MAX = 4 };
struct go_kept {
	uint64_t key;  /* whose: the upper half is that of all that goes when the span ends */
	bool forgets;  /* the span ends here */
};

/*
 * Whether a point is a USDT probe as well: woven code calls earshot_n3(slots, goroutine, context) where earshot_u3 says
 * that somebody listens.
 */
enum go_probe {
	GO_PROBE_NONE,
	GO_PROBE_BEFORE, /* … before its record is written: a span's end, behind which there is no span */
	GO_PROBE_BEHIND, /* … behind it: a span's start */
	GO_PROBE_ALONE,  /* there is no record: nothing but the probe */
};

/*
 * number: of the function's name and its point's variable. The parameters are called as in the program's variables.
 * -EINVAL with a sentence: Go cannot say it, or what is not optional of it; nothing is printed then.
 */
int go_points_add(struct go_points *p, unsigned number, const struct bound_program *program,
                  const struct go_kept *kept, enum go_probe probe, struct arena *arena, struct go_point *ret,
                  struct err *err);
/* What there is so far; and back to that. */
struct go_points_mark {
	size_t text, imports;
};
struct go_points_mark go_points_mark(const struct go_points *p);
void go_points_take_back(struct go_points *p, struct go_points_mark mark);
/* What the file needs before its functions: imports; and the functions. clause: of the package. */
void go_points_print(const struct go_points *p, const char *clause, struct buf *out);

#endif
