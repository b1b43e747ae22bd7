/* Tokens of types in Go syntax, and constant expressions. */
#include "binary/typeexpr.h"

#include <errno.h>
#include <string.h>

/* ---- tokens ---- */

const struct type *tx_fail_as(struct type_parser *p, const char *sentence)
{
	if (!p->failed && *p->p)
		err_set(p->err, -EINVAL, "\"%.100s\" is not a Go type: %s at \"%.20s\"", p->text, sentence, p->p);
	else if (!p->failed)
		err_set(p->err, -EINVAL, "\"%.100s\" is not a Go type: %s at the end", p->text, sentence);
	if (!p->failed)
		p->failed_at = (size_t)(p->p - p->text);
	p->failed = true;
	return NULL;
}

const struct type *tx_fail(struct type_parser *p, const char *expected)
{
	return tx_fail_as(p, arena_printf(&p->b->arena, "expected %s", expected));
}

void tx_skip_space(struct type_parser *p)
{
	p->p += strspn(p->p, " \t\r\n");
}

bool tx_accept(struct type_parser *p, const char *token)
{
	size_t n = strlen(token);

	tx_skip_space(p);
	if (strncmp(p->p, token, n) != 0)
		return false;
	p->p += n;
	return true;
}

static bool is_ident_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       (unsigned char)c >= 0x80;
}

bool tx_is_name_char(char c)
{
	return is_ident_char(c) || (c && strchr("./-~%@+$", c));
}

size_t tx_ident_length(const char *s)
{
	size_t n = 0;

	while (is_ident_char(s[n]))
		n++;
	return *s >= '0' && *s <= '9' ? 0 : n;
}

bool tx_accept_word(struct type_parser *p, const char *word)
{
	size_t n = strlen(word);

	tx_skip_space(p);
	return !strncmp(p->p, word, n) && !tx_is_name_char(p->p[n]) && tx_accept(p, word);
}

bool tx_is_keyword(const char *s, size_t n)
{
	static const char *const words[] = {"chan", "map", "func", "struct", "interface"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == n && !strncmp(s, words[i], n))
			return true;
	return false;
}

const char *tx_skip_string(const char *s)
{
	char quote = *s++;

	for (; *s && *s != quote; s++)
		if (*s == '\\' && quote == '"' && s[1])
			s++;
	return *s ? s + 1 : NULL;
}

const char *tx_skip_brackets(const char *s)
{
	char open[NEST_MAX];
	unsigned depth = 0;

	while (*s) {
		if (*s == '"' || *s == '`') {
			s = tx_skip_string(s);
			if (!s)
				return NULL;
			continue;
		}
		if (strchr("([{", *s)) {
			if (depth == NEST_MAX)
				return NULL;
			open[depth++] = *s == '(' ? ')' : *s == '[' ? ']' : '}';
		} else if (strchr(")]}", *s)) {
			if (open[--depth] != *s)
				return NULL;
			if (!depth)
				return s + 1;
		}
		s++;
	}
	return NULL;
}

/* ---- constant expressions: the lengths of arrays ---- */

static bool literal(struct type_parser *p, int64_t *ret)
{
	char digits[72];
	size_t n = 0;
	const char *s = p->p, *from = digits;
	int base = 10;
	char *end;

	for (; is_ident_char(*s); s++)
		if (*s != '_' && n + 1 < sizeof(digits))
			digits[n++] = *s;
	digits[n] = '\0';
	if (*from == '0' && n > 1) {
		base = strchr("xX", from[1]) ? 16 : strchr("bB", from[1]) ? 2 : 8;
		from += base != 8 || strchr("oO", from[1]) ? 2 : 1;
	}
	errno = 0;
	*ret = strtoll(from, &end, base);
	if (errno || *end || !*from)
		return tx_fail(p, errno ? "a smaller array length" : "a number as an array's length"), false;
	p->p = s;
	return true;
}

static bool operand(struct type_parser *p, int64_t *ret)
{
	tx_skip_space(p);
	if (tx_accept(p, "(")) {
		if (++p->nest > NEST_MAX)
			return tx_fail(p, "less nesting"), false;
		if (!tx_constant_expr(p, 0, ret))
			return false;
		p->nest--;
		return tx_accept(p, ")") || (tx_fail(p, "\")\""), false);
	}
	if (*p->p >= '0' && *p->p <= '9')
		return literal(p, ret);
	if (tx_ident_length(p->p))
		return tx_fail_as(p, "an array's length is written as a number here (the binary does not tell a "
				     "constant's value)"),
		       false;
	return tx_fail(p, "an array length or \"]\""), false;
}

static bool apply(struct type_parser *p, const char *op, int64_t a, int64_t b, int64_t *ret)
{
	bool bad = false;

	switch (*op) {
	case '+':
		bad = __builtin_add_overflow(a, b, ret);
		break;
	case '-':
		bad = __builtin_sub_overflow(a, b, ret);
		break;
	case '*':
		bad = __builtin_mul_overflow(a, b, ret);
		break;
	case '/':
	case '%':
		bad = !b;
		*ret = bad ? 0 : *op == '/' ? a / b : a % b;
		break;
	case '<':
		bad = b < 0 || b > 40 || a > (1ll << 40) >> b;
		*ret = bad ? 0 : a << b;
		break;
	case '>':
		bad = b < 0;
		*ret = bad ? 0 : a >> MIN(b, 63);
		break;
	case '&':
		*ret = op[1] == '^' ? a & ~b : a & b;
		break;
	case '|':
		*ret = a | b;
		break;
	default:
		*ret = a ^ b;
		break;
	}
	return !bad || (tx_fail(p, "a smaller array length"), false);
}

static const char *binary_operator(struct type_parser *p, unsigned level)
{
	static const char *const levels[][8] = {{"+", "-", "|", "^"}, {"<<", ">>", "&^", "&", "*", "/", "%"}};

	for (const char *const *op = levels[level]; *op; op++)
		if (tx_accept(p, *op))
			return *op;
	return NULL;
}

bool tx_constant_expr(struct type_parser *p, unsigned level, int64_t *ret)
{
	int64_t b;
	const char *op;
	bool ok = level == 2 ? operand(p, ret) : tx_constant_expr(p, level + 1, ret);

	while (ok && level < 2 && (op = binary_operator(p, level))) {
		ok = tx_constant_expr(p, level + 1, &b) && apply(p, op, *ret, b, ret);
		if (ok && *ret < 0)
			ok = tx_fail(p, "an array length that is not negative") != NULL;
	}
	return ok;
}
