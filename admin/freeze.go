package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// FrozenError refuses an action because the tenant is frozen.
type FrozenError struct {
	Name   string
	Frozen tenant.Freeze
}

func (e *FrozenError) Error() string {
	return fmt.Sprintf("tenant %q is %s", e.Name, e.Frozen)
}

// Names implements failure.Namer.
func (e *FrozenError) Names() []string { return []string{failure.Tenant(e.Name)} }

// FreezeRequest asks for a tenant to be frozen from now on for a reason. If it is frozen
// already, only the reason changes. Everything else of the tenant stays as it is, drift
// included.
func FreezeRequest(name, reason string, now time.Time) Request {
	r := ThawRequest(name)
	r.Thaw, r.Freeze, r.Now = false, &tenant.Freeze{Reason: reason}, now
	return r
}

// ThawRequest asks for the end of a freeze.
func ThawRequest(name string) Request {
	return Request{Tenant: tenant.Tenant{Name: name}, Thaw: true, Share: true, Accepted: Risks}
}

// freezes reports whether the request only freezes or thaws.
func (r Request) freezes() bool { return r.Freeze != nil || r.Thaw }

// frozen returns the freeze that a tenant recorded as was will have. Only a thaw ends a
// freeze, not a tenants file or init.
func (r Request) frozen(was tenant.Tenant) *tenant.Freeze {
	var next tenant.Freeze
	switch {
	case r.Thaw:
		return nil
	case r.Freeze != nil:
		next = *r.Freeze
		if was.Frozen != nil {
			next.Since = was.Frozen.Since
		}
	case was.Frozen != nil:
		next = *was.Frozen
	case r.Tenant.Frozen != nil:
		next = *r.Tenant.Frozen
	default:
		return nil
	}
	if next.Since == "" && !r.Now.IsZero() {
		next.Since = r.Now.UTC().Format(time.RFC3339)
	}
	return &next
}

// settleFreeze decides by which means a frozen tenant is restricted.
func (d *decision) settleFreeze() error {
	if d.tenant.Frozen == nil {
		return nil
	}
	next := *d.tenant.Frozen
	means, why, err := d.freezeMeans()
	next.Means, d.tenant.Frozen = means, &next
	if err != nil {
		return err
	}
	if d.request.freezes() {
		if was := d.was.Frozen; was != nil && was.Reason != next.Reason {
			d.freezeNotes = append(d.freezeNotes, fmt.Sprintf("it was %s", *was))
		}
	} else if d.was.Frozen != nil {
		d.freezeNotes = append(d.freezeNotes, fmt.Sprintf("the tenant is %s; that stays", next))
	}
	if account := d.tenant.FluxAccount; account != "" {
		d.freezeNotes = append(d.freezeNotes, fmt.Sprintf("the freeze holds service account %s in the tenant's namespaces as well: what Flux applies as it fails until the tenant is thawed", account))
	}
	if why != "" {
		d.freezeNotes = append(d.freezeNotes, why+": the deployer only gets a role that reads, and other accounts of the tenant go on")
	}
	d.notes = append(d.notes, d.freezeNotes...)
	return nil
}

// freezeMeans returns the admission policy if it can hold everything of the tenant,
// otherwise the role, with the reason.
func (d *decision) freezeMeans() (means tenant.FreezeMeans, why string, err error) {
	live := d.facts.live
	switch {
	case d.tenant.AllNamespaces:
		return tenant.FreezeByRole, "the tenant has all namespaces, of which the admission policy holds none", nil
	case len(d.railed()) < len(d.claimed()):
		return tenant.FreezeByRole, "the tenant has a namespace of Kubernetes' own, where no admission policy is set", nil
	case !live.Serves(cluster.KindPolicy):
		return tenant.FreezeByRole, "this API server has no ValidatingAdmissionPolicy (Kubernetes 1.30)", nil
	case !seesPolicies(live):
		return tenant.FreezeByRole, "you may not list validatingadmissionpolicies", nil
	}
	rules, _, err := d.roleRules(d.tenant.Role)
	if len(rbac.WritesNamespaces(rules)) > 0 {
		return tenant.FreezeByRole, fmt.Sprintf("with ClusterRole %q the tenant could take the admission policy off its namespaces", d.tenant.Role), err
	}
	return tenant.FreezeByPolicy, "", err
}

