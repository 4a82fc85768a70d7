package helm

import (
	"fmt"
	"slices"
	"strconv"

	"helm-tenant/tenant"
)

// writers are the commands of Helm 3 and 4 that change a release or its objects, with
// their aliases. A test checks that every command of helm is here or in readers.
var writers = []string{"install", "upgrade", "uninstall", "delete", "del", "un", "rollback", "test"}

// readers are the commands that only read.
var readers = []string{"list", "ls", "status", "get", "history", "hist", "template"}

// ReaderError refuses a command that changes something to a reader of the tenant.
type ReaderError struct {
	Tenant  tenant.Resolved
	Command string
	// DryRun reports whether the command has a dry run, which a reader may make.
	DryRun bool
}

func (e *ReaderError) Error() string {
	return fmt.Sprintf("you may read %s, and helm %s changes it", describeTenant(e.Tenant), e.Command)
}

// checkReader refuses what a reader of the tenant may not do. It is only for a better
// message: the readers' account can change nothing anyway. So commands of plugins are
// passed on.
func (c Call) checkReader(client Client, r tenant.Resolved) error {
	if !r.Reader {
		return nil
	}
	if client.Major == 2 {
		return fmt.Errorf("you may read %s, and by Helm 3 or 4 only: a Tiller can't tell readers from writers", describeTenant(r))
	}
	command := c.Line.Command
	if !slices.Contains(writers, command) || c.Line.changesNothing(client.Major) {
		return nil
	}
	return &ReaderError{Tenant: r, Command: command, DryRun: command != "test"}
}

// changesNothing reports whether a command of Helm 3 or 4 is a dry run, or asks for help.
func (l Line) changesNothing(major int) bool {
	table, known := writerFlags(major, l.Command)
	uses, _ := table.scan(l.Args)
	dry := false
	for _, use := range uses {
		switch use.name {
		case "help":
			if use.isTrue() {
				return true
			}
		case "dry-run":
			dry = known && use.isDryRun()
		}
	}
	return dry
}

// isDryRun reports whether helm takes the value of --dry-run for a dry run: for some
// commands it is a boolean, for others an optional word.
func (u flagUse) isDryRun() bool {
	if !u.joined {
		return true
	}
	switch u.value {
	case "client", "server", "unset":
		return true
	}
	value, err := strconv.ParseBool(u.value)
	return err == nil && value
}

// writerFlags returns the flags of a writing command of Helm 3 and 4; known is false for
// one that has no dry run.
func writerFlags(major int, command string) (table flagTable, known bool) {
	switch command {
	case "install", "upgrade":
		return deployFlags(major, command), true
	case "uninstall", "delete", "del", "un":
		return globalTable().with("dry-run ignore-not-found keep-history no-hooks wait", "cascade description timeout", nil), true
	case "rollback":
		return globalTable().with("cleanup-on-fail dry-run force force-conflicts force-replace no-hooks recreate-pods wait wait-for-jobs",
			"description history-max server-side timeout", nil), true
	}
	return globalTable().with("hide-notes logs", "filter timeout", nil), false // test's
}
