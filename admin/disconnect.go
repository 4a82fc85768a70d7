package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/tenant"
)

// pendingPoll is the interval between two looks at pending releases.
const pendingPoll = 2 * time.Second

// Disconnect ends the connections to a tenant's deployer that were open when somebody was
// revoked: Kubernetes authorizes a stream when it is opened, and not again.
type Disconnect struct {
	Client *cluster.Client
	Tenant tenant.Tenant
	// Timeout bounds the wait for pending releases, and then the wait for Tiller.
	Timeout time.Duration
	Say     func(string)
}

// Disconnection reports what was ended, and what only time or an admin can end.
type Disconnection struct {
	// Restarted has the Tiller pods that were restarted, which ended all port-forwards to
	// them.
	Restarted []string `json:"restarted"`
	// Interrupted has the releases that were still pending after the timeout.
	Interrupted []string `json:"interrupted"`
	// Lasting has the connections that can't be ended, a line each.
	Lasting []string `json:"lasting"`
	// Accounts has the service accounts of the tenant's namespaces. Those who were
	// revoked may hold tokens of them.
	Accounts []NamespaceAccounts `json:"accounts"`
	// AccountsUnknown is the reason why Accounts may be incomplete, empty if it is
	// complete.
	AccountsUnknown string `json:"accountsUnknown,omitempty"`
}

// NamespaceAccounts are the service accounts of a namespace.
type NamespaceAccounts struct {
	Namespace string   `json:"namespace"`
	Names     []string `json:"names"`
}

// Check returns a *DeniedError if the caller lacks a permission that Run needs. It is
// called before anything is written.
func (d *Disconnect) Check(ctx context.Context) error {
	if !d.Tenant.Engine.Has(tenant.EngineTiller) {
		return nil
	}
	home := d.Tenant.Home()
	return orDenied(lacking(ctx, d.Client, []cluster.Permission{
		{Verb: "list", Resource: "secrets", Namespace: home},
		{Verb: "list", Resource: "configmaps", Namespace: home},
		{Verb: "list", Resource: "pods", Namespace: home},
		{Verb: "watch", Resource: "pods", Namespace: home},
		{Verb: "delete", Resource: "pods", Namespace: home},
		{Verb: "list", Group: "apps", Resource: "deployments", Namespace: home},
		{Verb: "watch", Group: "apps", Resource: "deployments", Namespace: home},
	}))
}

// CheckFinish returns a *DeniedError if the caller lacks a permission to finish what an
// interrupted run was to do: those of Check, and those to delete tenant.AnnotationDisconnect,
// without which each later run would restart Tiller again.
func (d *Disconnect) CheckFinish(ctx context.Context) error {
	if err := d.Check(ctx); err != nil || !d.Tenant.Engine.Has(tenant.EngineTiller) {
		return err
	}
	return orDenied(missingForMark(ctx, d.Client, d.Tenant.Home()))
}

// lacking returns those of the permissions that the caller does not have.
func lacking(ctx context.Context, c *cluster.Client, needed []cluster.Permission) ([]cluster.Permission, error) {
	var missing []cluster.Permission
	for _, p := range needed {
		allowed, err := c.May(ctx, p)
		if err != nil {
			return nil, err
		}
		if !allowed {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// Run waits for pending releases, restarts Tiller, and finds out which connections can't be
// ended. When Tiller's pods have ended, it deletes tenant.AnnotationDisconnect, if the caller
// may. With an error, the Disconnection has the results up to then.
func (d *Disconnect) Run(ctx context.Context) (Disconnection, error) {
	result := Disconnection{Lasting: lasting(d.Tenant)}
	result.Accounts, result.AccountsUnknown = d.accounts(ctx)
	if !d.Tenant.Engine.Has(tenant.EngineTiller) {
		return result, nil
	}
	var err error
	if result.Interrupted, err = d.awaitReleases(ctx); err != nil {
		return result, err
	}
	value, err := d.readMark(ctx)
	if err != nil {
		return result, err
	}
	waiting, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	result.Restarted, err = d.Client.RestartTiller(waiting, d.Tenant.Home(), d.Say, func() error { return d.unmark(ctx, value) })
	return result, err
}

// awaitReleases waits until no release of the tenant's Tiller is pending, and returns
// those that still are after the timeout: an interrupted helm leaves one pending for
// ever.
func (d *Disconnect) awaitReleases(ctx context.Context) ([]string, error) {
	deadline := time.Now().Add(d.Timeout)
	last := ""
	for {
		stored, err := d.Client.NewestStored(ctx, tenant.EngineTiller, d.Tenant.Home())
		if err != nil {
			return nil, err
		}
		pending := pendingReleases(stored)
		left := time.Until(deadline)
		if len(pending) == 0 || left <= 0 {
			return pending, nil
		}
		if text := briefList(pending); text != last {
			d.Say("waiting for pending releases: " + text)
			last = text
		}
		select {
		case <-ctx.Done():
			return pending, fmt.Errorf("interrupted while waiting for pending releases: %w", context.Cause(ctx))
		case <-time.After(min(pendingPoll, left)):
		}
	}
}

// pendingReleases returns the releases whose newest record is pending
// (k8s.io/helm/pkg/proto/hapi/release, Status_Code).
func pendingReleases(newest []cluster.Stored) []string {
	var names []string
	for _, s := range newest {
		if strings.HasPrefix(s.Status, "PENDING_") || s.Status == "DELETING" {
			names = append(names, s.Release)
		}
	}
	return names
}

// lasting describes the connections of a tenant's former members that only time ends. The
// limits are defaults: --min-request-timeout of kube-apiserver, and
// streamingConnectionIdleTimeout of the kubelet.
func lasting(t tenant.Tenant) []string {
	where := "in namespaces " + strings.Join(t.Namespaces, ", ")
	if t.AllNamespaces || len(t.Namespaces) == 0 {
		where = "in the tenant's namespaces"
	}
	lines := []string{"exec, attach and port-forward " + where + ": until they are closed, or have been idle for 4 hours"}
	if t.Engine.Has(tenant.EngineImpersonation) {
		lines = append(lines, "a watch as the deployer: until the API server ends it, after an hour at most")
	}
	return lines
}

func (d *Disconnect) accounts(ctx context.Context) (all []NamespaceAccounts, unknown string) {
	switch {
	case d.Tenant.AllNamespaces:
		return nil, "the tenant has all namespaces"
	case len(d.Tenant.Namespaces) == 0:
		return nil, "the tenant's namespaces are not known"
	}
	for _, namespace := range slices.Sorted(slices.Values(d.Tenant.Namespaces)) {
		found := NamespaceAccounts{Namespace: namespace}
		accounts, err := cluster.List[corev1.ServiceAccount](ctx, d.Client, "ServiceAccount", namespace, metav1.ListOptions{})
		if err != nil {
			return all, failure.Text(err)
		}
		for _, account := range accounts {
			found.Names = append(found.Names, account.Name)
		}
		slices.Sort(found.Names)
		if len(found.Names) > 0 {
			all = append(all, found)
		}
	}
	return all, ""
}
