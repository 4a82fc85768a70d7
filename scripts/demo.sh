#!/usr/bin/env bash
# The main job, on a throw-away cluster: two tenants, a member who installs a
# chart, the other tenant's member who is refused, a revoke. Every command is
# shown and really run; the script fails where one does not end as it should.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

work=$(mktemp -d "${TMPDIR:-/tmp}/helm-tenant-demo.XXXXXX")
started=
finish() {
	code=$?
	trap - EXIT
	if [ -n "$started" ]; then
		printf '\n%sending the cluster%s\n' "$dim" "$plain"
		"$work/testcluster" down --dir "$work/cluster" || code=1
	fi
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf '%sbuilding helm-tenant and the test cluster; the first time this takes about a quarter of an hour%s\n' "$dim" "$plain"
(cd test && CGO_ENABLED=0 go build -o "$work/testcluster" ./cmd/testcluster)
started=yes
"$work/testcluster" up --size full --dir "$work/cluster" --detach
while IFS=$'\t' read -r name path; do
	case $name in
	helm2) helm=$path ;;
	helm3) helm3=$path ;;
	kubectl) kubectl=$path ;;
	esac
done < <("$work/testcluster" build helm2 helm3 kubectl)
mkdir "$work/bin"
ln -s "$helm" "$work/bin/helm"
ln -s "$helm3" "$work/bin/helm3"
ln -s "$kubectl" "$work/bin/kubectl"
export PATH="$work/bin:$PATH" HELM_HOME="$work/helm"
export HELM_DATA_HOME="$work/helm3/data" HELM_CACHE_HOME="$work/helm3/cache" HELM_CONFIG_HOME="$work/helm3/config"
unset HELM_HOST TILLER_NAMESPACE HELM_TENANT HELM_BIN KUBECONFIG

# A stable repository is not needed, and its old address is gone.
helm init --client-only --skip-refresh --stable-repo-url http://127.0.0.1:1 >/dev/null
helm plugin install "$root" >/dev/null
helm3 plugin install "$root" >/dev/null

admin=$("$work/testcluster" kubeconfig --dir "$work/cluster")
alice=$("$work/testcluster" kubeconfig --dir "$work/cluster" --user alice)
bob=$("$work/testcluster" kubeconfig --dir "$work/cluster" --user bob)
carol=$("$work/testcluster" kubeconfig --dir "$work/cluster" --user carol)
cd test/charts

say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
as() { # as WHO: the kubeconfig of the following commands
	who=$1
	export KUBECONFIG=${!1}
}
show() { printf '%s%s$%s %s\n' "$dim" "$who" "$plain" "$*"; }
run() { show "$@"; "$@"; }
refused() { # the command must fail, and say why in these words
	local words=$1 out
	shift
	show "$@"
	if out=$("$@" 2>&1); then
		printf '%s\n' "$out"
		printf 'demo: this should have been refused\n' >&2
		exit 1
	fi
	printf '%s\n' "$out"
	case $out in
	*"$words"*) ;;
	*)
		printf 'demo: it failed, but not because of: %s\n' "$words" >&2
		exit 1
		;;
	esac
}

say "An admin makes two tenants, each with a Tiller that can act in its namespace only"
as admin
run helm tenant init team-a --namespaces a --create-namespaces --user alice
run helm tenant init team-b --namespaces b --create-namespaces --user bob

say "Alice has no right in the cluster but to reach her tenant's Tiller"
as alice
refused "cannot list resource" kubectl get pods --namespace a
refused "cannot create resource" kubectl create configmap x --namespace a

say "She says once which tenant she is, then it is helm as she knows it"
run helm tenant use team-a
run helm tenant install hello --name greeter --wait
run helm tenant list

say "Bob is a member of the other tenant"
as bob
run helm tenant use team-b
run helm tenant list
refused "is forbidden" helm --tiller-namespace team-a-tiller list
refused "is forbidden" helm tenant install hello --name intruder --namespace a

say "A revoke takes effect at once"
as admin
run helm tenant revoke team-a --user alice
as alice
refused "is forbidden" helm tenant list

say "With Helm 3 nothing runs: Carol may act as the tenant's account, in its namespace only"
as admin
run helm3 tenant init team-c --namespaces c --create-namespaces --user carol
as carol
refused "cannot list resource" kubectl get pods --namespace c
run helm3 tenant use team-c
run helm3 tenant install greeter hello
run helm3 tenant list
refused "is forbidden" helm3 tenant install intruder hello --namespace b
refused "cannot impersonate" kubectl --as system:serviceaccount:team-b-tiller:tiller get pods --namespace b

say "The administrator sees what there is, and who can do what"
as admin
run helm3 tenant tenants
run helm3 tenant audit --fail-on high

say "Somebody gives Mallory a right too many"
run kubectl create role oops --namespace team-b-tiller --verb create --resource pods/portforward
run kubectl create rolebinding oops --namespace team-b-tiller --role oops --user mallory
show helm3 tenant audit team-b
code=0
helm3 tenant audit team-b || code=$?
if [ "$code" != 4 ]; then
	printf 'demo: an audit that finds something ends with 4, not with %s\n' "$code" >&2
	exit 1
fi
