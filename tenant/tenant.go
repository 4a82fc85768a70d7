// Package tenant says what a tenant is: its name, namespaces, members, role and
// engine, how these are written in a record, and which tenant a caller is. It
// knows nothing of how a tenant is put into a cluster.
package tenant

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v2"
	"k8s.io/apimachinery/pkg/api/resource"
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
	// EngineBoth is a tenant on its way from one to the other: it has both
	// deployers in its one home namespace, and its members may use both.
	EngineBoth Engine = "both"
)

// Parts are the engines of which this one consists: itself, or for EngineBoth
// the two others.
func (e Engine) Parts() []Engine {
	if e == EngineBoth {
		return []Engine{EngineTiller, EngineImpersonation}
	}
	return []Engine{e}
}

// Has says whether e is that engine or holds it.
func (e Engine) Has(one Engine) bool { return slices.Contains(e.Parts(), one) }

// Storage is where Tiller keeps its release records.
type Storage string

const (
	StorageSecret    Storage = "secret"
	StorageConfigMap Storage = "configmap"
)

const (
	// MaxRecord bounds a record, which is read for every tenant whenever tenants are
	// listed. With the longest names it holds maxNamespaces of them.
	MaxRecord = 512 << 10
	// maxNamespaces bounds those of a tenant.
	maxNamespaces = 5000
)

// Defaults of a tenant of which nothing else is said.
const (
	DefaultRole        = "admin"
	DefaultClusterRole = "cluster-admin" // of a tenant of all namespaces
	DefaultHistoryMax  = 20
	DefaultReplicas    = 1
)

// Tenant is one item of a tenants file, and of a record.
type Tenant struct {
	Name string `yaml:"name" json:"name"`
	// Namespaces that the deployer may act in; the first is the default one.
	Namespaces []string `yaml:"namespaces,flow,omitempty" json:"namespaces,omitempty"`
	// AllNamespaces lets the deployer act in the whole cluster.
	AllNamespaces bool `yaml:"allNamespaces,omitempty" json:"allNamespaces,omitempty"`
	// HomeNamespace is empty where it is the conventional one.
	HomeNamespace string `yaml:"homeNamespace,omitempty" json:"homeNamespace,omitempty"`
	// Members are left out of a record: the RoleBinding in the home namespace
	// is the only place that says who is in, so that a revoke is one write.
	Members Members `yaml:"members,omitempty" json:"members,omitzero"`
	// Role is the ClusterRole that is bound to the deployer in each namespace.
	Role   string `yaml:"role,omitempty" json:"role,omitempty"`
	Engine Engine `yaml:"engine,omitempty" json:"engine,omitempty"`
	Tiller Tiller `yaml:"tiller,omitempty" json:"tiller,omitzero"`
	Rails  `yaml:",inline"`
}

// Tiller holds the settings of a tenant's Tiller; zero values mean the default.
type Tiller struct {
	Image            string            `yaml:"image,omitempty" json:"image,omitempty"`
	Version          string            `yaml:"version,omitempty" json:"version,omitempty"`
	Storage          Storage           `yaml:"storage,omitempty" json:"storage,omitempty"`
	HistoryMax       *int              `yaml:"historyMax,omitempty" json:"historyMax,omitempty"`
	Replicas         *int              `yaml:"replicas,omitempty" json:"replicas,omitempty"`
	Resources        map[string]string `yaml:"resources,omitempty" json:"resources,omitempty"`
	NodeSelector     map[string]string `yaml:"nodeSelector,omitempty" json:"nodeSelector,omitempty"`
	ImagePullSecrets []string          `yaml:"imagePullSecrets,flow,omitempty" json:"imagePullSecrets,omitempty"`
}

// Home is the home namespace.
func (t Tenant) Home() string {
	if t.HomeNamespace != "" {
		return t.HomeNamespace
	}
	return t.Engine.ConventionalHome(t.Name)
}

// DefaultNamespace is where helm acts when nobody names a namespace; empty for
// a tenant of all namespaces that names none.
func (t Tenant) DefaultNamespace() string {
	if len(t.Namespaces) == 0 {
		return ""
	}
	return t.Namespaces[0]
}

// WithDefaults fills in what was left open.
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

// CheckName says whether s can be a tenant's name: a DNS label (RFC 1123) short
// enough for its home namespace's name.
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

// checkNamespace says whether s can be a namespace's name; what names the
// setting that it stands in.
func checkNamespace(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s holds an empty name", what)
	}
	if why := validation.IsDNS1123Label(s); len(why) > 0 {
		return fmt.Errorf("%s: %q is not a namespace's name: use lower case letters, digits and '-', at most 63 of them", what, s)
	}
	return nil
}

