/* What OpenTelemetry's environment variables say. Pure: the environment is a function given. */
#ifndef SINK_OTEL_ENV_H
#define SINK_OTEL_ENV_H

#include "base/arena.h"
#include "base/err.h"
#include "probe/pack/pack.h"
#include "span/span.h"

/* NULL when the variable is not set. "" counts as not set (so OpenTelemetry has it). */
typedef const char *(*otel_getenv_fn)(void *arg, const char *name);

/* OTEL_EXPORTER_OTLP_COMPRESSION. Not set: gzip, but for a collector on this machine, where bytes cost nothing. */
enum otlp_compression { OTLP_COMPRESSION_UNSET, OTLP_COMPRESSION_NONE, OTLP_COMPRESSION_GZIP };

struct otel_env {
	bool disabled;               /* OTEL_SDK_DISABLED: nothing is to be sent or printed */
	const char *endpoint;        /* complete, as struct otlp_options takes it; NULL: none is set */
	const char *const *headers;  /* "Name: value", NULL-terminated; NULL: none */
	enum otlp_compression compression;
	unsigned timeout_ms;         /* 0: not set */
	const char *service_name;    /* OTEL_SERVICE_NAME, else service.name of the attributes; or NULL */
	const struct attr *resource_attrs;
	size_t nresource_attrs;
	double sample_ratio;         /* 1 unless OTEL_TRACES_SAMPLER says otherwise */
	bool sample_parent_based;    /* a caller's decision goes before the ratio (the default) */
	unsigned propagators;        /* OTEL_PROPAGATORS: enum propagators; tracecontext is always one of them */
	struct arena arena;          /* owns all of the above */
};

/* -EINVAL with a sentence that names the variable. *ret is set up either way: otel_env_done it. */
int otel_env_read(struct otel_env *ret, otel_getenv_fn getenv_fn, void *arg, struct err *err);
void otel_env_done(struct otel_env *e);

#endif
