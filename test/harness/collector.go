package harness

import "os"

// Collector returns the entry GOGC of the test's own environment, for commands that have
// an environment of their own. Command runtests sets it: short programs and API servers
// with little in them spend a quarter of the processor's time on garbage otherwise.
func Collector() string { return "GOGC=" + os.Getenv("GOGC") }
