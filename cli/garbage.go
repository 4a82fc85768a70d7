package cli

import "runtime/debug"

// collectEarly lowers GOGC to a percentage, for verbs that read a whole cluster, or
// release records, which unpack to ten times their size: most of what they read is
// short-lived, and an earlier garbage collection costs little. A value that the
// environment sets stays.
func collectEarly(percent int) {
	const usual = 100
	if before := debug.SetGCPercent(percent); before != usual {
		debug.SetGCPercent(before)
	}
}
