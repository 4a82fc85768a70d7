package admin

import (
	"fmt"

	"helm-tenant/cluster"
	"helm-tenant/command"
)

// Event is a message of a run that is under way.
type Event struct {
	// Change is a write that was made; nil if Text is the message.
	Change *cluster.Change
	Level  Level
	Text   string
	// Err is the reason of a warning; nil if Text has it.
	Err error
	// Command is the command to type because of Text; nil if there is none.
	Command *command.Command
}

// Level is the importance of a message.
type Level string

const (
	// Progress is a step of the run.
	Progress Level = ""
	// Note is a remark for the admin.
	Note Level = "Note"
	// Warning is what the admin should check.
	Warning Level = "Warning"
)

// Sink takes the events of a run, one at a time.
type Sink func(Event)

func (s Sink) say(format string, args ...any) { s(Event{Text: fmt.Sprintf(format, args...)}) }

func (s Sink) note(format string, args ...any) {
	s(Event{Level: Note, Text: fmt.Sprintf(format, args...)})
}

func (s Sink) warn(err error, format string, args ...any) {
	s(Event{Level: Warning, Text: fmt.Sprintf(format, args...), Err: err})
}

// sayTiller returns a function that says what the Tiller of a tenant waits for.
func (s Sink) sayTiller(name string) func(sentence string) {
	return func(sentence string) { s.say("%s: Tiller: %s", name, sentence) }
}

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
