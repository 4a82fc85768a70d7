package migrate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func TestUnlike(t *testing.T) {
	for _, test := range []struct{ name, manifest, live, want string }{
		{"the same", "kind: ConfigMap\ndata: {a: b}", "data: {a: b}", ""},
		{"more in the cluster", "kind: ConfigMap\nmetadata: {name: x, labels: {a: b}}\ndata: {a: b}", "metadata: {name: x, uid: u, labels: {a: b, c: d}}\ndata: {a: b, c: d}", ""},
		{"another label", "kind: ConfigMap\nmetadata: {name: x, labels: {release: web}}", "metadata: {name: x, labels: {release: db}}", "metadata.labels.release"},
		{"less in the cluster", "kind: ConfigMap\ndata: {a: b, c: d}", "data: {a: b}", "data.c"},
		{"another image", "kind: Deployment\nspec: {template: {spec: {containers: [{name: c, image: evil}]}}}", "spec: {template: {spec: {containers: [{name: c, image: good}]}}}", "spec.template.spec.containers[0].image"},
		{"a sidecar first", "kind: Deployment\nspec: {template: {spec: {containers: [{name: c, image: good}]}}}", "spec: {template: {spec: {containers: [{name: s, image: x}, {name: c, image: good}]}}}", ""},
		{"replicas are an autoscaler's", "kind: Deployment\nspec: {replicas: 1}", "spec: {replicas: 5}", ""},
		{"quantities", "kind: Pod\nspec: {containers: [{resources: {limits: {cpu: 1000m, memory: 1Gi}}}]}", "spec: {containers: [{resources: {limits: {cpu: '1', memory: 1024Mi}}}]}", ""},
		{"another quantity", "kind: Pod\nspec: {containers: [{resources: {limits: {cpu: 1000m}}}]}", "spec: {containers: [{resources: {limits: {cpu: '2'}}}]}", "spec.containers[0].resources.limits.cpu"},
		{"what is empty may be left out", "kind: Service\nspec: {clusterIP: '', selector: {}, externalIPs: [], x: null, headless: false}", "spec: {clusterIP: 10.0.0.1}", "spec.clusterIP"},
		{"null and empty", "kind: Service\nspec: {selector: {}, externalIPs: [], x: null, headless: false}", "spec: {type: ClusterIP}", ""},
		{"status", "kind: Deployment\nstatus: {replicas: 1}", "spec: {}", ""},
		{"stringData", "kind: Secret\nstringData: {a: b}", "data: {a: Yg==}", ""},
		{"another stringData", "kind: Secret\nstringData: {a: c}", "data: {a: Yg==}", "data.a"},
		{"number and text", "kind: ConfigMap\ndata: {port: 80}", "data: {port: '80'}", ""},
		{"a list that lost one", "kind: Role\nrules: [{verbs: [get, list]}]", "rules: [{verbs: [get]}]", "rules[0].verbs[1]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bodies, err := Bodies(test.manifest)
			if err != nil {
				t.Fatal(err)
			}
			var live map[string]any
			if err := yaml.Unmarshal([]byte(test.live), &live); err != nil || len(bodies) != 1 {
				t.Fatalf("%d objects: %v", len(bodies), err)
			}
			if got := bodies[0].Unlike(live); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestUnlikeOfLongLists: lists that were written to take the time of all pairs of their
// elements do not.
func TestUnlikeOfLongLists(t *testing.T) {
	var wanted, live []any
	for i := range 30_000 {
		wanted, live = append(wanted, fmt.Sprint("a", i)), append(live, fmt.Sprint("a", i))
	}
	slices.Reverse(live)
	began := time.Now()
	got := Body{Fields: map[string]any{"rules": wanted}}.Unlike(map[string]any{"rules": live})
	if took := time.Since(began); got == "" || took > 20*time.Second {
		t.Errorf("after %s it says %q", took, got)
	}
	live = append([]any{"more"}, wanted[:1000]...)
	if got := (Body{Fields: map[string]any{"rules": wanted[:1000]}}).Unlike(map[string]any{"rules": live}); got != "" {
		t.Errorf("one more of 1000: %s", got)
	}
}

func TestBodies(t *testing.T) {
	bodies, err := Bodies("kind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ns}}\n---\n# a comment\n---\n\n--- # Source: x\nkind: Secret\nmetadata: {name: b}\n")
	if err != nil || len(bodies) != 2 || bodies[0].String() != "ConfigMap a in namespace ns" || bodies[1].String() != "Secret b" || bodies[1].Fields["kind"] != "Secret" {
		t.Errorf("got %v, %v", bodies, err)
	}
	for _, broken := range []string{"a: [b\n", "no object\n", "- a list\n", "kind: Secret\nmetadata: {name: b}\n---\n\ta: b\n"} {
		if bodies, err := Bodies(broken); err == nil || err.Error() != "its manifest has a document that is no object in YAML" || len(bodies) > 0 {
			t.Errorf("%q: %v, %v", broken, bodies, err)
		}
	}
	if _, err := Bodies(strings.Repeat("---\nkind: A\nmetadata: {name: b}\n", mostObjects+1)); err == nil || err.Error() != "its manifest has more than 5000 objects" {
		t.Errorf("too many objects: %v", err)
	}
	if _, err := Bodies(strings.Repeat("#", mostManifest+1)); err == nil || err.Error() != "its manifest is larger than 8 MiB" {
		t.Errorf("too large: %v", err)
	}
}
