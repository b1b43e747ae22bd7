// Package queue works off jobs, as docs/packs.md has it.
package queue

import (
	"errors"
	"strings"
)

type Job struct {
	Name string
}

type Worker struct {
	done   int
	failed []error
}

// Work does one job after the other, and returns how many went well.
func (w *Worker) Work(jobs []Job) int {
	for i := range jobs {
		w.finished(&jobs[i], w.run(&jobs[i]))
	}
	return w.done
}

//go:noinline
func (w *Worker) run(job *Job) error {
	if strings.HasPrefix(job.Name, "bad") {
		return errors.New("bad job: " + job.Name)
	}
	return nil
}

//go:noinline
func (w *Worker) finished(job *Job, err error) {
	if err != nil {
		w.failed = append(w.failed, err)
		return
	}
	w.done++
}
