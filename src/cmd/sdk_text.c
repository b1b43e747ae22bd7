#include "cmd/sdk_text.h"

#include <string.h>

static const char sdk_package[] = "go.opentelemetry.io/otel/sdk/trace", sdk_module[] = "go.opentelemetry.io/otel/sdk";

/* The name of a scope is a package's path, or a module's without its major version. */
static bool has_library(struct binary *b, const char *scope)
{
	const struct build_info *info = binary_build_info(b);
	size_t len = strlen(scope);

	for (size_t i = 0; i < info->ndeps; i++)
		if (!strncmp(info->deps[i].path, scope, len) && !strncmp(info->deps[i].path + len, "/v", 2))
			return true;
	return binary_has_package(b, scope);
}

typedef VEC(const char *) name_vec;

static void add_libraries(struct binary *b, const char *const *scopes, name_vec *names)
{
	for (; scopes && *scopes; scopes++) {
		const char *slash = strrchr(*scopes, '/'), *name = slash ? slash + 1 : *scopes;
		bool known = false;

		for (size_t i = 0; i < names->len; i++)
			known |= !strcmp(names->data[i], name);
		if (!known && has_library(b, *scopes))
			vec_push(names, name);
	}
}

static const char *sdk_version(struct binary *b)
{
	const struct build_info *info = binary_build_info(b);

	for (size_t i = 0; i < info->ndeps; i++)
		if (!strcmp(info->deps[i].path, sdk_module))
			return info->deps[i].version;
	return "";
}

bool has_sdk(const struct binary *b)
{
	return binary_has_package(b, sdk_package);
}

bool sdk_text(struct binary *b, const pack_set *packs, struct buf *out)
{
	const char *version;
	name_vec names = {0};

	if (!has_sdk(b))
		return false;
	version = sdk_version(b);
	for (size_t i = 0; i < packs->len; i++)
		for (size_t k = 0; k < packs->data[i]->nspans; k++) {
			const struct pack_sdk *sdk = packs->data[i]->spans[k].sdk;

			add_libraries(b, sdk ? sdk->outside : NULL, &names);
			add_libraries(b, sdk ? sdk->inside : NULL, &names);
		}
	buf_printf(out, "an OpenTelemetry SDK is in this program (otel%s%s", *version ? " " : "",
		   version + (*version == 'v'));
	for (size_t i = 0; i < names.len; i++)
		buf_printf(out, "%s%s", i ? ", " : "; ", names.data[i]);
	buf_str(out, ")");
	vec_done(&names);
	return true;
}
