#!/usr/bin/env bash
# Checks that the system has the requirements of the tests and of the test cluster's `full`
# size, and installs missing ones as root with apt-get. Otherwise it says what to install, and
# exits with 1. Everything else in the cluster is built from module sources (test/parts).
#
#   test-prerequisites.sh            for the tests
#   test-prerequisites.sh cluster    for a cluster alone: no browser, no other shells
set -euo pipefail

say() { printf 'test-prerequisites: %s\n' "$*" >&2; }

if [ "$(uname -s)" != Linux ]; then
	say "the full test cluster needs Linux, and this is $(uname -s); the api size runs without it"
	exit 1
fi

# A user's PATH on Debian leaves out the folders that hold iptables and ip.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

lacking=()  # what is not there, as a person knows it
packages=() # the Debian packages that bring it
lacks() {
	lacking+=("$1")
	packages+=("${@:2}")
}

# kube-proxy and the portmap plugin write iptables rules (in the cluster's own
# network namespace).
command -v iptables >/dev/null || lacks iptables iptables
# kube-router keeps the addresses that NetworkPolicies name in sets.
command -v ipset >/dev/null || lacks ipset ipset
command -v ip >/dev/null || lacks ip iproute2
command -v nsenter >/dev/null || lacks nsenter util-linux
command -v mount >/dev/null || lacks mount mount
# runc is the one part that needs a C compiler, and libseccomp for pods that ask
# for the RuntimeDefault profile.
if ! command -v gcc >/dev/null || ! printf '#include <stdlib.h>\n' | gcc -fsyntax-only -xc - 2>/dev/null; then
	lacks gcc gcc libc6-dev
fi
if ! command -v pkg-config >/dev/null; then
	lacks pkg-config pkg-config
	lacks "libseccomp's headers" libseccomp-dev
elif ! pkg-config --exists libseccomp; then
	lacks "libseccomp's headers" libseccomp-dev
fi

if [ "${1:-}" != cluster ]; then
	# The shells that completion, shellenv and printed commands are tested in.
	command -v dash >/dev/null || lacks dash dash
	command -v zsh >/dev/null || lacks zsh zsh
	command -v fish >/dev/null || lacks fish fish
	[ -f /usr/share/bash-completion/bash_completion ] || lacks bash-completion bash-completion

	command -v shellcheck >/dev/null || lacks shellcheck shellcheck
	# The queries of docs/audit-log.md.
	command -v jq >/dev/null || lacks jq jq
	# scripts/install.sh downloads a release with either, and checks its signature.
	command -v curl >/dev/null || lacks curl curl
	command -v wget >/dev/null || lacks wget wget
	command -v gpg >/dev/null || lacks gpg gpg
	# The browser for the tests of the audit's page; a font so that its text has a width.
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || lacks chromium chromium fonts-dejavu-core
fi

if [ ${#lacking[@]} -gt 0 ]; then
	missing=$(printf '%s, ' "${lacking[@]}")
	missing=${missing%, }
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		say "missing: $missing; install it (Debian: sudo apt-get install ${packages[*]})"
		exit 1
	fi
	say "missing: $missing; installing ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >&2
	apt-get install -qy --no-install-recommends "${packages[@]}" >&2
fi

# Without it no NetworkPolicy applies to packets between two pods of one node.
if [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] && ! modprobe br_netfilter 2>/dev/null; then
	say "missing: the kernel module br_netfilter; load it (sudo modprobe br_netfilter)"
	exit 1
fi

if [ "$(id -u)" -ne 0 ]; then
	say "the full test cluster needs root, for its namespaces: run the tests with sudo"
	exit 1
fi
say "all there"
