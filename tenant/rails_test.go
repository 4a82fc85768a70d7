package tenant

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRailsInAFile(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       Rails
	}{
		{"nothing said", "- {name: a, namespaces: [a]}", Rails{}},
		{"said by the tenant", "- {name: a, namespaces: [a], podSecurity: restricted, hosts: [b.c]}", Rails{PodSecurity: PodSecurityRestricted, Hosts: []string{"b.c"}}},
		{"nothing said, but by the defaults", "- {name: a, namespaces: [a]}\ndefaults: {podSecurity: baseline, network: isolated, allowFrom: [10.0.0.0/8], quota: {pods: 5}}",
			Rails{PodSecurity: PodSecurityBaseline, Network: NetworkIsolated, AllowFrom: []string{"10.0.0.0/8"}, Quota: map[string]string{"pods": "5"}}},
		{"the tenant's word counts, and a quota is not mixed", "- {name: a, namespaces: [a], quota: {cpu: 1}, guard: warn}\ndefaults: {guard: audit, quota: {pods: 5}}",
			Rails{Guard: GuardWarn, Quota: map[string]string{"cpu": "1"}}},
		{"none, against the defaults", "- {name: a, namespaces: [a], hosts: [], quota: {}, limits: {}, labels: {}}\ndefaults: {hosts: [b.c], quota: {pods: 5}, limits: {max: {cpu: 1}}, labels: {a: b}}", Rails{}},
		{"what needs isolation is no default of an open tenant", "- {name: a, namespaces: [a], network: open}\ndefaults: {network: isolated, allowFrom: [10.0.0.0/8], networkExcept: [10.0.0.0/8]}",
			Rails{Network: NetworkOpen}},
		{"a tenant of all namespaces has no defaults", "- {name: a, allNamespaces: true}\ndefaults: {podSecurity: baseline, quota: {pods: 5}}", Rails{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			located, problems := ParseFile("f", []byte("apiVersion: helm-tenant/v1\ntenants:\n"+test.text+"\n"))
			if len(problems) > 0 {
				t.Fatal(lines(problems))
			}
			if diff := cmp.Diff(test.want, located[0].Rails); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestProblemsOfRails(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"words", "- name: a\n  namespaces: [a]\n  podSecurity: strict\n  guard: on\n  network: closed\n", []string{
			`f:5: tenant "a": podSecurity: "strict" is not one of unmanaged, privileged, baseline, restricted`,
			`f:6: tenant "a": guard: "on" is not one of off, audit, warn, enforce`,
			`f:7: tenant "a": network: "closed" is not one of open, isolated`}},
		{"a quota", "- name: a\n  namespaces: [a]\n  quota:\n    cpus: 5\n    pods: 1.5\n    requests.cpu: many\n    memory: -1Gi\n    count/deployments.apps: 1500m\n    gold.storageclass.storage.k8s.io/requests.storage: 1.5Gi\n", []string{
			`f:6: tenant "a": quota: "cpus" is not a key of a ResourceQuota, such as requests.cpu, limits.memory, pods or count/deployments.apps`,
			`f:7: tenant "a": quota: pods: 1.5 is not a whole number`,
			`f:8: tenant "a": quota: requests.cpu: "many" is not a quantity such as 20, 500m or 64Gi`,
			`f:9: tenant "a": quota: memory: -1Gi is negative`,
			`f:10: tenant "a": quota: count/deployments.apps: 1500m is not a whole number`}},
		{"limits", "- name: a\n  namespaces: [a]\n  limits:\n    default: {cpu: 2, memory: lots}\n    defaultRequest: {cpu: 3}\n    max: {cpu: 1, pods: 3}\n", []string{
			`f:6: tenant "a": limits.default: cpu: 2 is more than limits.max: 1`,
			`f:6: tenant "a": limits.default: memory: "lots" is not a quantity such as 500m or 512Mi`,
			`f:7: tenant "a": limits.defaultRequest: cpu: 3 is more than limits.default: 2`,
			`f:7: tenant "a": limits.defaultRequest: cpu: 3 is more than limits.max: 1`,
			`f:8: tenant "a": limits.max: "pods" is not one of cpu, memory, ephemeral-storage, hugepages-SIZE, or a name such as example.com/gpu`}},
		{"blocks", "- name: a\n  namespaces: [a]\n  network: isolated\n  allowFrom: [10.0.0.1, 10.0.0.7/24, anywhere, '::ffff:10.0.0.0/120', fd00::/8, fd00::/8]\n  networkExcept: [0.0.0.0/0]\n", []string{
			`f:6: tenant "a": allowFrom: "10.0.0.1" is an address: write the block 10.0.0.1/32`,
			`f:6: tenant "a": allowFrom: "10.0.0.7/24" has more than the block's own bits: write 10.0.0.0/24`,
			`f:6: tenant "a": allowFrom: "::ffff:10.0.0.0/120" is an IPv4 address written as IPv6`,
			`f:6: tenant "a": allowFrom: "anywhere" is not an address block such as 10.0.0.0/24`,
			`f:6: tenant "a": allowFrom: duplicate "fd00::/8"`,
			`f:7: tenant "a": networkExcept: 0.0.0.0/0 is every address`}},
		{"blocks without isolation", "- name: a\n  namespaces: [a]\n  allowFrom: [10.0.0.0/24]\n", []string{`f:5: tenant "a": allowFrom: it needs network: isolated`}},
		{"hosts", "- name: a\n  namespaces: [a]\n  hosts: [Shop.example.com, '*', 'a.*.b', shop.example.com, shop.example.com]\n", []string{
			`f:5: tenant "a": hosts: "*" is not a host name in lower case, such as shop.example.com or *.example.com`,
			`f:5: tenant "a": hosts: "Shop.example.com" is not a host name in lower case, such as shop.example.com or *.example.com`,
			`f:5: tenant "a": hosts: "a.*.b" is not a host name in lower case, such as shop.example.com or *.example.com`,
			`f:5: tenant "a": hosts: duplicate "shop.example.com"`}},
		{"labels", "- name: a\n  namespaces: [a]\n  labels: {pod-security.kubernetes.io/enforce: privileged, helm-tenant/tenant: b, 'a b': c}\n", []string{
			`f:5: tenant "a": labels: a b=c is not a label: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			`f:5: tenant "a": labels: helm-tenant/tenant is Kubernetes' or helm-tenant's own label and can't be set here`,
			`f:5: tenant "a": labels: pod-security.kubernetes.io/enforce is Kubernetes' or helm-tenant's own label and can't be set here`}},
		{"a contact of two lines", "- name: a\n  namespaces: [a]\n  contact: \"a\\nb\"\n", []string{`f:5: tenant "a": contact: one line of at most 200 characters is expected`}},
		{"all namespaces", "- name: a\n  allNamespaces: true\n  podSecurity: baseline\n  quota: {pods: 1}\n", []string{
			`f:5: tenant "a": podSecurity: a tenant of all namespaces has no guard rails`,
			`f:6: tenant "a": quota: a tenant of all namespaces has no guard rails`}},
		{"defaults are told once", "- {name: a, namespaces: [a]}\n- {name: b, namespaces: [b]}\ndefaults:\n  guard: strong\n", []string{`f:6: defaults: guard: "strong" is not one of off, audit, warn, enforce`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, problems := ParseFile("f", []byte("apiVersion: helm-tenant/v1\ntenants:\n"+test.text))
			if diff := cmp.Diff(test.want, lines(problems)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOldRecordIsKept(t *testing.T) {
	const before = "name: a\nnamespaces: [a]\nrole: admin\nengine: tiller\ntiller:\n  storage: secret\n  historyMax: 20\n  replicas: 1\n"
	tenant, err := ParseRecord(before)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Rails{PodSecurity: PodSecurityUnmanaged, Guard: GuardOff, Network: NetworkOpen}, tenant.Rails); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	after, err := tenant.Record()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestRailsExactly(t *testing.T) {
	was := fullRails()
	for _, test := range []struct {
		name        string
		asked, want Rails
	}{
		{"silence does not loosen PodSecurity and guard", Rails{}, Rails{PodSecurity: PodSecurityRestricted, Guard: GuardWarn, Network: NetworkOpen}},
		{"what is said counts", Rails{PodSecurity: PodSecurityPrivileged, Guard: GuardOff, Contact: "x"}, Rails{PodSecurity: PodSecurityPrivileged, Guard: GuardOff, Network: NetworkOpen, Contact: "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.asked.Exactly(was)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
