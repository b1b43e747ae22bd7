package main

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// The sink keeps what it is sent as it came, so that it takes little of the machine while something is measured, and reads
// it when it is asked what there was.
//
//	POST /v1/traces   an ExportTraceServiceRequest
//	GET  /bytes       how much there is
//	GET  /spans       what there is, by what the spans are, as JSON; forgets it
type store struct {
	mu     sync.Mutex
	bodies [][]byte
	bytes  int
}

func sink() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	s := &store{}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/traces", s.take)
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintln(w, s.bytes)
	})
	mux.HandleFunc("/spans", s.tell)
	return http.Serve(l, mux)
}

func (s *store) take(w http.ResponseWriter, r *http.Request) {
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		from = z
	}
	body, err := io.ReadAll(from)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, body)
	s.bytes += len(body)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// A group is spans that are the same thing: count of them, of which Roots have no parent, and how many have each attribute.
type group struct {
	Service    string         `json:"service"`
	What       string         `json:"what"`
	Count      int            `json:"count"`
	Roots      int            `json:"roots"`
	Attributes map[string]int `json:"attributes"`
	Name       string         `json:"name"`   // of one of them
	Sample     map[string]any `json:"sample"` // its attributes
}

func (s *store) tell(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	bodies := s.bodies
	s.bodies, s.bytes = nil, 0
	s.mu.Unlock()
	groups := map[string]*group{}
	for _, b := range bodies {
		if err := read(b, groups); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	all := []*group{}
	for _, g := range groups {
		all = append(all, g)
	}
	json.NewEncoder(w).Encode(all)
}

var errShort = errors.New("a message that ends too early")

// fields calls f with each field of a message: its number, and its value as a number or as bytes.
func fields(b []byte, f func(number int, n uint64, v []byte) error) error {
	for len(b) > 0 {
		key, used := binary.Uvarint(b)
		if used <= 0 {
			return errShort
		}
		b = b[used:]
		var n uint64
		var v []byte
		switch size := 0; key & 7 {
		case 0:
			if n, used = binary.Uvarint(b); used <= 0 {
				return errShort
			}
			b = b[used:]
		case 1, 5:
			if size = 8; key&7 == 5 {
				size = 4
			}
			if len(b) < size {
				return errShort
			}
			b = b[size:] // no number that is asked for
		case 2:
			if n, used = binary.Uvarint(b); used <= 0 || n > uint64(len(b)-used) {
				return errShort
			}
			v, b = b[used:used+int(n)], b[used+int(n):]
		default:
			return fmt.Errorf("wire type %d", key&7)
		}
		if err := f(int(key>>3), n, v); err != nil {
			return err
		}
	}
	return nil
}

// attribute reads a KeyValue: texts and numbers, other values by their bytes.
func attribute(b []byte, to map[string]any) error {
	var key string
	var value any
	err := fields(b, func(number int, _ uint64, v []byte) error {
		if number == 1 {
			key = string(v)
			return nil
		}
		return fields(v, func(kind int, n uint64, v []byte) error {
			if value = n; kind == 1 || v != nil {
				value = string(v)
			}
			return nil
		})
	})
	to[key] = value
	return err
}

var kinds = [...]string{"unspecified", "internal", "server", "client", "producer", "consumer"}

type span struct {
	kind, name string
	parent     bool
	attributes map[string]any
}

func readSpan(b []byte) (s span, err error) {
	s.attributes, s.kind = map[string]any{}, kinds[0]
	err = fields(b, func(number int, n uint64, v []byte) error {
		switch number {
		case 4:
			s.parent = len(v) > 0
		case 5:
			s.name = string(v)
		case 6:
			s.kind = kinds[n%uint64(len(kinds))]
		case 9:
			return attribute(v, s.attributes)
		}
		return nil
	})
	return s, err
}

// first is the first of the attributes that there is, as text.
func (s span) first(names ...string) string {
	for _, name := range names {
		if v, ok := s.attributes[name]; ok {
			return fmt.Sprint(v)
		}
	}
	return ""
}

// what a span is, the same for all who record it: they name things differently.
func (s span) what() string {
	if m := s.first("rpc.method"); m != "" {
		return s.kind + " " + m[strings.LastIndex(m, "/")+1:]
	}
	text := s.first("db.query.text", "db.statement")
	operation := s.first("db.operation.name")
	switch name := strings.TrimPrefix(s.name, "sql."); { // otelsql
	case strings.HasSuffix(name, "conn.begin_tx"):
		operation = "BEGIN"
	case strings.HasSuffix(name, "tx.commit"):
		operation = "COMMIT"
	case operation == "" && text != "":
		operation, _, _ = strings.Cut(text, " ")
	}
	if operation != "" {
		return s.kind + " " + strings.ToUpper(operation)
	}
	path := s.first("url.path", "url.full")
	if _, rest, ok := strings.Cut(path, "://"); ok {
		path = rest[strings.IndexByte(rest+"/", '/'):]
	}
	if parts := strings.Split(path, "/"); len(parts) > 1 {
		return s.kind + " " + parts[1]
	}
	return s.kind + " " + s.name
}

func read(body []byte, groups map[string]*group) error {
	return fields(body, func(_ int, _ uint64, resourceSpans []byte) error {
		resource := map[string]any{}
		return fields(resourceSpans, func(number int, _ uint64, v []byte) error {
			switch number {
			case 1:
				return fields(v, func(number int, _ uint64, v []byte) error {
					if number != 1 {
						return nil
					}
					return attribute(v, resource)
				})
			case 2:
				return fields(v, func(number int, _ uint64, v []byte) error {
					if number != 2 {
						return nil
					}
					s, err := readSpan(v)
					if err == nil {
						add(groups, fmt.Sprint(resource["service.name"]), s)
					}
					return err
				})
			}
			return nil
		})
	})
}

func add(groups map[string]*group, service string, s span) {
	what := s.what()
	g := groups[what]
	if g == nil {
		g = &group{Service: service, What: what, Attributes: map[string]int{}, Name: s.name, Sample: s.attributes}
		groups[what] = g
	}
	g.Count++
	if !s.parent {
		g.Roots++
	}
	for name := range s.attributes {
		g.Attributes[name]++
	}
}