// wantedForFreeze returns the cluster-scoped objects that the tenant's freeze needs.
func (d *decision) wantedForFreeze() []runtime.Object {
	switch {
	case d.tenant.FrozenBy(tenant.FreezeByPolicy):
		return rails.Freezing()
	case d.tenant.FrozenBy(tenant.FreezeByRole) && !d.tenant.HasReaders():
		return []runtime.Object{rbac.SecretsClusterRole()}
	}
	return nil
}

// onlyFreeze removes from a plan everything that has nothing to do with a freeze: in an
// incident nothing else should change. Objects in a namespace that does not exist can't
// be written.
func (d *decision) onlyFreeze(plan *cluster.Plan) {
	shared := keysOf(append(rails.Freezing(), rbac.SecretsClusterRole()))
	plan.Changes = slices.DeleteFunc(plan.Changes, func(change cluster.Change) bool {
		key := change.Key
		if key.Namespace != "" && d.facts.live.Get(namespaceKey(key.Namespace)) == nil {
			return true
		}
		switch key.Kind {
		case "ConfigMap":
			return key.Name != tenant.RecordName
		case "Namespace":
			return change.Action != cluster.Update || !slices.ContainsFunc(change.Fields, func(f cluster.Field) bool { return rails.Freezes(d.tenant.Name, f.Path) })
		case "Role":
			return key.Name != rbac.RecordsName
		case "RoleBinding", "ClusterRoleBinding":
			return !strings.HasPrefix(key.Name, rbac.DeployerBinding(d.tenant.Name, ""))
		}
		return !slices.Contains(shared, key)
	})
}

// Writers returns the subjects that can still change objects in the namespaces of a
// tenant that is frozen or about to be, by rights of their own, without Kubernetes' own
// components. What the caller may not read is in unseen.
func Writers(ctx context.Context, c *cluster.Client, t tenant.Tenant) (writers []audit.Writer, unseen []string, err error) {
	var found audit.Snapshot
	read := func(kind, namespace string) error {
		err := readRBAC(ctx, c, kind, namespace, &found)
		if apierrors.IsForbidden(err) {
			resource := strings.ToLower(kind) + "s"
			if namespace != "" {
				resource += " in namespace " + namespace
			}
			unseen = append(unseen, resource)
			return nil
		}
		return err
	}
	for _, kind := range []string{"ClusterRole", "ClusterRoleBinding"} {
		if err := read(kind, ""); err != nil {
			return nil, nil, err
		}
	}
	for _, kind := range []string{"Role", "RoleBinding"} {
		if listsCluster(c, len(t.Namespaces)) {
			err := readRBAC(ctx, c, kind, "", &found)
			if err == nil {
				continue
			}
			// A caller without rights over the whole cluster may have them in each
			// namespace.
			if !apierrors.IsForbidden(err) {
				return nil, nil, err
			}
		}
		for _, ns := range t.Namespaces {
			if err := read(kind, ns); err != nil {
				return nil, nil, err
			}
		}
	}
	return audit.Writers(t.Namespaces, found.Roles, found.Bindings, heldBy(t)), unseen, nil
}

// heldBy returns a function that reports whether the freeze holds a binding's subject. A
// freeze by role changes the deployer's own bindings, which may not be written yet.
func heldBy(t tenant.Tenant) func(audit.Binding, audit.Subject) bool {
	return func(b audit.Binding, s audit.Subject) bool {
		if !t.FrozenBy(tenant.FreezeByRole) {
			return audit.HeldByFreeze(t, s)
		}
		own := s.Namespace == t.Home() && slices.Contains(t.Engine.DeployerAccounts(), s.Name) || s.Name == t.FluxAccountIn(s.Namespace)
		return s.Kind == rbacv1.ServiceAccountKind && own && b.Tenant == t.Name && strings.HasPrefix(b.Name, rbac.DeployerBinding(t.Name, ""))
	}
}

