// Command jobs does the jobs that it is given by name, and prints how many went well.
package main

import (
	"fmt"
	"os"

	"example.com/queue"
)

func main() {
	var jobs []queue.Job
	for _, name := range os.Args[1:] {
		jobs = append(jobs, queue.Job{Name: name})
	}
	var w queue.Worker
	fmt.Println(w.Work(jobs))
}
