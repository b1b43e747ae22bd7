#include "plant/patch/facts.h"

#include <errno.h>
#include <inttypes.h>

#include "binary/arch_x86_64.h"
#include "binary/insn.h"

/* Assembly only: there it is a whole instruction of a function that Go's own system calls go through. */
static uint64_t syscall_in(struct binary *b, const struct func *f)
{
	uint64_t found = 0;
	struct disasm c;

	if (!(f->flags & FUNC_ASM) || f->flags & FUNC_NO_FUNCDATA || func_disasm(b, f, &c, NULL))
		return 0;
	for (size_t k = 0; k < c.n && !found; k++) {
		const unsigned char *p = c.bytes + (c.insns[k].addr - c.addr);

		if (c.insns[k].len == 2 && p[0] == 0x0f && p[1] == 0x05)
			found = c.insns[k].addr;
	}
	disasm_done(&c);
	return found;
}

static void walk_functions(struct facts *f)
{
	size_t n = binary_func_count(f->binary);
	struct func fn;

	for (size_t i = 0; i < n; i++) {
		if (!binary_func(f->binary, i, &fn))
			continue;
		if (!f->text)
			f->text = fn.entry;
		f->etext = fn.end;
		if (!f->syscall_insn)
			f->syscall_insn = syscall_in(f->binary, &fn);
	}
	if (binary_func_find(f->binary, "runtime.futex", &fn, 1)) { /* see stop.c */
		uint64_t in_futex = syscall_in(f->binary, &fn);

		f->syscall_insn = in_futex ? in_futex : f->syscall_insn;
	}
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

static int read_offsets(struct facts *f, struct err *err)
{
	if (offset_of(f->binary, "runtime.m", "p", 8, &f->m_p) && offset_of(f->binary, "runtime.p", "id", 4, &f->p_id))
		return 0;
	return err_set(err, -EOPNOTSUPP,
		       "the program does not describe the runtime's m and p, so probes inside it cannot tell which P "
		       "they run on; use --planter uprobe");
}

/* Sites are found, and code is made, byte by byte. */
static int check_arch(const struct facts *f, struct err *err)
{
	const struct arch *a = binary_arch(f->binary);

	return a == &arch_x86_64 ? 0 : err_set(err, -EOPNOTSUPP, "patching makes code for %s alone, and the program is "
					       "%s; use --planter uprobe", arch_x86_64.name, a->name);
}

int facts_read(const char *path, struct facts *ret, struct err *err)
{
	struct facts f = {0};
	struct func main_fn;
	int r = binary_open(path, &f.binary, err);

	if (r)
		return r;
	r = check_arch(&f, err);
	if (r) {
		facts_done(&f);
		return r;
	}
	f.exclusion = patch_exclusion_new(f.binary);
	walk_functions(&f);
	r = read_offsets(&f, err);
	if (binary_func_find(f.binary, "main.main", &main_fn, 1))
		f.main_entry = main_fn.entry;
	if (!r && !f.syscall_insn)
		r = err_set(err, -EOPNOTSUPP,
			       "the program has no `syscall` instruction of the Go runtime that earshot could use; use "
			       "--planter uprobe");
	if (!r)
		r = binary_check(f.binary, err);
	if (r)
		facts_done(&f);
	else
		*ret = f;
	return r;
}

void facts_done(struct facts *f)
{
	patch_exclusion_free(f->exclusion);
	binary_free(f->binary);
}

int facts_site(const struct facts *f, const struct site *s, struct patch_site *ret, struct err *err)
{
	struct site entry;
	struct func fn;

	if (!binary_func_at(f->binary, s->addr, &fn))
		return err_set(err, -EINVAL, "there is no function at %#" PRIx64, s->addr);
	if (s->kind == SITE_RETURN)
		return patch_return_site(f->binary, f->exclusion, &fn, s->addr, ret, err);
	if (binary_entry_site(f->binary, &fn, &entry, NULL) || entry.addr != s->addr)
		return err_set(err, -ENOTSUP, "%s cannot be patched in the process at %#" PRIx64
			       ": that is not its entry (an inlined call?)", fn.name, s->addr);
	return patch_entry_site(f->binary, f->exclusion, &fn, ret, err);
}
