/*
 * A value on one line, as Go's %+v would have it, with these differences: strings are quoted, pointers are followed
 * (&{…}), interfaces name the type where the value does not show it, what is not all there says how much more there is
 * ([1 2 …+98]), nil is nowhere taken for empty, and an interface that was not followed says so: int(at 0xc000012340).
 */
#include <inttypes.h>
#include <string.h>

#include "call/value.h"
#include "call/value_float.h"

static void print_escaped(unsigned char c, struct buf *out)
{
	if (c == '"' || c == '\\')
		buf_printf(out, "\\%c", c);
	else if (c == '\n')
		buf_str(out, "\\n");
	else if (c == '\t')
		buf_str(out, "\\t");
	else if (c == '\r')
		buf_str(out, "\\r");
	else if (c < 0x20 || c >= 0x7f)
		buf_printf(out, "\\x%02x", c);
	else
		buf_char(out, (char)c);
}

static bool is_control(const char *s, size_t n)
{
	unsigned char first = (unsigned char)s[0], second = n > 1 ? (unsigned char)s[1] : 0;

	return first == 0xc2 && second < 0xa0; /* U+0080 … U+009F: terminals obey some of them */
}

/* Without quotes; bytes that are no UTF-8 and control characters are escaped. */
static void print_bytes(const char *s, size_t n, struct buf *out)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = (unsigned char)s[i] < 0x80 ? 0 : utf8_valid(s + i, n - i);
		if (len && !is_control(s + i, len)) {
			buf_append(out, s + i, len);
			continue;
		}
		len = 1;
		print_escaped((unsigned char)s[i], out);
	}
}

static void print_why(const char *why, struct buf *out)
{
	buf_str(out, "<unreadable: ");
	print_bytes(why, strlen(why), out);
	buf_char(out, '>');
}

static void print_more(const struct value_node *v, size_t shown, struct buf *out)
{
	if (v->cut && v->full_len > shown)
		buf_printf(out, "…+%zu", v->full_len - shown);
	else if (v->cut)
		buf_str(out, "…");
	if (v->why) {
		buf_char(out, ' ');
		print_why(v->why, out);
	}
}

/* A text that was cut in the middle of a character is no reason to call it binary. */
static bool is_text(const char *s, size_t n, bool cut)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_valid(s + i, n - i);
		if (!len)
			return cut && n - i < 4 && (unsigned char)s[i] >= 0xc2;
	}
	return true;
}

/* A nil slice, map or []byte, which Go's fmt shows as if it were empty. */
static bool is_nil(const struct value_node *v)
{
	return !v->u && !v->nchildren && (v->form == FORM_BYTES || v->form == FORM_LIST || v->form == FORM_MAP);
}

static void print_string(const struct value_node *v, struct buf *out)
{
	if (v->why && !v->len)
		; /* nothing of it, which is not nothing */
	else if (v->form == FORM_BYTES && !is_text(v->text, v->len, v->cut)) {
		buf_str(out, "0x");
		for (size_t i = 0; i < v->len; i++)
			buf_printf(out, "%02x", (unsigned char)v->text[i]);
	} else {
		buf_char(out, '"');
		print_bytes(v->text, v->len, out);
		buf_char(out, '"');
	}
	print_more(v, v->len, out);
}

/* "*y.T" of "*github.com/x/y.T", within type arguments too. */
static void print_type(const char *name, struct buf *out)
{
	size_t start = out->len;

	for (const char *p = name; *p; p++) {
		if (*p == '/') {
			while (out->len > start && !strchr("*[]( ),{}<-;", out->data[out->len - 1]))
				out->data[--out->len] = '\0';
		} else {
			buf_char(out, *p);
		}
	}
}

static void print_children(const struct value_node *v, const char *open, const char *close, struct buf *out)
{
	buf_str(out, open);
	for (size_t i = 0; i < v->nchildren; i++) {
		const struct value_node *c = &v->children[i];

		if (i)
			buf_char(out, v->form == FORM_MAP && i % 2 ? ':' : ' ');
		if (c->name) {
			print_bytes(c->name, strlen(c->name), out);
			buf_char(out, ':');
		}
		value_print(c, out);
	}
	if (v->cut && v->nchildren)
		buf_char(out, ' ');
	print_more(v, v->form == FORM_MAP ? v->nchildren / 2 : v->nchildren, out);
	buf_str(out, close);
}

