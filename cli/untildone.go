package cli

import (
	"context"
	"fmt"
	"io"
	"os"
)

// longestFile is larger than any tenants file.
const longestFile = 64 << 20

// untilDone returns what do returns, or an error once ctx ends. A pipe or a terminal may
// never send anything, and a signal, which only ends ctx, interrupts neither a read nor the
// opening of a pipe at whose other end nobody is. do then goes on until the process ends.
func untilDone[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		value, err := do()
		results <- result{value, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	case r := <-results:
		return r.value, r.err
	}
}

// readFile reads a file of at most that many bytes.
func readFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	return untilDone(ctx, func() ([]byte, error) {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readLimited(file, name, limit)
	})
}

// readStdin reads standard input, at most that many bytes.
func (s *session) readStdin(ctx context.Context, limit int64) ([]byte, error) {
	return untilDone(ctx, func() ([]byte, error) { return readLimited(s.Env.Stdin, "standard input", limit) })
}

func readLimited(from io.Reader, name string, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return text, err
}
