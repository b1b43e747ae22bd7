/*
 * Planting into one process. Everything that can fail is done before it is stopped: sites, code, its place. What is
 * refused on the way takes its group with it, and the rest is planned anew without them, until nothing more is
 * refused: so no code of a refused probe comes into the process, not even behind that of another.
 * Then the helper maps memory, the code is written into it (nothing leads there yet), and the helper puts in the
 * jumps. The process is stopped twice, briefly: to map and to put in the jumps. Should that fail, all is taken out and
 * the rings are never read.
 *
 * The shared memory: its head (shared.h), the area (ring/ring.h) with the tables behind it, the handlers and the walk
 * along contexts, the regions of code, what is lent to the program, the pool, of which only the first chunks exist.
 */
#include "plant/patch/plan.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "plant/code_check.h"
#include "plant/contexts.h"

#define SAVED 65536
#define MARKS 16384 /* spans that are open at once */
#define STATES 2048  /* … of whose traces a tracestate came in */
#define SAVED_SUMS (2 * SAVED) /* with aggregates at returns: all calls that are open lie there */
#define PAGE 4096
#define RETRIES 3 /* when an address was taken meanwhile */
#define STALE_NS 2000000000ull
#define AREA_BELOW 0x7d0000000000ull
#define AREA_DISTANCE (64u << 20)
#define HANDLER_BYTES 1024
#define SLACK 64  /* code may differ in length by where it lies */

static void refuse_site(struct plan *pl, const struct planned *s, const struct err *why)
{
	for (size_t i = 0; i < probes_of(s); i++)
		verdict_refuse(&pl->verdicts, probe_of(s, i), why);
}

/* ---- sites ---- */

/* Whether code can be made of the probe's program; where it lies does not matter for that. */
static int try_code(struct plan *pl, size_t probe, const struct patch_site *site, struct err *err)
{
	_cleanup_(buf_done) struct buf code = {0};
	uint64_t addr = site->addr + pl->t->bias;

	return plan_probe_code(pl, probe, site, addr, addr, &code, err);
}

/* What lends runs last (as the first in the list): no other probe is to see what the call gets instead. */
static void add_probe_to(const struct plan *pl, probe_list *list, size_t probe)
{
	vec_push(list, probe);
	if (!capture_has(pl->probes[probe].program, IR_LEND))
		return;
	memmove(list->data + 1, list->data, (list->len - 1) * sizeof(*list->data));
	list->data[0] = probe;
}

static void add_site(struct plan *pl, size_t probe, const struct patch_site *site)
{
	uintptr_t i = (uintptr_t)map_get(&pl->by_addr, site->addr);
	struct planned *s = i ? &pl->sites.data[i - 1] : vec_add(&pl->sites);

	if (!i) {
		*s = (struct planned){.addr = site->addr};
		map_set(&pl->by_addr, site->addr, (void *)(uintptr_t)pl->sites.len);
	}
	s->parts[site->kind].site = site;
	add_probe_to(pl, &s->parts[site->kind].probes, probe);
}

/* The last byte of a punned jump is the first of another's place: that one would change it. */
static void refuse_overlaps(struct plan *pl)
{
	for (size_t i = 0; i < pl->sites.len; i++) {
		const struct planned *s = &pl->sites.data[i];
		uintptr_t next = (uintptr_t)map_get(&pl->by_addr, s->addr + site_of(s)->len);
		struct err why = {0};

		if (!next || !patch_punned(site_of(s)))
			continue;
		err_set(&why, -ENOTSUP, "%s cannot be patched in the process: its entry and a return lie too close "
			"together", site_label(pl, s));
		refuse_site(pl, s, &why);
		refuse_site(pl, &pl->sites.data[next - 1], &why);
	}
}

static int add_probe(struct plan *pl, size_t i, struct err *err)
{
	const struct plant_probe *probe = &pl->probes[i];
	int r = (pl->forms.of[i] ? aggregates_add_kept : aggregates_add)(pl->p->reader.aggregates, probe->id,
									  probe->program, err);

	if (!r)
		r = try_code(pl, i, patch_site_of(probe->sites), err);
	for (const struct site *s = probe->sites; s && !r; s = s->next)
		add_site(pl, i, patch_site_of(s));
	return r;
}

/*
 * What is overwritten or moved must be what was analysed: a breakpoint in it would be moved, too, or be put over our
 * jump when it goes.
 */
