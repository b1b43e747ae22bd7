/*
 * Spans that earshot has written as JSON lines (-o json of run and attach), to be joined with a trace. Of each only
 * what finds it is in memory; it is read again when it is wanted.
 */
#ifndef GOTRACE_KNOWN_SPANS_H
#define GOTRACE_KNOWN_SPANS_H

#include "base/arena.h"
#include "base/err.h"
#include "span/span.h"

struct known_span {
	uint64_t goid, start_unix_ns, duration_ns;
	uint8_t trace_id[16], span_id[8];
	uint64_t at; /* its line, in the file */
	uint32_t len;
	bool taken; /* its user's */
};

struct known_spans;
/*
 * All spans of the file, of this process (0: the only one that it has spans of). Lines of calls and the summary are
 * passed over. -EINVAL with a sentence: a line is no JSON, or there are spans of several processes.
 */
int known_spans_read(const char *path, uint64_t pid, struct known_spans **ret, struct err *err);
void known_spans_free(struct known_spans *k);

/* All of them, by goroutine, then by their beginnings. */
struct known_span *known_spans_all(struct known_spans *k, size_t *ret_n);
struct known_span *known_spans_of(struct known_spans *k, uint64_t goid, size_t *ret_n);
/* Of the one process: NULL, and 0, where there are no spans. */
const char *known_spans_service(const struct known_spans *k);
uint64_t known_spans_pid(const struct known_spans *k);
/* The first and the last moment of any, and whether there is any. */
bool known_spans_range(const struct known_spans *k, uint64_t *ret_from, uint64_t *ret_to);

/*
 * The span as it was, with room for `room` more attributes behind its own (ret_attrs). All of it is the arena's, but
 * for its resource, which is k's. -errno with a sentence: the file has changed.
 */
int known_spans_load(struct known_spans *k, const struct known_span *s, size_t room, struct arena *arena,
		     struct span *ret, struct attr **ret_attrs, struct err *err);

#endif
