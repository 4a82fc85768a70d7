package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"helm-tenant/admin"
	"helm-tenant/helm"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
)

// verifier finds the helm that is to find the releases.
func (m *migration) verifier(ctx context.Context) (func(context.Context, *admin.Migration) error, error) {
	client, err := m.HelmClient(ctx, true)
	if err == nil && client.Engine() != tenant.EngineImpersonation {
		err = fmt.Errorf("a Helm 3 or 4 has to find the releases afterwards, but %s is Helm %d", client.Path, client.Major)
	}
	if err == nil {
		// Found out before the first write: afterwards no helm could look at the releases.
		err = m.Place(m.k).CheckImpersonation(tenant.Resolved{Name: m.name, Engine: tenant.EngineImpersonation})
	}
	if err != nil {
		return nil, withHint(err, "run it under Helm 3 or 4, or as helm-tenant migrate with HELM_BIN set to one; --dry-run needs none")
	}
	return func(ctx context.Context, at *admin.Migration) error { return m.verify(ctx, client, at) }, nil
}

// verify has a real helm, which acts as the tenant's deployer, find every release, or some
// of those in a namespace whose records are too large to be listed.
func (m *migration) verify(ctx context.Context, client helm.Client, at *admin.Migration) error {
	listed := map[string]map[string]listing{}
	large := migrate.TooLargeToList(at.Releases)
	for _, r := range at.Releases {
		if listed[r.Namespace] == nil && !at.LostNamespace(r.Namespace) && !large[r.Namespace] {
			found, err := m.list(ctx, client, at.Tenant, r.Namespace)
			if err != nil {
				return err
			}
			listed[r.Namespace] = found
		}
	}
	wrong := make([]error, len(at.Releases))
	most := manifestsAsked
	if len(large) > 0 {
		most /= 2 // each takes two processes
	}
	asked := migrate.Sample(len(at.Releases), most)
	var group errgroup.Group
	group.SetLimit(4) // helms at once
	for i, r := range at.Releases {
		if at.LostNamespace(r.Namespace) {
			m.say("Note: release %s is gone, with namespace %s", r.Name, r.Namespace)
			continue
		}
		if large[r.Namespace] && !asked[i] {
			wrong[i] = m.verifyRecords(r, at.Standings[i])
			continue
		}
		group.Go(func() error {
			here := listed[r.Namespace]
			if large[r.Namespace] {
				var err error
				if here, err = m.newest(ctx, client, at.Tenant, r); err != nil {
					wrong[i] = err
					return nil
				}
			}
			wrong[i] = m.verifyRelease(ctx, client, at.Tenant, r, at.Standings[i], here, asked[i])
			return nil
		})
	}
	_ = group.Wait() // all that is wrong is named
	if wrong = slices.DeleteFunc(wrong, func(err error) bool { return err == nil }); len(wrong) > 0 {
		return problems(wrong)
	}
	switch {
	case len(asked) == len(at.Releases):
	case len(large) > 0:
		m.say("Note: %s was asked for %d of %d releases: to list all of them it would have to unpack all their records; the records of all were compared", client.Path, len(asked), len(at.Releases))
	default:
		m.say("Note: %s was asked for the manifests of %d of %d releases; it lists all of them, and the records of all were compared", client.Path, len(asked), len(at.Releases))
	}
	return nil
}

// manifestsAsked is of how many releases helm is asked for the manifest: it starts a
// process for each, and all records were read and compared after they were written.
const manifestsAsked = 50

// listing is what `helm list -o json` says of a release (helm.sh/helm/v3/cmd/helm,
// list.go).
type listing struct {
	Name, Namespace, Revision, Status string
}

func (m *migration) list(ctx context.Context, client helm.Client, t tenant.Tenant, namespace string) (map[string]listing, error) {
	// Helm 4 has no --all.
	text, err := m.ask(ctx, client, t, "list", "--namespace="+namespace, "--deployed", "--failed", "--pending", "--superseded", "--uninstalled", "--uninstalling", "--max=0", "--output=json")
	var all []listing
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not list the releases of namespace %s: %w", client.Path, namespace, err)
	}
	found := map[string]listing{}
	for _, one := range all {
		found[one.Name] = one
	}
	return found, nil
}

