/*
 * The environment variables of OpenTelemetry's specification ("General SDK Configuration" and "OTLP
 * Exporter Configuration"), as far as they concern traces. OTEL_EXPORTER_OTLP_TRACES_X goes before
 * OTEL_EXPORTER_OTLP_X. Two rules surprise: the general endpoint is a base to which /v1/traces is
 * added even when it has a path, and the endpoint for traces is used exactly as it is, so that
 * without a path it means "/".
 */
#include "sink/otel_env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text_view.h"
#include "base/vec.h"

struct reader {
	struct otel_env *env;
	otel_getenv_fn getenv_fn;
	void *arg;
	struct err *err;
};

static const char *get(struct reader *r, const char *name)
{
	const char *v = r->getenv_fn(r->arg, name);

	return v && *v ? v : NULL;
}

/* The variable for traces, else the general one; *ret_name is the one found. */
static const char *get_otlp(struct reader *r, const char *what, const char **ret_name)
{
	const char *v;

	*ret_name = arena_printf(&r->env->arena, "OTEL_EXPORTER_OTLP_TRACES_%s", what);
	v = get(r, *ret_name);
	if (v)
		return v;
	*ret_name = arena_printf(&r->env->arena, "OTEL_EXPORTER_OTLP_%s", what);
	return get(r, *ret_name);
}

/* ---- lists: key=value,key=value with percent-encoded values ---- */

struct pair {
	char *key, *value;
	size_t value_len;
};
typedef VEC(struct pair) pair_list;

static void cleanup_pairs(pair_list *l)
{
	vec_done(l);
}

static const char *skip_space(const char *s, const char *end)
{
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	return s;
}

static char *trimmed(struct arena *a, const char *s, const char *end)
{
	s = skip_space(s, end);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return arena_strndup(a, s, (size_t)(end - s));
}

