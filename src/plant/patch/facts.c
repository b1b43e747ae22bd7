#include "plant/patch/facts.h"

#include <errno.h>
#include <inttypes.h>

#include "binary/arch_x86_64.h"
#include "binary/insn.h"

/* Assembly only: there it is a whole instruction of a function that Go's own system calls go through. 0: none. */
static uint64_t syscall_in(struct binary *b, const struct func *f)
{
	uint64_t found = 0;
	struct disasm c;

	if (!(f->flags & FUNC_ASM) || func_disasm(b, f, &c, NULL))
		return 0;
	for (size_t k = 0; k < c.n && !found; k++) {
		const unsigned char *p = c.bytes + (c.insns[k].addr - c.addr);

		if (c.insns[k].len == 2 && p[0] == 0x0f && p[1] == 0x05)
			found = c.insns[k].addr;
	}
	disasm_done(&c);
	return found;
}

static bool is_frame(uint8_t reg)
{
	return reg == REG_NONE || reg == GPR_RSP || reg == GPR_RBP;
}

/* An epilogue: it takes the frame away, and neither reads nor stores anything else. */
static bool only_returns(const struct disasm *c, const struct insn *i)
{
	const uint32_t frame = 1u << GPR_RSP | 1u << GPR_RBP;
	struct insn_effect e;

	for (; i < c->insns + c->n && i->kind == INSN_PLAIN; i++)
		if (!insn_effect(c, i, &e) || e.stores || e.mem_indexed || e.written & ~frame || e.written_float ||
		    (e.has_mem && e.mem_base != GPR_RSP) || !is_frame(e.reg) || !is_frame(e.reg2))
			return false;
	return i < c->insns + c->n && i->kind == INSN_RET;
}

uint64_t facts_unread_syscall(struct binary *b, const struct func *f)
{
	uint64_t at = syscall_in(b, f);
	struct disasm c;

	if (!at || func_disasm(b, f, &c, NULL))
		return 0;
	if (!only_returns(&c, disasm_at(&c, at) + 1))
		at = 0;
	disasm_done(&c);
	return at;
}

/* There may be a wrapper of the same name, which has no `syscall`. */
static uint64_t find_call(struct binary *b, const char *name, uint64_t (*in)(struct binary *b, const struct func *f))
{
	struct func f[4];
	uint64_t at = 0;

	for (size_t i = MIN(binary_func_find(b, name, f, ARRAY_SIZE(f)), ARRAY_SIZE(f)); i-- > 0 && !at;)
		at = in(b, &f[i]);
	return at;
}

static void find_calls(struct binary *b, struct syscall_insns *ret)
{
	static const char *const unread[SYSCALLS_UNREAD] = {"runtime.usleep", "runtime.osyield"};

	for (size_t i = 0; i < ARRAY_SIZE(unread); i++)
		ret->unread[i] = find_call(b, unread[i], facts_unread_syscall);
	ret->futex = find_call(b, "runtime.futex", syscall_in);
	if (ret->futex)
		ret->any = ret->futex;
}

static void walk_functions(struct binary *b, struct facts *f)
{
	size_t n = binary_func_count(b);
	struct func fn;

	for (size_t i = 0; i < n; i++) {
		if (!binary_func(b, i, &fn))
			continue;
		if (!f->text)
			f->text = fn.entry;
		f->etext = fn.end;
		if (!f->calls.any && !(fn.flags & FUNC_NO_FUNCDATA))
			f->calls.any = syscall_in(b, &fn);
	}
	find_calls(b, &f->calls);
}

static bool offset_of(struct binary *b, const char *type, const char *field, uint64_t size, uint32_t *ret)
{
	const struct type *t = binary_type(b, type);
	struct field_path path;

	if (!t || t->kind != KIND_STRUCT || !type_field_find(b, t, field, &path) || path.n != 1 ||
	    path.steps[0].type->size != size)
		return false;
	*ret = (uint32_t)path.steps[0].offset;
	return true;
}

static int read_offsets(struct binary *b, struct facts *f, struct err *err)
{
	if (offset_of(b, "runtime.m", "p", 8, &f->m_p) && offset_of(b, "runtime.p", "id", 4, &f->p_id))
		return 0;
	return err_set(err, -EOPNOTSUPP,
		       "the program does not describe the runtime's m and p, so probes inside it cannot tell which P "
		       "they run on; use --planter uprobe");
}

