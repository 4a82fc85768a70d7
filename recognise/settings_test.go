package recognise

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

func TestSettingsOf(t *testing.T) {
	digest := "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	one := func(c corev1.Container) appsv1.DeploymentSpec {
		return appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "proxy", Image: "proxy"}, c}}}}
	}
	full := one(corev1.Container{Image: "example.com:5000/tiller:v2.16.1", Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"memory": resource.MustParse("512Mi")}, Limits: corev1.ResourceList{"cpu": resource.MustParse("2")}}})
	full.Replicas = new(int32(3))
	full.Template.Spec.NodeSelector = map[string]string{"pool": "system"}
	full.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	for _, test := range []struct {
		name string
		spec appsv1.DeploymentSpec
		want tenant.Tiller
	}{
		{"nothing", appsv1.DeploymentSpec{Replicas: new(int32(0))}, tenant.Tiller{}},
		{"helm init's", one(corev1.Container{Image: "ghcr.io/helm/tiller:v2.17.0", Env: []corev1.EnvVar{{Name: "TILLER_HISTORY_MAX", Value: "7"}}}), tenant.Tiller{HistoryMax: new(7)}},
		{"a variable twice: the kubelet takes the last", one(corev1.Container{Image: "ghcr.io/helm/tiller:v2.17.0", Env: []corev1.EnvVar{{Name: "TILLER_HISTORY_MAX", Value: "9"}, {Name: "TILLER_HISTORY_MAX", Value: "7"}}}), tenant.Tiller{HistoryMax: new(7)}},
		{"an older helm init's", one(corev1.Container{Image: "gcr.io/kubernetes-helm/tiller:v2.9.1"}), tenant.Tiller{HistoryMax: new(0)}},
		{"a flag", one(corev1.Container{Image: "a/tiller:v2.9.1" + digest, Command: []string{"sh", "-c", "exec /tiller --history-max=5"}, Env: []corev1.EnvVar{{Name: "TILLER_HISTORY_MAX", Value: "7"}}}),
			tenant.Tiller{Image: "a/tiller:v2.9.1" + digest, HistoryMax: new(5)}},
		{"another tag", one(corev1.Container{Image: "a/tiller:latest"}), tenant.Tiller{Image: "a/tiller:latest", HistoryMax: new(0)}},
		{"no tag", one(corev1.Container{Image: "a:5000/tiller"}), tenant.Tiller{Image: "a:5000/tiller", HistoryMax: new(0)}},
		{"all of them", full, tenant.Tiller{Image: "example.com:5000/tiller", Version: "v2.16.1", HistoryMax: new(0), Replicas: new(3),
			Resources: map[string]string{"requests.memory": "512Mi", "limits.cpu": "2"}, NodeSelector: map[string]string{"pool": "system"}, ImagePullSecrets: []string{"registry"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, SettingsOf(test.spec)); diff != "" {
				t.Errorf("(- wanted, + found):\n%s", diff)
			}
		})
	}
}

func TestLostOf(t *testing.T) {
	spec := appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "helm", "name": "tiller", "team": "x"}, Annotations: map[string]string{"prometheus.io/scrape": "true"}},
		Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{{Name: "tiller-certs"}}, Tolerations: []corev1.Toleration{{Key: "x"}}, PriorityClassName: "high", DNSPolicy: corev1.DNSClusterFirst,
			Containers: []corev1.Container{{Name: "proxy", Image: "proxy"}, {Name: "tiller", Image: "ghcr.io/helm/tiller:v2.17.0",
				Command: []string{"sh", "-c", "exec /tiller --listen=:44134 --storage secret --history-max 5 --trace -tls-verify=true"},
				Env:     []corev1.EnvVar{{Name: "TILLER_NAMESPACE"}, {Name: "TILLER_HISTORY_MAX"}, {Name: "HTTPS_PROXY", Value: "proxy"}},
				EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "more"}}}}}},
		}}}
	lost, tls := LostOf(spec)
	if !tls {
		t.Error("TLS is overlooked")
	}
	if diff := cmp.Diff([]string{"annotation prometheus.io/scrape of its pods", "argument --tls-verify", "argument --trace", "container proxy",
		"environment from ConfigMap more", "environment variable HTTPS_PROXY", "label team of its pods", "priority class high", "tolerations", "volume tiller-certs"}, lost); diff != "" {
		t.Errorf("(- wanted, + found):\n%s", diff)
	}
	plain := appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "tiller", Image: "tiller", Env: []corev1.EnvVar{{Name: "TILLER_NAMESPACE"}}}}}}}
	if lost, tls := LostOf(plain); len(lost) > 0 || tls {
		t.Errorf("a plain Tiller loses %q, %v", lost, tls)
	}
	plain.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "TILLER_TLS_ENABLE", Value: "1"}}
	if _, tls := LostOf(plain); !tls {
		t.Error("TLS of helm init is overlooked")
	}
}

