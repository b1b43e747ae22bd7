// etcd as it comes, built from a module of its own: a large program of others, with gRPC, and HTTP in front of it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