/* In place. False at a '%' without two digits. */
static bool percent_decode(char *text, size_t *ret_len)
{
	char *d = text;

	for (const char *s = text; *s; s++) {
		if (*s != '%') {
			*d++ = *s;
			continue;
		}
		if (hex_digit(s[1]) < 0 || hex_digit(s[2]) < 0)
			return false;
		*d++ = (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
		s += 2;
	}
	*d = 0;
	*ret_len = (size_t)(d - text);
	return true;
}

static int parse_pair(struct reader *r, const char *name, const char *s, const char *end, pair_list *out)
{
	const char *eq = memchr(s, '=', (size_t)(end - s));
	struct pair p = {0};

	if (skip_space(s, end) == end)
		return 0; /* a comma at the end */
	if (eq) {
		p.key = trimmed(&r->env->arena, s, eq);
		p.value = trimmed(&r->env->arena, eq + 1, end);
	}
	if (!eq || !*p.key)
		return err_set(r->err, -EINVAL, "%s expects key=value,key=value…, found \"%.*s\"", name,
			       (int)(end - s), s);
	if (!percent_decode(p.value, &p.value_len))
		return err_set(r->err, -EINVAL, "%s: the value of %s has a %% without two hex digits; write %%25",
			       name, p.key);
	vec_push(out, p);
	return 0;
}

static int parse_list(struct reader *r, const char *name, const char *value, pair_list *out)
{
	for (const char *end; *value; value = *end ? end + 1 : end) {
		int ret;

		end = value + strcspn(value, ",");
		ret = parse_pair(r, name, value, end, out);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- the exporter ---- */

static bool is_token(const char *s)
{
	return strspn(s, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
	       strlen(s);
}

/* Decoded, a value could hold a line break and with it a header of its own. */
static bool is_header_value(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return true;
}

static int read_headers(struct reader *r)
{
	_cleanup_(cleanup_pairs) pair_list list = {0};
	const char *name, *value = get_otlp(r, "HEADERS", &name), **headers;
	int ret = value ? parse_list(r, name, value, &list) : 0;

	if (ret < 0 || !list.len)
		return ret;
	headers = arena_array(&r->env->arena, const char *, list.len + 1);
	for (size_t i = 0; i < list.len; i++) {
		struct pair *p = &list.data[i];

		if (!is_token(p->key) || !is_header_value(p->value, p->value_len))
			return err_set(r->err, -EINVAL, "%s: \"%s\" and its value cannot be an HTTP header",
				       name, p->key);
		headers[i] = arena_printf(&r->env->arena, "%s: %s", p->key, p->value);
	}
	r->env->headers = headers;
	return 0;
}

/* *ret_grpc: spans go over gRPC. */
static int read_protocol(struct reader *r, bool *ret_grpc)
{
	const char *name, *v = get_otlp(r, "PROTOCOL", &name);

	*ret_grpc = v && !strcmp(v, "grpc");
	if (!v || *ret_grpc || !strcmp(v, "http/protobuf"))
		return 0;
	if (!strcmp(v, "http/json"))
		return err_set(r->err, -EINVAL,
			       "%s=http/json is not supported; collectors take http/protobuf on the same port", name);
	return err_set(r->err, -EINVAL, "%s expects http/protobuf or grpc, found \"%s\"", name, v);
}

/* gRPC endpoints may come as host:port; then OTEL_EXPORTER_OTLP_INSECURE says whether TLS is used. */
static int grpc_endpoint(struct reader *r, const char *name, const char *v)
{
	const char *rest = strstr(v, "://"), *insecure, *unused, *scheme;

	if (!rest) {
		insecure = get_otlp(r, "INSECURE", &unused);
		scheme = insecure && !strcasecmp(insecure, "true") ? "grpc" : "grpcs";
		r->env->endpoint = arena_printf(&r->env->arena, "%s://%s", scheme, v);
		return 0;
	}
	if (!strncasecmp(v, "http://", 7) || !strncasecmp(v, "grpc://", 7))
		scheme = "grpc";
	else if (!strncasecmp(v, "https://", 8) || !strncasecmp(v, "grpcs://", 8))
		scheme = "grpcs";
	else
		return err_set(r->err, -EINVAL, "%s expects an address like http://host:4317, found \"%s\"", name, v);
	r->env->endpoint = arena_printf(&r->env->arena, "%s%s", scheme, rest);
	return 0;
}

static int http_endpoint(struct reader *r, const char *name, const char *v, bool for_traces)
{
	const char *authority = strstr(v, "://");
	size_t n = strlen(v);

	if ((strncasecmp(v, "http://", 7) && strncasecmp(v, "https://", 8)) || !authority[3])
		return err_set(r->err, -EINVAL, "%s expects an address like http://host:4318, found \"%s\"", name, v);
	if (!for_traces) {
		while (v[n - 1] == '/')
			n--;
		r->env->endpoint = arena_printf(&r->env->arena, "%.*s/v1/traces", (int)n, v);
	} else {
		r->env->endpoint = arena_printf(&r->env->arena, "%s%s", v, strchr(authority + 3, '/') ? "" : "/");
	}
	return 0;
}

static int read_endpoint(struct reader *r)
{
	const char *name, *v = get_otlp(r, "ENDPOINT", &name);
	bool grpc;
	int ret = read_protocol(r, &grpc);

	if (ret < 0 || !v)
		return ret;
	if (grpc || !strncasecmp(v, "grpc://", 7) || !strncasecmp(v, "grpcs://", 8))
		return grpc_endpoint(r, name, v);
	return http_endpoint(r, name, v, strstr(name, "_TRACES_"));
}

static int read_compression(struct reader *r)
{
	const char *name, *v = get_otlp(r, "COMPRESSION", &name);

	if (!v)
		return 0;
	if (!strcmp(v, "gzip") || !strcmp(v, "none")) {
		r->env->compression = *v == 'g' ? OTLP_COMPRESSION_GZIP : OTLP_COMPRESSION_NONE;
		return 0;
	}
	return err_set(r->err, -EINVAL, "%s expects gzip or none, found \"%s\"", name, v);
}

static int read_timeout(struct reader *r)
{
	const char *name, *v = get_otlp(r, "TIMEOUT", &name);
	unsigned long ms;
	char *end;

	if (!v)
		return 0;
	errno = 0;
	ms = strtoul(v, &end, 10);
	if (errno || *end || *v == '-' || ms == 0 || ms > 24ul * 3600 * 1000)
		return err_set(r->err, -EINVAL, "%s expects milliseconds, like 10000, found \"%s\"", name, v);
	r->env->timeout_ms = (unsigned)ms;
	return 0;
}

/* ---- the resource and the sampler ---- */

static int read_resource(struct reader *r)
{
	_cleanup_(cleanup_pairs) pair_list list = {0};
	const char *name = "OTEL_RESOURCE_ATTRIBUTES", *v = get(r, name);
	int ret = v ? parse_list(r, name, v, &list) : 0;
	struct attr *attrs;

	if (ret < 0)
		return ret;
	r->env->service_name = get(r, "OTEL_SERVICE_NAME");
	if (r->env->service_name)
		r->env->service_name = arena_strdup(&r->env->arena, r->env->service_name);
	attrs = arena_array(&r->env->arena, struct attr, list.len);
	for (size_t i = 0; i < list.len; i++) {
		struct pair *p = &list.data[i];

		if (!strcmp(p->key, "service.name") && !r->env->service_name && *p->value)
			r->env->service_name = p->value;
		attrs[i] = (struct attr){.key = p->key, .kind = ATTR_STRING, .s = p->value, .len = p->value_len};
	}
	r->env->resource_attrs = attrs;
	r->env->nresource_attrs = list.len;
	return 0;
}

static int read_ratio(struct reader *r)
{
	const char *v = get(r, "OTEL_TRACES_SAMPLER_ARG");
	char *end;
	double d;

	if (!v)
		return 0;
	d = strtod(v, &end);
	if (end == v || *end || !(d >= 0 && d <= 1))
		return err_set(r->err, -EINVAL, "OTEL_TRACES_SAMPLER_ARG expects a share from 0 to 1, found \"%s\"",
			       v);
	r->env->sample_ratio = d;
	return 0;
}

static int read_sampler(struct reader *r)
{
	const char *v = get(r, "OTEL_TRACES_SAMPLER"), *root = v;

	if (!v)
		return 0;
	r->env->sample_parent_based = !strncmp(v, "parentbased_", 12);
	if (r->env->sample_parent_based)
		root = v + 12;
	if (!strcmp(root, "always_on"))
		return 0;
	if (!strcmp(root, "traceidratio"))
		return read_ratio(r);
	if (strcmp(root, "always_off"))
		return err_set(r->err, -EINVAL,
			       "OTEL_TRACES_SAMPLER expects always_on, always_off, traceidratio or one of these with "
			       "parentbased_ before it, found \"%s\"", v);
	r->env->sample_ratio = 0;
	return 0;
}

/* Names of other propagators are right, and nothing that is read here. */
static void read_propagators(struct reader *r)
{
	static const struct {
		const char *name;
		enum propagators is;
	} known[] = {{"b3", PROPAGATOR_B3}, {"b3multi", PROPAGATOR_B3MULTI}, {"datadog", PROPAGATOR_DATADOG}};
	const char *v = get(r, "OTEL_PROPAGATORS"), *end;

	for (; v && *v; v = end + (*end == ',')) {
		const char *name;

		end = strchrnul(v, ',');
		name = trimmed(&r->env->arena, v, end);
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (!strcmp(name, known[i].name))
				r->env->propagators |= known[i].is;
	}
}

int otel_env_read(struct otel_env *ret, otel_getenv_fn getenv_fn, void *arg, struct err *err)
{
	struct reader r = {ret, getenv_fn, arg, err};
	const char *disabled;
	int e;

	*ret = (struct otel_env){.sample_ratio = 1, .sample_parent_based = true};
	disabled = get(&r, "OTEL_SDK_DISABLED");
	read_propagators(&r);
	ret->disabled = disabled && !strcasecmp(disabled, "true");
	if ((e = read_endpoint(&r)) < 0 || (e = read_headers(&r)) < 0 || (e = read_compression(&r)) < 0 ||
	    (e = read_timeout(&r)) < 0 || (e = read_resource(&r)) < 0)
		return e;
	return read_sampler(&r);
}

void otel_env_done(struct otel_env *e)
{
	arena_done(&e->arena);
	*e = (struct otel_env){0};
}
