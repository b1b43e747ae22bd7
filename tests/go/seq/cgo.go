//go:build withcgo

package main

/*
#include <stdint.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern uint64_t called(uint64_t worker, uint64_t n);

static uint64_t call_back(uint64_t worker, uint64_t n)
{
	return called(worker, n);
}

// The child runs Go code that is observed, on its own, while its parent does. Go does not promise that this works: a
// child that waits for a thread which it does not have is ended.
static void fork_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint64_t n = 0; n < 2000; n++)
			called(63, n);
		_exit(0);
	}
	for (int i = 0; i < 200 && waitpid(pid, 0, WNOHANG) == 0; i++)
		usleep(1000);
	if (kill(pid, SIGKILL) == 0)
		waitpid(pid, 0, 0);
}
*/
import "C"

import "time"

//go:noinline
func back(worker, n uint64) uint64 {
	sink[worker] += helper(n)
	return n
}

//export called
func called(worker, n C.uint64_t) C.uint64_t {
	return C.uint64_t(back(uint64(worker), uint64(n)))
}

// C code that calls Go.
func foreign(worker, n uint64) {
	if n%16 == 0 {
		C.call_back(C.uint64_t(worker), C.uint64_t(n))
	}
}

func init() {
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			C.fork_child()
		}
	}()
}
