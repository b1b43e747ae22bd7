package main

import (
	"syscall"
	"time"
)

// waitInKernel stays in a system call for d.
func waitInKernel(d time.Duration) {
	tv := syscall.NsecToTimeval(int64(d))
	syscall.Select(0, nil, nil, nil, &tv)
}
