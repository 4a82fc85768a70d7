package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"helm-tenant/tenant"
)

// longestFile is larger than any tenants file.
const longestFile = 64 << 20

// untilDone returns what do returns, or an error once ctx ends: a signal, which ends ctx,
// interrupts neither a read from a pipe or a terminal nor the opening of a pipe that nobody
// writes to. do then goes on until the process ends.
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

// checkReplaceable refuses a file that replaceFile can't write, before anything is read: it
// exists and is not a regular file, or its folder does not exist. flag names it in the error.
func checkReplaceable(flag, file string) error {
	info, err := os.Stat(file)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s: %s is not a regular file", flag, file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", flag, err)
	}
	if folder, err := os.Stat(filepath.Dir(file)); err != nil || !folder.IsDir() {
		return fmt.Errorf("%s: the folder %s does not exist", flag, filepath.Dir(file))
	}
	return nil
}

// replaceFile is tenant.ReplaceFile, except that a symbolic link stays one, and that an error
// names the file.
func replaceFile(file string, mode fs.FileMode, write func(*os.File) error) error {
	target := file
	if linked, err := filepath.EvalSymlinks(file); err == nil {
		target = linked
	}
	if err := tenant.ReplaceFile(target, mode, write); err != nil {
		return fmt.Errorf("%s can't be written: %w", file, err)
	}
	return nil
}