static void check_code(struct plan *pl)
{
	VEC(struct code_place) places = {0};
	struct err why = {0};

	for (size_t i = 0; i < pl->sites.len; i++) {
		const struct planned *s = &pl->sites.data[i];
		const struct patch_site *site = site_of(s);
		uint32_t moved = site->nbefore + site->nafter + 1u; /* and the ret */
		uint32_t strict = site->resume > site->addr ? (uint32_t)(site->resume - site->addr) : moved;
		const struct code_place place = {.addr = site->addr,
						 .n = MAX(strict, (uint32_t)CODE_PLACE_BYTES),
						 .strict = MAX(strict, (uint32_t)PATCH_JUMP)};

		for (size_t k = 0; k < probes_of(s); k++) {
			vec_push(&places, place);
			places.data[places.len - 1].probe = probe_of(s, k);
		}
	}
	code_check(pl->t, places.data, places.len, &pl->verdicts);
	vec_done(&places);
	if (binary_check(pl->t->binary, &why) < 0)
		verdict_refuse_all(&pl->verdicts, &why);
}

static void find_calls_apart(struct plan *pl)
{
	struct map entries = {0}; /* call_group → probe, plus one */

	for (size_t i = 0; i < pl->nprobes; i++)
		if (pl->probes[i].program->role == PROGRAM_ENTRY)
			map_set(&entries, pl->probes[i].program->call_group, (void *)(uintptr_t)(i + 1));
	for (size_t i = 0; i < pl->nprobes; i++) {
		const struct capture_program *ret = pl->probes[i].program;
		uintptr_t entry = (uintptr_t)map_get(&entries, ret->call_group);

		if (ret->role == PROGRAM_RETURN && entry)
			pl->apart[i] = pl->apart[entry - 1] =
				!pl->forms.of[i] && patch_calls_apart(pl->probes[entry - 1].program, ret);
	}
	map_done(&entries);
}

/* Whether it is to be made, now, at the end of table_bytes. */
static bool new_table(struct plan *pl, const void *table)
{
	if (!table || map_get(&pl->tables, (uintptr_t)table))
		return false;
	while (pl->table_bytes.len % 8)
		buf_char(&pl->table_bytes, 0);
	map_set(&pl->tables, (uintptr_t)table, (void *)(uintptr_t)(pl->table_bytes.len + 1));
	return true;
}

static void make_tables(struct plan *pl)
{
	for (size_t i = 0; i < pl->nprobes; i++) {
		const struct capture_program *program = pl->probes[i].program;

		if (new_table(pl, program->shapes))
			patch_shapes(program->shapes, pl->t->bias, &pl->table_bytes);
		if (new_table(pl, program->contexts))
			contexts_put(program->contexts, pl->t->bias, &pl->table_bytes);
		if (program->contexts && !pl->chain_code.len)
			patch_chain_compile(program->contexts->itab_type_off, &pl->chain_code);
	}
}

static bool any_lends(const struct plan *pl)
{
	for (size_t i = 0; i < pl->nprobes; i++)
		if (capture_has(pl->probes[i].program, IR_LEND))
			return true;
	return false;
}

static void find_sites(struct plan *pl)
{
	pl->area_addr = 0x7f0000000000;
	pl->fork_guard_addr = pl->area_addr - shared_head_bytes(0);
	pl->tables_addr = pl->area_addr + pl->layout.ring.bytes;
	pl->chain_addr = pl->area_addr;
	pl->loans_addr = any_lends(pl) ? pl->area_addr : 0;
	make_tables(pl);
	find_calls_apart(pl);
	for (size_t i = 0; i < pl->nprobes; i++) {
		struct err err = {0};

		if (!pl->verdicts.refused[i] && add_probe(pl, i, &err))
			verdict_refuse(&pl->verdicts, i, &err);
	}
	refuse_overlaps(pl);
	check_code(pl);
}

/* Whether any was taken out. */
static bool keep_unrefused(const struct plan *pl, probe_list *l)
{
	size_t kept = 0, before = l->len;

	for (size_t i = 0; i < before; i++)
		if (!pl->verdicts.refused[l->data[i]])
			l->data[kept++] = l->data[i];
	l->len = kept;
	return kept != before;
}

static void planned_done(struct planned *s)
{
	for (size_t k = 0; k < ARRAY_SIZE(s->parts); k++)
		vec_done(&s->parts[k].probes);
}

