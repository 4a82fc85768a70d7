package wrapper

import "runtime/debug"

// buildVersion is set by the Makefile; `go install` leaves it empty.
var buildVersion string

// Version returns the version of helm-tenant, "devel" for a build without one.
func Version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
