package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/records"
)

// plantedPeople are misconfigurations of members, readers, owners, namespaces, records and releases.
var plantedPeople = []planting{
	{"a member with more rights", func(p *plant) { p.grant("alpha-tiller", "more", []string{"create pods/exec"}, "user alice") }, []string{"HT030 alpha user alice"}},
	{"a group of members with more rights", func(p *plant) {
		p.grant("alpha-tiller", "more", []string{"get secrets", "list secrets"}, "group alpha-devs")
	},
		[]string{"HT030 alpha group alpha-devs"}},
	{"a member role that gives more", func(p *plant) {
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/roles/helm-tenant-member",
			`{"rules":[{"apiGroups":[""],"resources":["pods","pods/portforward","configmaps"],"verbs":["get","list","create"]}]}`)
		p.again("alpha")
	}, []string{"HT030 alpha every member"}},
	{"everybody is a member", func(p *plant) {
		p.helmTenant("grant", "alpha", "--group", "system:authenticated", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--group", "system:authenticated") })
	}, []string{"HT031 alpha group system:authenticated"}},
	{"every pod of a namespace is a member", func(p *plant) {
		p.helmTenant("grant", "alpha", "--group", "system:serviceaccounts:ci", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--group", "system:serviceaccounts:ci") })
	}, []string{"HT031 alpha group system:serviceaccounts:ci"}},
	{"a member of two tenants", func(p *plant) {
		p.helmTenant("grant", "beta", "--user", "alice")
		p.later(func() { p.helmTenant("revoke", "beta", "--user", "alice") })
	}, []string{"HT032 alpha,beta user alice"}},
	{"a member account that others can use, by a pod", func(p *plant) {
		p.robot()
		p.grant("ci", "pods", []string{"create pods"}, "user builder")
	}, []string{"HT033 alpha service account ci:robot"}},
	{"a member account that others can use, by its token", func(p *plant) {
		p.robot()
		p.grant("ci", "token", []string{"create serviceaccounts/token robot"}, "group builders")
	}, []string{"HT033 alpha service account ci:robot"}},
	{"a member account that others can use, by impersonation", func(p *plant) {
		p.robot()
		p.grant("ci", "token", []string{"impersonate serviceaccounts robot"}, "user builder")
	}, []string{"HT033 alpha service account ci:robot"}},
	{"a member account that the tenant's own charts can use", func(p *plant) {
		p.helmTenant("grant", "alpha", "--service-account", "alpha-a:default")
		p.later(func() { p.helmTenant("revoke", "alpha", "--service-account", "alpha-a:default") })
	}, []string{"HT033 alpha service account alpha-a:default"}},
	{"a member account that does not exist", func(p *plant) {
		p.helmTenant("grant", "alpha", "--service-account", "ci:ghost")
		p.later(func() { p.helmTenant("revoke", "alpha", "--service-account", "ci:ghost") })
	}, []string{"HT034 alpha service account ci:ghost"}},
	{"revoked, but still able", func(p *plant) {
		p.bind("alpha-tiller", "kept", "Role", "helm-tenant-member", "user zoe")
	}, []string{"HT035 alpha user zoe"}},
	{"an account of readers that can change something", func(p *plant) {
		p.helmTenant("init", "readable", "--namespaces", "readable-a", "--create-namespaces", "--engine", "impersonation")
		p.later(func() { p.helmTenant("destroy", "readable", "--yes", "--delete-namespaces") })
		p.helmTenant("grant", "readable", "--reader", "--user", "pam", "--accept-risk=reads-secrets")
		p.bind("readable-a", "more", "ClusterRole", "edit", "account readable-helm:helm-reader")
	}, []string{"HT037 readable service account readable-helm:helm-reader"}},
	{"an outsider who reads", func(p *plant) {
		p.helmTenant("init", "legible", "--namespaces", "legible-a", "--create-namespaces", "--engine", "impersonation")
		p.later(func() { p.helmTenant("destroy", "legible", "--yes", "--delete-namespaces") })
		p.helmTenant("grant", "legible", "--reader", "--user", "pam", "--accept-risk=reads-secrets")
		p.bind("legible-helm", "kept", "Role", "helm-tenant-reader", "user zoe")
	}, []string{"HT038 legible user zoe"}},
	{"owners whom no policy limits", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--user", "olaf")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--user", "olaf") })
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-owners")
	}, []string{"HT039 alpha every owner"}},
	{"owners as they are meant to be", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--user", "olaf")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--user", "olaf") })
	}, nil},
	{"everybody is an owner", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--group", "system:authenticated", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--group", "system:authenticated") })
	}, []string{"HT031 alpha group system:authenticated"}},
	{"an owner with more rights than that", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--user", "olaf")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--user", "olaf") })
		p.grant("alpha-tiller", "more", []string{"create pods/exec"}, "user olaf")
	}, []string{"HT012 alpha user olaf"}},
	{"a grant that is over and still in force", func(p *plant) {
		p.helmTenant("grant", "alpha", "--user", "oncall", "--for", "1h", "--reason", "INC-12")
		p.later(func() { p.helmTenant("revoke", "alpha", "--expired") })
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/rolebindings/helm-tenant-member",
			`{"metadata":{"annotations":{"helm-tenant/temporary":"[{\"user\":\"oncall\",\"until\":\"2026-01-31T12:00:00Z\",\"reason\":\"INC-12\"}]"}}}`)
	}, []string{"HT036 alpha user oncall"}},
	{"a grant whose end can't be read", func(p *plant) {
		const binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/rolebindings/helm-tenant-member"
		p.merge(binding, `{"metadata":{"annotations":{"helm-tenant/temporary":"soon"}}}`)
		p.later(func() { p.merge(binding, `{"metadata":{"annotations":{"helm-tenant/temporary":null}}}`) })
	}, []string{"HT036 alpha RoleBinding helm-tenant-member in namespace alpha-tiller"}},
	{"a disconnect that was stopped", func(p *plant) {
		p.helmTenant("init", "parting", "--namespaces", "parting-a", "--create-namespaces", "--user", "dora", "--engine", "tiller", "--wait=false")
		p.later(func() { p.helmTenant("destroy", "parting", "--yes", "--delete-namespaces") })
		p.withoutPods("parting-tiller") // no pod runs here, and the fix would wait for the Tiller that it restarts
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/parting-tiller/rolebindings/helm-tenant-member",
			`{"metadata":{"annotations":{"helm-tenant/disconnect":"2026-01-31T12:00:00Z"}}}`)
	}, []string{"HT084 parting RoleBinding helm-tenant-member in namespace parting-tiller"}},

	{"a foreign binding in a tenant's namespace", func(p *plant) { p.bind("alpha-a", "foreign", "ClusterRole", "edit", "user zoe") }, []string{"HT040 alpha user zoe"}},
	{"a foreign binding that only reads", func(p *plant) { p.bind("alpha-b", "foreign", "ClusterRole", "view", "group auditors") }, []string{"HT040 alpha group auditors"}},
	{"a foreign binding of an account elsewhere", func(p *plant) { p.bind("alpha-b", "foreign", "ClusterRole", "edit", "account outside:bot") },
		[]string{"HT040 alpha service account outside:bot"}},
	{"a foreign subject in our own binding", func(p *plant) {
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-a/rolebindings/helm-tenant.alpha.admin",
			`{"subjects":[{"kind":"ServiceAccount","namespace":"alpha-tiller","name":"tiller"},{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"zoe"}]}`)
		p.again("alpha")
	}, []string{"HT040 alpha user zoe"}},
	{"a chart's own account in the tenant's namespace", func(p *plant) { p.bind("alpha-a", "chart", "ClusterRole", "edit", "account alpha-b:web") }, nil},
	{"a namespace in two tenants", func(p *plant) {
		p.init("beta", "--namespaces", "beta-a,alpha-a", "--share")
		p.later(func() { p.init("beta", "--namespaces", "beta-a", "--prune") })
	}, []string{"HT041 alpha,beta namespace alpha-a"}},

	{"a binding of the deployer is gone", func(p *plant) {
		p.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-b/rolebindings/helm-tenant.alpha.admin")
		p.again("alpha")
	}, []string{"HT042 alpha RoleBinding helm-tenant.alpha.admin in namespace alpha-b"}},
	{"a second role of the deployer in a namespace", func(p *plant) {
		p.bind("alpha-b", "second", "ClusterRole", "view", "account alpha-tiller:tiller")
	}, []string{"HT042 alpha RoleBinding second in namespace alpha-b"}},
	{"a tenant that is being migrated", func(p *plant) {
		before := p.w.env
		p.later(func() { p.w.env = before })
		p.w.env = append(slices.Clone(before), "HELM_BIN="+p.w.Bin("helm3"))
		p.helmTenant("init", "moving", "--engine", "tiller", "--namespaces", "moving-a", "--create-namespaces", "--wait=false")
		p.later(func() { p.helmTenant("destroy", "moving", "--yes") })
		p.helmTenant("migrate", "moving")
		p.later(func() { p.helmTenant("migrate", "moving", "--finish", "--yes") })
	}, []string{"HT042 moving tenant moving"}},
	{"a tenant's namespace without its label", func(p *plant) {
		p.merge("/api/v1/namespaces/alpha-b", `{"metadata":{"labels":{"helm-tenant/tenant":null}}}`)
		p.again("alpha")
	}, []string{"HT042 alpha namespace alpha-b"}},
	{"a namespace with the tenant's label that is none of its namespaces", func(p *plant) {
		const label = `{"metadata":{"labels":{"helm-tenant/tenant":%s},"annotations":{"helm-tenant/home-namespace":%s}}}`
		p.merge("/api/v1/namespaces/outside", fmt.Sprintf(label, `"alpha"`, `"alpha-tiller"`))
		p.later(func() { p.merge("/api/v1/namespaces/outside", fmt.Sprintf(label, "null", "null")) })
	}, []string{"HT042 alpha namespace outside"}},
	{"the home's label that the admission policy goes by is gone", func(p *plant) {
		p.merge("/api/v1/namespaces/alpha-tiller", `{"metadata":{"labels":{"helm-tenant/home":null}}}`)
		p.again("alpha")
	}, []string{"HT042 alpha namespace alpha-tiller"}},
	{"the member role is gone", func(p *plant) {
		p.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/beta-tiller/roles/helm-tenant-member")
		p.again("beta")
	}, []string{"HT042 beta Role helm-tenant-member in namespace beta-tiller"}},
	{"the Tiller is gone", func(p *plant) {
		p.delete("/apis/apps/v1/namespaces/beta-tiller/deployments/tiller-deploy")
		for len(p.podsAt("beta-tiller")) > 0 {
			wait()
		}
		p.again("beta")
	}, []string{"HT042 beta Deployment tiller-deploy in namespace beta-tiller"}},
	{"another image", tiller(func(d *appsv1.Deployment) { container(d).Image = "registry.example/tiller:v2.17.0" }), []string{"HT042 alpha " + tillerOfAlpha}},
	{"a second container", tiller(func(d *appsv1.Deployment) {
		second := *container(d).DeepCopy()
		second.Name, second.Image, second.Command, second.Ports, second.LivenessProbe, second.ReadinessProbe = "second", "example/x:1", []string{"x"}, nil, nil, nil
		d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, second)
	}), []string{"HT042 alpha " + tillerOfAlpha}},
	{"a record that can't be read", func(p *plant) {
		p.helmTenant("init", "broken", "--namespaces", "broken-a", "--create-namespaces", "--wait=false")
		p.merge("/api/v1/namespaces/broken-tiller/configmaps/helm-tenant", `{"data":{"tenant.yaml":"name: [broken"}}`)
		p.later(func() {
			p.merge("/api/v1/namespaces/broken-tiller/configmaps/helm-tenant", `{"data":{"tenant.yaml":"name: broken\nnamespaces: [broken-a]\nrole: admin\nengine: tiller\n"}}`)
			p.helmTenant("destroy", "broken", "--yes")
		})
	}, []string{"HT042 broken ConfigMap helm-tenant in namespace broken-tiller"}},

	{"a release outside its tenant", func(p *plant) { p.release("alpha-tiller", "stray", "outside") }, []string{"HT044 alpha release stray"}},
	{"somebody who can read an older revision's record", func(p *plant) {
		p.revision("alpha-tiller", "web", 1, "SUPERSEDED", "alpha-b")
		p.grant("alpha-tiller", "one", []string{"get secrets web.v1"}, "user zoe")
	}, []string{"HT013 alpha user zoe"}},
	{"a failed release outside its tenant", func(p *plant) { p.revision("alpha-tiller", "stray", 1, "FAILED", "outside") }, []string{"HT044 alpha release stray"}},
	{"a deleted release outside its tenant", func(p *plant) {
		p.revision("alpha-tiller", "gone", 1, "FAILED", "outside")
		p.revision("alpha-tiller", "gone", 2, "DELETED", "outside")
	}, nil},
	{"a release whose record can't be read", func(p *plant) {
		p.release("alpha-tiller", "odd", "alpha-b")
		p.merge("/api/v1/namespaces/alpha-tiller/secrets/odd.v1", `{"data":{"release":"b2Rk"}}`)
	}, []string{"HT044 alpha Secret odd.v1"}},
	{"a release with objects outside namespaces", func(p *plant) {
		record := records.Secret(records.Release{Name: "wide", Namespace: "alpha-b", Revision: 1, Status: "DEPLOYED",
			Manifest: "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: reader\n"})
		must(p.T, create(p.w.root.CoreV1().Secrets("alpha-tiller").Create(context.Background(), record, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Secrets("alpha-tiller").Delete(context.Background(), "wide.v1", metav1.DeleteOptions{}))
		})
	}, []string{"HT062 alpha release wide"}},
	{"a release that an earlier helm-tenant moved from Tiller", func(p *plant) {
		text := `{"name":"moved","namespace":"gamma-a","version":1,"info":{"status":"deployed","first_deployed":"2026-01-01T00:00:00Z","last_deployed":"2026-01-01T00:00:00Z"}}`
		record := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.moved.v1", Labels: map[string]string{"owner": "helm", "name": "moved", "version": "1", "status": "deployed"}},
			Type: "helm.sh/release.v1", Data: map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString([]byte(text)))}}
		must(p.T, create(p.w.root.CoreV1().Secrets("gamma-a").Create(context.Background(), record, metav1.CreateOptions{FieldManager: "helm-tenant"})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Secrets("gamma-a").Delete(context.Background(), record.Name, metav1.DeleteOptions{}))
		})
	}, []string{"HT061 gamma release moved"}},
	{"a release where it should be", func(p *plant) { p.release("alpha-tiller", "fine", "alpha-b") }, nil},
}