/* Without the refused probes, and the sites that nobody wants then. */
static void prune(struct plan *pl)
{
	size_t kept = 0;

	for (size_t i = 0; i < pl->sites.len; i++) {
		struct planned *s = &pl->sites.data[i];

		for (size_t k = 0; k < ARRAY_SIZE(s->parts); k++)
			if (keep_unrefused(pl, &s->parts[k].probes))
				s->bytes = 0;
		if (probes_of(s))
			pl->sites.data[kept++] = *s;
		else
			planned_done(s);
	}
	pl->sites.len = kept;
}

/* Sizes, from a first generation at a likely place: of those that are not known. */
static void measure(struct plan *pl)
{
	free(pl->trampolines);
	pl->trampolines = xcalloc(pl->sites.len + 1, sizeof(struct trampoline));
	for (size_t i = 0; i < pl->sites.len; i++) {
		_cleanup_(buf_done) struct buf code = {0};
		struct planned *s = &pl->sites.data[i];
		struct err err = {0};

		s->at = &pl->trampolines[i];
		if (!s->bytes && plan_trampoline(pl, s, s->addr + pl->t->bias, &code, &s->entry, &err))
			refuse_site(pl, s, &err);
		if (!s->bytes)
			s->bytes = (uint32_t)code.len + SLACK;
		*s->at = (struct trampoline){.site = site_of(s), .bytes = s->bytes, .entry = s->entry};
	}
}

/* ---- places ---- */

/* Below all that the kernel places from the top down by itself, so that nothing needs to grow into it. */
static uint64_t free_for_area(const range_vec *o, uint64_t bytes)
{
	for (size_t i = o->len; i-- > 1;) {
		uint64_t low = o->data[i - 1].end, high = MIN(o->data[i].start, AREA_BELOW);

		if (high > low && high - low > bytes + 2 * AREA_DISTANCE)
			return (high - bytes - AREA_DISTANCE) / PAGE * PAGE;
	}
	return 0;
}

static void add_map(struct plan *pl, uint64_t addr, uint64_t len, int prot)
{
	len = ALIGN_UP(len, PAGE);
	pl->maps[pl->nmaps++] = (struct shared_map){addr, len, pl->bytes, (uint64_t)prot};
	pl->bytes += len;
}

/* Bytes of what all probes share: the handlers, the walk. */
static uint64_t shared_code(const struct plan *pl)
{
	return HANDLER_BYTES + pl->chain_code.len;
}

/* Of loans, with a page that is nobody's: the map behind must not become one with theirs, which may outlive it. */
static uint64_t loan_bytes(const struct plan *pl)
{
	return pl->loans_addr ? SHARED_LOANS_HEAD + (uint64_t)SHARED_LOANS * IR_LOAN_BYTES + PAGE : 0;
}

static void add_loans(struct plan *pl)
{
	if (!pl->loans_addr)
		return;
	pl->loans_addr = pl->handler_addr + ALIGN_UP(shared_code(pl), PAGE) + PAGE;
	add_map(pl, pl->loans_addr, loan_bytes(pl) - PAGE, PROT_READ | PROT_WRITE);
}

static int lay_out(struct plan *pl, struct err *err)
{
	range_vec occupied = {0};
	uint64_t own = shared_head_bytes(pl->sites.len), area, pool, at;
	int r = occupied_read(pl->p->procfs, pl->t->pid, &occupied);

	if (r < 0)
		return err_set(err, r, "the mappings of process %d cannot be read: %s", pl->t->pid, strerror(-r));
	pl->nmaps = pl->bytes = 0;
	trampolines_place(&occupied, pl->t->bias, pl->trampolines, pl->sites.len, SHARED_MAPS_MAX - 4, &pl->regions);
	area = ALIGN_UP(pl->layout.ring.bytes, 8) + pl->table_bytes.len;
	pool = (uint64_t)pl->layout.ring.chunks * RING_CHUNK;
	at = free_for_area(&occupied, own + area + 3 * PAGE + shared_code(pl) + loan_bytes(pl) + pool);
	vec_done(&occupied);
	if (!at)
		return err_set(err, -ENOMEM, "process %d has no free address space for the rings", pl->t->pid);
	add_map(pl, at, own + area, PROT_READ | PROT_WRITE);
	pl->area_addr = at + own;
	pl->tables_addr = pl->area_addr + ALIGN_UP(pl->layout.ring.bytes, 8);
	pl->handler_addr = at + pl->maps[0].len;
	pl->chain_addr = pl->handler_addr + HANDLER_BYTES;
	add_map(pl, pl->handler_addr, shared_code(pl), PROT_READ | PROT_EXEC);
	pl->fork_guard_addr = at;
	for (size_t i = 0; i < pl->regions.len; i++)
		add_map(pl, pl->regions.data[i].addr, pl->regions.data[i].used, PROT_READ | PROT_EXEC);
	add_loans(pl);
	pl->layout.ring.pool_off = pl->handler_addr + ALIGN_UP(shared_code(pl), PAGE) - pl->area_addr;
	if (pl->loans_addr)
		pl->layout.ring.pool_off = pl->loans_addr + loan_bytes(pl) - pl->area_addr;
	add_map(pl, pl->area_addr + pl->layout.ring.pool_off, pool, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < pl->sites.len; i++) {
		struct err why = {0};

		if (pl->trampolines[i].placed)
			continue;
		err_set(&why, -ENOMEM, "%s cannot be patched in the process: there is no free address space where its "
				       "jump could lead",
			site_label(pl, &pl->sites.data[i]));
		refuse_site(pl, &pl->sites.data[i], &why);
	}
	return 0;
}

