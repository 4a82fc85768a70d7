// Command runtests runs `go test` with its arguments and shows the progress: each package when
// it ends, from time to time the running tests, the output of failed tests, and at the end the
// slowest tests.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// collector is the GOGC of the tests and of all that they start, the cluster's components,
// the helms and the compiler among them, where the environment has none. A helm command
// takes a quarter less of the processor's time with it, an API server a tenth, for some
// hundred megabytes of memory a cluster.
const collector = "400"

// interval is how often it says which tests are running.
const interval = 20 * time.Second

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "runtests: %v\n", err)
	}
	os.Exit(code)
}

// run returns the exit code of go test.
func run(args []string) (int, error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.Env = os.Environ()
	if os.Getenv("GOGC") == "" {
		cmd.Env = append(cmd.Env, "GOGC="+collector)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	// go test leaves an interrupt to the tests and waits for them: their clusters end with
	// them. It reaches a test by the process group alone, so they have one of their own,
	// and hear of a Ctrl-C and of an end that another process asks for alike.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	var interrupted atomic.Bool
	go func() {
		<-signals
		interrupted.Store(true)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // they may have ended
	}()
	events := make(chan event)
	go func() {
		defer close(events)
		for reader := bufio.NewReader(stdout); ; {
			line, err := reader.ReadBytes('\n')
			e := event{}
			if json.Unmarshal(line, &e) != nil {
				e = event{Action: "build-output", Output: string(line)} // the go command's own output
			}
			events <- e
			if err != nil { // the end
				return
			}
		}
	}()
	s := newSummary(os.Stdout, time.Now())
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for open := true; open; {
		select {
		case e, more := <-events:
			if open = more; more {
				s.add(e)
			}
		case now := <-tick.C:
			s.progress(now)
		}
	}
	err = cmd.Wait()
	s.end(time.Now())
	if interrupted.Load() {
		return 130, nil
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 || err == nil {
		return code, nil
	}
	return 1, err
}
