package serve

import (
	"net/http/httptest"
	"testing"
)

func TestHandle(t *testing.T) {
	w := httptest.NewRecorder()
	handle(w, httptest.NewRequest("GET", "/work?n=7", nil))
	if w.Body.String() != "7" {
		t.Fatal(w.Body.String())
	}
}
