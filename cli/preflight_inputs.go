package cli

import (
	"context"
	"os"
	"strings"

	"helm-tenant/preflight"
)

// keepInputs copies the files of values that can be read only once, such as standard input,
// into a folder that nobody else may read, and lets every rendering read the copies.
func (f *flight) keepInputs(ctx context.Context) error {
	deployment, err := f.deployment.ReadOnce(func(path string) (string, error) {
		var text []byte
		var err error
		if strings.TrimSpace(path) == "-" {
			text, err = f.readStdin(ctx, preflight.MaxRendered)
		} else {
			text, err = readFile(ctx, path, preflight.MaxRendered)
		}
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

func (f *flight) removeCopies() {
	for _, folder := range []string{f.folder, f.inputs} {
		if folder != "" {
			os.RemoveAll(folder)
		}
	}
}
