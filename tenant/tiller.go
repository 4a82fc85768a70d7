package tenant

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Storage is the kind of objects in which Tiller keeps its release records.
type Storage string

const (
	StorageSecret    Storage = "secret"
	StorageConfigMap Storage = "configmap"
)

// Tiller has the settings of a tenant's Tiller; zero values mean the default.
type Tiller struct {
	Image            string            `yaml:"image,omitempty" json:"image,omitempty"`
	Version          string            `yaml:"version,omitempty" json:"version,omitempty"`
	Storage          Storage           `yaml:"storage,omitempty" json:"storage,omitempty"`
	HistoryMax       *int              `yaml:"historyMax,omitempty" json:"historyMax,omitempty"`
	Replicas         *int              `yaml:"replicas,omitempty" json:"replicas,omitempty"`
	Resources        map[string]string `yaml:"resources,omitempty" json:"resources,omitempty"`
	NodeSelector     map[string]string `yaml:"nodeSelector,omitempty" json:"nodeSelector,omitempty"`
	ImagePullSecrets []string          `yaml:"imagePullSecrets,flow,omitempty" json:"imagePullSecrets"`
}

func (s Tiller) validate() []error {
	var problems []error
	if s.Storage != "" && s.Storage != StorageSecret && s.Storage != StorageConfigMap {
		problems = append(problems, inField(fmt.Errorf("storage: %q is not one of %s, %s", s.Storage, StorageSecret, StorageConfigMap), "tiller", "storage"))
	}
	if s.HistoryMax != nil && *s.HistoryMax < 0 {
		problems = append(problems, inField(fmt.Errorf("history-max: %d is negative; 0 keeps every revision", *s.HistoryMax), "tiller", "historyMax"))
	}
	if s.Replicas != nil && *s.Replicas < 1 {
		problems = append(problems, inField(fmt.Errorf("replicas: %d; a Tiller needs at least 1", *s.Replicas), "tiller", "replicas"))
	}
	if s.Replicas != nil && *s.Replicas > math.MaxInt32 {
		problems = append(problems, inField(fmt.Errorf("replicas: %d are more than any Deployment can have", *s.Replicas), "tiller", "replicas"))
	}
	problems = append(problems, s.checkImage()...)
	problems = append(problems, s.checkResources()...)
	for key, value := range s.NodeSelector {
		if why := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(why) > 0 {
			problems = append(problems, inField(fmt.Errorf("node-selector: %s=%s is not a label: %s", key, value, why[0]), "tiller", "nodeSelector", key))
		}
	}
	for i, secret := range s.ImagePullSecrets {
		if why := validation.IsDNS1123Subdomain(secret); len(why) > 0 {
			problems = append(problems, inField(fmt.Errorf("image-pull-secret: %q is not a Secret's name", secret), "tiller", "imagePullSecrets", i))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

var (
	// imageName matches an image's name with a tag, a digest, or neither
	// (github.com/distribution/reference): a registry, a path in lower case, and the
	// rest.
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
		problems = append(problems, inField(fmt.Errorf("tiller-image: %q is not an image's name, such as registry.example.com/tiller:v2.17.0", s.Image), "tiller", "image"))
	}
	switch {
	case s.Version == "":
	case !imageTag().MatchString(s.Version):
		problems = append(problems, inField(fmt.Errorf("tiller-version: %q is not a version, such as v2.17.0", s.Version), "tiller", "version"))
	case s.Image == "" && !strings.HasPrefix(s.Version, "v"):
		problems = append(problems, inField(fmt.Errorf("tiller-version: %q; Helm's own images are called v2.17.0 and the like", s.Version), "tiller", "version"))
	}
	return problems
}

// checkResources returns what the API server would refuse later
// (k8s.io/kubernetes/pkg/apis/core/validation, ValidateContainerResourceRequirements).
func (s Tiller) checkResources() []error {
	var problems []error
	quantities := map[string]resource.Quantity{}
	for key, value := range s.Resources {
		add := func(format string, args ...any) {
			problems = append(problems, inField(fmt.Errorf("resources: "+format, args...), "tiller", "resources", key))
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
			problems = append(problems, inField(fmt.Errorf("resources: %s=%s is more than limits.%s=%s", key, s.Resources[key], name, s.Resources["limits."+name]), "tiller", "resources", key))
		case isResource(name) && !shared && (!asked || limited && request.Cmp(limit) != 0):
			problems = append(problems, inField(fmt.Errorf("resources: %s needs limits.%s of the same amount", key, name), "tiller", "resources", key))
		}
	}
	return problems
}

// sharedResources are the resources whose request may be smaller than their limit.
var sharedResources = []string{"cpu", "memory", "ephemeral-storage"}

func isResource(name string) bool {
	if slices.Contains(sharedResources, name) || strings.HasPrefix(name, "hugepages-") && len(name) > len("hugepages-") {
		return true
	}
	return strings.Contains(name, "/") && !strings.HasPrefix(name, "requests.") && len(validation.IsQualifiedName(name)) == 0
}
