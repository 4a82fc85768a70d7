package harness

import "os"

// Soak reports whether the long forms of tests run: those that try every case of a
// kind rather than a sample. `make soak` sets the variable; CI runs it nightly.
func Soak() bool { return os.Getenv("HELM_TENANT_SOAK") != "" }