/* A place for all that is not refused, anew until nobody more is. */
static int decide(struct plan *pl, struct err *err)
{
	size_t before;
	int r = 0;

	do {
		before = pl->verdicts.nrefused;
		if (!verdict_any_useful(&pl->verdicts))
			return err_set(err, -ENODATA, "none of the probes can be put into the process");
		prune(pl);
		measure(pl);
		if (pl->verdicts.nrefused == before)
			r = lay_out(pl, err);
	} while (!r && pl->verdicts.nrefused != before);
	return r;
}

/* ---- putting it in ---- */

static const struct shared_map *pool_map(const struct plan *pl)
{
	return &pl->maps[pl->nmaps - 1];
}

static char *memory_at(const struct plan *pl, const struct patched *d, uint64_t addr)
{
	for (size_t i = 0; i < pl->nmaps; i++)
		if (addr - pl->maps[i].addr < pl->maps[i].len)
			return d->memory + pl->maps[i].off + (addr - pl->maps[i].addr);
	return NULL;
}

/* PATCH_JUMP bytes, for an address that is within reach. */
static void make_jump(uint64_t from, uint64_t to, uint8_t *ret)
{
	int32_t d = (int32_t)(int64_t)(to - (from + PATCH_JUMP));

	ret[0] = 0xe9;
	memcpy(ret + 1, &d, sizeof(d));
}

/* The code is the measured one, at its place: that it fits is checked, not expected otherwise. */
static int write_trampoline(const struct plan *pl, const struct patched *d, const struct planned *s, struct err *err)
{
	_cleanup_(buf_done) struct buf code = {0};
	uint32_t entry;
	int r = plan_trampoline(pl, s, s->at->addr, &code, &entry, err);

	if (!r && (code.len > s->at->bytes || entry != s->at->entry))
		r = err_set(err, -EIO,
			    "%s cannot be patched in the process: the code of its probes has become longer than its "
			    "place",
			    site_label(pl, s));
	if (!r && !patch_reaches(site_of(s), s->at->landing_pad - pl->t->bias))
		r = err_set(err, -EIO,
			    "%s cannot be patched in the process: its jump does not reach the code of its probes",
			    site_label(pl, s));
	if (r)
		return r;
	memcpy(memory_at(pl, d, s->at->addr), code.data, code.len);
	if (s->at->landing_pad != s->at->addr + entry)
		make_jump(s->at->landing_pad, s->at->addr + entry, (uint8_t *)memory_at(pl, d, s->at->landing_pad));
	return 0;
}

static int write_handlers(struct plan *pl, struct patched *d, const uint64_t next[2], uint64_t ret[2], struct err *err)
{
	_cleanup_(buf_done) struct buf code = {0};

	for (int i = 0; i < 2; i++) {
		int r;

		while (code.len % 16)
			buf_char(&code, (char)0xcc);
		ret[i] = pl->handler_addr + code.len;
		r = patch_handler_compile(pl->area_addr, &pl->layout, next[i], &code, err);
		if (r < 0)
			return r;
	}
	if (code.len > HANDLER_BYTES)
		return err_set(err, -EIO, "the code for memory faults is longer than expected");
	memcpy(memory_at(pl, d, pl->handler_addr), code.data, code.len);
	return 0;
}

