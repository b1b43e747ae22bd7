//go:build go1.22

package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/twmb/franz-go/pkg/kfake"
)

// The older toolchain's build has no brokers: these libraries want a newer one.
func init() {
	serve = func() {
		n, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: os.Args[2], NoSigs: true})
		must(err)
		go n.Start()
		if !n.ReadyForConnections(20 * time.Second) {
			panic("the NATS server is not ready")
		}
		k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"), kfake.SeedTopics(1, "audit"))
		must(err)
		must(json.NewEncoder(os.Stdout).Encode(map[string]string{"nats": n.ClientURL(), "kafka": k.ListenAddrs()[0]}))
		select {}
	}
}
