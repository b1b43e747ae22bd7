//go:build sdk

package main

import (
	"context"
	"log"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

var tracer trace.Tracer

// begin sets the SDK up: spans go in batches to OTEL_EXPORTER_OTLP_ENDPOINT.
func begin() {
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	otel.SetTracerProvider(sdk.NewTracerProvider(sdk.WithBatcher(exporter)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	tracer = otel.Tracer("bench")
}

// called makes the span that weaving makes.
func called(ctx context.Context, n int) int {
	ctx, span := tracer.Start(ctx, "main.work", trace.WithAttributes(attribute.Int("n", n)))
	defer span.End()
	return work(ctx, n)
}

func handled(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "request") }
