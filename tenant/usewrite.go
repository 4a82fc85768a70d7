package tenant

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Use makes t the context's current tenant, keeps the other tenants that the file has at
// that moment, and returns what was written. Two concurrent calls lose neither's change.
//
// Everything else in the file that defines the context stays as it was, including
// comments and unknown keys: it is edited as a YAML tree, and the result is compared with
// the original before it replaces it in one step. Other programs that use client-go's
// lock file wait meanwhile.
func (k *Kubeconfig) Use(t Known) (*Extension, error) {
	var written *Extension
	err := k.saveExtension(func(current *Extension) *Extension {
		written = current.with(t)
		return written
	})
	return written, err
}

// extensionIn returns the context's extension in a kubeconfig's text, nil if none can be
// read.
func extensionIn(text []byte, context string) *Extension {
	config, err := clientcmd.Load(text)
	if err != nil || config.Contexts[context] == nil {
		return nil
	}
	e, err := readExtension(config.Contexts[context])
	if err != nil {
		return nil
	}
	return e
}

func (k *Kubeconfig) saveExtension(next func(*Extension) *Extension) error {
	if k.file() == "" {
		return errors.New("there is no kubeconfig to write to: name the tenant by HELM_TENANT or --tenant instead")
	}
	if err := k.CheckReadAgain(); err != nil {
		return err
	}
	edit := kubeconfigEdit{instead: "name the tenant by HELM_TENANT or --tenant"}
	return edit.apply(k.file(), func(before []byte) ([]byte, error) {
		return withExtension(before, k.Context, next(extensionIn(before, k.Context)))
	})
}

// kubeconfigEdit edits the files of a kubeconfig.
type kubeconfigEdit struct {
	// instead is what the errors of a file that can't be written advise; empty for nothing.
	instead string
	// dryRun takes no lock and writes nothing.
	dryRun bool
	// changed are the files whose text is another one than before.
	changed []string
}

// apply replaces a kubeconfig by the result of edit, under client-go's lock file. A text
// that stays equal is not written.
func (e *kubeconfigEdit) apply(name string, edit func(before []byte) (after []byte, err error)) error {
	// A kubeconfig is often a symbolic link into a folder of dotfiles, which is kept.
	file, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be written: %w", name, reason(err))
	}
	or, then := "", ""
	if e.instead != "" {
		or, then = ", or "+e.instead, "; "+e.instead+" instead"
	}
	if !e.dryRun {
		unlock, err := lock(file, lockPatience, then)
		if err != nil {
			return err
		}
		defer unlock()
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be written: %w", file, reason(err))
	}
	if info.Mode().Perm()&0o200 == 0 {
		return fmt.Errorf("kubeconfig %s is read-only: make it writable%s", file, or)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be read: %w", file, reason(err))
	}
	after, err := edit(before)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	if bytes.Equal(before, after) {
		return nil
	}
	if !slices.Contains(e.changed, name) {
		e.changed = append(e.changed, name)
	}
	if e.dryRun {
		return nil
	}
	if err := replaceKubeconfig(file, after, info); err != nil {
		return fmt.Errorf("%w%s", err, then)
	}
	return nil
}

// lockPatience is how long another program may hold the lock, which kubectl does while it
// writes a file.
const lockPatience = 3 * time.Second

