package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Size is how much of a cluster runs.
type Size string

const (
	// API is etcd, the API server and the controller manager: objects, RBAC,
	// admission, quotas, service accounts. No pod ever runs. Needs no root.
	API Size = "api"
	// Full adds a node on which pods run. Needs root on Linux.
	Full Size = "full"
)

// Info is what others need to know of a running cluster. It lies in cluster.json
// in the cluster's folder.
type Info struct {
	Size   Size   `json:"size"`
	Dir    string `json:"dir"`
	Server string `json:"server"` // the API server's URL
	CA     string `json:"ca"`     // the file with the certificate that it shows
	Admin  string `json:"admin"`  // a kubeconfig of a member of system:masters

	// The process that started the cluster; all of the cluster ends with it.
	Keeper Process `json:"keeper"`

	// The rest is of the full size alone.

	// The first process of the cluster's namespaces: /proc/PID/ns/net is its
	// network, /proc/PID/root its files.
	Inside  int     `json:"inside,omitempty"`
	Network Network `json:"network,omitzero"`
}

// Network is what joins the host to the full cluster's network namespace: one
// veth pair with a subnet of its own.
type Network struct {
	Interface string `json:"interface"` // the host's end
	Subnet    string `json:"subnet"`
	Host      string `json:"host"` // address of the host's end
	Node      string `json:"node"` // address of the cluster's end, and of its only node
}

// Process names a process for good: the kernel gives a pid to another one later,
// never with the same start.
type Process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

func thisProcess() (Process, error) {
	start, err := startOf(os.Getpid())
	return Process{PID: os.Getpid(), Start: start}, err
}

// Alive tells whether that very process runs still.
func (p Process) Alive() bool {
	start, err := startOf(p.PID)
	return err == nil && start == p.Start
}

// Signal sends sig to that very process, and nothing to one that took its pid.
func (p Process) Signal(sig syscall.Signal) error {
	if !p.Alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.PID, sig)
}

// startOf returns when a process started, in the system's own format; a zombie counts as ended.
func startOf(pid int) (string, error) {
	if pid <= 0 {
		return "", fmt.Errorf("no process has the id %d", pid)
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err == nil {
		// proc(5): the name, in parentheses, can contain anything; the state is field 3, the
		// start time field 22.
		rest := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(rest) < 20 || rest[0] == "Z" || rest[0] == "X" {
			return "", os.ErrProcessDone
		}
		return rest[19], nil
	}
	if _, e := os.Stat("/proc/self/stat"); e == nil {
		return "", os.ErrProcessDone
	}
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", os.ErrProcessDone
	}
	return strings.TrimSpace(string(out)), nil
}

const infoFile = "cluster.json"

// ReadInfo reads what is known of the cluster in dir.
func ReadInfo(dir string) (Info, error) {
	var info Info
	data, err := os.ReadFile(filepath.Join(dir, infoFile))
	if errors.Is(err, os.ErrNotExist) {
		return info, fmt.Errorf("no cluster runs in %s (start one with `testcluster up`): %w", dir, err)
	}
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("reading %s: %w", filepath.Join(dir, infoFile), err)
	}
	return info, nil
}

func (i Info) write() error {
	data, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(i.Dir, infoFile)
	// A reader of the file must never see half of it.
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Clear removes what a killed keeper left of its cluster: its cgroups, and the content of its
// folder except the logs.
func Clear(i Info) error {
	if i.Keeper.Alive() {
		return fmt.Errorf("the cluster in %s runs still", i.Dir)
	}
	removeStaleCgroups()
	return clear(i.Dir, kept)
}
