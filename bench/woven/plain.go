//go:build !sdk

package main

import (
	"context"
	"net/http"
)

func begin() {}

func called(ctx context.Context, n int) int { return work(ctx, n) }

func handled(h http.Handler) http.Handler { return h }
