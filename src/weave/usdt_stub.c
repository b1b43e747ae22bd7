#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "weave/usdt.h"

/* What differs between machines: the code, and how the places of arguments are written. */
struct usdt_machine {
	const char *arch; /* as GOARCH */
	const char *word; /* what the assembler calls four bytes */
	uint32_t code[2];
	/* Of Go's ABIInternal: the first register is that of the slots; what lies there, and farther on, between before
	 * and after. */
	const char *registers[3], *here, *before, *after;
};

static const struct usdt_machine machines[] = {
	/* nop; nopl 0(%rax,%rax,1); ret; int3 */
	{"amd64", "LONG", {0x441f0f90, 0xccc30000}, {"%rax", "%rbx", "%rcx"}, "(%rax)", "", "(%rax)"},
	/* nop; ret */
	{"arm64", "WORD", {0xd503201f, 0xd65f03c0}, {"x0", "x1", "x2"}, "[x0]", "[x0, ", "]"},
};

void usdt_name(const char *text, struct buf *out)
{
	size_t before = out->len;

	for (; *text; text++) {
		if (isalnum((unsigned char)*text))
			buf_char(out, *text);
		else if (out->len > before && out->data[out->len - 1] != '_')
			buf_char(out, '_');
	}
	if (out->len > before && out->data[out->len - 1] == '_')
		out->data[--out->len] = 0;
}

static void add_arguments(const struct usdt_machine *m, const struct weave_probe *p, struct buf *out)
{
	for (size_t i = 0; i < p->narguments; i++) {
		const struct usdt_argument *a = &p->arguments[i];

		buf_printf(out, "%s%s8@", i ? " " : "", a->is_signed ? "-" : "");
		if (a->parameter == USDT_SLOTS && !a->at)
			buf_str(out, m->here);
		else if (a->parameter == USDT_SLOTS)
			buf_printf(out, "%s%u%s", m->before, a->at, m->after);
		else
			buf_str(out, m->registers[a->parameter]);
	}
}

static void add_words(const struct usdt_machine *m, const struct buf *bytes, struct buf *out)
{
	for (size_t i = 0; i < bytes->len; i += 4) {
		uint32_t word = 0;

		memcpy(&word, bytes->data + i, MIN(bytes->len - i, sizeof(word)));
		buf_printf(out, "\t%s\t$0x%08x\n", m->word, word);
	}
}

/* All of it is data to the assembler: nothing is left to its choice. */
static void add_stub(const struct usdt_machine *m, const struct weave_probe *p, struct buf *out)
{
	const uint64_t head[] = {USDT_MAGIC_0, USDT_MAGIC_1, p->key};
	_cleanup_(buf_done) struct buf bytes = {0};
	const char *dot = strchr(p->symbol, '.');

	buf_append(&bytes, m->code, sizeof(m->code));
	buf_append(&bytes, head, sizeof(head));
	buf_append(&bytes, p->provider, strlen(p->provider) + 1);
	buf_append(&bytes, p->name, strlen(p->name) + 1);
	add_arguments(m, p, &bytes);
	buf_char(&bytes, 0);
	/* NOSPLIT|NOFRAME */
	buf_printf(out, "TEXT %.*s·%s<ABIInternal>(SB), 516, $0-0\n", (int)(dot - p->symbol), p->symbol, dot + 1);
	add_words(m, &bytes, out);
}

int usdt_assembly(const struct weave_probe *probes, size_t n, const char *arch, struct buf *out, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		if (!arch || strcmp(machines[i].arch, arch) != 0)
			continue;
		for (size_t k = 0; k < n; k++)
			add_stub(&machines[i], &probes[k], out);
		return 0;
	}
	return err_set(err, -ENOTSUP, "USDT probes are made for amd64 and arm64, not for %s",
	               arch ? arch : "this machine");
}