/* Where only aggregates are wanted, there are hardly any records: those of the runtime's hooks. */
static uint32_t chunks_first(const struct plan *pl)
{
	for (size_t i = 0; i < pl->nprobes; i++)
		if (!pl->probes[i].auxiliary && (!pl->forms.of[i] || !pl->probes[i].program->no_record))
			return pl->p->chunks_first;
	return MIN(pl->p->procs + PATCH_EXTRA_SLOTS, pl->p->chunks_first);
}

/* Address space for chunks that may never be there: not where the program may have only so much. */
static uint32_t chunks_for(const struct plan *pl)
{
	struct rlimit l;
	bool limited = prlimit(pl->t->pid, RLIMIT_AS, NULL, &l) == 0 && l.rlim_cur != RLIM_INFINITY;

	return limited ? chunks_first(pl) : pl->p->chunks;
}

static uint32_t saved_calls(const struct plan *pl)
{
	for (size_t i = 0; i < pl->nprobes; i++)
		if (pl->forms.of[i] && pl->probes[i].program->role == PROGRAM_RETURN)
			return SAVED_SUMS;
	return SAVED;
}

static bool any_marks(const struct plan *pl)
{
	for (size_t i = 0; i < pl->nprobes; i++)
		if (capture_has_marks(pl->probes[i].program))
			return true;
	return false;
}

static bool any_states(const struct plan *pl)
{
	for (size_t i = 0; i < pl->nprobes; i++)
		if (capture_has(pl->probes[i].program, IR_MARK_STATE))
			return true;
	return false;
}

/* What ids are made of. Without getrandom (a seccomp filter may refuse it) they need only be different. */
static void seed_slots(const struct plan *pl, struct patched *d)
{
	for (uint32_t i = 0; i < pl->layout.ring.procs + pl->layout.ring.extra; i++) {
		struct patch_slot *s = (struct patch_slot *)(void *)ring_slot_at(&d->area->ring, &pl->layout.ring, i);

		if (getrandom(s->random, sizeof(s->random), 0) != sizeof(s->random) || !(s->random[0] | s->random[1])) {
			s->random[0] = tsc_now() * UINT64_C(0x9e3779b97f4a7c15);
			s->random[1] = (uint64_t)pl->t->pid << 32 | (i + 1);
		}
	}
}

static void fill_area(const struct plan *pl, struct patched *d)
{
	struct patch_area a = pl->layout;

	a.ring.on = 1;
	a.ring.heartbeat_tsc = tsc_now();
	a.ring.stale_tsc = (uint64_t)(((unsigned __int128)STALE_NS << 32) / pl->p->reader.clock.mult);
	for (size_t i = 0; i < pl->regions.len; i++) {
		a.code[i].low = pl->regions.data[i].addr;
		a.code[i].high = a.code[i].low + pl->regions.data[i].used;
	}
	a.ncode = pl->regions.len;
	if (pl->chain_code.len) {
		memcpy(memory_at(pl, d, pl->chain_addr), pl->chain_code.data, pl->chain_code.len);
		a.code[a.ncode].low = pl->chain_addr;
		a.code[a.ncode++].high = pl->chain_addr + pl->chain_code.len;
	}
	memcpy(d->area, &a, sizeof(a));
	pool_init(&d->ring.pool, &d->area->ring, &pl->layout.ring, (uint8_t *)d->memory + pool_map(pl)->off,
		  chunks_first(pl));
	pool_may_grow(&d->ring.pool, d->fd, pool_map(pl)->off, &pl->p->budget);
	patch_forms_begin(&pl->forms, d->area, &pl->layout, pl->area_addr);
	if (pl->layout.nmarks)
		seed_slots(pl, d);
	if (pl->loans_addr)
		((struct shared_loans *)(void *)memory_at(pl, d, pl->loans_addr))->lending = 1;
	if (pl->layout.nstates)
		tracestate_rules((struct tracestate_rules *)(void *)((uint8_t *)d->area + pl->layout.rules_off));
	if (pl->table_bytes.len)
		memcpy(memory_at(pl, d, pl->tables_addr), pl->table_bytes.data, pl->table_bytes.len);
}

static struct syscall_insns syscalls_at(const struct syscall_insns *image, uint64_t bias)
{
	struct syscall_insns c = {.any = image->any + bias, .futex = image->futex ? image->futex + bias : 0};

