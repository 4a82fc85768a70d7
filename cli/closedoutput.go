package cli

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// readingVerbs write nothing, so that a closed output may end them: "helm tenant tenants | head".
var readingVerbs = []string{"tenants", "describe", "export", "audit", "prove", "releases", "whoami", "shellenv"}

// outliveOutput lets a verb go on when a reader such as head closes its output: otherwise the
// signal that this causes would end the process between two writes to the cluster. It returns
// the environment for the verb.
func (c caller) outliveOutput() caller {
	// A signal that is delivered to a channel ends nothing. Ignoring it instead would be passed on
	// to helm and its plugins.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	c.Env.Stdout, c.Env.Stderr = unread(c.Env.Stdout), unread(c.Env.Stderr)
	return c
}

// unread returns a stream whose writes succeed after its reader has closed it. A terminal stays
// what it is, so that it is still found to be one.
func unread(stream io.Writer) io.Writer {
	if isTerminal(stream) {
		return stream
	}
	return unreadStream{stream}
}

type unreadStream struct{ stream io.Writer }

func (u unreadStream) Write(text []byte) (int, error) {
	n, err := u.stream.Write(text)
	if isClosedPipe(err) {
		return len(text), nil
	}
	return n, err
}

func isClosedPipe(err error) bool {
	const errorBrokenPipe, errorNoData = syscall.Errno(109), syscall.Errno(232)
	return errors.Is(err, syscall.EPIPE) || runtime.GOOS == "windows" && (errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData))
}
