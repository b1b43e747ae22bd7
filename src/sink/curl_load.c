#include "sink/curl_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

static const char *const files[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

static bool find_all(void *lib, struct curl_api *api)
{
#define X(name)                                                                                    \
	api->name = (__typeof__(api->name))dlsym(lib, "curl_" #name);                              \
	if (!api->name)                                                                            \
		return false;
	CURL_FUNCTIONS(X)
#undef X
	return true;
}

int curl_load(const struct curl_api **ret, struct err *err)
{
	static struct curl_api api;
	static bool loaded;
	void *lib = NULL;

	for (size_t i = 0; !loaded && i < ARRAY_SIZE(files); i++) {
		lib = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
		loaded = lib && find_all(lib, &api) && api.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	}
	if (!loaded)
		return err_set(err, -ENOENT, "sending to a collector needs libcurl 7.68 or later, which cannot "
					     "be loaded; install it (Debian: apt-get install libcurl4)");
	*ret = &api;
	return 0;
}
