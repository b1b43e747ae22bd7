/* OpenTelemetry's environment variables, from a made-up environment. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sink/otel_env.h"

static const char *from_list(void *arg, const char *name)
{
	const char *const *list = arg;

	for (; *list; list += 2)
		if (!strcmp(list[0], name))
			return list[1];
	return NULL;
}

#define READ(env, err, ...)                                                                        \
	otel_env_read((env), from_list, (void *)(const char *const[]){__VA_ARGS__, NULL, NULL}, (err))

static void test_empty(void **state)
{
	struct otel_env e;

	assert_int_equal(READ(&e, NULL, "OTEL_SERVICE_NAME", "", "OTEL_EXPORTER_OTLP_ENDPOINT", ""), 0);
	assert_false(e.disabled);
	assert_null(e.endpoint);
	assert_null(e.headers);
	assert_null(e.service_name);
	assert_int_equal(e.compression, OTLP_COMPRESSION_UNSET);
	assert_int_equal(e.timeout_ms, 0);
	assert_int_equal(e.nresource_attrs, 0);
	assert_true(e.sample_ratio == 1 && e.sample_parent_based);
	otel_env_done(&e);
}

static void endpoint_is(const char *name, const char *value, const char *protocol, const char *expected)
{
	struct err err = {0};
	struct otel_env e;

	assert_int_equal(READ(&e, &err, name, value, "OTEL_EXPORTER_OTLP_PROTOCOL", protocol), 0);
	assert_string_equal(e.endpoint, expected);
	otel_env_done(&e);
}

static void test_endpoints(void **state)
{
	const char *base = "OTEL_EXPORTER_OTLP_ENDPOINT", *traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

	endpoint_is(base, "http://c:4318", "", "http://c:4318/v1/traces");
	endpoint_is(base, "http://c:4318/", "", "http://c:4318/v1/traces");
	endpoint_is(base, "https://c/otlp", "http/protobuf", "https://c/otlp/v1/traces");
	endpoint_is(traces, "http://c:4318", "", "http://c:4318/");
	endpoint_is(traces, "http://c:4318/mine", "", "http://c:4318/mine");
	endpoint_is(base, "http://c:4317", "grpc", "grpc://c:4317");
	endpoint_is(base, "https://c:4317", "grpc", "grpcs://c:4317");
	endpoint_is(base, "c:4317", "grpc", "grpcs://c:4317");
	endpoint_is(base, "grpc://c:4317", "", "grpc://c:4317");
}

static void test_propagators(void **state)
{
	static const struct {
		const char *text;
		unsigned want;
	} cases[] = {{"", 0}, {"tracecontext,baggage", 0}, {"b3", PROPAGATOR_B3}, {"b3multi", PROPAGATOR_B3MULTI},
		     {"tracecontext,b3,datadog", PROPAGATOR_B3 | PROPAGATOR_DATADOG}, {"b33,xray,,b", 0},
		     {" tracecontext, b3 ,datadog", PROPAGATOR_B3 | PROPAGATOR_DATADOG}};
	struct otel_env e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(READ(&e, NULL, "OTEL_PROPAGATORS", cases[i].text), 0);
		assert_int_equal(e.propagators, cases[i].want);
		otel_env_done(&e);
	}
}

static void test_traces_go_first(void **state)
{
	struct otel_env e;

	assert_int_equal(READ(&e, NULL, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1",
			      "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2/x", "OTEL_EXPORTER_OTLP_TIMEOUT",
			      "1000", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000",
			      "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
			      "none"),
			 0);
	assert_string_equal(e.endpoint, "http://b:2/x");
	assert_int_equal(e.timeout_ms, 2000);
	assert_int_equal(e.compression, OTLP_COMPRESSION_NONE);
	otel_env_done(&e);

	assert_int_equal(READ(&e, NULL, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT",
			      "c:4317", "OTEL_EXPORTER_OTLP_INSECURE", "true"), 0);
	assert_string_equal(e.endpoint, "grpc://c:4317");
	otel_env_done(&e);
}

static void test_headers(void **state)
{
	struct otel_env e;

	assert_int_equal(READ(&e, NULL, "OTEL_EXPORTER_OTLP_HEADERS",
			      "Authorization=Bearer%20a%3Db, x-tenant = shop ,x-empty=,"), 0);
	assert_string_equal(e.headers[0], "Authorization: Bearer a=b");
	assert_string_equal(e.headers[1], "x-tenant: shop");
	assert_string_equal(e.headers[2], "x-empty: ");
	assert_null(e.headers[3]);
	otel_env_done(&e);
}

static void test_resource(void **state)
{
	struct otel_env e;

	assert_int_equal(READ(&e, NULL, "OTEL_RESOURCE_ATTRIBUTES",
			      "service.name=shop,deployment.environment.name=pre%2Cprod%00x"), 0);
	assert_string_equal(e.service_name, "shop");
	assert_int_equal(e.nresource_attrs, 2);
	assert_string_equal(e.resource_attrs[1].key, "deployment.environment.name");
	assert_int_equal(e.resource_attrs[1].len, 10);
	assert_memory_equal(e.resource_attrs[1].s, "pre,prod\0x", 10);
	otel_env_done(&e);

	assert_int_equal(READ(&e, NULL, "OTEL_RESOURCE_ATTRIBUTES", "service.name=shop", "OTEL_SERVICE_NAME", "cart"),
			 0);
	assert_string_equal(e.service_name, "cart");
	otel_env_done(&e);
}

static void sampler_is(const char *name, const char *arg, double ratio, bool parent_based)
{
	struct otel_env e;

	assert_int_equal(READ(&e, NULL, "OTEL_TRACES_SAMPLER", name, "OTEL_TRACES_SAMPLER_ARG", arg), 0);
	assert_true(e.sample_ratio == ratio);
	assert_int_equal(e.sample_parent_based, parent_based);
	otel_env_done(&e);
}

static void test_samplers(void **state)
{
	struct otel_env e;

	sampler_is("always_on", "", 1, false);
	sampler_is("always_off", "0.5", 0, false);
	sampler_is("traceidratio", "0.25", 0.25, false);
	sampler_is("traceidratio", "", 1, false);
	sampler_is("parentbased_always_on", "", 1, true);
	sampler_is("parentbased_always_off", "", 0, true);
	sampler_is("parentbased_traceidratio", "1e-3", 1e-3, true);

	assert_int_equal(READ(&e, NULL, "OTEL_SDK_DISABLED", "TRUE"), 0);
	assert_true(e.disabled);
	otel_env_done(&e);
	assert_int_equal(READ(&e, NULL, "OTEL_SDK_DISABLED", "1"), 0);
	assert_false(e.disabled);
	otel_env_done(&e);
}

static void test_refused(void **state)
{
	static const char *const bad[][2] = {
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "nothing"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "=x"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a b=x"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0aX: y"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=%00"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=%4"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "-1"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "99999999999999999999"},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=1,b"},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=%zz"},
		{"OTEL_TRACES_SAMPLER", "jaeger_remote"},
		{"OTEL_TRACES_SAMPLER", "parentbased_"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		struct otel_env e;

		assert_int_equal(READ(&e, &err, bad[i][0], bad[i][1]), -EINVAL);
		assert_ptr_equal(strstr(err.text, bad[i][0]), err.text);
		assert_null(strchr(err.text, '\n'));
		otel_env_done(&e);
	}
}

static void test_refused_ratio(void **state)
{
	static const char *const bad[] = {"2", "-0.1", "nan", "half", "0.5x"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct otel_env e;

		assert_int_equal(READ(&e, NULL, "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG",
				      bad[i]), -EINVAL);
		otel_env_done(&e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),     cmocka_unit_test(test_endpoints), cmocka_unit_test(test_propagators),
		cmocka_unit_test(test_traces_go_first), cmocka_unit_test(test_headers),
		cmocka_unit_test(test_resource),  cmocka_unit_test(test_samplers),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_refused_ratio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
