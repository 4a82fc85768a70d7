package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"helm.sh/helm/v3/pkg/chart"
	release3 "helm.sh/helm/v3/pkg/release"
	helmtime "helm.sh/helm/v3/pkg/time"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func web() *release3.Release {
	return &release3.Release{
		Name: "web", Namespace: "a", Version: 3, Manifest: "---\nkind: ConfigMap\n",
		Info: &release3.Info{
			FirstDeployed: helmtime.Date(2020, 11, 13, 10, 48, 9, 7, time.UTC), LastDeployed: helmtime.Date(2020, 11, 13, 10, 48, 10, 0, time.UTC),
			Status: release3.StatusUninstalled, Notes: "Thank you",
		},
		Config: map[string]any{"replicas": 2.0},
		Chart: &chart.Chart{
			Metadata:  &chart.Metadata{Name: "nginx", Version: "1.2.3", APIVersion: "v1"},
			Templates: []*chart.File{{Name: "templates/web.yaml", Data: []byte("kind: ConfigMap\xff")}},
		},
	}
}

var unexported = cmpopts.IgnoreUnexported(chart.Chart{})

// TestSecret holds the object to what Helm 3's driver writes, and reads it again.
func TestSecret(t *testing.T) {
	secret, err := secretOf(web())
	if err != nil {
		t.Fatal(err)
	}
	want := corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.web.v3", Namespace: "a", Labels: map[string]string{
			"name": "web", "owner": "helm", "status": "uninstalled", "version": "3", "createdAt": "1605264490"}},
		Type: "helm.sh/release.v1",
		Data: secret.Data,
	}
	if diff := cmp.Diff(want, *secret); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// By hand, so that no mistake of one direction is undone by the other.
	zipped, err := base64.StdEncoding.DecodeString(string(secret.Data["release"]))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	var by release3.Release
	if err := json.Unmarshal(plain, &by); err != nil {
		t.Fatal(err)
	}
	read, err := InSecret(*secret, NewBudget())
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*release3.Release{&by, read} {
		if diff := cmp.Diff(web(), got, unexported); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	second, err := secretOf(read)
	if err != nil || !cmp.Equal(second, secret) {
		t.Errorf("written again it differs (%v): %s", err, cmp.Diff(secret, second))
	}
	if got, _, err := HelmChart(secret.Data["release"], NewBudget()); err != nil || got != "nginx-1.2.3" {
		t.Errorf("its chart is %q, %v", got, err)
	}
}

func TestSecretTooLarge(t *testing.T) {
	r := web()
	random := make([]byte, 900<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	r.Chart.Files = append(r.Chart.Files, &chart.File{Name: "big", Data: random})
	if _, err := secretOf(r); err == nil || !strings.Contains(err.Error(), "a Secret holds 1048576") {
		t.Errorf("it says %v", err)
	}
}

func TestInSecretBroken(t *testing.T) {
	for name, data := range map[string]map[string][]byte{
		"no data": nil, "another key": {"x": []byte("e30=")}, "no base64": {"release": []byte("***")},
		"no JSON": {"release": packed(t, "{")}, "no status": {"release": packed(t, `{"name":"web"}`)},
	} {
		if r, err := InSecret(corev1.Secret{Data: data}, NewBudget()); err == nil {
			t.Errorf("%s: it reads %v", name, r)
		}
	}
}

func TestKeeps(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*corev1.Secret)
		want   bool
	}{
		{"helm's", func(*corev1.Secret) {}, true},
		{"of another name", func(s *corev1.Secret) { s.Name = "sh.helm.release.v1.web.v2" }, false},
		{"of another type", func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, false},
		{"labelled as another", func(s *corev1.Secret) { s.Labels["name"] = "db" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			secret, err := secretOf(web())
			if err != nil {
				t.Fatal(err)
			}
			test.change(secret)
			if got := Keeps(*secret, web()); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNameOf(t *testing.T) {
	for _, test := range []struct {
		name   string
		labels map[string]string
		want   string
	}{
		{"sh.helm.release.v1.web.v3", nil, "web"},
		{"sh.helm.release.v1.my.v2.web.v10", map[string]string{"owner": "helm", "name": "other"}, "my.v2.web"},
		{"sh.helm.release.v1.web", map[string]string{"owner": "helm", "name": "web"}, "web"},
		{"mine", map[string]string{"owner": "helm", "name": "web"}, "web"},
		{"mine", map[string]string{"name": "web"}, ""},
	} {
		if got := NameOf(&metav1.ObjectMeta{Name: test.name, Labels: test.labels}); got != test.want {
			t.Errorf("%s with %v: got %q, want %q", test.name, test.labels, got, test.want)
		}
	}
}

// secretOf returns the Secret in which Helm 3 keeps a release.
func secretOf(r *release3.Release) (*corev1.Secret, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return Secret(r, plain)
}
