/*
 * Arguments of notes. x86-64, as gcc and clang write for the constraint "nor", with what libstapsdt and others add:
 *	8@%rdi  -4@%eax  8@-16(%rbp)  8@8(%rdi,%rsi,8)  8@(,%rax,4)  4@$-5  4@NBuffers(%rip)  4@40+stats(%rip)  8f@%rdx
 * arm64:
 *	8@x1  -4@w0  4@[sp, 12]  8@[x0, x1]  8@[x0, x1, lsl 3]  4@5
 * A register's name does not tell how much of it counts (libstapsdt writes -4@%rdi): the size does.
 */
#include "usdt/operand.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "binary/arch.h"

/* ---- a text from its beginning ---- */

static bool take_char(struct text_view *t, char c)
{
	if (!t->len || *t->s != c)
		return false;
	t->s++;
	t->len--;
	return true;
}

static void skip_blanks(struct text_view *t)
{
	while (t->len && (*t->s == ' ' || *t->s == '\t'))
		take_char(t, *t->s);
}

/* The characters that is_part accepts; may be none. */
static struct text_view take_while(struct text_view *t, bool (*is_part)(char c))
{
	struct text_view word = {t->s, 0};

	while (t->len && is_part(*t->s)) {
		take_char(t, *t->s);
		word.len++;
	}
	return word;
}

static bool is_digit(char c)
{
	return isdigit((unsigned char)c);
}

static bool is_alnum(char c)
{
	return isalnum((unsigned char)c);
}

/* What the assembler takes in names of symbols, and what versions and relocations (sym@GOTPCREL) add. */
static bool is_symbol(char c)
{
	return is_alnum(c) || c == '_' || c == '.' || c == '$' || c == '@';
}

/* Decimal, or hexadecimal behind 0x; values of an int64_t and of a uint64_t. */
static bool take_number(struct text_view *t, int64_t *ret)
{
	struct text_view rest = *t;
	bool negative = take_char(&rest, '-');
	unsigned base = 10, digits = 0;
	uint64_t v = 0;
	int d;

	if (!negative)
		take_char(&rest, '+');
	if (rest.len > 2 && rest.s[0] == '0' && (rest.s[1] | 0x20) == 'x') {
		rest = (struct text_view){rest.s + 2, rest.len - 2};
		base = 16;
	}
	for (; rest.len && (d = hex_digit(*rest.s)) >= 0 && d < (int)base; digits++) {
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
		take_char(&rest, *rest.s);
	}
	if (!digits || (negative && v > (uint64_t)INT64_MAX + 1) || (rest.len && is_symbol(*rest.s)))
		return false;
	*ret = (int64_t)(negative ? -v : v);
	*t = rest;
	return true;
}

/* ---- registers ---- */

enum { NO_REGISTER = -1, FLOAT_REGISTER = -2, HIGH_BYTE = -3 };

/* "r8d", "r8w", "r8b", "r8l". */
static int numbered_x86_64(const struct arch *a, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < a->nregisters; i++) {
		size_t k = strlen(a->registers[i]);

		if (is_digit(a->registers[i][k - 1]) && n == k + 1 && !memcmp(name, a->registers[i], k) &&
		    strchr("dwbl", name[k]))
			return i;
	}
	return NO_REGISTER;
}

/* Of "rax" and "rsi" the parts: "eax", "ax", "al", "ah"; "esi", "si", "sil". */
static bool is_part_of(const char *name, const char *whole)
{
	const char *tail = whole + 1;
	char low[4];

	if (is_digit(whole[1]))
		return false;
	if (tail[1] == 'x')
		snprintf(low, sizeof(low), "%cl", tail[0]);
	else
		snprintf(low, sizeof(low), "%.2sl", tail);
	return !strcmp(name, whole) || (name[0] == 'e' && !strcmp(name + 1, tail)) || !strcmp(name, tail) ||
	       !strcmp(name, low);
}

static int register_x86_64(const char *name)
{
	const struct arch *a = arch_of_machine(EM_X86_64);

	for (int i = 0; i < a->nregisters; i++)
		if (!strcmp(name, a->registers[i]) || is_part_of(name, a->registers[i]))
			return i;
	if (strlen(name) == 2 && strchr("abcd", name[0]) && name[1] == 'h')
		return HIGH_BYTE;
	if (!strncmp(name, "xmm", 3) || !strncmp(name, "ymm", 3) || !strncmp(name, "zmm", 3) || !strncmp(name, "st", 2))
		return FLOAT_REGISTER;
	return numbered_x86_64(a, name);
}