/* Sites are found, and code is made, byte by byte. */
static int check_arch(struct binary *b, struct err *err)
{
	const struct arch *a = binary_arch(b);

	return a == &arch_x86_64 ? 0 : err_set(err, -EOPNOTSUPP, "patching makes code for %s alone, and the program is "
					       "%s; use --planter uprobe", arch_x86_64.name, a->name);
}

static int find_out(struct binary *b, struct facts *f, struct err *err)
{
	struct func main_fn;
	int r = check_arch(b, err);

	if (!r)
		r = read_offsets(b, f, err);
	f->exclusion = patch_exclusion_new(b);
	walk_functions(b, f);
	if (binary_func_find(b, "main.main", &main_fn, 1))
		f->main_entry = main_fn.entry;
	if (!r && !f->calls.any)
		r = err_set(err, -EOPNOTSUPP,
			    "the program has no `syscall` instruction of the Go runtime that earshot could use; use "
			    "--planter uprobe");
	return r;
}

/* With a binary. */
struct kept_facts {
	struct facts facts;
	struct err why;      /* where the program lacks something */
};

static void *kept_new(struct binary *b)
{
	struct kept_facts *k = xcalloc(1, sizeof(*k));

	find_out(b, &k->facts, &k->why);
	return k;
}

static void kept_free(void *data)
{
	struct kept_facts *k = data;

	patch_exclusion_free(k->facts.exclusion);
	free(k);
}

static const struct kept_facts *kept_of(struct binary *b)
{
	static const char key;

	return binary_keep(b, &key, kept_new, kept_free);
}

const struct facts *facts_of(struct binary *b, struct err *err)
{
	const struct kept_facts *k = kept_of(b);

	if (k->why.code)
		err_set(err, k->why.code, "%s", k->why.text);
	return k->why.code ? NULL : &k->facts;
}

int patch_suits(struct binary *b, struct err *err)
{
	return facts_of(b, err) ? 0 : -EOPNOTSUPP;
}

/* ---- sites ---- */

static int locate_one(struct binary *b, const struct facts *f, const struct join_point *at, const struct func *fn,
		      const struct spot *spot, struct patch_located *ret, struct err *err)
{
	int r = at->kind == JOIN_RETURN
			? patch_return_site(b, f->exclusion, fn, fn->entry + spot->offset, &ret->patch, err)
			: patch_entry_site(b, f->exclusion, fn, &ret->patch, err);

	ret->site = (struct site){.addr = ret->patch.addr, .kind = at->kind};
	return r;
}

static int locate_returns(struct binary *b, const struct facts *f, const struct join_point *at, const struct func *fn,
			  const struct site **ret, struct err *err)
{
	struct patch_located *all = arena_array(binary_arena(b), struct patch_located, at->nspots);

	for (uint32_t i = 0; i < at->nspots; i++) {
		int r = locate_one(b, f, at, fn, &at->spots[i], &all[i], err);

		if (r)
			return r;
		if (i)
			all[i - 1].site.next = &all[i].site;
	}
	*ret = at->nspots ? &all->site : NULL;
	return 0;
}

int patch_locate(struct binary *b, const struct join_point *at, const struct site **ret, struct err *err)
{
	const struct facts *f = &kept_of(b)->facts;
	struct patch_located *entry;
	struct func fn;
	int r;

	if (!binary_func(b, at->func, &fn))
		return err_set(err, -EINVAL, "there is no such function");
	if (at->kind == JOIN_RETURN)
		return locate_returns(b, f, at, &fn, ret, err);
	if (at->kind != JOIN_ENTRY)
		return err_set(err, -ENOTSUP, "%s cannot be patched in the process at %#" PRIx64
			       ": that is not its entry (an inlined call?)", fn.name,
			       fn.entry + (at->nspots ? at->spots->offset : 0));
	entry = arena_new(binary_arena(b), struct patch_located);
	r = locate_one(b, f, at, &fn, NULL, entry, err);
	if (!r)
		*ret = &entry->site;
	return r;
}