// newest asks helm for the newest revision of one release, and returns it as list does.
func (m *migration) newest(ctx context.Context, client helm.Client, t tenant.Tenant, r migrate.Release) (map[string]listing, error) {
	text, err := m.ask(ctx, client, t, "history", r.Name, "--namespace="+r.Namespace, "--max=1", "--output=json")
	var revisions []struct {
		Revision int
		Status   string
	}
	switch {
	case err != nil && strings.Contains(err.Error(), "release: not found"):
		return nil, nil
	case err == nil:
		err = json.Unmarshal([]byte(text), &revisions)
	}
	if err == nil && len(revisions) != 1 {
		err = fmt.Errorf("its history has %d revisions, not one", len(revisions))
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not tell the newest revision of release %s in namespace %s: %w", client.Path, r.Name, r.Namespace, err)
	}
	return map[string]listing{r.Name: {r.Name, r.Namespace, strconv.Itoa(revisions[0].Revision), revisions[0].Status}}, nil
}

// verifyRecords judges a release that helm was not asked for by its records alone.
func (m *migration) verifyRecords(r migrate.Release, standing migrate.Standing) error {
	where := fmt.Sprintf("release %s in namespace %s", r.Name, r.Namespace)
	switch {
	case standing.None() && len(standing.Foreign) > 0:
		m.say("Note: %s was installed anew by Helm 3", where)
	case standing.None():
		m.say("Note: %s is gone: Helm 3 uninstalled it, or somebody removed its records", where)
	case standing.Lost(r):
		return lostError(where, r)
	case len(standing.Missing)+len(standing.Changed)+len(standing.Later) > 0:
		m.say("Note: Helm 3 has changed %s since", where)
	}
	return nil
}

func lostError(where string, r migrate.Release) error {
	return fmt.Errorf("%s: Helm 3 has no record of revision %d, and made none of it: somebody removed it", where, r.Newest().Version)
}

func (m *migration) verifyRelease(ctx context.Context, client helm.Client, t tenant.Tenant, r migrate.Release, standing migrate.Standing, listed map[string]listing, askManifest bool) error {
	where := fmt.Sprintf("release %s in namespace %s", r.Name, r.Namespace)
	newest := r.Newest()
	have, found := listed[r.Name]
	if !found {
		if standing.None() && len(standing.Foreign) == 0 {
			m.say("Note: %s is gone: Helm 3 uninstalled it, or somebody removed its records", where)
			return nil
		}
		return fmt.Errorf("%s is not listed by %s", where, client.Path)
	}
	switch {
	case standing.None() && len(standing.Foreign) > 0:
		m.say("Note: %s was installed anew by Helm 3: that one is at revision %s, %s", where, have.Revision, have.Status)
		return nil
	case standing.Lost(r) && !standing.None():
		return lostError(where, r)
	}
	untouched := len(standing.Missing)+len(standing.Changed)+len(standing.Later) == 0
	if !untouched {
		m.say("Note: Helm 3 has changed %s since: it is at revision %s, %s", where, have.Revision, have.Status)
		return nil
	}
	if have.Revision != strconv.Itoa(newest.Version) || have.Status != newest.Status.String() {
		return fmt.Errorf("%s should be at revision %d, %s, but %s lists revision %s, %s", where, newest.Version, newest.Status, client.Path, have.Revision, have.Status)
	}
	if !askManifest {
		m.say("verified %s: revision %s, %s", where, have.Revision, have.Status)
		return nil
	}
	manifest, err := m.ask(ctx, client, t, "get", "manifest", r.Name, "--namespace="+r.Namespace, "--revision="+have.Revision)
	switch {
	case err != nil:
		return fmt.Errorf("%s: its manifest can't be had from %s: %w", where, client.Path, err)
	case !newest.HasManifest(manifest):
		return fmt.Errorf("%s has another manifest under %s than it has under Helm 2", where, client.Path)
	}
	m.say("verified %s: revision %s, %s", where, have.Revision, have.Status)
	return nil
}

// ask runs helm as a member does, and returns what it printed. Rights that were just
// given take a moment to count.
func (m *migration) ask(ctx context.Context, client helm.Client, t tenant.Tenant, command string, args ...string) (string, error) {
	resolved := tenant.Resolved{Name: t.Name, Home: t.Home(), Engine: tenant.EngineImpersonation, Namespaces: t.Namespaces, AllNamespaces: t.AllNamespaces}
	inv, err := m.tenantHelm(client, helm.Line{Command: command, Args: args}, resolved, m.k, "secret")
	if err != nil {
		return "", err
	}
	var text string
	patience := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.6, Steps: 8}
	err = retry.OnError(patience, func(err error) bool { return ctx.Err() == nil && strings.Contains(err.Error(), "forbidden") }, func() error {
		var err error
		text, err = helm.Capture(ctx, inv, time.Minute)
		return err
	})
	return text, err
}