// lock takes client-go's own lock on a kubeconfig: a file beside it with the
// suffix .lock (k8s.io/client-go/tools/clientcmd/loader.go, lockFile). then ends the error of a
// folder that can't be written.
func lock(file string, patience time.Duration, then string) (unlock func(), err error) {
	name := file + ".lock"
	deadline := time.Now().Add(patience)
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0)
		if err == nil {
			f.Close()
			return func() { os.Remove(name) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("kubeconfig %s can't be written: %w%s", file, err, then)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("kubeconfig %s is locked by another program; if none runs, remove %s", file, name)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// replaceKubeconfig replaces the file's content and keeps its mode and owner.
func replaceKubeconfig(file string, content []byte, was fs.FileInfo) error {
	err := ReplaceFile(file, was.Mode().Perm(), func(temp *os.File) error {
		if _, err := temp.Write(content); err != nil {
			return err
		}
		return keepOwner(temp, was)
	})
	if isBusy(err) {
		err = writeInPlace(file, content)
	}
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be written: %w", file, err)
	}
	return nil
}

// writeInPlace writes a file that can't be replaced, such as one that is mounted into a
// container. kubectl writes every kubeconfig in this way. If it fails, the old content is
// written back.
func writeInPlace(file string, content []byte) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	write := func(content []byte) error {
		_, err := f.WriteAt(content, 0)
		if err == nil {
			err = f.Truncate(int64(len(content)))
		}
		if err == nil {
			err = f.Sync()
		}
		return err
	}
	if err = write(content); err != nil {
		if back := write(before); back != nil {
			err = fmt.Errorf("%w; and what was there can't be written back: %w", err, back)
		}
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// withExtension returns the kubeconfig text with e in the named context. JSON stays JSON,
// and YAML keeps its indentation of lists, but not blank lines.
func withExtension(text []byte, context string, e *Extension) ([]byte, error) {
	doc, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	if err := expandAliases(mapValue(doc.top(), "contexts")); err != nil {
		return nil, err
	}
	entry := namedItem(mapValue(doc.top(), "contexts"), context)
	kctx := mapValue(entry, "context")
	if kctx == nil || kctx.Kind != yamlv3.MappingNode {
		return nil, fmt.Errorf("context %q is not defined in it", context)
	}
	block, err := doc.node(e)
	if err != nil {
		return nil, err
	}
	extensions := mapValue(kctx, "extensions")
	if extensions == nil || extensions.Kind != yamlv3.SequenceNode {
		extensions = &yamlv3.Node{Kind: yamlv3.SequenceNode}
		setMapValue(kctx, "extensions", extensions, doc.keyStyle())
	}
	if item := namedItem(extensions, extensionName); item != nil {
		keepUnknown(block, mapValue(item, "extension"))
		setMapValue(item, "extension", block, doc.keyStyle())
	} else {
		extensions.Content = append(extensions.Content, doc.item("extension", block, extensionName))
	}
	after, err := doc.encode()
	if err == nil {
		err = sameButExtension(text, after, context)
	}
	if err != nil {
		return nil, err
	}
	return after, nil
}

// sameButExtension returns an error unless client-go reads the same from both texts
// except for our extension in the named context.
func sameButExtension(before, after []byte, context string) error {
	return sameBut(before, after, "the context's extension", func(config *clientcmdapi.Config) {
		if kctx := config.Contexts[context]; kctx != nil {
			delete(kctx.Extensions, extensionName)
			if len(kctx.Extensions) == 0 {
				kctx.Extensions = nil
			}
		}
	})
}

// sameBut returns an error if what client-go reads from two kubeconfigs differs in more
// than remove removes.
func sameBut(before, after []byte, operation string, remove func(*clientcmdapi.Config)) error {
	a, err := clientcmd.Load(before)
	if err != nil {
		return err
	}
	b, err := clientcmd.Load(after)
	if err != nil {
		return err
	}
	remove(a)
	remove(b)
	if !reflect.DeepEqual(a, b) {
		return errors.New("writing it would change more than " + operation + "; nothing was written")
	}
	return nil
}

// ReplaceFile writes a file beside the old one and puts it in its place in one step: nobody
// reads half of it, and a run that fails leaves the old one as it was. An error names no file.
func ReplaceFile(file string, mode fs.FileMode, write func(*os.File) error) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return reason(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(reason(err), os.Remove(temp.Name()))
		}
	}()
	err = write(temp)
	if err == nil {
		err = temp.Chmod(mode)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	return err
}
