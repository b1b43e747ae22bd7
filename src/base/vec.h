/* Growable arrays: VEC(T) v = {0}; vec_push(&v, x); v.data[i]; v.len; vec_done(&v). */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/macro.h"

#define VEC(T)                                                                                     \
	struct {                                                                                   \
		T *data;                                                                           \
		size_t len, cap;                                                                   \
	}

/* Appends a zeroed element and returns its address (valid until the next push). */
#define vec_add(v)                                                                                 \
	({                                                                                         \
		__typeof__(v) v_ = (v);                                                            \
		if (v_->len == v_->cap) {                                                          \
			v_->cap = v_->cap ? v_->cap * 2 : 8;                                       \
			v_->data = xrealloc(v_->data, v_->cap * sizeof(*v_->data));                \
		}                                                                                  \
		__builtin_memset(&v_->data[v_->len], 0, sizeof(*v_->data));                        \
		&v_->data[v_->len++];                                                              \
	})

/* Room for n elements in all. */
#define vec_reserve(v, n)                                                                          \
	do {                                                                                       \
		__typeof__(v) v_ = (v);                                                            \
		if (v_->cap < (n)) {                                                               \
			v_->cap = MAX((size_t)(n), v_->cap * 2);                                   \
			v_->data = xrealloc(v_->data, v_->cap * sizeof(*v_->data));                \
		}                                                                                  \
	} while (0)

#define vec_push(v, x) ((void)(*vec_add(v) = (x)))
#define vec_done(v)                                                                                \
	do {                                                                                       \
		free((v)->data);                                                                   \
		(v)->data = NULL;                                                                  \
		(v)->len = (v)->cap = 0;                                                           \
	} while (0)

#endif