func TestKeepsAll(t *testing.T) {
	variable := func(value string) corev1.EnvVar { return corev1.EnvVar{Name: "TILLER_HISTORY_MAX", Value: value} }
	elsewhere := corev1.EnvVar{Name: "TILLER_HISTORY_MAX", ValueFrom: &corev1.EnvVarSource{}}
	whole := corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}
	prefixed := whole
	prefixed.Prefix = "PROXY_"
	for name, test := range map[string]struct {
		c    corev1.Container
		want bool
	}{
		"nothing is said":                 {corev1.Container{}, true},
		"a number":                        {corev1.Container{Env: []corev1.EnvVar{variable("5")}}, false},
		"zero":                            {corev1.Container{Env: []corev1.EnvVar{variable("0")}}, true},
		"no number":                       {corev1.Container{Env: []corev1.EnvVar{variable("many")}}, true},
		"a number, then zero":             {corev1.Container{Env: []corev1.EnvVar{variable("5"), variable("0")}}, true},
		"zero, then a number":             {corev1.Container{Env: []corev1.EnvVar{variable("0"), variable("5"), {Name: "A"}}}, false},
		"a number that stands elsewhere":  {corev1.Container{Env: []corev1.EnvVar{elsewhere}}, false},
		"elsewhere, then zero":            {corev1.Container{Env: []corev1.EnvVar{elsewhere, variable("0")}}, true},
		"a number, then elsewhere":        {corev1.Container{Env: []corev1.EnvVar{variable("0"), elsewhere}}, false},
		"all variables of elsewhere":      {corev1.Container{EnvFrom: []corev1.EnvFromSource{{}}}, false},
		"all variables with a prefix":     {corev1.Container{EnvFrom: []corev1.EnvFromSource{{Prefix: "TILLER_"}}}, false},
		"others of elsewhere":             {corev1.Container{EnvFrom: []corev1.EnvFromSource{{Prefix: "OTHER_"}}}, true},
		"all of elsewhere, and zero":      {corev1.Container{EnvFrom: []corev1.EnvFromSource{{}}, Env: []corev1.EnvVar{variable("0")}}, true},
		"a flag":                          {corev1.Container{Command: []string{"/tiller", "--history-max=3"}}, false},
		"a flag of zero":                  {corev1.Container{Command: []string{"/tiller", "--history-max=0"}}, true},
		"a flag of zero before a number":  {corev1.Container{Command: []string{"/tiller", "--history-max=0"}, Env: []corev1.EnvVar{variable("5")}}, true},
		"a number by another variable":    {corev1.Container{Env: []corev1.EnvVar{{Name: "N", Value: "5"}, variable("$(N)")}}, false},
		"zero by another variable":        {corev1.Container{Env: []corev1.EnvVar{{Name: "N", Value: "0"}, variable("$(N)")}}, true},
		"a variable that is elsewhere":    {corev1.Container{Env: []corev1.EnvVar{{Name: "N", ValueFrom: &corev1.EnvVarSource{}}, variable("$(N)")}}, false},
		"a flag that is elsewhere":        {corev1.Container{Command: []string{"/tiller", "--history-max=$(N)"}, Env: []corev1.EnvVar{{Name: "N", ValueFrom: &corev1.EnvVarSource{}}}}, false},
		"flags that are elsewhere":        {corev1.Container{Command: []string{"/tiller", "$(FLAGS)"}, EnvFrom: []corev1.EnvFromSource{whole}}, false},
		"a script's variable elsewhere":   {corev1.Container{Command: []string{"sh", "-c", "exec /tiller --history-max=${N:-9}"}}, false},
		"a whole Secret":                  {corev1.Container{EnvFrom: []corev1.EnvFromSource{whole}}, false},
		"a whole Secret behind zero":      {corev1.Container{Env: []corev1.EnvVar{variable("0")}, EnvFrom: []corev1.EnvFromSource{whole}}, true},
		"a Secret with another prefix":    {corev1.Container{EnvFrom: []corev1.EnvFromSource{prefixed}}, true},
		"a flag of zero before elsewhere": {corev1.Container{Command: []string{"/tiller", "--history-max=0"}, Env: []corev1.EnvVar{elsewhere}}, true},
	} {
		if got := KeepsAll(&test.c); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestHistoryElsewhere: the text names the object that has the number.
func TestHistoryElsewhere(t *testing.T) {
	from := func(source corev1.EnvVarSource) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "N", ValueFrom: &source}, {Name: "TILLER_HISTORY_MAX", Value: "$(N)"}}
	}
	named := corev1.LocalObjectReference{Name: "x"}
	for want, c := range map[string]corev1.Container{
		"":                       {Env: []corev1.EnvVar{{Name: "TILLER_HISTORY_MAX", Value: "many"}}},
		"ConfigMap x":            {Env: from(corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: named}})},
		"Secret x":               {Env: from(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named}})},
		"the pod's metadata.uid": {Env: from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.uid"}})},
		"variable N":             {Env: from(corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{}})},
		"ConfigMap y":            {EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "y"}}}}},
	} {
		if got := HistoryElsewhere(&c); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// TestRecordsElsewhere: the namespace of a Tiller's records, however the variable gets it.
func TestRecordsElsewhere(t *testing.T) {
	variable := func(value string, source *corev1.EnvVarSource) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "TILLER_NAMESPACE", Value: value, ValueFrom: source}}
	}
	for _, test := range []struct {
		env             []corev1.EnvVar
		want, elsewhere string
	}{
		{nil, "own", ""},
		{variable("other", nil), "other", ""},
		{variable("", nil), "own", ""},
		{variable("", &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}), "own", ""},
		{variable("", &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['n']"}}), "own", "the pod's metadata.annotations['n']"},
		{variable("", &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}), "own", "Secret s"},
		{append([]corev1.EnvVar{{Name: "N", Value: "third"}}, variable("$(N)", nil)...), "third", ""},
	} {
		if got, elsewhere := NamespaceOf(&corev1.Container{Env: test.env}, "own"); got != test.want || elsewhere != test.elsewhere {
			t.Errorf("%v: %q, %q", test.env, got, elsewhere)
		}
	}
}

// TestExpandIsBounded: a pod that any member can create does not fill the memory.
func TestExpandIsBounded(t *testing.T) {
	long := corev1.EnvVar{Name: "A", Value: strings.Repeat("x", 500<<10)}
	text := strings.Repeat("$(A)", 100_000)
	if got := expand(text, []corev1.EnvVar{long}); got != text {
		t.Errorf("%d bytes", len(got))
	}
}
