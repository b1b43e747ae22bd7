/*
 * Capture programs → x86-64 code that runs inside the observed program. Pure: bytes in memory; nothing here
 * touches a process.
 *
 * The code of a probe at a site is entered by a jmp and left by a jmp to env->back. At its beginning
 *   R14 is g, RSP + env->sp_delta the stack pointer at the function's entry (the return address lies there),
 *   argument or result registers, RBP and XMM are those of the site.
 * It changes R12, R13 (to 0) and the flags, nothing else: no other register, no XMM (so X15 stays zero), no byte
 * of any stack, but for the parameter that IR_LEND gives another value; RSP keeps its value throughout. At a function's
 * entry and at a RET, R12, R13 and the flags are free in Go's ABIInternal.
 *
 * Reads of the program's memory may fault. The program's handlers of SIGSEGV and SIGBUS must therefore be the code
 * that patch_handler_compile makes (same flags, mask and restorer as what was there): it sends a fault within
 * area.code to slot.fault, everything else to the handler that was there before.
 */
#ifndef PLANT_PATCH_CODE_H
#define PLANT_PATCH_CODE_H

#include "base/buf.h"
#include "plant/patch/area.h"
#include "plant/patch/shared.h"

struct patch_sums;

struct patch_env {
	uint64_t code;            /* run-time address of the first byte that is appended */
	uint64_t back;            /* where to go on, within 2 GB of the code */
	uint64_t area;            /* run-time address of the struct patch_area */
	uint64_t fork_guard;      /* run-time address of a word, within 2 GB of it: 0 lets nobody in (a forked
				   * child); 0: none */
	const struct patch_area *layout; /* its settings: procs … saved_off, target are baked in; with nmarks for
				   * programs with marks */
	uint32_t counts;          /* index of the probe's patch_counts */
	int32_t sp_delta;
	uint64_t bias;            /* load bias, of IR_TYPE */
	uint32_t m_p, p_id;       /* offsets: p in runtime.m (a word, 0: none), id in runtime.p (int32) */
	uint64_t shapes;          /* run-time address of what patch_shapes made; 0: none (programs without images) */
	uint64_t contexts, chain; /* likewise contexts_put, patch_chain_compile; 0: none (without chains) */
	uint64_t loans;           /* run-time address of the struct shared_loans; 0: none (without IR_LEND) */
	bool calls_apart;         /* ENTRY, RETURN: the return needs nothing of its entry: see patch_calls_apart */
	uint64_t tsc_mult;        /* ns = tsc * tsc_mult >> 32 (differences; IR_LATENCY) */
	const struct patch_sums *sums; /* aggregates are kept in the program (groups.h), and no record is written where
	                           * no_record says so; NULL: they are left to who drains */
};

/*
 * Appends to out. -EINVAL (not a valid capture program), -EOPNOTSUPP (what cannot be done here; err says), -ERANGE
 * (back is too far away, a record could not fit the ring).
 * The role decides the record's kind: POINT → EVENT_POINT; ENTRY → EVENT_CALL; RETURN → EVENT_RETURN (nothing when
 * the entry left no call, unless calls_apart); UNWIND and EXIT (depth 0) → EVENT_UNWOUND. All are single records: who
 * drains pairs them. A return that does not pass its filter is an EVENT_UNWOUND of the return's probe, without slots:
 * the call is over. Without env->sums the aggregates, no_record and the control's limits are left to who drains, too. A
 * controlled program counts its hits.
 */
int patch_compile(const struct capture_program *p, uint32_t probe_id, const struct patch_env *env, struct buf *out,
		  struct err *err);

/* Bytes of the largest record that the program can make. */
uint32_t patch_record_bytes(const struct capture_program *p);

/*
 * Whether a return need not look for its call: the entry keeps nothing for it and lets everything pass. Then returns
 * whose entry was not seen are records too, which pairing tells by their epoch (ring/ring.h); and there is no limit to
 * open calls here.
 */
bool patch_calls_apart(const struct capture_program *entry, const struct capture_program *ret);

/*
 * A table of shapes for the walk over a record's chunks, at any 8-aligned address of the program. Once for each
 * binary and bias, after shape_table_finish.
 */
void patch_shapes(const struct shape_table *t, uint64_t bias, struct buf *out);

/*
 * The walk along chains (of a table that contexts_put made) that all probes of a program share; where an itab keeps its
 * type, its executable says. Position independent. Its reads may fault, too: it has to lie within area.code.
 */
void patch_chain_compile(uint32_t itab_type_off, struct buf *out);

/* The handler of a signal; next is the address of the handler before. Position independent. */
int patch_handler_compile(uint64_t area, const struct patch_area *layout, uint64_t next, struct buf *out,
			  struct err *err);

/*
 * Fills in a layout (offsets and sizes) for that many Ps, and that many chunks for all of them together. ret->bytes is
 * the size to map; a fresh area is that struct at the start, and zeros. The pool comes right behind it, unless the
 * caller says otherwise (pool_off); there are no chunks on its stacks yet (ring/pool.h).
 */
int patch_area_layout(uint32_t procs, uint32_t extra, uint32_t chunks, uint32_t ncounts, uint32_t nsaved,
		      struct patch_area *ret, struct err *err);

static inline struct patch_slot *patch_area_slot(struct patch_area *a, uint32_t i)
{
	return (struct patch_slot *)(void *)((char *)a + a->ring.slots_off + (uint64_t)i * a->ring.slot_bytes);
}
/* Of a slot: the hits, a word for each probe. */
static inline uint64_t patch_hits_off(const struct patch_area *layout)
{
	return RING_TABLE_OFF + ALIGN_UP(sizeof(uint32_t) * (uint64_t)layout->ring.table_len, 8);
}
/* … and behind them, starts that were left out. */
static inline uint64_t patch_left_out_off(const struct patch_area *layout)
{
	return patch_hits_off(layout) + 8 * layout->ncounts;
}
/* Of a probe: starts that were left out, as patch_area_hits. */
uint64_t patch_area_left_out(const struct patch_area *a, const struct patch_area *layout, uint32_t i);
/*
 * Room for that many marks, a power of two, and what leads to them: behind all that there is so far but the pool; and
 * for so many tracestates, a power of two or 0, and the rules for what one is, which whoever plants puts there.
 */
void patch_marks_layout(uint32_t nmarks, uint32_t nstates, struct patch_area *layout);
/* The hits of a controlled program. The layout is trusted, the area is only read. */
uint64_t patch_area_hits(const struct patch_area *a, const struct patch_area *layout, uint32_t i);
static inline struct patch_counts *patch_area_counts(struct patch_area *a, uint32_t i)
{
	return (struct patch_counts *)(void *)((char *)a + a->counts_off) + i;
}

#endif