// checkThawed returns a *FrozenError if the tenant of a record is frozen.
func checkThawed(record tenant.Tenant) error {
	if record.Frozen != nil {
		return &FrozenError{record.Name, *record.Frozen}
	}
	return nil
}

// rightsPatience is how long AwaitFreeze waits for rights of a deployer that it may never have.
const rightsPatience = 5 * time.Second

// AwaitFreeze waits until the API server enforces the freeze of a tenant, or no longer enforces
// one, in each of its namespaces: it asks by dry runs of a write of the tenant's deployer; of a
// freeze by role, a caller who may not impersonate the deployer asks the authorizer. It returns an
// error if that could not be seen, or the time was too short.
func AwaitFreeze(ctx context.Context, c *cluster.Client, t tenant.Tenant) error {
	if t.AllNamespaces {
		t.Namespaces = []string{t.Home()}
	}
	impersonator, err := c.NewImpersonator()
	if err != nil {
		return err
	}
	deployer := tenant.AccountUser(t.Home(), t.Engine.DeployerAccounts()[0])
	for _, namespace := range t.Namespaces {
		start := time.Now()
		err := awaitEnforced(ctx, enforcePatience, func(ctx context.Context) (bool, error) {
			answer, err := tryDeployer(ctx, impersonator, t, namespace, "configmaps", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"helm-tenant-freeze-"}}`)
			switch {
			case err != nil:
				return false, err
			case answer.code == http.StatusCreated:
				return t.Frozen == nil, nil
			case answer.by(rails.FrozenName):
				return t.Frozen != nil, nil
			case answer.impersonation() && t.FrozenBy(tenant.FreezeByRole):
				allowed, err := c.AnotherMay(ctx, deployer, nil, cluster.Permission{Verb: "create", Resource: "configmaps", Namespace: namespace})
				if apierrors.IsForbidden(err) {
					err = fmt.Errorf("you may neither impersonate %s, as which helm-tenant would try it, nor create subjectaccessreviews", deployer)
				}
				return !allowed, err
			case answer.impersonation():
				return false, fmt.Errorf("you may not impersonate %s, as which helm-tenant would try it", deployer)
			case answer.code != http.StatusForbidden || answer.Details == nil || answer.Details.Kind != "configmaps":
				return false, errors.New(answer.Message)
			case t.FrozenBy(tenant.FreezeByRole):
				return true, nil
			case time.Since(start) < rightsPatience: // the deployer's binding may be as new
				return false, nil
			case t.Frozen == nil:
				return true, nil
			}
			return false, errors.New(answer.Message)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maxFreezeRounds bounds the rounds of WriteFreeze.
const maxFreezeRounds = 10

// WriteFreeze writes a FreezeRequest or ThawRequest, and repeats it until nothing is left to
// write: objects are read one after the other, so with two admins who freeze with different
// reasons, one may have read the record before the other wrote it, and a namespace afterwards.
func WriteFreeze(ctx context.Context, c *cluster.Client, r Request, onChange func(cluster.Change)) (*Prepared, error) {
	wrote, notes := false, []string(nil)
	for round := 0; ; round++ {
		prepared, err := writeRequest(ctx, c, r, onChange)
		if err != nil {
			return prepared, err
		}
		if round == 0 {
			notes = prepared.Notes
		}
		wrote = wrote || prepared.Wrote
		prepared.Wrote, prepared.Notes = wrote, notes
		if len(prepared.Plan.Changes) == 0 || round == maxFreezeRounds {
			return prepared, nil
		}
	}
}
