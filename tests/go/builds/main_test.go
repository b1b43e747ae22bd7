package main

import (
	"testing"

	"earshot.test/builds/serve"
)

func TestMain_(t *testing.T) {
	if got := serve.Report() + twice(1); got != serve.Requests*(serve.Requests-1)/2+2 {
		t.Fatal(got)
	}
}