enum { ARM64_SP = 31 };
static const char *const arm64_registers[] = {
	"x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",	"x8",  "x9",  "x10", "x11", "x12", "x13", "x14", "x15",
	"x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",
};

static int register_arm64(const char *name)
{
	if (!strcmp(name, "wsp"))
		return ARM64_SP;
	for (int i = 0; i < (int)ARRAY_SIZE(arm64_registers); i++)
		if (!strcmp(name, arm64_registers[i]) || (name[0] == 'w' && i != ARM64_SP &&
							  !strcmp(name + 1, arm64_registers[i] + 1)))
			return i;
	return strchr("vqdshb", name[0]) && is_digit(name[1]) ? FLOAT_REGISTER : NO_REGISTER;
}

const char *usdt_register_name(uint16_t machine, int reg)
{
	const struct arch *a = arch_of_machine(machine);

	if (machine == EM_AARCH64)
		return reg >= 0 && reg < (int)ARRAY_SIZE(arm64_registers) ? arm64_registers[reg] : "?";
	return a && reg >= 0 && reg < a->nregisters ? a->registers[reg] : "?";
}

/* ---- one argument ---- */

struct parse {
	const struct usdt_operands *o;
	struct text_view left; /* of the operand */
	struct usdt_arg arg;
};

static bool refuse(struct parse *p, const char *why)
{
	p->arg.why = why;
	return false;
}

static bool take_register(struct parse *p, int *ret)
{
	struct text_view word = take_while(&p->left, is_alnum);
	char name[8] = "";
	int reg = NO_REGISTER;

	if (word.len && word.len < sizeof(name)) {
		memcpy(name, word.s, word.len);
		reg = p->o->machine == EM_AARCH64 ? register_arm64(name) : register_x86_64(name);
	}
	if (reg == FLOAT_REGISTER)
		return refuse(p, "it lies in a floating-point register, which a probe does not see");
	if (reg == HIGH_BYTE)
		return refuse(p, "it lies in the second byte of a register, which is not supported");
	if (reg < 0)
		return refuse(p, arena_printf(p->o->arena, "\"%s\" is no register that an argument can lie in",
					      usdt_printable(p->o->arena, word)));
	*ret = reg;
	return true;
}

/* The address of a symbol, and where within it: what lies outside of the object is not what the note means. */
static bool resolve(struct parse *p, struct text_view name, int64_t offset, int64_t *ret)
{
	uint64_t address, size;
	const char *why = NULL;

	if (!p->o->symbol(p->o->arg, name, &address, &size, &why))
		return refuse(p, why);
	if (p->arg.place == USDT_MEMORY && size &&
	    (offset < 0 || (uint64_t)offset >= size || size - (uint64_t)offset < (uint64_t)abs(p->arg.size)))
		return refuse(p, "it lies outside of the object that it names");
	*ret = (int64_t)(address + (uint64_t)offset);
	return true;
}

struct displacement {
	struct text_view symbol; /* len 0: none */
	int64_t number;
	bool has_number;
};

/* "16", "sym", "sym+16", "16+sym", "sym-8"; may be empty. */
static bool take_displacement(struct parse *p, struct displacement *ret)
{
	struct displacement d = {0};

	bool plus;

	d.has_number = take_number(&p->left, &d.number);
	plus = d.has_number && take_char(&p->left, '+');
	if (!d.has_number || plus)
		d.symbol = take_while(&p->left, is_symbol);
	if ((plus && !d.symbol.len) || (d.symbol.len && is_digit(d.symbol.s[0])))
		return refuse(p, "it has neither a number of 64 bits nor a symbol where there must be one");
	if (d.symbol.len && !d.has_number && p->left.len && strchr("+-", *p->left.s) &&
	    !(d.has_number = take_number(&p->left, &d.number)))
		return refuse(p, "what follows its symbol is no number");
	*ret = d;
	return true;
}

static bool take_scale(struct parse *p)
{
	int64_t scale;

	if (!take_char(&p->left, ','))
		return true;
	if (!take_number(&p->left, &scale) || (scale != 1 && scale != 2 && scale != 4 && scale != 8))
		return refuse(p, "its scale is none of 1, 2, 4 and 8");
	p->arg.scale = (int)scale;
	return true;
}

