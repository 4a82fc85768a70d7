package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type inputForm int

const (
	inFlags inputForm = iota // flags of init
	inFile                   // fields of a tenants file
)

// settingFlags are the flags of init whose names differ from the fields in a tenants
// file.
var settingFlags = map[admin.Setting]string{
	admin.SettingHome:       "--home-namespace",
	admin.SettingNamespaces: "--namespaces",
	admin.SettingRole:       "--role",
	admin.SettingStorage:    "--storage",
	admin.SettingHistoryMax: "--history-max",
}

// name returns how a setting is typed, without a value.
func (form inputForm) name(setting admin.Setting) string {
	if form == inFlags {
		return settingFlags[setting]
	}
	return string(setting) + " in the file"
}

// value returns how a setting is typed with a value, empty if it can't be. The value
// comes from the tenant's record or an object.
func (form inputForm) value(setting admin.Setting, value string) string {
	switch {
	case !visible.Plain(value):
		return ""
	case form == inFlags:
		return command.Native().Quote(settingFlags[setting] + "=" + value)
	}
	return fmt.Sprintf("%s: %s in the file", setting, value)
}

// explained returns the reasons for which an operation failed, each with what to type instead.
func explained(operation failure.Error, err error, form inputForm) problems {
	var lines problems
	for _, reason := range admin.ReasonsOf(err) {
		lines = append(lines, withHint(operation.Wrap(reason), hintsFor(reason, form)...))
	}
	return lines
}

// hintsFor returns what to type instead, a line each; none if the error says everything.
func hintsFor(err error, form inputForm) []hint {
	if reasons := admin.ReasonsOf(err); len(reasons) > 1 {
		var all []hint
		for _, reason := range reasons {
			all = append(all, hintsFor(reason, form)...)
		}
		return all
	}
	for _, hintsOf := range []func(error, inputForm) ([]hint, bool){requestHints, tenantHints, homeHints, runHints} {
		if hints, known := hintsOf(err, form); known {
			return hints
		}
	}
	return nil
}

// oneHint returns a single hint, in the form of the functions below: known reports whether
// they know the error.
func oneHint(format string, args ...any) (hints []hint, known bool) {
	return []hint{hint(fmt.Sprintf(format, args...))}, true
}

// requestHints are the hints for errors in what was asked for.
func requestHints(err error, form inputForm) (hints []hint, known bool) {
	var (
		risk    *admin.RiskError
		refused *admin.RefusedError
		missing *admin.MissingNamespacesError
		claimed *admin.ClaimedError
		against *admin.ContradictionError
		unread  *admin.ReadDeniedError
		unseen  *admin.UnseenTillerError
	)
	switch {
	case errors.As(err, &unseen):
		return oneHint("say what is to be adopted: --engine=%s, or --engine=%s", tenant.EngineTiller, unseen.Engine)
	case errors.As(err, &unread):
		return deniedHints(unread), true
	case errors.As(err, &risk):
		return oneHint("if that is what you want, add --accept-risk=%s", risk.Risk)
	case errors.As(err, &refused) && refused.Setting == admin.SettingHistoryMax:
		return oneHint("look the number up, and say %s, or write it into that workload", form.value(refused.Setting, "N"))
	case errors.As(err, &refused) && form.value(refused.Setting, refused.Value) != "" && refused.Value != "":
		return oneHint("say %s", form.value(refused.Setting, refused.Value))
	case errors.As(err, &refused):
		return oneHint("choose another %s", form.name(refused.Setting))
	case errors.As(err, &missing):
		return oneHint("create them with --create-namespaces, or correct %s", form.name(admin.SettingNamespaces))
	case errors.As(err, &claimed) && claimed.Between != nil:
		return []hint{typed("tenants that exchange all of their namespaces share some meanwhile: before this, type",
			command.Tenant("init", claimed.Between.Name, "--namespaces="+strings.Join(claimed.Between.Namespaces, ","), "--share"))}, true
	case errors.As(err, &claimed):
		return oneHint("two tenants in one namespace can undo each other's work; if that is wanted, add --share")
	case errors.As(err, &against):
		arguments := memberArguments(against.Who)
		if against.As != "" { // a revoke without it removes all that they have
			arguments = append(arguments, "--"+string(against.As))
		}
		return []hint{typed("revoke what they have first", command.Tenant("revoke", against.Tenant, arguments...))}, true
	}
	return nil, false
}

