package admin

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/timestamppb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/helm/pkg/proto/hapi/chart"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// start starts a server that holds what the world does.
func (w world) start(t *testing.T) (*clustertest.Server, *cluster.Client) {
	t.Helper()
	server := clustertest.Start(t, w.objects...)
	return server, server.Connect()
}

func never(cluster.Change) {}

// write makes the tenant what is asked.
func write(t *testing.T, c *cluster.Client, r Request) *Prepared {
	t.Helper()
	prepared, err := Write(t.Context(), c, func(ctx context.Context) (*Prepared, error) { return Prepare(ctx, c, r) }, never)
	if err != nil {
		t.Fatal(err)
	}
	return prepared
}

// record returns a revision of a release as Tiller stores it.
func record(t *testing.T, home, name, namespace string, revision int32, status release.Status_Code) *corev1.Secret {
	t.Helper()
	return recordHolding(t, home, name, namespace, revision, status, fmt.Sprintf("\n---\n# Source: hello/templates/all.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n", name))
}

// recordHolding returns the record of a release with that manifest.
func recordHolding(t *testing.T, home, name, namespace string, revision int32, status release.Status_Code, manifest string) *corev1.Secret {
	t.Helper()
	message, err := proto.Marshal(protoadapt.MessageV2Of(&release.Release{
		Name: name, Namespace: namespace, Version: revision,
		Info:     &release.Info{Status: &release.Status{Code: status}, FirstDeployed: &timestamppb.Timestamp{Seconds: 1}, LastDeployed: &timestamppb.Timestamp{Seconds: 2}},
		Chart:    &chart.Chart{Metadata: &chart.Metadata{Name: "hello", Version: "1.0.0", ApiVersion: "v1"}},
		Config:   &chart.Config{},
		Manifest: manifest,
	}))
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write(message); err != nil || zip.Close() != nil {
		t.Fatal("gzip fails")
	}
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: fmt.Sprintf("%s.v%d", name, revision), Labels: map[string]string{
			"NAME": name, "OWNER": "TILLER", "STATUS": status.String(), "VERSION": fmt.Sprint(revision)}},
		Data: map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString(zipped.Bytes()))}}
}

// TestGather: what is read is what decisions need, however many tenants there are.
func TestGather(t *testing.T) {
	server, c := empty().with(tillerByHand("h", func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Command = []string{"/tiller", "--storage=secret"}
	})...).start(t)
	adopted := asked(adopting, home("h"), accept(RiskSharedHome))
	server.Put(record(t, "h", "far", "z", 1, release.Status_DEPLOYED), record(t, "h", "web", "a", 1, release.Status_SUPERSEDED), record(t, "h", "web", "a", 2, release.Status_DEPLOYED))
	_, err := Prepare(t.Context(), c, Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"a"}, HomeNamespace: "h", Tiller: tenant.Tiller{Storage: tenant.StorageConfigMap}}, Adopt: true})
	if want := `the Tiller in namespace "h" stores its releases as secrets and would not find them as configmaps`; errorText(err) != want {
		t.Errorf("got %v", err)
	}
	if _, err = Prepare(t.Context(), c, adopted); errorText(err) == "" {
		t.Error("releases outside are no reason to refuse")
	}
	write(t, c, asked(adopting, home("h"), accept(RiskSharedHome, RiskOutsideReleases)))
	if second := write(t, c, adopted); len(second.Plan.Changes) > 0 {
		t.Errorf("a second run does %q", stepsOf(second.Plan))
	}
	server.Writes()
	var many []Request
	for i := range 20 {
		many = append(many, Request{Tenant: tenant.Tenant{Name: fmt.Sprintf("n%d", i), Namespaces: []string{fmt.Sprintf("ns%d", i)}}, CreateNamespaces: true})
	}
	many = append(many, Request{}, asked(namespaces("zz")))
	outcomes, err := PrepareAll(t.Context(), c, many)
	if err != nil {
		t.Fatal(err)
	}
	if lists := server.Count("list", "RoleBinding"); lists > 2 {
		t.Errorf("bindings are listed %d times", lists)
	}
	if errorText(outcomes[20].Err) != "a tenant's name is missing; namespaces: at least one is needed" || outcomes[21].Err == nil {
		t.Errorf("got %v and %v", outcomes[20].Err, outcomes[21].Err)
	}
	shared := TakeShared(outcomes)
	var done []string
	err = ApplyAll(t.Context(), c, many, outcomes, shared, func(o Outcome) { done = append(done, o.Name) })
	if err != nil || len(done) != len(many) {
		t.Fatalf("%v, of %d tenants", err, len(done))
	}
	if second, err := PrepareAll(t.Context(), c, many[:20]); err != nil || slices.ContainsFunc(second, func(o Outcome) bool { return o.Err != nil || len(o.Prepared.Plan.Changes) > 0 }) {
		t.Errorf("a second run is not empty: %v", err)
	}
}