/* "(%rbp)", "(%rdi,%rsi,8)", "(,%rax,4)", "(%rip)": ret_rip. */
static bool take_base(struct parse *p, bool *ret_rip)
{
	struct text_view rip = {p->left.s, 5};

	*ret_rip = p->left.len >= rip.len && !memcmp(p->left.s, "%rip)", rip.len);
	if (*ret_rip) {
		p->left = (struct text_view){p->left.s + rip.len, p->left.len - rip.len};
		return true;
	}
	if (take_char(&p->left, '%') && !take_register(p, &p->arg.base))
		return false;
	if (take_char(&p->left, ',')) {
		if (!take_char(&p->left, '%'))
			return refuse(p, "it has no index behind its comma");
		if (!take_register(p, &p->arg.index) || !take_scale(p))
			return false;
	}
	if (p->arg.base < 0 && p->arg.index < 0)
		return refuse(p, "it has no register in its parentheses");
	return take_char(&p->left, ')') || refuse(p, "its parenthesis is not closed");
}

/* Of an operand whose symbol is no distance from the instruction: the address must be known without the load bias. */
static bool set_absolute(struct parse *p, const struct displacement *d)
{
	if (!p->o->is_fixed && (d->symbol.len || p->arg.base < 0))
		return refuse(p, "its address is fixed, while the file's is not");
	if (d->symbol.len)
		return resolve(p, d->symbol, d->number, &p->arg.constant);
	p->arg.constant = d->number;
	return true;
}

static bool memory_x86_64(struct parse *p)
{
	struct displacement d;
	bool rip = false, has_base = false;

	if (!take_displacement(p, &d))
		return false;
	has_base = take_char(&p->left, '(');
	if (has_base && !take_base(p, &rip))
		return false;
	if (!has_base && !d.symbol.len && !d.has_number)
		return refuse(p, "it is no operand of x86-64");
	p->arg.place = USDT_MEMORY;
	if (rip && !d.symbol.len)
		return refuse(p, "it counts from an instruction that the note does not tell");
	return rip ? resolve(p, d.symbol, d.number, &p->arg.constant) : set_absolute(p, &d);
}

static bool constant_x86_64(struct parse *p)
{
	struct displacement d;

	if (!take_displacement(p, &d))
		return false;
	p->arg.place = USDT_CONSTANT;
	if (!d.symbol.len && !d.has_number)
		return refuse(p, "it has no number behind its $");
	if (d.symbol.len)
		return set_absolute(p, &d);
	p->arg.constant = d.number;
	return true;
}

static bool operand_x86_64(struct parse *p)
{
	if (take_char(&p->left, '$'))
		return constant_x86_64(p);
	if (!take_char(&p->left, '%'))
		return memory_x86_64(p);
	p->arg.place = USDT_REGISTER;
	if (p->left.len > 2 && p->left.s[2] == ':' && p->left.s[1] == 's')
		return refuse(p, "it lies in a thread's own memory, which is not supported");
	return take_register(p, &p->arg.base);
}

/* "lsl 3", "lsl #3". */
static bool take_shift(struct parse *p)
{
	int64_t shift;

	skip_blanks(&p->left);
	if (p->left.len < 3 || memcmp(p->left.s, "lsl", 3))
		return refuse(p, "its index is changed in a way that is not supported");
	p->left = (struct text_view){p->left.s + 3, p->left.len - 3};
	skip_blanks(&p->left);
	take_char(&p->left, '#');
	if (!take_number(&p->left, &shift) || shift < 0 || shift > 3)
		return refuse(p, "its index is shifted by none of 0 to 3");
	p->arg.scale = 1 << shift;
	return true;
}

/* Behind the base's comma: a number or an index. */
static bool take_offset_arm64(struct parse *p)
{
	skip_blanks(&p->left);
	if (take_char(&p->left, '#') || !p->left.len || !isalpha((unsigned char)*p->left.s))
		return take_number(&p->left, &p->arg.constant) || refuse(p, "its offset is no number");
	if (*p->left.s == 'w')
		return refuse(p, "its index is changed in a way that is not supported");
	if (!take_register(p, &p->arg.index))
		return false;
	skip_blanks(&p->left);
	return !take_char(&p->left, ',') || take_shift(p);
}

static bool memory_arm64(struct parse *p)
{
	p->arg.place = USDT_MEMORY;
	skip_blanks(&p->left);
	if (!take_register(p, &p->arg.base))
		return false;
	skip_blanks(&p->left);
	if (take_char(&p->left, ',') && !take_offset_arm64(p))
		return false;
	skip_blanks(&p->left);
	return take_char(&p->left, ']') || refuse(p, "its bracket is not closed");
}

