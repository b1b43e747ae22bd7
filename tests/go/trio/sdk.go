//go:build sdk

package main

import (
	"context"
	"database/sql"
	"log"
	"net/http"

	"github.com/XSAM/otelsql"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// start sets the SDK up: spans go in batches to OTEL_EXPORTER_OTLP_ENDPOINT.
func start(service string) {
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithBatcher(exporter),
		trace.WithResource(resource.NewSchemaless(semconv.ServiceName(service)))))
	otel.SetTextMapPropagator(propagation.TraceContext{})
}

func handled(h http.Handler) http.Handler          { return otelhttp.NewHandler(h, "request") }
func client(t http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(t) }

func serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler())}
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler())}
}

// Rows, Ping, ResetSession and the like are no operations of their own. The library does not know the system by itself.
func openDatabase(driver, url string) (*sql.DB, error) {
	attributes := append(otelsql.AttributesFromDSN(url), semconv.DBSystemNamePostgreSQL)
	return otelsql.Open(driver, url, otelsql.WithAttributes(attributes...), otelsql.WithSpanOptions(otelsql.SpanOptions{
		OmitConnResetSession: true, OmitConnectorConnect: true, OmitRows: true, OmitConnPrepare: true}))
}

// Which line of the program called is nothing that is compared, and dear.
func openRedis(o *redis.Options) *redis.Client {
	c := redis.NewClient(o)
	if err := redisotel.InstrumentTracing(c, redisotel.WithCallerEnabled(false)); err != nil {
		log.Fatal(err)
	}
	return c
}
