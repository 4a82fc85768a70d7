package admin

import (
	"helm-tenant/cluster"
	"helm-tenant/command"
)

// Event is a message of a run that is under way.
type Event struct {
	// Change is a write that was made; nil if Text is the message.
	Change *cluster.Change
	Text   string
	// Command is the command to type because of Text; nil if there is none.
	Command *command.Command
}

// Sink takes the events of a run, one at a time.
type Sink func(Event)

func (s Sink) made(change cluster.Change) { s(Event{Change: &change}) }

// Step is the step in which a run failed.
type Step string

const (
	// StepNothingToFinish and StepNothingToAbort: there is no migration.
	StepNothingToFinish Step = "nothing to finish"
	StepNothingToAbort  Step = "nothing to abort"
	// StepUnverified: the migration can't be finished in its present phase.
	StepUnverified Step = "unverified"
	// StepStop: Tiller did not stop in time.
	StepStop Step = "stop"
	// StepStopped: Tiller is stopped, and its records can't be converted.
	StepStopped Step = "stopped"
	// StepConvert: some of Helm 3's records are missing.
	StepConvert Step = "convert"
	// StepVerify: Helm 3 does not find all releases.
	StepVerify Step = "verify"
	// StepStart: Tiller is not ready again.
	StepStart Step = "start"
	// StepOwnership: some objects of the releases could not be read.
	StepOwnership Step = "ownership"
	// StepNoHelmReleases: the tenant has not moved to Helm 3 and 4.
	StepNoHelmReleases Step = "no helm releases"
	// StepNotFinished: the migration is under way, and sets the ownership at its end.
	StepNotFinished Step = "not finished"
)

// StepError is an error of a migration with the step in which it happened.
type StepError struct {
	// Name is the name of the tenant.
	Name string
	Step Step
	Err  error
}

func (e *StepError) Error() string { return e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }
