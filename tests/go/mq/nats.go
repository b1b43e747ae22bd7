package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

// The trace of a message that somebody else has sent.
func traceparent(n int) string { return fmt.Sprintf("00-%032x-%016x-01", n, n) }

// Of headers in NATS the case counts, and there are two ways.
func traced(subject string, n int) *nats.Msg {
	if n == 3 || n == 8 {
		return with(subject, "traceparent", n)
	}
	return with(subject, "Traceparent", n)
}

// with is a message with a header; without a trace where n is 0.
func with(subject, name string, n int) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Data = []byte(fmt.Sprint(n))
	if n != 0 {
		m.Header[name] = []string{traceparent(n)}
	}
	return m
}

func useNATS(url string) {
	nc, err := nats.Connect(url)
	must(err)
	must(nc.Publish("orders", []byte("12345")))
	must(nc.PublishMsg(with("orders", "X-Other", 1)))
	must(nc.Publish("empty", nil))
	fails(nc.Publish("large", make([]byte, 2<<20)), "maximum payload")

	_, err = nc.Subscribe("answers", func(m *nats.Msg) { must(m.Respond([]byte("yes"))) })
	must(err)
	_, err = nc.Request("answers", []byte("1"), 5*time.Second)
	must(err)
	_, err = nc.RequestWithContext(ctx, "answers", []byte("12"))
	must(err)
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = nc.RequestMsgWithContext(limited, with("answers", "X-Other", 1))
	must(err)
	_, err = nc.Request("nobody", nil, 5*time.Second)
	fails(err, "no responders")
	_, err = nc.Subscribe("silence", func(*nats.Msg) {})
	must(err)
	_, err = nc.Request("silence", nil, 50*time.Millisecond)
	if !errors.Is(err, nats.ErrTimeout) {
		panic(err)
	}
	useJetStream(nc)
	useService(nc)
	nc.Close()
	fails(nc.Publish("closed", nil), "closed")
}

// Handlers of JetStream: messages with a trace of their own and without one by turns, on one goroutine.
func useJetStream(nc *nats.Conn) {
	js, err := jetstream.New(nc)
	must(err)
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "STORE", Subjects: []string{"store.*"}})
	must(err)
	c, err := s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy})
	must(err)
	done := make(chan bool)
	consume, err := c.Consume(func(m jetstream.Msg) {
		must(nc.Publish("handled."+string(m.Data()), nil))
		must(m.Ack())
		done <- true
	})
	must(err)
	for _, n := range []int{0, 1, 0, 3, 0} {
		if n == 0 {
			_, err = js.Publish(ctx, "store.plain", []byte("0"))
		} else {
			_, err = js.PublishMsg(ctx, traced("store.traced", n))
		}
		must(err)
		<-done
	}
	consume.Stop()
	_, err = js.Publish(ctx, "nowhere", nil)
	if err == nil {
		panic("nobody stores that")
	}
	old, err := nc.JetStream()
	must(err)
	_, err = old.Publish("store.older", []byte("123"))
	must(err)
}

func useService(nc *nats.Conn) {
	s, err := micro.AddService(nc, micro.Config{Name: "prices", Version: "1.0.0", QueueGroup: "group"})
	must(err)
	must(s.AddEndpoint("price", micro.HandlerFunc(func(r micro.Request) {
		if string(r.Data()) == "0" {
			must(r.Error("404", "no such thing", nil))
			return
		}
		must(nc.Publish("asked", nil))
		must(r.Respond([]byte("42")))
	}), micro.WithEndpointSubject("price.*")))
	for _, n := range []int{7, 0, 8} {
		_, err := nc.RequestMsg(traced("price.tea", n), 5*time.Second)
		must(err)
	}
	must(s.Stop())
}
