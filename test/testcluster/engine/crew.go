package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A crew is the set of processes of one cluster. Each writes to its own log, and all die with
// this process. When one of them ends too early, everything that waits for the cluster gets the
// reason.
type crew struct {
	logs  string // the folder that they write to
	shown string // that folder as people find it, for messages
	died  chan error

	starts chan func() // run on one OS thread, see newCrew
	mu     sync.Mutex
	hands  []*hand
	over   bool // from here on, the processes may end
}

// A hand is one process of a crew.
type hand struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it is reaped
}

// diedError is why a cluster is no more.
type diedError struct {
	name, how, log, tail string
}

func (e *diedError) Error() string {
	return fmt.Sprintf("%s ended: %s; the end of %s:\n%s", e.name, e.how, e.log, e.tail)
}

func newCrew(logs, shown string) *crew {
	c := &crew{logs: logs, shown: shown, died: make(chan error, 1), starts: make(chan func())}
	// Pdeathsig comes when the thread that started a process ends, not when its
	// process does (prctl(2)), so one thread starts them all and stays.
	go func() {
		runtime.LockOSThread()
		for start := range c.starts {
			start()
		}
	}()
	return c
}

// start runs cmd as the one called name, with its output in name.log. Output
// that the caller has set already stays.
func (c *crew) start(name string, cmd *exec.Cmd) error {
	log, err := os.OpenFile(filepath.Join(c.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C in a terminal is for us, who end them in order
	diesWithParent(cmd.SysProcAttr)

	started := make(chan error)
	c.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	h := &hand{name: name, cmd: cmd, done: make(chan struct{})}
	c.mu.Lock()
	c.hands = append(c.hands, h)
	c.mu.Unlock()
	go func() {
		err := cmd.Wait()
		close(h.done)
		c.mu.Lock()
		over := c.over
		c.mu.Unlock()
		if over {
			return
		}
		how := "it exited with 0"
		if err != nil {
			how = err.Error()
		}
		select {
		case c.died <- c.report(name, how):
		default: // the first one's death is the reason for the others'
		}
	}()
	return nil
}

func (c *crew) report(name, how string) error {
	return &diedError{
		name: name, how: how,
		log:  filepath.Join(c.shown, name+".log"),
		tail: tail(filepath.Join(c.logs, name+".log"), 12),
	}
}

// await polls until ready returns nil. It gives up when ctx ends, or as soon as
// a process of the crew dies. Name is the process whose log tells why.
func (c *crew) await(ctx context.Context, what, name string, ready func(context.Context) error) error {
	start := time.Now()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case died := <-c.died:
			return died
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s for %s: %w: %w; %w", what, time.Since(start).Round(100*time.Millisecond),
				context.Cause(ctx), err, c.report(name, "or rather, it is not ready"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop kills the crew, the last to come first. Their data goes too, so there is
// nothing that they would have to end in order.
func (c *crew) stop() {
	c.mu.Lock()
	c.over = true
	hands := append([]*hand(nil), c.hands...)
	c.mu.Unlock()
	for i := len(hands) - 1; i >= 0; i-- {
		select {
		case <-hands[i].done:
		default:
			hands[i].cmd.Process.Kill()
			<-hands[i].done
		}
	}
}

// close is for when no process will be started any more and all have ended: it
// gives the thread back.
func (c *crew) close() { close(c.starts) }

// run runs a command that ends by itself, in the crew's log of that name.
func (c *crew) run(ctx context.Context, name, path string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(c.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return c.report(name, err.Error())
	}
	return nil
}

// portTaken tells whether a cluster did not start because another process was
// quicker to listen on a port that had been free.
func portTaken(err error) bool {
	var died *diedError
	return errors.As(err, &died) && strings.Contains(died.tail, "address already in use")
}

// tail returns the last lines of a file, or why not.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 16 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil && size > most {
		f.Seek(-most, io.SeekEnd)
	} else {
		f.Seek(0, io.SeekStart)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	for i := range all {
		if len(all[i]) > 600 {
			all[i] = all[i][:600] + "…"
		}
		all[i] = "    " + all[i]
	}
	return strings.Join(all, "\n")
}
