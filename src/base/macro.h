/* Small macros used everywhere. */
#ifndef BASE_MACRO_H
#define BASE_MACRO_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, n) (((x) + (n) - 1) / (n) * (n))

/* The T whose member `member` p points to. */
#define CONTAINER_OF(p, T, member) ((T *)(void *)((char *)(p) - offsetof(T, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
/* _cleanup_(f): f(&variable) runs when the variable leaves its scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))

/* Takes ownership out of a _cleanup_ variable. */
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/* Defines cleanup_NAME(T **) for use with _cleanup_, calling f(T *) (f accepts NULL). */
#define DEFINE_CLEANUP(T, name, f)                                                                 \
	static inline __attribute__((unused)) void cleanup_##name(T *p)                            \
	{                                                                                          \
		f(*p);                                                                             \
	}

void close_fd(int fd); /* close(2) that ignores -1 and keeps errno */

static inline __attribute__((unused)) void cleanup_fd(int *fd)
{
	close_fd(*fd);
}

static inline __attribute__((unused)) void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* Allocation never fails: out of memory ends the process with one sentence (exit code 1). */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
