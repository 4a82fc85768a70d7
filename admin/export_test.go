package admin

// What the test of the hints uses, which runs cli and so is in package admin_test.
var (
	InPhase       = inPhase
	MigrateBroken = broken
	MigrateGone   = gone
	Stride        = stride
)
