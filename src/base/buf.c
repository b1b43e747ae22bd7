#include "base/buf.h"

#include <stdio.h>
#include <string.h>

void buf_reserve(struct buf *b, size_t extra)
{
	size_t need = b->len + extra + 1;

	if (need <= b->cap)
		return;
	b->cap = MAX(need, b->cap ? b->cap * 2 : 64);
	b->data = xrealloc(b->data, b->cap);
	b->data[b->len] = 0;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = 0;
}

void buf_str(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->data[b->len++] = c;
	b->data[b->len] = 0;
}

size_t int_text(int64_t v, char ret[INT_TEXT_MAX])
{
	uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char digits[INT_TEXT_MAX], *end = digits + sizeof(digits), *d = end;

	do
		*--d = (char)('0' + left % 10);
	while (left /= 10);
	if (v < 0)
		*--d = '-';
	memcpy(ret, d, (size_t)(end - d));
	return (size_t)(end - d);
}

void buf_int(struct buf *b, int64_t v)
{
	char text[INT_TEXT_MAX];

	buf_append(b, text, int_text(v, text));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n <= 0)
		return;
	buf_reserve(b, (size_t)n);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = 0;
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

char *buf_take(struct buf *b)
{
	char *s;

	buf_reserve(b, 0);
	s = b->data;
	*b = (struct buf){0};
	return s;
}
