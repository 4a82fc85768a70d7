package faults

import "context"

func init() { scenarios = append(scenarios, railed...) }

// oneRailed is the tenant one with guard rails of every kind, and otherRails are other
// ones.
const (
	oneRailed  = one + allRails
	allRails   = "  podSecurity: restricted\n  guard: enforce\n  quota: {pods: \"20\", services.nodeports: \"0\"}\n  limits: {default: {cpu: 500m}, max: {memory: 1Gi}}\n  network: isolated\n  allowFrom: [192.0.2.0/24]\n  hosts: [\"*.NAME.example.com\"]\n  priorityClasses: [system-cluster-critical]\n  labels: {team: NAME}\n  contact: NAME@example.com\n"
	otherRails = "  podSecurity: baseline\n  guard: warn\n  quota: {pods: \"30\"}\n  limits: {default: {memory: 64Mi}}\n  network: isolated\n  networkExcept: [198.51.100.0/24]\n  hosts: [NAME.example.org]\n  labels: {cost: \"42\"}\n  contact: else@example.com\n"
	openRails  = "  podSecurity: unmanaged\n  guard: \"off\"\n  network: open\n"
	file       = "apiVersion: helm-tenant/v1\ntenants:"
)

// railed are commands that write, change and take away guard rails, and those that end
// connections. None has a Tiller that runs: how one is restarted is tested in test/attack.
var railed = []*scenario{
	{
		name: "init with all guard rails", prefix: "na", about: []string{"NAME"},
		args: "init NAME --namespaces NAME-a,NAME-b --create-namespaces --user alice --wait=false --pod-security restricted --quota pods=20 --limits default.cpu=500m" +
			" --network isolated --allow-from 192.0.2.0/24 --network-except 198.51.100.0/24 --hosts *.NAME.example.com --priority-classes system-cluster-critical --labels team=NAME --contact NAME@example.com",
	},
	{
		name: "apply of guard rails to a tenant without", prefix: "nb", about: []string{"NAME"}, prepare: unrailed,
		args: "apply -f - --accept-risk=no-guard,node-access", input: file + oneRailed,
	},
	{
		name: "apply of other guard rails", prefix: "nc", about: []string{"NAME"}, tenants: oneRailed, prepare: warned,
		args: "apply -f -", input: file + one + otherRails,
	},
	{
		name: "apply that takes the guard rails away", prefix: "nd", about: []string{"NAME"}, tenants: oneRailed,
		args: "apply -f - --accept-risk=no-guard,node-access", input: file + one + openRails,
	},
	{
		name: "init that takes a namespace with guard rails away", prefix: "ne", about: []string{"NAME"}, tenants: oneRailed,
		args: "init NAME --namespaces NAME-b --prune --wait=false",
	},
	{
		name: "destroy with all guard rails", prefix: "nf", about: []string{"NAME"}, tenants: oneRailed + "  engine: impersonation\n  homeNamespace: NAME-tiller\n",
		args: "destroy NAME --yes",
	},
	{
		name: "revoke that disconnects", prefix: "ng", about: []string{"NAME"}, tenants: oneRailed + "  engine: impersonation\n  homeNamespace: NAME-tiller\n",
		args: "revoke NAME --user alice --disconnect",
	},
	{
		name: "apply that disconnects", prefix: "nh", about: []string{"NAME"}, tenants: oneRailed + "  engine: impersonation\n  homeNamespace: NAME-tiller\n",
		args: "apply -f - --disconnect", input: file + "\n- name: NAME\n  namespaces: [NAME-a, NAME-b]\n  members: {users: [bob]}\n  engine: impersonation\n  homeNamespace: NAME-tiller\n" + allRails,
	},
}

// unrailed makes the tenant one without guard rails.
func unrailed(_ context.Context, w *world, name string) error {
	return w.must(w.run(w.direct, w.folder(), "", "init", name, "--namespaces", name+"-a,"+name+"-b", "--create-namespaces", "--user", "alice,bob", "--wait=false",
		"--guard", "off", "--pod-security", "unmanaged", "--accept-risk", "no-guard,node-access"))
}

// warned makes a tenant whose guard warns: the bindings of that mode are shared, and each
// run is to make the same writes.
func warned(_ context.Context, w *world, _ string) error {
	return w.must(w.run(w.direct, w.folder(), "", "init", "warned", "--engine", "impersonation", "--namespaces", "warned-a", "--create-namespaces", "--guard", "warn"))
}
