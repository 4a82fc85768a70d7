#!/usr/bin/env bash
# The main job: two tenants, a member who installs a chart, the other tenant's member who
# is refused, a revoke. Every shown command runs; the script fails if one does not end as
# expected.
#
#   demo.sh                      on a throw-away cluster, which it builds and starts
#   demo.sh --kubeconfig FILE    on a cluster of yours, as an administrator of it: in
#                                namespaces of its own, which it removes in the end
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}
yours=
case ${1:-} in
--kubeconfig) yours=$(realpath -e "${2:?a file is missing behind --kubeconfig}") || die "there is no kubeconfig $2" ;;
"") ;;
*) die "unknown argument $1; usage: demo.sh [--kubeconfig FILE]" ;;
esac

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
tell() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/helm-tenant-demo.XXXXXX")
started=
finish() {
	code=$?
	trap - EXIT
	if [ -n "$started" ]; then
		printf '\n'
		end_cluster || code=1
	fi
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tell "building the test cluster's command"
(cd test && CGO_ENABLED=0 go build -o "$work/testcluster" ./cmd/testcluster)
mkdir "$work/bin"

# part NAME AS: puts a program of the test cluster on PATH as AS, and builds it if necessary.
part() {
	local path
	path=$("$work/testcluster" build "$1" | cut -f 2)
	ln -sf "$path" "$work/bin/$2"
}
# program NAME AS WORDS ARG...: uses the program on PATH if its output has WORDS, otherwise
# that part.
program() {
	local part=$1 as=$2 words=$3 found out
	shift 3
	for name in "$as" helm; do
		found=$(command -v "$name" || true)
		[ -n "$found" ] || continue
		out=$("$found" "$@" 2>/dev/null) || continue
		if grep -q "$words" <<<"$out"; then
			ln -sf "$(realpath "$found")" "$work/bin/$as"
			return
		fi
	done
	part "$part" "$as"
}

if [ -z "$yours" ]; then
	tell "building and starting a cluster; the first time this takes about a quarter of an hour"
	end_cluster() {
		tell "ending the cluster"
		"$work/testcluster" down --dir "$work/cluster"
	}
	started=yes
	"$work/testcluster" up --size full --dir "$work/cluster" --detach
	part helm2 helm
	part helm3 helm3
	part kubectl kubectl
	a=a b=b c=c
	admin=$("$work/testcluster" kubeconfig --dir "$work/cluster")
	for name in alice bob carol; do
		declare "$name=$("$work/testcluster" kubeconfig --dir "$work/cluster" --user "$name")"
	done
	alice_is=(--user alice) bob_is=(--user bob) carol_is=(--user carol)
	audited() { run helm3 tenant audit --fail-on high; }
else
	# shellcheck source=scripts/demo-yours.sh
	. scripts/demo-yours.sh
fi
export PATH="$work/bin:$PATH" HELM_HOME="$work/helm"
export HELM_DATA_HOME="$work/helm3/data" HELM_CACHE_HOME="$work/helm3/cache" HELM_CONFIG_HOME="$work/helm3/config"
unset HELM_HOST TILLER_NAMESPACE HELM_TENANT HELM_BIN KUBECONFIG

# The stable repository is not needed, and its old address no longer exists.
helm init --client-only --skip-refresh --stable-repo-url http://127.0.0.1:1 >/dev/null
helm plugin install "$root" >/dev/null
helm3 plugin install "$root" >/dev/null
if [ -n "$yours" ]; then prepare_yours; fi
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
run helm tenant init team-a --namespaces "$a" --create-namespaces "${alice_is[@]}"
run helm tenant init team-b --namespaces "$b" --create-namespaces "${bob_is[@]}"

say "Alice has no right in the cluster but to reach her tenant's Tiller"
as alice
refused "cannot list resource" kubectl get pods --namespace "$a"
refused "cannot create resource" kubectl create configmap x --namespace "$a"

say "She says once which tenant she is, then it is helm as she knows it"
run helm tenant use team-a
run helm tenant install hello --name greeter --wait
run helm tenant list

say "Bob is a member of the other tenant"
as bob
run helm tenant use team-b
run helm tenant list
refused "is forbidden" helm --tiller-namespace team-a-tiller list
refused "is forbidden" helm tenant install hello --name intruder --namespace "$a"

say "A revoke takes effect at once"
as admin
run helm tenant revoke team-a "${alice_is[@]}"
as alice
refused "is forbidden" helm tenant list

say "With Helm 3 nothing runs: Carol may act as the tenant's account, in its namespace only"
as admin
run helm3 tenant init team-c --namespaces "$c" --create-namespaces "${carol_is[@]}"
as carol
refused "cannot list resource" kubectl get pods --namespace "$c"
run helm3 tenant use team-c
run helm3 tenant install greeter hello
run helm3 tenant list
refused "is forbidden" helm3 tenant install intruder hello --namespace "$b"
refused "cannot impersonate" kubectl --as system:serviceaccount:team-b-tiller:tiller get pods --namespace "$b"

say "The administrator sees what there is, and who can do what"
as admin
run helm3 tenant tenants
audited

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