// Validate returns everything that is wrong with the tenant, one clear line
// each; nothing when it can be made. It expects WithDefaults to have been
// applied and looks at no cluster.
func (t Tenant) Validate() []error {
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	if err := CheckName(t.Name); err != nil {
		return []error{at(err, "name")}
	}
	add(at(t.checkEngine(), "engine"))
	if len(t.Namespaces) > maxNamespaces {
		return append(problems, at(fmt.Errorf("namespaces: there are %d, and a tenant has at most %d", len(t.Namespaces), maxNamespaces), "namespaces"))
	}
	seen := map[string]bool{}
	for i, ns := range t.Namespaces {
		add(at(checkNamespace("namespaces", ns), "namespaces", i))
		if ns != "" && seen[ns] {
			add(at(fmt.Errorf("namespaces: duplicate namespace %q", ns), "namespaces", i))
		}
		seen[ns] = true
	}
	if len(t.Namespaces) == 0 && !t.AllNamespaces {
		add(at(errors.New("namespaces: at least one is needed"), "namespaces"))
	}
	if t.HomeNamespace != "" {
		add(at(checkNamespace("home namespace", t.HomeNamespace), "homeNamespace"))
	}
	if i := slices.Index(t.Namespaces, t.Home()); i >= 0 {
		add(at(fmt.Errorf("namespace %q is the home namespace of tenant %q and can not be one of its namespaces: what runs there could take over its %s", t.Home(), t.Name, strings.Join(t.Engine.DeployerAccounts(), " and ")), "namespaces", i))
	}
	if why := content.IsPathSegmentName(t.Role); len(why) > 0 {
		add(at(fmt.Errorf("role: %q is not a ClusterRole's name: %s", t.Role, why[0]), "role"))
	}
	if t.Engine == EngineImpersonation && !t.Tiller.isZero() {
		add(at(fmt.Errorf("tiller: a tenant with the engine %s has no Tiller to set up", t.Engine), "tiller"))
	}
	problems = append(problems, t.Tiller.validate()...)
	problems = append(problems, t.Members.Validate()...)
	return append(problems, t.validateRails()...)
}

func (t Tenant) checkEngine() error {
	switch t.Engine {
	case EngineTiller, EngineImpersonation, EngineBoth:
		return nil
	}
	return fmt.Errorf("engine: %q is not one of %s, %s, %s", t.Engine, EngineTiller, EngineImpersonation, EngineBoth)
}

func (s Tiller) isZero() bool { return reflect.ValueOf(s).IsZero() }

func (s Tiller) validate() []error {
	var problems []error
	if s.Storage != "" && s.Storage != StorageSecret && s.Storage != StorageConfigMap {
		problems = append(problems, at(fmt.Errorf("storage: %q is not one of %s, %s", s.Storage, StorageSecret, StorageConfigMap), "tiller", "storage"))
	}
	if s.HistoryMax != nil && *s.HistoryMax < 0 {
		problems = append(problems, at(fmt.Errorf("history-max: %d is negative; 0 keeps every revision", *s.HistoryMax), "tiller", "historyMax"))
	}
	if s.Replicas != nil && *s.Replicas < 1 {
		problems = append(problems, at(fmt.Errorf("replicas: %d; a Tiller needs at least 1", *s.Replicas), "tiller", "replicas"))
	}
	if s.Replicas != nil && *s.Replicas > math.MaxInt32 {
		problems = append(problems, at(fmt.Errorf("replicas: %d are more than any Deployment can have", *s.Replicas), "tiller", "replicas"))
	}
	problems = append(problems, s.checkImage()...)
	problems = append(problems, s.checkResources()...)
	for key, value := range s.NodeSelector {
		if why := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(why) > 0 {
			problems = append(problems, at(fmt.Errorf("node-selector: %s=%s is not a label: %s", key, value, why[0]), "tiller", "nodeSelector", key))
		}
	}
	for i, secret := range s.ImagePullSecrets {
		if why := validation.IsDNS1123Subdomain(secret); len(why) > 0 {
			problems = append(problems, at(fmt.Errorf("image-pull-secret: %q is not a Secret's name", secret), "tiller", "imagePullSecrets", i))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

var (
	// imageName is the form of an image's name with a tag or a digest, or with
	// neither (github.com/distribution/reference, its grammar): a registry, a path of
	// lower case, and the rest.
	imageName = sync.OnceValue(func() *regexp.Regexp {
		const (
			registry = `(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?`
			part     = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
			digest   = `[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}`
		)
		return regexp.MustCompile(`^` + registry + part + `(?:/` + part + `)*(?::` + tag + `)?(?:@` + digest + `)?$`)
	})
	imageTag = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + tag + `$`) })
)

