package serve_test

import (
	"testing"

	"earshot.test/builds/serve"
)

func TestReport(t *testing.T) {
	if n := serve.Report(); n != serve.Requests*(serve.Requests-1)/2 {
		t.Fatal(n)
	}
}
