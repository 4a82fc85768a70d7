// Package tenant has the model of a tenant: its name, namespaces, members, role and
// engine, how these are written in a record, and which tenant a caller uses. It does not
// know how a tenant is put into a cluster.
package tenant

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Engine is the way in which helm acts for a tenant.
type Engine string

const (
	// EngineTiller is Helm 2: one Tiller per tenant.
	EngineTiller Engine = "tiller"
	// EngineImpersonation is Helm 3 and 4: the tenant's service account is
	// impersonated.
	EngineImpersonation Engine = "impersonation"
	// EngineBoth is a tenant between the two: it has both deployers in its one home
	// namespace, and its members may use both.
	EngineBoth Engine = "both"
)

// Parts returns the engines of which this one consists: itself, or for EngineBoth the two
// others.
func (e Engine) Parts() []Engine {
	if e == EngineBoth {
		return []Engine{EngineTiller, EngineImpersonation}
	}
	return []Engine{e}
}

// Has reports whether e is that engine or contains it.
func (e Engine) Has(one Engine) bool { return slices.Contains(e.Parts(), one) }

// Other returns the engine to or from which a tenant with this one can be moved.
func (e Engine) Other() Engine {
	if e == EngineTiller {
		return EngineImpersonation
	}
	return EngineTiller
}

const (
	// MaxRecord bounds a record, which is read for every tenant whenever tenants are
	// listed. It is enough for maxNamespaces with the longest names.
	MaxRecord = 512 << 10
	// maxNamespaces bounds the namespaces of a tenant.
	maxNamespaces = 5000
)

// These are defaults of a tenant.
const (
	DefaultRole        = "admin"
	DefaultClusterRole = "cluster-admin" // for a tenant of all namespaces
	DefaultHistoryMax  = 20
	DefaultReplicas    = 1
)

// Tenant is one item of a tenants file, and of a record.
type Tenant struct {
	Name string `yaml:"name" json:"name"`
	// Namespaces are those in which the deployer may act; the first is the default one.
	Namespaces []string `yaml:"namespaces,flow,omitempty" json:"namespaces"`
	// NamespaceSelector chooses more namespaces by their labels, at each apply (Select).
	NamespaceSelector *NamespaceSelector `yaml:"namespaceSelector,omitempty" json:"namespaceSelector,omitempty"`
	// Selected are those Namespaces that the selector chose; tenants files do not have
	// them.
	Selected []string `yaml:"-" json:"selectedNamespaces,omitempty"`
	// AllNamespaces lets the deployer act in the whole cluster.
	AllNamespaces bool `yaml:"allNamespaces,omitempty" json:"allNamespaces,omitempty"`
	// HomeNamespace is empty for the conventional one.
	HomeNamespace string `yaml:"homeNamespace,omitempty" json:"homeNamespace,omitempty"`
	// Members are left out of a record: the RoleBinding in the home namespace is the only
	// place that has them, so that a revoke is one write.
	Members Members `yaml:"members,omitempty" json:"members"`
	// Readers may read the tenant's releases through Helm 3 and 4; they have a binding of
	// their own.
	Readers Members `yaml:"readers,omitempty" json:"readers"`
	// Owners may grant and revoke the tenant's members and readers.
	Owners Members `yaml:"owners,omitempty" json:"owners"`
	// MembersFrom decides who chooses members and readers; empty means the file.
	MembersFrom MembersFrom `yaml:"membersFrom,omitempty" json:"membersFrom,omitempty"`
	// OwnersKept is the same for owners as ReadersKept for readers.
	OwnersKept bool `yaml:"-" json:"-"`
	// ReadersKept reports whether the objects for readers exist, and stay although there
	// are no readers.
	ReadersKept bool `yaml:"-" json:"-"`
	// Temporary are the grants for a time. In a file their subjects are named nowhere
	// else (Current, inFile); a record leaves them out, as it does members.
	Temporary Terms `yaml:"temporary,omitempty" json:"temporary"`
	// Role is the ClusterRole that is bound to the deployer in each namespace.
	Role   string `yaml:"role,omitempty" json:"role,omitempty"`
	Engine Engine `yaml:"engine,omitempty" json:"engine,omitempty"`
	// FluxAccount is the name of a service account in each namespace that has the
	// tenant's role as well, for Flux (FluxAccountIn); empty for none. Whoever may run
	// pods in a namespace can act as the account there.
	FluxAccount string `yaml:"fluxAccount,omitempty" json:"fluxAccount,omitempty"`
	Tiller      Tiller `yaml:"tiller,omitempty" json:"tiller,omitzero"`
	// Frozen is nil unless the tenant is frozen.
	Frozen *Freeze `yaml:"frozen,omitempty" json:"frozen,omitempty"`
	Rails  `yaml:",inline"`
	// Unknown are the fields of the record that this helm-tenant does not know, set by
	// ReadRecord: a newer one wrote them. Such a tenant can't be written.
	Unknown []string `yaml:"-" json:"-"`
}

// Home returns the home namespace.
func (t Tenant) Home() string {
	if t.HomeNamespace != "" {
		return t.HomeNamespace
	}
	return t.Engine.ConventionalHome(t.Name)
}

// ActsIn reports whether the tenant has a namespace, or all.
func (t Tenant) ActsIn(namespace string) bool {
	return t.AllNamespaces || slices.Contains(t.Namespaces, namespace)
}

