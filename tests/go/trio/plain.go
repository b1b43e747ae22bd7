//go:build !sdk

package main

import (
	"database/sql"
	"net/http"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Where sdk.go, in a build with the tag sdk, puts tracing in by hand: for make bench, which compares.
func start(service string)                             {}
func handled(h http.Handler) http.Handler              { return h }
func client(t http.RoundTripper) http.RoundTripper     { return t }
func serverOptions() []grpc.ServerOption               { return nil }
func openDatabase(driver, url string) (*sql.DB, error) { return sql.Open(driver, url) }
func openRedis(o *redis.Options) *redis.Client         { return redis.NewClient(o) }

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
}
