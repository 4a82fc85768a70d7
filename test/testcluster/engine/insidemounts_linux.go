package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mountInside gives the cluster's processes their own /run, /var/lib and /var/log, where
// containerd, the CNI plugins, the kubelet and iptables use names that can't all be configured.
// They see the rest of the host's files unchanged.
func (p *plan) mountInside() error {
	// The new /run is put together in the cluster's folder first, because the
	// folder, or a binary, may lie below one of the folders that it hides.
	stage := filepath.Join(p.Shown, "run")
	if err := syscall.Mount("tmpfs", stage, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	bind := func(from, to string) error {
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		return bindMount(from, to)
	}
	staged := func(inside string) string { return filepath.Join(stage, strings.TrimPrefix(inside, "/run")) }
	if err := bind(p.Shown, staged(insideRoot)); err != nil {
		return err
	}
	if p.AuditDir != "" {
		if err := bind(p.AuditDir, staged(insideAudit)); err != nil {
			return err
		}
	}
	for _, dir := range []string{insideBin, "/run/tmp", "/run/lock"} {
		if err := os.Mkdir(staged(dir), 0o755); err != nil {
			return err
		}
	}
	// The folder of each is mounted, not the file: to protect its own binary from the
	// container, runc mounts an overlay over its folder, and an overlay does not see mounts
	// inside.
	for name, binary := range p.Bins {
		dir := filepath.Join(insideBin, name)
		if err := bind(filepath.Dir(binary), staged(dir)); err != nil {
			return err
		}
		p.Bins[name] = filepath.Join(dir, filepath.Base(binary))
	}
	if err := syscall.Mount(stage, "/run", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the new /run to its place: %w", err)
	}
	p.Root = insideRoot
	if err := bindMount(p.path("var-lib"), "/var/lib"); err != nil {
		return err
	}
	if err := bindMount(p.path("var-log"), "/var/log"); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", "/run/tmp"); err != nil {
		return err
	}
	// containerd looks for its shim there, and the kubelet for mount and iptables.
	if err := os.Setenv("PATH", filepath.Dir(p.Bins["containerd-shim-runc-v2"])+":"+os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	return p.shieldSysctls()
}

// shieldSysctls hides those of the kernel's settings that the kubelet writes and
// that no namespace keeps apart (setupKernelTunables in its container manager):
// they are the host's. It finds files there with the values that it wants.
func (p *plan) shieldSysctls() error {
	dir := "/run/sysctl"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := bindMount(file, target); err != nil {
			return err
		}
	}
	return nil
}

func bindMount(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", from, to, err)
	}
	return nil
}
