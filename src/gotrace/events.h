/*
 * The events of Go's execution traces, as Go 1.22 and newer write them (runtime/trace, FlightRecorder): a byte that is
 * the event's number, then its arguments as varints. How many there are, nothing in a file says: it is this table.
 */
#ifndef GOTRACE_EVENTS_H
#define GOTRACE_EVENTS_H

#include <stdint.h>

#define GOTRACE_ARGS 5 /* of an event, its time included */

enum { /* bits of struct event_shape.strings and .stacks: which arguments */
	ARG_1 = 1 << 1, ARG_2 = 1 << 2, ARG_3 = 1 << 3, ARG_4 = 1 << 4,
};

/*
 * X(id, number, name, arguments, strings, stacks): those that batches of events have. The first argument is the time
 * since the event before. Which of the others are the numbers of texts and of stacks is told by their bits.
 */
#define GOTRACE_EVENTS(X)                                                                                              \
	X(GO_PROCS_CHANGE, 9, "ProcsChange", 3, 0, ARG_2)                /* GOMAXPROCS, stack */                       \
	X(GO_PROC_START, 10, "ProcStart", 3, 0, 0)                       /* P, its sequence */                         \
	X(GO_PROC_STOP, 11, "ProcStop", 1, 0, 0)                                                                       \
	X(GO_PROC_STEAL, 12, "ProcSteal", 4, 0, 0)                       /* P, its sequence, of M */                   \
	X(GO_PROC_STATUS, 13, "ProcStatus", 3, 0, 0)                     /* P, status */                               \
	X(GO_CREATE, 14, "GoCreate", 4, 0, ARG_2 | ARG_3)                /* G, its stack, the creator's */             \
	X(GO_CREATE_SYSCALL, 15, "GoCreateSyscall", 2, 0, 0)             /* G */                                       \
	X(GO_START, 16, "GoStart", 3, 0, 0)                              /* G, its sequence */                         \
	X(GO_DESTROY, 17, "GoDestroy", 1, 0, 0)                                                                        \
	X(GO_DESTROY_SYSCALL, 18, "GoDestroySyscall", 1, 0, 0)                                                         \
	X(GO_STOP, 19, "GoStop", 3, ARG_1, ARG_2)                        /* reason, stack */                           \
	X(GO_BLOCK, 20, "GoBlock", 3, ARG_1, ARG_2)                      /* reason, stack */                           \
	X(GO_UNBLOCK, 21, "GoUnblock", 4, 0, ARG_3)                      /* G, its sequence, stack */                  \
	X(GO_SYSCALL_BEGIN, 22, "GoSyscallBegin", 3, 0, ARG_2)           /* P's sequence, stack */                     \
	X(GO_SYSCALL_END, 23, "GoSyscallEnd", 1, 0, 0)                                                                 \
	X(GO_SYSCALL_END_BLOCKED, 24, "GoSyscallEndBlocked", 1, 0, 0)                                                  \
	X(GO_STATUS, 25, "GoStatus", 4, 0, 0)                            /* G, M, status */                            \
	X(GO_STW_BEGIN, 26, "STWBegin", 3, ARG_1, ARG_2)                 /* kind, stack */                             \
	X(GO_STW_END, 27, "STWEnd", 1, 0, 0)                                                                           \
	X(GO_GC_ACTIVE, 28, "GCActive", 2, 0, 0)                         /* sequence */                                \
	X(GO_GC_BEGIN, 29, "GCBegin", 3, 0, ARG_2)                       /* sequence, stack */                         \
	X(GO_GC_END, 30, "GCEnd", 2, 0, 0)                               /* sequence */                                \
	X(GO_SWEEP_ACTIVE, 31, "GCSweepActive", 2, 0, 0)                 /* P */                                       \
	X(GO_SWEEP_BEGIN, 32, "GCSweepBegin", 2, 0, ARG_1)               /* stack */                                   \
	X(GO_SWEEP_END, 33, "GCSweepEnd", 3, 0, 0)                       /* bytes swept, reclaimed */                  \
	X(GO_ASSIST_ACTIVE, 34, "GCMarkAssistActive", 2, 0, 0)           /* G */                                       \
	X(GO_ASSIST_BEGIN, 35, "GCMarkAssistBegin", 2, 0, ARG_1)         /* stack */                                   \
	X(GO_ASSIST_END, 36, "GCMarkAssistEnd", 1, 0, 0)                                                               \
	X(GO_HEAP_ALLOC, 37, "HeapAlloc", 2, 0, 0)                       /* bytes */                                   \
	X(GO_HEAP_GOAL, 38, "HeapGoal", 2, 0, 0)                         /* bytes */                                   \
	X(GO_LABEL, 39, "GoLabel", 2, ARG_1, 0)                          /* label */                                   \
	X(GO_TASK_BEGIN, 40, "UserTaskBegin", 5, ARG_3, ARG_4)           /* task, its parent, name, stack */           \
	X(GO_TASK_END, 41, "UserTaskEnd", 3, 0, ARG_2)                   /* task, stack */                             \
	X(GO_REGION_BEGIN, 42, "UserRegionBegin", 4, ARG_2, ARG_3)       /* task, name, stack */                       \
	X(GO_REGION_END, 43, "UserRegionEnd", 4, ARG_2, ARG_3)           /* task, name, stack */                       \
	X(GO_LOG, 44, "UserLog", 5, ARG_2 | ARG_3, ARG_4)                /* task, category, text, stack */             \
	X(GO_SWITCH, 45, "GoSwitch", 3, 0, 0)                            /* to G, its sequence */                      \
	X(GO_SWITCH_DESTROY, 46, "GoSwitchDestroy", 3, 0, 0)             /* likewise */                                \
	X(GO_CREATE_BLOCKED, 47, "GoCreateBlocked", 4, 0, ARG_2 | ARG_3) /* as GoCreate */                             \
	X(GO_STATUS_STACK, 48, "GoStatusStack", 5, 0, ARG_4)             /* G, M, status, stack */                     \
	/* GODEBUG=traceallocfree=1 */                                                                                 \
	X(GO_SPAN, 128, "Span", 4, 0, 0)                                                                               \
	X(GO_SPAN_ALLOC, 129, "SpanAlloc", 4, 0, 0)                                                                    \
	X(GO_SPAN_FREE, 130, "SpanFree", 2, 0, 0)                                                                      \
	X(GO_OBJECT, 131, "HeapObject", 3, 0, 0)                                                                       \
	X(GO_OBJECT_ALLOC, 132, "HeapObjectAlloc", 3, 0, 0)                                                            \
	X(GO_OBJECT_FREE, 133, "HeapObjectFree", 2, 0, 0)                                                              \
	X(GO_STACK, 134, "GoroutineStack", 3, 0, 0)                                                                    \
	X(GO_STACK_ALLOC, 135, "GoroutineStackAlloc", 3, 0, 0)                                                         \
	X(GO_STACK_FREE, 136, "GoroutineStackFree", 2, 0, 0)

enum gotrace_event_type {
#define X(id, number, name, args, strings, stacks) id = number,
	GOTRACE_EVENTS(X)
#undef X
};

/* What batches and their parts begin with, and what other batches than those of events have. */
enum gotrace_part {
	PART_BATCH = 1, PART_STACKS = 2, PART_STACK = 3, PART_STRINGS = 4, PART_STRING = 5, PART_CPU_SAMPLES = 6,
	PART_FREQUENCY = 8, PART_EXPERIMENTAL_BATCH = 49, PART_SYNC = 50, PART_CLOCK_SNAPSHOT = 51,
	PART_END_OF_GENERATION = 52,
};

/* The status of a goroutine in GoStatus and GoStatusStack. */
enum go_status { GO_STATUS_BAD, GO_RUNNABLE, GO_RUNNING, GO_SYSCALL, GO_WAITING };

struct event_shape {
	const char *name; /* as Go's own tools write it; NULL: there is no such event */
	uint8_t args;     /* with the time */
	uint8_t strings, stacks;
};
extern const struct event_shape gotrace_shapes[256];

#endif