// ExchangesEngine reports whether next has the other engine alone, for which a tenant has to have
// both before.
func (t Tenant) ExchangesEngine(next Tenant) bool {
	return next.Engine != t.Engine && next.Engine != EngineBoth && t.Engine != EngineBoth
}

// MovesRecords reports whether the Tiller of next stores its release records in objects of another
// kind, and so would not find those that there are.
func (t Tenant) MovesRecords(next Tenant) bool {
	return t.Engine.Has(EngineTiller) && next.Engine.Has(EngineTiller) && next.Tiller.Storage != t.Tiller.Storage
}

// WithDefaults returns the tenant with defaults for unset fields.
func (t Tenant) WithDefaults() Tenant {
	if t.Engine == "" {
		t.Engine = EngineTiller
	}
	if t.Role == "" {
		t.Role = DefaultRole
		if t.AllNamespaces {
			t.Role = DefaultClusterRole
		}
	}
	if t.Engine.Has(EngineTiller) {
		if t.Tiller.Storage == "" {
			t.Tiller.Storage = StorageSecret
		}
		if t.Tiller.HistoryMax == nil {
			t.Tiller.HistoryMax = new(DefaultHistoryMax)
		}
		if t.Tiller.Replicas == nil {
			t.Tiller.Replicas = new(DefaultReplicas)
		}
	}
	return t
}

// CheckName returns an error unless s can be a tenant's name: a DNS label (RFC 1123)
// short enough for its home namespace's name.
func CheckName(s string) error {
	if s == "" {
		return errors.New("a tenant's name is missing")
	}
	if len(s) > maxName {
		return fmt.Errorf("tenant name %q has %d characters; at most %d fit, because its home namespace is called NAME-tiller", s, len(s), maxName)
	}
	if why := validation.IsDNS1123Label(s); len(why) > 0 {
		return fmt.Errorf("tenant name %q is not a DNS label: use lower case letters, digits and '-', starting and ending with a letter or digit", s)
	}
	return nil
}

// checkNamespace returns an error unless s can be a namespace's name; what names the
// setting.
func checkNamespace(field, s string) error {
	if s == "" {
		return fmt.Errorf("%s holds an empty name", field)
	}
	if why := validation.IsDNS1123Label(s); len(why) > 0 {
		return fmt.Errorf("%s: %q is not a namespace's name: use lower case letters, digits and '-', at most 63 of them", field, s)
	}
	return nil
}

// errNoNamespace is the error of a tenant without namespaces.
var errNoNamespace = errors.New("namespaces: at least one is needed")

// Validate returns everything that is wrong with the tenant, one line each; nothing if it
// can be made. It expects the result of WithDefaults and reads nothing from a cluster.
func (t Tenant) Validate() []error {
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	add(inField(CheckName(t.Name), "name"))
	add(inField(t.checkEngine(), "engine"))
	if len(t.Namespaces) > maxNamespaces {
		return append(problems, inField(fmt.Errorf("namespaces: there are %d, and a tenant has at most %d", len(t.Namespaces), maxNamespaces), "namespaces"))
	}
	seen := map[string]bool{}
	for i, ns := range t.Namespaces {
		add(inField(checkNamespace("namespaces", ns), "namespaces", i))
		if ns != "" && seen[ns] {
			add(inField(fmt.Errorf("namespaces: duplicate namespace %q", ns), "namespaces", i))
		}
		seen[ns] = true
	}
	if len(t.Namespaces) == 0 && !t.AllNamespaces {
		add(inField(errNoNamespace, "namespaces"))
	}
	add(inField(t.checkSelector(), "namespaceSelector"))
	if t.HomeNamespace != "" {
		add(inField(checkNamespace("home namespace", t.HomeNamespace), "homeNamespace"))
	}
	if i := slices.Index(t.Namespaces, t.Home()); i >= 0 {
		add(inField(fmt.Errorf("namespace %q is the home namespace of tenant %q and can not be one of its namespaces: what runs there could take over its %s", t.Home(), t.Name, strings.Join(t.Engine.DeployerAccounts(), " and ")), "namespaces", i))
	}
	if why := content.IsPathSegmentName(t.Role); len(why) > 0 {
		add(inField(fmt.Errorf("role: %q is not a ClusterRole's name: %s", t.Role, why[0]), "role"))
	}
	if t.Engine == EngineImpersonation && !reflect.ValueOf(t.Tiller).IsZero() {
		add(inField(fmt.Errorf("tiller: a tenant with the engine %s has no Tiller to set up", t.Engine), "tiller"))
	}
	problems = append(problems, t.Tiller.validate()...)
	for _, as := range Relations {
		problems = append(problems, t.People(as).validate(peopleFields[as])...)
	}
	problems = append(problems, t.Temporary.Validate()...)
	add(inField(t.checkFluxAccount(), "fluxAccount"))
	add(inField(t.checkReaders(), "readers"))
	add(inField(t.checkMembersFrom(), "membersFrom"))
	problems = append(problems, t.Frozen.validate()...)
	return append(problems, t.validateRails()...)
}

func (t Tenant) checkEngine() error {
	switch t.Engine {
	case EngineTiller, EngineImpersonation, EngineBoth:
		return nil
	}
	return fmt.Errorf("engine: %q is not one of %s, %s, %s", t.Engine, EngineTiller, EngineImpersonation, EngineBoth)
}
