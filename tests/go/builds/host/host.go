// Command host loads a plugin.
package main

import (
	"fmt"
	"log"
	"os"
	"plugin"

	"earshot.test/builds/serve"
)

func main() {
	p, err := plugin.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	report, err := p.Lookup("Report")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.(func() int)()+serve.Report(), "from a plugin")
}
