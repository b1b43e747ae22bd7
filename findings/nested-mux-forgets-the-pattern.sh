#!/bin/sh
# A nested http.ServeMux that finds nothing takes the outer one's pattern out of the request.
#
# One would guess that Request.Pattern, once a ServeMux has matched, is at least that pattern when the handlers have
# returned: the outer mux matched "/api/" and called the inner one. So a wrapper around all handlers (an access log, a
# metric by route, a span's http.route) would say "/api/" of what the inner mux answers with 404. But each ServeMux
# sets the pattern that it has found, and with nothing found (404, and 405 where only other methods match) that is the
# empty one: the request is then as if no mux had seen it. The path's values of the outer pattern are gone as well.
#
# Output (what the wrapper around the outer mux reads when that has returned):
#
#	go1.23.12: GET /api/1/items: 200, Pattern "GET /api/{version}/items", rest ""
#	go1.23.12: GET /api/1/none: 404, Pattern "", rest ""
#	go1.23.12: POST /api/1/items: 405, Pattern "", rest ""
#	go1.27.4: GET /api/1/items: 200, Pattern "GET /api/{version}/items", rest ""
#	go1.27.4: GET /api/1/none: 404, Pattern "", rest ""
#	go1.27.4: POST /api/1/items: 405, Pattern "", rest ""
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/nested"
printf 'module nested\n\ngo 1.23\n' >"$tmp/nested/go.mod"
cat >"$tmp/nested/main.go" <<'EOG'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

func ok(http.ResponseWriter, *http.Request) {}

func main() {
	outer, inner := http.NewServeMux(), http.NewServeMux()
	inner.HandleFunc("GET /api/{version}/items", ok)
	outer.Handle("/api/{rest...}", inner)
	for _, ask := range [][2]string{{"GET", "/api/1/items"}, {"GET", "/api/1/none"}, {"POST", "/api/1/items"}} {
		r, w := httptest.NewRequest(ask[0], ask[1], nil), httptest.NewRecorder()
		outer.ServeHTTP(w, r)
		fmt.Printf("%s %s: %d, Pattern %q, rest %q\n", ask[0], ask[1], w.Code, r.Pattern, r.PathValue("rest"))
	}
}
EOG

for version in 1.23.12 1.27.4; do
	go=$(toolchain "$version")/bin/go
	(cd "$tmp/nested" && CGO_ENABLED=0 timeout 900 "$go" run .) | sed "s/^/go$version: /"
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
