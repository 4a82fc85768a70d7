package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"helm-tenant/preflight"
)

// keepInputs copies the files of values that can be read only once, such as standard input,
// into a folder that nobody else may read, and lets every rendering read the copies.
func (f *flight) keepInputs(ctx context.Context) error {
	deployment, err := f.deployment.ReadOnce(func(path string) (string, error) {
		text, err := f.readInput(ctx, path)
		if err != nil {
			return "", err
		}
		if f.inputs == "" {
			if f.inputs, err = os.MkdirTemp("", "helm-tenant-preflight-"); err != nil { // mode 0700: values hold secrets
				return "", err
			}
		}
		file, err := os.CreateTemp(f.inputs, "values-*.yaml")
		if err != nil {
			return "", err
		}
		_, err = file.Write(text)
		if closed := file.Close(); err == nil {
			err = closed
		}
		return file.Name(), err
	})
	if err == nil {
		f.deployment = deployment
	}
	return err
}

// readInput reads a file that may never end, or that nobody may ever write.
func (f *flight) readInput(ctx context.Context, path string) ([]byte, error) {
	type input struct {
		text []byte
		err  error
	}
	read := make(chan input, 1)
	go func() {
		from := f.Env.Stdin
		if strings.TrimSpace(path) != "-" {
			file, err := os.Open(path)
			if err != nil {
				read <- input{err: err}
				return
			}
			defer file.Close()
			from = file
		}
		text, err := io.ReadAll(io.LimitReader(from, preflight.MaxRendered+1))
		read <- input{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case in := <-read:
		if len(in.text) > preflight.MaxRendered {
			return nil, fmt.Errorf("the values of %s have more than %d bytes", path, preflight.MaxRendered)
		}
		return in.text, in.err
	}
}

// removeCopies removes the folders that the preflight made.
func (f *flight) removeCopies() {
	for _, folder := range []string{f.folder, f.inputs} {
		if folder != "" {
			os.RemoveAll(folder)
		}
	}
}
