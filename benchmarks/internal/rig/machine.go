package rig

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Proc returns what matches in a file of Linux, or its last group.
func Proc(file, pattern string) string {
	text, _ := os.ReadFile("/proc/" + file)
	found := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
	if found == nil {
		return "unknown"
	}
	return strings.TrimSpace(found[len(found)-1])
}

// Processor returns the processor and how many of it there are.
func Processor() string {
	return fmt.Sprintf("%s, %d cores", Proc("cpuinfo", `model name\s*: (.*)`), runtime.NumCPU())
}

// Load returns the load averages of the last 1, 5 and 15 minutes.
func Load() string { return Proc("loadavg", `^\S+ \S+ \S+`) }

// Tick is the unit of times in /proc: USER_HZ is 100.
const Tick = 10 * time.Millisecond

// CPU returns the processor time that all processes have used, and how much
// there has been.
func CPU() (busy, all time.Duration) {
	for i, field := range strings.Fields(Proc("stat", `^cpu (.*)`)) {
		if i == 8 { // what guests use is in the first two as well
			break
		}
		n, _ := strconv.Atoi(field)
		all += time.Duration(n) * Tick
		if i != 3 && i != 4 { // idle, waiting for disks
			busy += time.Duration(n) * Tick
		}
	}
	return busy, all
}

// SelfCPU returns the processor time that this process has used.
func SelfCPU() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