	for (size_t i = 0; i < SYSCALLS_UNREAD; i++)
		c.unread[i] = image->unread[i] ? image->unread[i] + bias : 0;
	return c;
}

static struct helper_target helper_target_of(const struct plan *pl)
{
	const struct facts *f = pl->facts;
	uint64_t bias = pl->t->bias;

	return (struct helper_target){.pid = pl->t->pid,
				    .calls = syscalls_at(&f->calls, bias),
				    .main_entry = f->main_entry ? f->main_entry + bias : 0,
				    .text = f->text + bias,
				    .etext = f->etext + bias};
}

static uint64_t existing(const struct plan *pl)
{
	return pool_map(pl)->off + (uint64_t)chunks_first(pl) * RING_CHUNK;
}

static int map_in(struct plan *pl, struct patched *d, uint64_t ret_next[2], struct err *err)
{
	const struct helper_target target = helper_target_of(pl);
	struct helper_mapped m;
	int r = -EEXIST;

	for (int i = 0; i < RETRIES && r == -EEXIST; i++) {
		r = decide(pl, err);
		if (!r)
			r = helper_map(pl->p->helper, &target,
				       &(struct helper_memory){pl->maps, pl->nmaps, pl->bytes, existing(pl),
							       pl->sites.len, pl->loans_addr},
				       &m, err);
	}
	if (r)
		return r;
	d->handle = m.handle;
	d->inside = true;
	d->bytes = pl->bytes;
	d->fd = m.fd;
	d->memory = mmap(NULL, d->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (d->memory == MAP_FAILED) {
		d->memory = NULL;
		return err_set(err, -errno, "the shared memory cannot be mapped: %s", strerror(errno));
	}
	d->area = (struct patch_area *)(void *)(d->memory + (pl->area_addr - pl->maps[0].addr));
	d->layout = pl->layout;
	d->ring.area = &d->area->ring;
	d->ring.layout = &d->layout.ring;
	d->ring.beat = (uint64_t *)(void *)(d->memory + SHARED_HEARTBEAT_OFF);
	memcpy(ret_next, m.next, sizeof(m.next));
	return 0;
}

static struct shared_patch patch_of(const struct plan *pl, const struct planned *s)
{
	uint64_t addr = s->addr + pl->t->bias;
	struct shared_patch h = {.addr = addr, .n = PATCH_JUMP};

	memcpy(h.old, site_of(s)->old, PATCH_JUMP);
	make_jump(addr, s->at->landing_pad, h.new);
	return h;
}

/* Gives the patch to each probe of the site. */
static void add_patches(const struct plan *pl, const struct planned *s, struct plant **ret)
{
	for (size_t i = 0; i < probes_of(s); i++) {
		size_t probe = probe_of(s, i);

		if (!ret[probe])
			ret[probe] = xcalloc(1, sizeof(struct plant));
		vec_push(&ret[probe]->patches, patch_of(pl, s));
	}
}

static int put_in(struct plan *pl, struct patched *d, struct plant **ret, struct err *err)
{
	VEC(struct shared_patch) patches = {0};
	uint64_t next[2] = {0}, handlers[2] = {0};
	int r = map_in(pl, d, next, err);

	if (r)
		return r;
	for (size_t i = 0; i < pl->sites.len && !r; i++)
		r = write_trampoline(pl, d, &pl->sites.data[i], err);
	fill_area(pl, d);
	if (!r)
		r = write_handlers(pl, d, next, handlers, err);
	for (size_t i = 0; i < pl->sites.len && !r; i++) {
		add_patches(pl, &pl->sites.data[i], ret);
		vec_push(&patches, patch_of(pl, &pl->sites.data[i]));
	}
	if (!r)
		r = helper_patch(pl->p->helper, d->handle, patches.data, patches.len, handlers, &d->pause_ns, err);
	vec_done(&patches);
	return r;
}

static void give_up(struct plan *pl, struct patched *d, struct plant **ret, const struct err *err)
{
	verdict_refuse_all(&pl->verdicts, err);
	for (size_t i = 0; i < pl->nprobes; i++) {
		if (ret[i])
			vec_done(&ret[i]->patches);
		free(TAKE(ret[i]));
	}
	if (d->inside)
		helper_leave(pl->p->helper, d->handle, NULL);
	patched_done(d);
}

static int keep(struct plan *pl, struct patched *d, struct plant **ret)
{
	for (size_t i = 0; i < pl->nprobes; i++) {
		const struct capture_program *program = pl->probes[i].program;

		if (!ret[i] && d->forms.of[i])
			d->forms.of[i]->refused = true;
		if (!ret[i])
			continue;
		pairing_add(pl->p->reader.pairing, pl->probes[i].id, program->role, program->call_group,
			       pl->probes[i].sites->addr);
		if (d->forms.of[i]) /* it has its limits in its code */
			pairing_control(pl->p->reader.pairing, pl->probes[i].id, &(struct plant_control){0});
		ret[i]->patched = d;
		vec_push(&d->plants, ret[i]);
	}
	d->next = pl->p->patched;
	pl->p->patched = d;
	return (int)d->plants.len;
}

static int plant_planned(struct plan *pl, struct plant **ret)
{
	struct patched *d = xcalloc(1, sizeof(*d));
	struct err err = {0};

	*d = (struct patched){.target = pl->t->id, .pid = pl->t->pid, .fd = -1, .nprobes = (uint32_t)pl->nprobes};
	d->probes = xcalloc(pl->nprobes, sizeof(*d->probes));
	for (size_t i = 0; i < pl->nprobes; i++)
		d->probes[i] = pl->probes[i].id;
	d->counted = xcalloc(pl->nprobes, sizeof(*d->counted));
	if (put_in(pl, d, ret, &err)) {
		give_up(pl, d, ret, &err);
		return 0;
	}
	d->forms = pl->forms;
	pl->forms = (struct patch_forms){0};
	return keep(pl, d, ret);
}

static bool observed_already(const struct patch_planter *p, int pid)
{
	for (const struct patched *d = p->patched; d; d = d->next)
		if (d->pid == pid && d->inside)
			return true;
	return false;
}

static const struct plant_control *control_of(void *arg, uint32_t probe)
{
	const struct patch_planter *p = arg;

	return map_get(&p->controls, probe + UINT64_C(1));
}

static int prepare(struct plan *pl, struct err *err)
{
	struct helper_target target;
	int r;

	if (!pl->t->binary)
		return err_set(err, -EINVAL, "the executable of process %d was not analysed", pl->t->pid);
	pl->facts = facts_of(pl->t->binary, err);
	if (!pl->facts)
		return err->code;
	r = patch_forms_make(pl->probes, pl->nprobes, control_of, pl->p, &pl->forms, err);
	if (r)
		return r;
	r = patch_area_layout(pl->p->procs, PATCH_EXTRA_SLOTS, chunks_for(pl), (uint32_t)pl->nprobes, saved_calls(pl),
			      &pl->layout, err);
	if (r)
		return r;
	pl->layout.ring.target = pl->t->id;
	patch_forms_layout(&pl->forms, pl->p->max_groups, &pl->layout);
	if (any_marks(pl))
		patch_marks_layout(MARKS, any_states(pl) ? STATES : 0, &pl->layout);
	target = helper_target_of(pl);
	if (!observed_already(pl->p, pl->t->pid))
		r = helper_clean(pl->p->helper, &target, err);
	return r;
}

int patch_plant(struct planter *planter, const struct plant_target *t, const struct plant_probe *probes, size_t n,
		struct plant **ret, struct err *errs)
{
	struct patch_planter *p = CONTAINER_OF(planter, struct patch_planter, planter);
	struct plan pl = {.p = p, .t = t, .probes = probes, .nprobes = n};
	struct err err = {0};
	int planted = 0;

	verdicts_init(&pl.verdicts, probes, n, errs);
	pl.apart = xcalloc(n + 1, sizeof(bool));
	memset(ret, 0, n * sizeof(struct plant *));
	if (!n || prepare(&pl, &err)) {
		verdict_refuse_all(&pl.verdicts, &err);
	} else {
		verdicts_refuse_unlocated(&pl.verdicts);
		find_sites(&pl);
		planted = plant_planned(&pl, ret);
	}
	for (size_t i = 0; i < pl.sites.len; i++)
		planned_done(&pl.sites.data[i]);
	vec_done(&pl.sites);
	map_done(&pl.by_addr);
	map_done(&pl.tables);
	buf_done(&pl.table_bytes);
	buf_done(&pl.chain_code);
	vec_done(&pl.regions);
	patch_forms_done(&pl.forms);
	free(pl.trampolines);
	verdicts_done(&pl.verdicts);
	free(pl.apart);
	return planted;
}
