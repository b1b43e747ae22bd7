/* A growing byte buffer. Zero-initialised is empty and valid; data is NUL-terminated when not NULL. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdint.h>

#include "base/macro.h"

struct buf {
	char *data;
	size_t len, cap;
};

void buf_append(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_int(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
void buf_reserve(struct buf *b, size_t extra); /* room for extra more bytes */
void buf_reset(struct buf *b);                 /* empties, keeps the memory */
void buf_done(struct buf *b);                  /* frees the memory */
char *buf_take(struct buf *b);                 /* hands over the string (never NULL) */

/* v in decimal; not terminated. Its length. */
#define INT_TEXT_MAX 20
size_t int_text(int64_t v, char ret[INT_TEXT_MAX]);

#endif