// TestApplyRefused: a permission that is missing for what all share stops all.
func TestApplyRefused(t *testing.T) {
	for _, test := range []struct{ denied, all, one string }{
		{"create validatingadmissionpolicies", "you lack a permission, and nothing was written: create validatingadmissionpolicies.admissionregistration.k8s.io in the cluster", ""},
		{"create deployments", "", "you lack a permission, and nothing was written: create deployments.apps in namespace t-tiller"},
	} {
		t.Run(test.denied, func(t *testing.T) {
			server, c := empty().start(t)
			server.Allowed = func(permission string) bool { return !strings.HasPrefix(permission, test.denied) }
			requests := []Request{asked()}
			outcomes, err := PrepareAll(t.Context(), c, requests)
			if err != nil {
				t.Fatal(err)
			}
			err = ApplyAll(t.Context(), c, requests, outcomes, TakeShared(outcomes), func(Outcome) {})
			if test.all != "" && errorText(err) != test.all || test.one != "" && errorText(outcomes[0].Err) != test.one {
				t.Errorf("got %v, and of the tenant %v", err, outcomes[0].Err)
			}
			if writes := server.Writes(); test.all != "" && len(writes) > 0 {
				t.Errorf("written was %q", writes)
			}
		})
	}
}

// TestWriteAgain: when somebody else changed an object meanwhile, both changes last.
func TestWriteAgain(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	rounds := 0
	_, err := Write(t.Context(), c, func(ctx context.Context) (*Prepared, error) {
		prepared, err := Prepare(ctx, c, asked(func(r *Request) { r.Tenant.Tiller.Replicas = new(2) }))
		if rounds++; rounds == 1 {
			other := server.Get(tillerKey("t-tiller"))
			other.SetAnnotations(map[string]string{"theirs": "x"})
			server.Put(other)
		}
		return prepared, err
	}, never)
	if err != nil || rounds != 2 {
		t.Fatalf("%v after %d rounds", err, rounds)
	}
	if server.Get(tillerKey("t-tiller")).GetAnnotations()["theirs"] != "x" {
		t.Error("the other's change is lost")
	}
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb == "update" {
			return apierrors.NewConflict(schema.GroupResource{Resource: "deployments"}, r.Name, errors.New("always"))
		}
		return nil
	}
	ended, cancel := context.WithTimeout(t.Context(), time.Second/5)
	defer cancel()
	_, err = Write(ended, c, func(ctx context.Context) (*Prepared, error) {
		return Prepare(ctx, c, asked(func(r *Request) { r.Tenant.Tiller.Replicas = new(3) }))
	}, never)
	if err == nil {
		t.Error("a conflict that does not end is no error")
	}
}

// TestGrantAndRevoke: one write each, also of a member without a namespace.
func TestGrantAndRevoke(t *testing.T) {
	server, c := empty().start(t)
	team := write(t, c, asked()).Tenant
	server.Writes()
	subjects := tenant.Members{tenant.User("alice"), tenant.Group("devs"), tenant.Account("ci", "bot")}
	got, err := Grant(t.Context(), c, team, GrantRequest{Who: subjects, As: tenant.RelationMember}, false)
	if err != nil || !cmp.Equal(got.Everybody(), subjects) {
		t.Fatalf("%v, %v", got.Changed, err)
	}
	if diff := cmp.Diff([]string{"update RoleBinding helm-tenant-member in namespace t-tiller"}, server.Writes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err = Grant(t.Context(), c, team, GrantRequest{Who: subjects, As: tenant.RelationMember}, false); err != nil || len(got.Everybody()) > 0 || !cmp.Equal(got.Unchanged, subjects) {
		t.Errorf("again: %v, %v", got, err)
	}
	if _, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{tenant.Group("system:authenticated")}}, false); errorText(err) == "" {
		t.Error("everybody is let in")
	}
	if _, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{{Kind: "User", Name: " "}}}, false); errorText(err) != "user: an empty name" {
		t.Errorf("got %v", err)
	}
	// Somebody wrote the binding by hand, for an account of the home itself.
	byHand := server.Get(memberKey("t-tiller"))
	byHand.Object["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": "robot"}}
	server.Put(byHand)
	found, err := TakeInventory(t.Context(), c)
	if err != nil || !cmp.Equal(found.Tenants[0].Members, tenant.Members{tenant.Account("t-tiller", "robot")}) {
		t.Errorf("members are %v, %v", found.Tenants[0].Members, err)
	}
	if got, err = Revoke(t.Context(), c, team, RevokeRequest{Who: tenant.Members{tenant.Account("t-tiller", "robot")}}, false); err != nil || len(got.Everybody()) != 1 || len(got.Tenant.Members) > 0 {
		t.Errorf("revoked %v, left %v, %v", got.Changed, got.Tenant.Members, err)
	}
	server.Remove(memberKey("t-tiller"))
	if _, err := Revoke(t.Context(), c, team, RevokeRequest{Who: subjects}, false); errorText(err) != `tenant "t" has no RoleBinding helm-tenant-member in namespace t-tiller: init it again` {
		t.Errorf("got %v", err)
	}
}
