package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const connections = 3

var large, tooLarge = strings.Repeat("v", 3800), strings.Repeat("v", 5000)

func connect(url string, options ...nats.Option) *nats.Conn {
	nc, err := nats.Connect(url, options...)
	must(err)
	return nc
}

func header(kind int) nats.Header {
	switch kind {
	case 1:
		return nats.Header{"Traceparent": {own}}
	case 2:
		return nats.Header{"X-Other": {"traceparent: " + own}, "Xtraceparent": {"1"}, "Traceparents": {"2"}}
	case 3:
		return nats.Header{"X-First": {"1"}, "tracePARENT": {own}, "Zeta": {"2"}}
	case 5:
		return nats.Header{"X-Large": {large}}
	case 6:
		return nats.Header{"X-Large": {tooLarge}}
	}
	return nil
}

// Kinds 0, 4, 7 have no headers; 8 and 9 are requests.
func mail(url string) (send, func()) {
	var all []*nats.Conn
	for i := 0; i < connections; i++ {
		all = append(all, connect(url))
	}
	return func(n int64, kind int) error {
			nc := all[n%connections]
			subject := fmt.Sprintf("box.%d.%d", kind, n)
			data := []byte(subject)
			switch kind {
			case 0:
				return nc.Publish(subject, data)
			case 4:
				return nc.Publish(subject, nil)
			case 7: // almost all that the server takes
				return nc.Publish(subject, make([]byte, nc.MaxPayload()-50))
			case 8:
				_, err := nc.Request(subject, data, 20*time.Second)
				return err
			case 9:
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				_, err := nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: data, Header: nats.Header{"A": {"b"}}})
				return err
			}
			return nc.PublishMsg(&nats.Msg{Subject: subject, Data: data, Header: header(kind)})
		}, func() {
			for _, nc := range all {
				must(nc.FlushTimeout(20 * time.Second))
			}
		}
}

func stream(nc *nats.Conn) (jetstream.JetStream, jetstream.Stream) {
	js, err := jetstream.New(nc)
	must(err)
	s, err := js.CreateOrUpdateStream(context.Background(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept.*"}})
	must(err)
	return js, s
}

func store(url string) (send, func()) {
	js, _ := stream(connect(url))
	return func(n int64, _ int) error {
		_, err := js.Publish(context.Background(), fmt.Sprintf("kept.%d", n), []byte("kept"))
		return err
	}, func() {}
}

func handle(url string) (send, func()) {
	_, s := stream(connect(url))
	c, err := s.CreateOrUpdateConsumer(context.Background(), jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy})
	must(err)
	handled := make(chan error)
	consume, err := c.Consume(func(m jetstream.Msg) { handled <- m.Ack() })
	must(err)
	return func(int64, int) error { return <-handled }, consume.Stop
}

// The server does not read: the call that fills its buffers is in the kernel, and all others wait for it.
func block(url string) (send, func()) {
	nc := connect(url, nats.FlusherTimeout(time.Hour), nats.ReconnectBufSize(-1))
	return func(int64, int) error {
		for i := 0; i < 20; i++ {
			go func(i int) {
				for n := 0; n < 100; n++ {
					nc.Publish(fmt.Sprintf("box.%d.%d", i, n), make([]byte, 60000))
				}
			}(i)
		}
		return nil
	}, func() {}
}
