/* The input is the body of a function: decoded, its prologue read, sites chosen, effects and text
 * asked. */
#include "binary/arch_x86_64.h"
#include "fuzz/replay.h"

#include "binary/insn.h"
#include "lib/tiny_binary.h"
#include "unit/uprobe_sites.h"

#define SLOT 0x38 /* bytes of a function in the tiny program */

static void ask_code(const uint8_t *data, size_t size)
{
	struct insn_effect e;
	struct prologue p;
	struct disasm c;
	char text[24];

	disasm_make(&arch_x86_64, data, size, 0x1000, &c);
	disasm_prologue(&c, &p);
	if (p.checked && (!disasm_at(&c, p.morestack) || p.check >= c.n))
		__builtin_trap();
	for (size_t i = 0; i < c.n; i++) {
		insn_effect(&c, &c.insns[i], &e);
		insn_text(&c, &c.insns[i], text, sizeof(text));
		if (disasm_at(&c, c.insns[i].addr) != &c.insns[i])
			__builtin_trap();
	}
	disasm_done(&c);
}

static void ask_sites(struct binary *b)
{
	const struct site *sites = NULL;
	struct signature sig;
	struct uprobe_site s;
	struct func f;
	size_t n;

	if (!binary_func(b, 0, &f))
		return;
	f.flags = 0;
	if (!entry_site(b, &f, &s, NULL) &&
	    (s.site.addr < f.entry || s.site.addr >= f.end || s.sp_delta < 0))
		__builtin_trap();
	if (!return_sites(b, &f, &sites, &n, NULL) && !n)
		__builtin_trap();
	binary_signature(b, &f, NULL, &sig, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binary *b;

	ask_code(data, size);
	b = tiny_open_input((struct tiny_options){0}, TINY_TEXT, SLOT, data, size);
	if (b)
		ask_sites(b);
	binary_free(b);
	return 0;
}