const tag = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`

func (s Tiller) checkImage() []error {
	var problems []error
	if s.Image != "" && !imageName().MatchString(s.Image) {
		problems = append(problems, at(fmt.Errorf("tiller-image: %q is not an image's name, such as registry.example.com/tiller:v2.17.0", s.Image), "tiller", "image"))
	}
	switch {
	case s.Version == "":
	case !imageTag().MatchString(s.Version):
		problems = append(problems, at(fmt.Errorf("tiller-version: %q is not a version, such as v2.17.0", s.Version), "tiller", "version"))
	case s.Image == "" && !strings.HasPrefix(s.Version, "v"):
		problems = append(problems, at(fmt.Errorf("tiller-version: %q; Helm's own images are called v2.17.0 and the like", s.Version), "tiller", "version"))
	}
	return problems
}

// checkResources finds what the API server would refuse in the end
// (k8s.io/kubernetes/pkg/apis/core/validation, ValidateContainerResourceRequirements).
func (s Tiller) checkResources() []error {
	var problems []error
	quantities := map[string]resource.Quantity{}
	for key, value := range s.Resources {
		add := func(format string, args ...any) {
			problems = append(problems, at(fmt.Errorf("resources: "+format, args...), "tiller", "resources", key))
		}
		kind, name, found := strings.Cut(key, ".")
		known := found && name != "" && (kind == "requests" || kind == "limits")
		if !known {
			add("%q is not requests.NAME or limits.NAME, such as requests.memory", key)
		} else if !isResource(name) {
			add("%s: %q is not one of cpu, memory, ephemeral-storage, hugepages-SIZE, or a name such as example.com/gpu", key, name)
		}
		quantity, err := resource.ParseQuantity(value)
		switch {
		case err != nil:
			add("%s=%s is not a quantity such as 100m or 64Mi", key, value)
		case quantity.Sign() < 0:
			add("%s=%s is negative", key, value)
		case known && strings.Contains(name, "/") && quantity.MilliValue()%1000 != 0:
			add("%s=%s is not a whole number", key, value)
		default:
			quantities[key] = quantity
		}
	}
	for key, request := range quantities {
		name, isRequest := strings.CutPrefix(key, "requests.")
		if !isRequest {
			continue
		}
		limit, limited := quantities["limits."+name]
		_, asked := s.Resources["limits."+name]
		shared := slices.Contains(sharedResources, name)
		switch {
		case limited && request.Cmp(limit) > 0:
			problems = append(problems, at(fmt.Errorf("resources: %s=%s is more than limits.%s=%s", key, s.Resources[key], name, s.Resources["limits."+name]), "tiller", "resources", key))
		case isResource(name) && !shared && (!asked || limited && request.Cmp(limit) != 0):
			problems = append(problems, at(fmt.Errorf("resources: %s needs limits.%s of the same amount", key, name), "tiller", "resources", key))
		}
	}
	return problems
}

// sharedResources are those of which less can be asked for than is allowed.
var sharedResources = []string{"cpu", "memory", "ephemeral-storage"}

// isResource says whether a container can have a resource of that name.
func isResource(name string) bool {
	if slices.Contains(sharedResources, name) || strings.HasPrefix(name, "hugepages-") && len(name) > len("hugepages-") {
		return true
	}
	return strings.Contains(name, "/") && !strings.HasPrefix(name, "requests.") && len(validation.IsQualifiedName(name)) == 0
}

// Record is the tenant as its home namespace holds it: one item of a tenants
// file without the members.
func (t Tenant) Record() (string, error) {
	t.Members = Members{}
	t.Rails = t.Rails.recorded()
	out, err := yaml.Marshal(t)
	if err == nil && len(out) > MaxRecord {
		err = fmt.Errorf("the record of tenant %q would have %d bytes, and at most %d are read", t.Name, len(out), MaxRecord)
	}
	return string(out), err
}

// ParseRecord reads what Record wrote. A field that it does not know is an
// error: a newer helm-tenant wrote it, and what it means can't be guessed. What no
// tenants file may hold is one, too: others may write where a record is.
func ParseRecord(text string) (Tenant, error) {
	var t Tenant
	if len(text) > MaxRecord {
		return Tenant{}, fmt.Errorf("%s has more than %d bytes", RecordKey, MaxRecord)
	}
	if err := unmarshalStrict(text, &t); err != nil {
		return Tenant{}, fmt.Errorf("%s: %w", RecordKey, err)
	}
	t.Rails = t.Rails.modesOr(RailsOfBefore())
	if problems := t.WithDefaults().Validate(); len(problems) > 0 {
		return Tenant{}, fmt.Errorf("%s: %w", RecordKey, problems[0])
	}
	return t, nil
}
