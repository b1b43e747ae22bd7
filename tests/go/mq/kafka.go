package main

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

func message(topic string) kafka.Message {
	return kafka.Message{Topic: topic, Key: []byte("key"), Value: []byte("value")}
}

func writer(address, topic string) *kafka.Writer {
	return &kafka.Writer{Addr: kafka.TCP(address), Topic: topic, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll,
		MaxAttempts: 1}
}

func useKafkaGo(address string) {
	w := writer(address, "orders")
	must(w.WriteMessages(ctx, message("")))
	must(w.WriteMessages(ctx, message(""), message(""), message("")))
	w.AllowAutoTopicCreation = false
	each := writer(address, "")
	must(each.WriteMessages(ctx, message("audit")))
	must(each.WriteMessages(ctx, message("audit"), message("orders")))
	fails(each.WriteMessages(ctx, message("nowhere")), "Unknown Topic")
	given, cancel := context.WithCancel(ctx)
	cancel()
	fails(w.WriteMessages(given, message("")), "canceled")
	must(w.Close())
	must(each.Close())
	fails(w.WriteMessages(ctx, message("")), "closed")
}

func client(address string) *kgo.Client {
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("audit"), kgo.UnknownTopicRetries(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(err)
	return c
}

func record(topic string, partition int32) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Value: []byte("value")}
}

func useFranz(address string) {
	c := client(address)
	must(c.ProduceSync(ctx, record("orders", 1)).FirstErr())
	must(c.ProduceSync(ctx, record("", 0)).FirstErr())
	fails(c.ProduceSync(ctx, record("nowhere", 0)).FirstErr(), "UNKNOWN_TOPIC_OR_PARTITION")
	done := make(chan error)
	again := record("orders", 1)
	for i := 0; i < 2; i++ { // the same record, one time after the other
		c.Produce(ctx, again, func(_ *kgo.Record, err error) { done <- err })
		must(<-done)
	}
	c.Close()
}
