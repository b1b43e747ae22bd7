/*
 * libcurl, loaded when it is needed. Linked, it brings thirty libraries that cost every start 4 ms and 6 MiB,
 * and most runs send nothing.
 */
#ifndef SINK_CURL_LOAD_H
#define SINK_CURL_LOAD_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/err.h"

#define CURL_FUNCTIONS(X) \
	X(easy_cleanup) \
	X(easy_getinfo) \
	X(easy_init) \
	X(easy_setopt) \
	X(easy_strerror) \
	X(free) \
	X(global_init) \
	X(multi_add_handle) \
	X(multi_cleanup) \
	X(multi_info_read) \
	X(multi_init) \
	X(multi_perform) \
	X(multi_poll) \
	X(multi_remove_handle) \
	X(slist_append) \
	X(slist_free_all) \
	X(url) \
	X(url_cleanup) \
	X(url_get) \
	X(url_set)

struct curl_api {
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
};

/* -ENOENT and a sentence where there is no libcurl. For one thread; it stays loaded. */
int curl_load(const struct curl_api **ret, struct err *err);

#endif
