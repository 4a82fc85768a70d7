package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"helm-tenant/admin"
	"helm-tenant/failure"
)

// These are the values of --dry-run, as in kubectl.
const (
	dryRunNone   = "none"
	dryRunServer = "server"
	dryRunClient = "client"
)

// checkDryRun returns an error if the value of --dry-run is unknown, or other flags
// contradict it. given reports whether a flag was given.
func (o *applyOptions) checkDryRun(given func(string) bool) error {
	switch o.dryRun {
	case "true":
		o.dryRun = dryRunServer
	case "false":
		o.dryRun = dryRunNone
	case dryRunNone, dryRunServer, dryRunClient:
	default:
		return fmt.Errorf("--dry-run=%s is not one of %s, %s, %s", o.dryRun, dryRunNone, dryRunServer, dryRunClient)
	}
	if o.dryRun != dryRunClient {
		switch {
		case given("kube-version"):
			return errors.New("--kube-version is for --dry-run=client: a cluster says its own")
		case o.output == "name":
			return errors.New("-o name is for --dry-run=client")
		}
		return nil
	}
	for _, flag := range []string{"prune", "delete-releases", "keep-releases", "adopt", "share", "wait", "no-cluster-reads", "disconnect", "detailed-exitcode"} {
		if given(flag) {
			return fmt.Errorf("--%s needs a cluster, and --dry-run=client asks none", flag)
		}
	}
	return nil
}

// render prints the objects of the files, without a cluster.
func (s *session) render(ctx context.Context, o *applyOptions) error {
	located, err := s.readDisjoint(ctx, o)
	if err != nil {
		return err
	}
	requests := o.requests(located)
	version, _, err := s.clientDefaults(ctx)
	if err != nil {
		return err
	}
	for i := range requests {
		requests[i].ClientVersion = version
	}
	manifests, err := admin.Render(requests, o.kubeVersion, s.Env.Now())
	if err != nil {
		return explained(failure.In("apply", ""), err, inFile)
	}
	for _, name := range slices.Sorted(maps.Keys(manifests.Notes)) {
		for _, note := range manifests.Notes[name] {
			s.say("Note: tenant %s: %s", name, note)
		}
	}
	return printManifests(s.out(), o.output, manifests.Objects)
}
