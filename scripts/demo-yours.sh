# shellcheck shell=bash
# The variables of demo.sh, and for it:
# shellcheck disable=SC2034,SC2154
#
# Part of demo.sh: the differences on a cluster that somebody else made. People are service
# accounts there, which every cluster has.
a=demo-a b=demo-b c=demo-c people=helm-tenant-demo
tenants=(team-a team-b team-c)
namespaces=("$a" "$b" "$c" "$people" team-a-tiller team-b-tiller team-c-helm)
admin=$work/admin

program kubectl kubectl "Client Version" version --client
program helm2 helm '^Client: v2\.' version --client --short
program helm3 helm3 '^v3\.' version --client --short

as_admin() { "$work/bin/kubectl" --kubeconfig "$admin" "$@"; }

# A copy with one context and without other files, since `use` writes into a kubeconfig.
"$work/bin/kubectl" --kubeconfig "$yours" config view --raw --minify --flatten >"$admin" || die "$yours has no current context"
chmod 600 "$admin"
tell "on the cluster of context $(as_admin config current-context): $(as_admin config view -o 'jsonpath={.clusters[0].cluster.server}')"

present=$(as_admin get namespaces --ignore-not-found -o name "${namespaces[@]}") || die "the cluster's namespaces can't be read"
[ -z "$present" ] || die "the cluster has namespaces that the demo would make and remove: ${present//$'\n'/ }; use another cluster"
# helm_tenant_policies: the admission policies of helm-tenant and their bindings, which
# all tenants share; it fails where the cluster has no such kind, or does not show it.
helm_tenant_policies() {
	local all
	all=$(as_admin get validatingadmissionpolicies,validatingadmissionpolicybindings -o name 2>/dev/null) || return 1
	grep '/helm-tenant-' <<<"$all" | sort || true
}
policies=$(helm_tenant_policies) || policies=unknown

alice_is=(--service-account "$people:alice")
bob_is=(--service-account "$people:bob")
carol_is=(--service-account "$people:carol")
audited() { # of a cluster that others made, it may tell of them
	run helm3 tenant audit "${tenants[@]}" --fail-on high || [ $? = 4 ]
}

prepare_yours() {
	local present name
	present=$(KUBECONFIG=$admin helm3 tenant tenants -o name)
	for name in "${tenants[@]}"; do
		if grep -qx "tenant/$name" <<<"$present"; then
			die "the cluster has a tenant $name already; use another cluster"
		fi
	done
	started=yes
	as_admin create namespace "$people" >/dev/null
	for name in alice bob carol; do
		as_admin create serviceaccount "$name" --namespace "$people" >/dev/null
		declare -g "$name=$work/$name"
		cp "$admin" "$work/$name"
		kubectl --kubeconfig "$work/$name" config set-credentials "$name" --token "$(as_admin create token "$name" --namespace "$people" --duration 1h)" >/dev/null
		kubectl --kubeconfig "$work/$name" config set-context --current --user "$name" >/dev/null
	done
}

end_cluster() {
	tell "removing the demo's namespaces from the cluster"
	as_admin delete namespaces --ignore-not-found "${namespaces[@]}" >/dev/null || return 1
	# The admission policies are removed if the demo created them.
	[ "$policies" != unknown ] || return 0
	local brought
	brought=$(comm -13 <(printf '%s\n' "$policies") <(helm_tenant_policies))
	# shellcheck disable=SC2086 # a list of words
	[ -z "$brought" ] || as_admin delete --ignore-not-found $brought >/dev/null
}
