package admin

import (
	"helm-tenant/cluster"
	"helm-tenant/command"
)

// Event is something that a run says while it is under way.
type Event struct {
	// Change is a write that was made; nil where Text says what happened.
	Change *cluster.Change
	Text   string
	// Command is what to type about Text; nil where there is nothing.
	Command *command.Command
}

// Sink takes the events of a run. It is called for one at a time.
type Sink func(Event)

func (s Sink) made(change cluster.Change) { s(Event{Change: &change}) }

// Step is where a run ended before its end.
type Step string

const (
	// StepNothingToFinish and StepNothingToAbort: there is no migration.
	StepNothingToFinish Step = "nothing to finish"
	StepNothingToAbort  Step = "nothing to abort"
	// StepUnverified: the migration is not far enough to be finished.
	StepUnverified Step = "unverified"
	// StepStop: Tiller did not stop in time.
	StepStop Step = "stop"
	// StepStopped: Tiller is stopped, and its records can't move.
	StepStopped Step = "stopped"
	// StepConvert: Helm 3 does not have all records.
	StepConvert Step = "convert"
	// StepVerify: Helm 3 does not find all releases.
	StepVerify Step = "verify"
	// StepStart: Tiller is not ready again.
	StepStart Step = "start"
	// StepOwnership: not every object of the releases could be looked at.
	StepOwnership Step = "ownership"
	// StepNoHelmReleases: the tenant has not moved to Helm 3 and 4.
	StepNoHelmReleases Step = "no helm releases"
	// StepNotFinished: the migration is under way, and its end sets the ownership.
	StepNotFinished Step = "not finished"
)

// StepError is an error of a migration that says how far it came.
type StepError struct {
	// Name is that of the tenant.
	Name string
	Step Step
	Err  error
}

func (e *StepError) Error() string { return e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }
