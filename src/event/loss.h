/* Every way to lose an event, under one set of names. Ids are never reused. */
#ifndef EVENT_LOSS_H
#define EVENT_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#define LOSS_TABLE(X)                                                                              \
	/* counted by planters, in the kernel or the program */                                    \
	X(LOSS_RING_FULL, 0, "ring_full", "the ring was full: the consumer was too slow")          \
	X(LOSS_BUSY, 1, "scratch_busy", "no free scratch space on that CPU")                       \
	X(LOSS_NO_GOROUTINE, 2, "no_goroutine", "the goroutine could not be read")                 \
	X(LOSS_FILTER_UNREADABLE, 3, "filter_unreadable", "the condition needed unreadable memory") \
	X(LOSS_CALLS_FULL, 4, "calls_full", "too many traced calls were open at once")             \
	X(LOSS_RATE_LIMITED, 5, "rate_limited", "left out by --rate")                              \
	X(LOSS_EVERY, 6, "not_sampled", "left out by --every, or to stay within --budget")         \
	X(LOSS_GROUPS_FULL, 7, "groups_full", "an aggregate had too many groups")                  \
	X(LOSS_AGGREGATE_UNREADABLE, 8, "aggregate_unreadable", "a value for an aggregate could not be read") \
	X(LOSS_MARKS_FULL, 9, "marks_full", "open spans that probes forgot: a part of their traces may be missing") \
	/* counted while decoding and pairing */                                                   \
	X(LOSS_BAD_RECORD, 16, "bad_record", "a record was damaged")                               \
	X(LOSS_UNPAIRED_END, 17, "unpaired_end", "an end without a start: lost, or before us")    \
	X(LOSS_UNPAIRED_START, 18, "unpaired_start", "a start whose end was lost")            \
	X(LOSS_OPEN_LIMIT, 19, "open_limit", "too many calls open at once")                        \
	X(LOSS_VALUE_UNREADABLE, 20, "value_unreadable", "a value, or a part of one, whose memory could not be read") \
	/* counted by span/ and sinks */                                                           \
	X(LOSS_SAMPLED_OUT, 32, "sampled_out", "left out by --sample")                             \
	X(LOSS_SINK_QUEUE, 33, "sink_queue_full", "the sink's queue was full")                     \
	X(LOSS_SINK_REFUSED, 34, "sink_refused", "the collector refused it or was never reached") \
	/* parents that are not known for it; nothing else is lost */                              \
	X(LOSS_BAD_HEADER, 35, "bad_header", "a header that names a request's parent was invalid")  \
	X(LOSS_CONTEXT_CHAIN, 36, "context_chain", "a context's chain of parents was too long or could not be read") \
	/* --keep */                                                                               \
	X(LOSS_NOT_KEPT, 37, "not_kept", "left out by --keep")                                     \
	X(LOSS_KEEP_MEMORY, 38, "keep_memory", "given up before --keep could decide: its memory was used up") \
	/* record */                                                                               \
	X(LOSS_TOO_LARGE, 42, "too_large", "a span that is larger than a recorder keeps")         \
	/* where probes decide which traces are kept */                                           \
	X(LOSS_LEFT_OUT_LATE, 40, "left_out_late", "an end without a start: left out, or before us") \
	X(LOSS_SAMPLING_DISAGREES, 41, "sampling_disagrees", "the parent is of another trace than the probe said") \
	X(LOSS_RECORDED_BY_SDK, 39, "recorded_by_sdk", "left out: the program's own OpenTelemetry SDK records it") \
	/* nothing but the attribute is lost */                                                    \
	X(LOSS_ATTRIBUTE, 48, "attribute", "an attribute that the program names: one too many, or of an unknown type") \
	X(LOSS_KEY, 50, "key", "a key of a span: it has two already, and is not found by this one") \
	X(LOSS_SPAN_EVENT, 49, "span_event", "an event within a span: one too many, or of no span that is known")

enum loss {
#define X(id, number, name, text) id = number,
	LOSS_TABLE(X)
#undef X
	LOSS_COUNT = 64
};

struct losses {
	uint64_t count[LOSS_COUNT];
};

void losses_add(struct losses *l, const struct losses *more);
void losses_subtract(struct losses *l, const struct losses *less); /* of which they are a part */
bool losses_any(const struct losses *l);
const char *loss_name(enum loss l); /* NULL for unused numbers */
const char *loss_text(enum loss l);

#endif
