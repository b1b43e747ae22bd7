package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "orders"

func kafkaWriter(address string) *kafka.Writer {
	return &kafka.Writer{Addr: kafka.TCP(address), Topic: topic, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll,
		MaxAttempts: 1}
}

func traced(name string) []kafka.Header {
	return []kafka.Header{{Key: "a", Value: []byte("1")}, {Key: name, Value: []byte(own)}, {Key: "b"}}
}

func kafkaHeaders(kind int) []kafka.Header {
	switch kind {
	case 1:
		return traced("traceparent")
	case 2:
		return []kafka.Header{{Key: "Xtraceparent", Value: []byte(own)}, {Key: "traceparen"}, {Key: "", Value: []byte("traceparent")}}
	case 3:
		return traced("TraceParent")
	case 6:
		return make([]kafka.Header, 120)
	}
	return nil
}

// deliver is a span of the test's own, which knows the number.
//
//go:noinline
func deliver(n int64, w *kafka.Writer, all ...kafka.Message) error {
	return w.WriteMessages(context.Background(), all...)
}

// Kinds 0, 4, 5, 8 and 9 have no headers. 4 has no value, 5 are three in one call, 7 and 8 share what they have; 9 is compressed.
func produce(address string) (send, func()) {
	w, packed := kafkaWriter(address), kafkaWriter(address)
	packed.Compression, packed.BatchBytes = kafka.Snappy, 500000
	roomy := append(make([]kafka.Header, 0, 8), kafka.Header{Key: "shared", Value: []byte("value")})
	value := []byte("one value for all")
	return func(n int64, kind int) error {
			m := kafka.Message{Key: []byte(fmt.Sprintf("%d.%d", kind, n)), Value: []byte("value"), Headers: kafkaHeaders(kind)}
			switch kind {
			case 4:
				m.Value = nil
			case 5:
				return deliver(n, w, m, m, m)
			case 7:
				m.Headers = roomy
			case 8:
				m.Value = value
			case 9:
				return deliver(n, packed, m)
			}
			return deliver(n, w, m)
		}, func() {
			must(w.Close())
			must(packed.Close())
			if len(roomy[:2][1].Key) != 0 {
				must(fmt.Errorf("another header behind those of the program"))
			}
		}
}

// Each of the messages is of kind 0; all of them are sent by the first call.
func fill(address string) (send, func()) {
	w := kafkaWriter(address)
	w.BatchSize = 20000
	return func(n int64, _ int) error {
		if n > 1 {
			return nil
		}
		var all []kafka.Message
		for i := 1; i <= number(3); i++ {
			all = append(all, kafka.Message{Key: []byte(fmt.Sprintf("0.%d", i)), Value: []byte(strings.Repeat("v", 90))})
		}
		return deliver(n, w, all...)
	}, func() { must(w.Close()) }
}

func read(address string) (send, func()) {
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(err)
	out := json.NewEncoder(os.Stderr)
	var left []*kgo.Record
	return func(int64, int) error {
		for len(left) == 0 {
			polled := c.PollFetches(context.Background())
			must(polled.Err())
			left = polled.Records()
		}
		r := left[0]
		left = left[1:]
		headers := [][2]string{}
		for _, h := range r.Headers {
			headers = append(headers, [2]string{h.Key, string(h.Value)})
		}
		return out.Encode(map[string]any{"key": string(r.Key), "value": string(r.Value), "null": r.Value == nil, "headers": headers})
	}, c.Close
}