// deniedHints are the hints for missing rights to read. Rights in the cluster are not needed with
// --no-cluster-reads; those that are missing in a namespace are, and then it may be given already. A verb that has neither needs what is missing.
func deniedHints(unread *admin.ReadDeniedError) []hint {
	if unread.Needed {
		return nil
	}
	hints := []hint{typed("the ClusterRole that an admin needs is printed by", command.Command{"helm", "tenant", "init", "--print-role"})}
	if unread.Lists {
		return hints
	}
	if slices.ContainsFunc(unread.Missing, func(p cluster.Permission) bool { return p.Namespace == "" && p.Verb == "list" }) {
		hints = append(hints, "an admin of only the home and the tenant's namespaces adds --no-cluster-reads")
	}
	if !slices.ContainsFunc(unread.Missing, func(p cluster.Permission) bool { return p.Namespace == "" }) {
		hints = append(hints, "a RoleBinding of it in each of these namespaces is enough")
	}
	return hints
}

// tenantHints are the hints for a tenant that is not in the state that a verb needs.
func tenantHints(err error, _ inputForm) (hints []hint, known bool) {
	var (
		engine *admin.EngineError
		left   *admin.LeftReleasesError
		moving *admin.MigratingError
		lost   *admin.LostRecordError
		frozen *admin.FrozenError
		broken *admin.UnreadableRecordError
		record *cluster.RecordError
		terms  *admin.TermsError
	)
	switch {
	case errors.As(err, &terms):
		return []hint{typed("correct its annotation, or take it away with the subjects whose time is over", command.Kubectl("edit", terms.Binding.Namespace, "rolebinding", terms.Binding.Name))}, true
	case errors.As(err, &broken):
		return []hint{typed("write it again from the live objects with", audit.InitCommand(broken.Tenant))}, true
	case errors.As(err, &record) && !record.Newer:
		return []hint{typed("see how to write it again with", command.Tenant("audit", record.Tenant))}, true
	case errors.As(err, &engine) && engine.From == tenant.EngineTiller:
		return []hint{typed("move it with its releases", command.Tenant("migrate", engine.Name))}, true
	case errors.As(err, &engine):
		return []hint{typed("let it have both first", command.Tenant("init", engine.Name, "--engine="+string(tenant.EngineBoth)))}, true
	case errors.As(err, &left):
		return oneHint("delete them first, or read: helm tenant help migrate")
	case errors.Is(err, admin.ErrEnded):
		return oneHint("if Helm 3 has records of it that nobody wants, migrate it again, and abort that: it removes them")
	case errors.As(err, &moving) && moving.From != "":
		return []hint{typed("go on with", splitCommand(moving.From, "-f", "tenants.yaml")), typed("or go back with", splitCommand(moving.From, "--abort"))}, true
	case errors.As(err, &moving):
		return phaseHints(moving.Name, moving.Phase), true
	case errors.As(err, &lost):
		return lostHints(lost), true
	case errors.As(err, &frozen):
		return []hint{typed("end the freeze first", command.Tenant("thaw", frozen.Name))}, true
	}
	return nil, false
}

// homeHints are the hints for objects of others in a home, and for records in another storage.
func homeHints(err error, form inputForm) (hints []hint, known bool) {
	var (
		notOurs *cluster.NotOursError
		squat   *admin.SquattedError
		storage *admin.StorageError
	)
	switch {
	case errors.As(err, &storage):
		return storageHints(storage, form), true
	case errors.As(err, &notOurs):
		if slices.ContainsFunc(notOurs.Keys, func(key cluster.Key) bool { return notOurs.Owner[key] != "" }) {
			return nil, true
		}
		return oneHint("take them over with --adopt, or choose another home with %s", form.name(admin.SettingHome))
	case errors.As(err, &squat):
		return oneHint("look at what is in it, and take it over with --adopt, which creates its service accounts again, or choose another home with %s", form.name(admin.SettingHome))
	}
	return nil, false
}

// runHints are the hints for a run that ended in one of its steps, and for a tenant that can't
// be found or destroyed.
func runHints(err error, _ inputForm) (hints []hint, known bool) {
	var (
		step    *admin.StepError
		second  *backup.SecondError
		hinted  *hintError
		has     *admin.HasReleasesError
		unknown *admin.NoTenantError
	)
	switch {
	case errors.As(err, &hinted):
		return hinted.hints, true
	case errors.As(err, &second):
		return oneHint("run the same command again to continue; --backup names another file")
	case errors.As(err, &step):
		return stepHints(step), true
	case errors.As(err, &has):
		return oneHint("delete them with --delete-releases, or leave their objects, unmanaged, with --keep-releases")
	case errors.As(err, &unknown) && unknown.Home != "":
		return oneHint("leave --home-namespace out, or name the namespace in which the tenant's Tiller lives")
	case errors.As(err, &unknown):
		return noTenantHints(unknown), true
	}
	return nil, false
}