/* Whether the value shows its type by itself: "x", 3, true are taken for string, int, bool. */
static bool is_plain(const char *type)
{
	static const char *const plain[] = {"string", "int", "bool", "float64", "complex128", "time.Time",
					    "time.Duration"};

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (!strcmp(type, plain[i]))
			return true;
	return false;
}

static void print_held(const struct value_node *v, struct buf *out)
{
	const struct value_node *c = v->nchildren ? v->children : NULL;
	const char *type = v->type_name ? v->type_name : "?";
	bool braces;

	while (c && c->form == FORM_POINTER && c->nchildren && c->children->form != FORM_UNREADABLE && *type == '*') {
		buf_char(out, '&');
		type++;
		c = c->children;
	}
	if (c && is_plain(type)) {
		value_print(c, out);
		return;
	}
	print_type(type, out);
	braces = c && !is_nil(c) && (c->form == FORM_STRUCT || c->form == FORM_LIST || c->form == FORM_MAP);
	if (!braces)
		buf_char(out, '(');
	if (!c)
		buf_printf(out, "%s0x%" PRIx64, v->indirect ? "at " : "", v->u);
	else if (c->form == FORM_MAP && braces)
		print_children(c, "[", "]", out);
	else
		value_print(c, out);
	if (!braces)
		buf_char(out, ')');
}

static void print_error(const struct value_node *v, struct buf *out)
{
	if (!v->text) {
		print_held(v, out);
		return;
	}
	buf_char(out, '"');
	print_bytes(v->text, v->len, out);
	buf_char(out, '"');
	print_more(v, v->len, out);
}

static void print_pointer(const struct value_node *v, struct buf *out)
{
	if (!v->nchildren) {
		buf_printf(out, "0x%" PRIx64, v->u);
		return;
	}
	if (v->children->form == FORM_UNREADABLE)
		buf_printf(out, "0x%" PRIx64 " ", v->u);
	else
		buf_char(out, '&');
	value_print(v->children, out);
}

static void print_chan(const struct value_node *v, struct buf *out)
{
	buf_printf(out, "0x%" PRIx64, v->u);
	if (!v->cut)
		buf_printf(out, "(%" PRId64 "/%zu)", v->i, v->full_len);
	else if (v->why)
		print_why(v->why, out);
}

void value_print(const struct value_node *v, struct buf *out)
{
	if (is_nil(v)) {
		buf_str(out, "<nil>");
		return;
	}
	switch (v->form) {
	case FORM_NIL:
		buf_str(out, "<nil>");
		break;
	case FORM_BOOL:
		buf_str(out, v->u ? "true" : "false");
		break;
	case FORM_INT:
		buf_printf(out, v->constant ? "%s (%" PRId64 ")" : "%s%" PRId64, v->constant ? v->constant : "", v->i);
		break;
	case FORM_UINT:
		buf_printf(out, v->constant ? "%s (%" PRIu64 ")" : "%s%" PRIu64, v->constant ? v->constant : "", v->u);
		break;
	case FORM_FLOAT:
		float_print(v->f, v->bits, out);
		break;
	case FORM_COMPLEX:
		complex_print(v->f, v->imag, v->bits, out);
		break;
	case FORM_STRING:
	case FORM_BYTES:
		print_string(v, out);
		break;
	case FORM_TEXT:
		print_bytes(v->text, strlen(v->text), out);
		break;
	case FORM_LIST:
		print_children(v, "[", "]", out);
		break;
	case FORM_STRUCT:
		print_children(v, "{", "}", out);
		break;
	case FORM_MAP:
		print_children(v, "map[", "]", out);
		break;
	case FORM_POINTER:
		print_pointer(v, out);
		break;
	case FORM_ADDRESS:
		buf_printf(out, "0x%" PRIx64, v->u);
		break;
	case FORM_INTERFACE:
		print_held(v, out);
		break;
	case FORM_ERROR:
		print_error(v, out);
		break;
	case FORM_CHAN:
		print_chan(v, out);
		break;
	case FORM_CYCLE:
		buf_printf(out, "<cycle 0x%" PRIx64 ">", v->u);
		break;
	case FORM_UNREADABLE:
		print_why(v->text, out);
		break;
	}
}
