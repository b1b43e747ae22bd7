//go:build go1.24

package main

import (
	"go.opentelemetry.io/auto/sdk"
	"go.opentelemetry.io/otel"
)

func useAuto() { otel.SetTracerProvider(sdk.TracerProvider()) }