// noTenantHints suggests similar names for a tenant that does not exist.
func noTenantHints(e *admin.NoTenantError) []hint {
	list := typed("list them with", command.Command{"helm", "tenant", "tenants"})
	if len(e.Near) == 0 {
		return []hint{list}
	}
	return []hint{hint("did you mean: " + visible.List(e.Near)), list}
}

// phaseHints returns the commands that end a migration in that phase.
func phaseHints(name string, phase tenant.Phase) []hint {
	finish, abort := command.Tenant("migrate", name, "--finish"), command.Tenant("migrate", name, "--abort")
	switch phase {
	case tenant.PhaseFinishing:
		return []hint{typed("finish that with", finish)}
	case tenant.PhaseAborting:
		return []hint{typed("go back to Tiller with", abort)}
	case tenant.PhaseVerified:
		return []hint{typed("finish that with", finish), typed("or go back with", abort)}
	}
	return []hint{typed("go on with", command.Tenant("migrate", name)), typed("or go back with", abort)}
}

// storageHints says how to decide where a Tiller stores its releases.
func storageHints(e *admin.StorageError, form inputForm) []hint {
	if only := e.Only(); only != "" {
		return []hint{hint(fmt.Sprintf("if these records are its, say %s; else remove them", form.value(admin.SettingStorage, string(only))))}
	}
	return []hint{hint(fmt.Sprintf("choose the storage that its records have with %s", form.name(admin.SettingStorage)))}
}

// lostHints says how to make a tenant again whose record was deleted.
func lostHints(e *admin.LostRecordError) []hint {
	var hints []hint
	if len(e.Going) > 0 {
		hints = append(hints, "wait until they are deleted; the status of a namespace says what it still waits for")
		if len(e.Namespaces) == 0 && !e.AllNamespaces {
			return hints
		}
	}
	waits := len(hints)
	for _, t := range e.Ways() {
		before := "make it again, for Helm 2 and with its Tiller, with"
		if t.Engine == tenant.EngineImpersonation {
			before = "or, where its releases are Helm 3's by now, with"
		}
		if len(hints) == waits && t.Engine != tenant.EngineTiller {
			before = "make it again with"
		}
		if waits > 0 && len(hints) == waits {
			before = "then " + before
		}
		hints = append(hints, typed(before, initCommand(t)))
	}
	if e.Home == "" {
		hints = append(hints, "Tiller's release records went with the home; those that migrate or destroy saved are brought back by creating the objects in their backup file")
	}
	return hints
}

// initCommand returns the init of a tenant with this engine, these namespaces, and the
// role and home unless they are empty.
func initCommand(t tenant.Tenant) command.Command {
	args := []string{"--namespaces=" + strings.Join(t.Namespaces, ",")}
	if t.AllNamespaces {
		args = []string{"--all-namespaces"}
	}
	args = append(args, "--engine="+string(t.Engine))
	if t.Role != "" {
		args = append(args, "--role="+t.Role)
	}
	if t.HomeNamespace != "" {
		args = append(args, "--home-namespace="+t.HomeNamespace)
	}
	return command.Tenant("init", t.Name, args...)
}

func memberArguments(subjects tenant.Members) []string {
	return lists.Map(subjects, func(s tenant.Subject) string { return command.List("--"+s.Flag(), s.Text()) })
}

// stepHints says how to go on after a migration that failed in a step.
func stepHints(e *admin.StepError) []hint {
	resume, back := command.Tenant("migrate", e.Name), typed("go back with", command.Tenant("migrate", e.Name, "--abort"))
	switch e.Step {
	case admin.StepNothingToFinish:
		return []hint{typed("begin with", resume)}
	case admin.StepNothingToAbort:
		return []hint{typed("see its state with", command.Tenant("describe", e.Name))}
	case admin.StepUnverified:
		return []hint{typed("go on with", resume)}
	case admin.StepNoHelmReleases:
		return []hint{typed("move it with", resume)}
	case admin.StepNotFinished:
		return []hint{typed("this sets the ownership, too", command.Tenant("migrate", e.Name, "--finish"))}
	case admin.StepOwnership:
		return []hint{"run the same command again to continue"}
	case admin.StepStop:
		return []hint{"run the same command again to continue", back}
	case admin.StepStopped:
		return []hint{"once the reason is gone, run the same command again to continue", typed("Tiller is stopped; bring it back with", command.Tenant("migrate", e.Name, "--abort"))}
	case admin.StepConvert:
		return []hint{"run the same command again to write what is missing", back}
	case admin.StepVerify:
		return []hint{"run the same command again to verify again", back, "where Helm 3 lost a record, go back and migrate again: that writes it again"}
	case admin.StepStart:
		return []hint{"run the same command again to go on waiting; --wait=false does not"}
	}
	return nil
}
