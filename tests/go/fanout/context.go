//go:build go1.21

package main

import "context"

func withoutCancel(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// afterCancel runs f on the goroutine that context.AfterFunc makes, and waits for it.
func afterCancel(ctx context.Context, f func()) {
	done := make(chan struct{})
	own, cancel := context.WithCancel(ctx)
	context.AfterFunc(own, func() { f(); close(done) })
	cancel()
	<-done
}
