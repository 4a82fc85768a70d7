package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// All that a full cluster runs is in one cgroup of each hierarchy, which is
// where /sys/fs/cgroup begins for it. It is named after the keeper, so that what
// a killed keeper left is known by its name. (The kubelet's cgroupRoot would not
// do: without cgroupsPerQOS it has no effect, and containerd puts every pod of
// every cluster into /k8s.io.)
const (
	cgroupMount  = "/sys/fs/cgroup"
	cgroupPrefix = "helm-tenant-test-"
	podCgroups   = "k8s.io" // containerd's name for the parent of all pods' cgroups
)

func cgroupName(keeper Process) string {
	return fmt.Sprintf("%s%d-%s", cgroupPrefix, keeper.PID, keeper.Start)
}

// A hierarchy is one tree of cgroups: the only one in version 2, one of several
// in version 1.
type hierarchy struct {
	mount string
	own   string // the folder of the cgroup that this process is in
	v2    bool
}

// hierarchies returns those mounted below /sys/fs/cgroup.
func hierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var found []hierarchy
	for line := range strings.Lines(string(mounts)) {
		// proc(5): ID PARENT DEVICE ROOT MOUNT OPTIONS [TAGS]... - TYPE SOURCE SUPEROPTIONS
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 5 || len(fields) < dash+4 || !strings.HasPrefix(fields[4], cgroupMount) {
			continue
		}
		h := hierarchy{mount: fields[4], own: fields[4], v2: fields[dash+1] == "cgroup2"}
		if !h.v2 && fields[dash+1] != "cgroup" {
			continue
		}
		controllers := strings.Split(fields[dash+3], ",")
		for line := range strings.Lines(string(cgroups)) {
			// cgroups(7): ID:CONTROLLERS:PATH, and 0::PATH in version 2
			parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if len(parts) != 3 || h.v2 != (parts[1] == "") {
				continue
			}
			if h.v2 || slices.Contains(controllers, strings.Split(parts[1], ",")[0]) {
				// In a container the path may be one that is not seen from there.
				if own := filepath.Join(h.mount, parts[2]); isDir(own) {
					h.own = own
				}
			}
		}
		found = append(found, h)
	}
	if found == nil {
		return nil, fmt.Errorf("no cgroups are mounted below %s", cgroupMount)
	}
	return found, nil
}

// enterCgroups moves this process into cgroups of that name, makes them the
// roots of a cgroup namespace, and mounts them as such. Only the calling thread
// enters the namespace: lock it, and start children from it.
func enterCgroups(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	roots := make([]string, len(all))
	for i, h := range all {
		parent := h.own // the parent for the limits that apply to us
		if h.mount == cgroupMount {
			// Version 2 gives no controllers to children of a cgroup that has
			// processes itself, as ours has; only the root is exempt.
			parent = h.mount
		}
		roots[i] = filepath.Join(parent, name)
		if err := os.Mkdir(roots[i], 0o755); err != nil {
			return fmt.Errorf("making a cgroup: %w", err)
		}
		// A new cpuset is empty, and takes no process as long as it is.
		for _, set := range []string{"cpuset.cpus", "cpuset.mems"} {
			if value, err := os.ReadFile(filepath.Join(parent, set)); err == nil && !h.v2 && len(bytes.TrimSpace(value)) > 0 {
				if err := os.WriteFile(filepath.Join(roots[i], set), value, 0); err != nil {
					return fmt.Errorf("setting up a cpuset: %w", err)
				}
			}
		}
		if err := preferCluster(roots[i], h.v2); err != nil {
			return err
		}
		if err := joinCgroup(roots[i]); err != nil {
			return err
		}
	}
	if err := syscall.Unshare(syscall.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	for i, h := range all {
		if h.mount == cgroupMount {
			leaf := filepath.Join(roots[i], "components") // see above
			if err := os.Mkdir(leaf, 0o755); err != nil {
				return fmt.Errorf("making a cgroup: %w", err)
			}
			if err := joinCgroup(leaf); err != nil {
				return err
			}
		}
		if err := bindMount(roots[i], h.mount); err != nil {
			return err
		}
	}
	return nil
}

// preferCluster gives a cluster's cgroup more of a busy processor than the tests' own processes
// get, and its pods no less than its components. By default a cgroup has the weight of one
// thread: beside some dozen helms a whole cluster got a twentieth of a core, and in it all pods
// (which ask for no processor time, and have the least weight there is) one thread's part of
// that. Probes and leases ran out, and the kubelet killed healthy Tillers.
func preferCluster(root string, v2 bool) error {
	weights := map[string]string{"cpu.weight": "3200"} // as much as 32 threads
	if !v2 {
		weights = map[string]string{"cpu.shares": "32768", podCgroups + "/cpu.shares": "8192"}
	}
	for file, weight := range weights {
		path := filepath.Join(root, file)
		// A file that the cluster's cgroup lacks is another controller's.
		if _, err := os.Stat(filepath.Join(root, filepath.Base(file))); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making a cgroup for pods: %w", err)
		}
		if err := os.WriteFile(path, []byte(weight), 0); err != nil {
			return fmt.Errorf("setting the weight of a cgroup: %w", err)
		}
	}
	return nil
}

func joinCgroup(folder string) error {
	if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("joining a cgroup: %w", err)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// cgroupFolders returns the folders, in any hierarchy, of cgroups whose name is
// wanted.
func cgroupFolders(wanted func(name string) bool) []string {
	var folders []string
	filepath.WalkDir(cgroupMount, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil: // gone meanwhile
			return nil
		case d.IsDir() && wanted(d.Name()):
			folders = append(folders, path)
			return fs.SkipDir
		}
		return nil
	})
	return folders
}

// removeCgroups removes the cgroups of that name, whose processes have ended.
func removeCgroups(name string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var errs []error
		for _, folder := range cgroupFolders(func(n string) bool { return n == name }) {
			errs = append(errs, removeCgroup(folder))
		}
		// A process leaves its cgroup a moment after it has been reaped.
		if err := errors.Join(errs...); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// removeCgroup removes a cgroup and those in it with rmdir, the innermost first; their files
// disappear with them.
func removeCgroup(folder string) error {
	inside, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range inside {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(folder); err != nil && err != syscall.ENOENT {
		return fmt.Errorf("removing the cgroup %s: %w", folder, err)
	}
	return nil
}

// removeStaleCgroups removes those whose keeper was killed before it could.
func removeStaleCgroups() {
	stale := map[string]bool{}
	cgroupFolders(func(name string) bool {
		var keeper Process
		if _, err := fmt.Sscanf(name, cgroupPrefix+"%d-%s", &keeper.PID, &keeper.Start); err != nil {
			return false
		}
		if !keeper.Alive() {
			stale[name] = true
		}
		return true
	})
	for name := range stale {
		removeCgroups(name) // if it fails, the next start tries again
	}
}