static bool operand_arm64(struct parse *p)
{
	if (take_char(&p->left, '['))
		return memory_arm64(p);
	if (take_char(&p->left, '#') || !p->left.len || !isalpha((unsigned char)*p->left.s)) {
		p->arg.place = USDT_CONSTANT;
		return take_number(&p->left, &p->arg.constant) || refuse(p, "it is no operand of arm64");
	}
	if (p->left.len == 3 && (!memcmp(p->left.s, "xzr", 3) || !memcmp(p->left.s, "wzr", 3))) {
		p->left.len = 0;
		p->arg.place = USDT_CONSTANT; /* the register that is always 0 */
		return true;
	}
	p->arg.place = USDT_REGISTER;
	return take_register(p, &p->arg.base);
}

/* "-4@", "8f@". */
static bool take_size(struct parse *p)
{
	int64_t size;

	if (!memchr(p->left.s, '@', p->left.len))
		return refuse(p, "it has no size");
	if (p->left.len && is_digit(p->left.s[p->left.s[0] == '-'])) {
		const char *digit = p->left.s + (p->left.s[0] == '-');

		size = *digit - '0';
		if (p->left.s[0] == '-')
			size = -size;
		p->left.len -= (size_t)(digit + 1 - p->left.s);
		p->left.s = digit + 1;
	} else {
		return refuse(p, "its size is no number");
	}
	p->arg.is_float = take_char(&p->left, 'f');
	if (!take_char(&p->left, '@') || (llabs(size) != 1 && llabs(size) != 2 && llabs(size) != 4 && llabs(size) != 8))
		return refuse(p, "its size is none of 1, 2, 4 and 8 bytes");
	if (p->arg.is_float && llabs(size) < 4)
		return refuse(p, "it is a float of neither 4 nor 8 bytes");
	p->arg.size = (int)size;
	return true;
}

static struct usdt_arg parse_arg(const struct usdt_operands *o, struct text_view text)
{
	const struct usdt_arg nothing = {.base = -1, .index = -1, .scale = 1};
	struct parse p = {.o = o, .left = text, .arg = nothing};
	bool ok = take_size(&p) && (o->machine == EM_AARCH64 ? operand_arm64(&p) : operand_x86_64(&p));

	if (ok && p.left.len)
		ok = refuse(&p, arena_printf(o->arena, "\"%s\" follows what can be read of it",
					     usdt_printable(o->arena, p.left)));
	if (!ok) {
		const struct usdt_arg read = p.arg;

		p.arg = nothing;
		p.arg.size = read.size;
		p.arg.is_float = read.is_float;
		p.arg.place = USDT_REFUSED;
		p.arg.why = read.why;
	}
	p.arg.text = usdt_printable(o->arena, text);
	return p.arg;
}

/* ---- all arguments ---- */

/* Up to a blank that is in no brackets. */
static struct text_view next_arg(struct text_view *left)
{
	struct text_view word;
	int depth = 0;

	skip_blanks(left);
	word = (struct text_view){left->s, 0};
	while (left->len && (depth > 0 || (*left->s != ' ' && *left->s != '\t'))) {
		depth += *left->s == '[' || *left->s == '(' ? 1 : *left->s == ']' || *left->s == ')' ? -1 : 0;
		take_char(left, *left->s);
		word.len++;
	}
	return word;
}

int usdt_operands_parse(const struct usdt_operands *o, struct text_view text, struct usdt_arg **ret, size_t *ret_n)
{
	struct usdt_arg args[USDT_ARGS_MAX];
	struct text_view word;
	size_t n = 0;

	while ((word = next_arg(&text)).len) {
		if (n == USDT_ARGS_MAX)
			return -E2BIG;
		args[n++] = parse_arg(o, word);
	}
	*ret = arena_memdup(o->arena, args, n * sizeof(*args));
	*ret_n = n;
	return 0;
}

const char *usdt_printable(struct arena *a, struct text_view text)
{
	char *ret = arena_alloc(a, text.len * 4 + 1), *out = ret;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.s[i];

		if (c > ' ' && c < 0x7f && c != '\\')
			*out++ = (char)c;
		else
			out += sprintf(out, c == ' ' ? " " : "\\x%02x", c);
	}
	return ret;
}
