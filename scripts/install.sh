#!/bin/sh
# Puts the plugin's binary into bin/ of the plugin's folder: the one of this
# system that a release archive brings, with its SHA256SUMS, if there is one, else
# one that is built with Go, else, only when HELM_TENANT_URL names where releases
# are kept, one that is downloaded and checked against the SHA256SUMS beside this
# script's parent folder. What lies in dist/ of a checkout is no release.
#
# HELM_TENANT_URL is a folder's address: the file asked for is
# helm-tenant-OS-ARCH[.exe] in it. SHA256SUMS comes with the plugin, not from
# that address.
set -eu

root=${HELM_PLUGIN_DIR:-$(cd "$(dirname "$0")/.." && pwd)}

say() { printf 'helm-tenant: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

case $(uname -s) in
Linux) os=linux ;;
Darwin) os=darwin ;;
MINGW* | MSYS* | CYGWIN* | Windows_NT) os=windows ;;
*) fail "there is no build for $(uname -s)" ;;
esac
case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
*) fail "there is no build for $(uname -m)" ;;
esac
exe=
if [ "$os" = windows ]; then exe=.exe; fi
name=helm-tenant-$os-$arch$exe
target=$root/bin/helm-tenant$exe

checksum() { # prints the SHA-256 of a file
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum "$1" | cut -d' ' -f1
	else
		shasum -a 256 "$1" | cut -d' ' -f1
	fi
}

verify() { # FILE NAME: holds FILE against the line for NAME in SHA256SUMS
	[ -f "$root/SHA256SUMS" ] || fail "there is no SHA256SUMS in $root to check $2 against"
	wanted=$(awk -v name="$2" '$2 == name || $2 == "*" name { print $1 }' "$root/SHA256SUMS")
	[ -n "$wanted" ] || fail "SHA256SUMS has no line for $2"
	have=$(checksum "$1")
	[ "$have" = "$wanted" ] || fail "the checksum of $2 is $have, SHA256SUMS says $wanted; it is not used"
}

mkdir -p "$root/bin"
temp=$(mktemp -d "$root/bin/.install.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM

if [ -f "$root/dist/$name" ] && [ -f "$root/SHA256SUMS" ]; then
	cp "$root/dist/$name" "$temp/new"
	verify "$temp/new" "$name"
	how="took the bundled $name"
elif [ -f "$root/go.mod" ] && command -v go >/dev/null 2>&1; then
	say "building with $(go version | cut -d' ' -f3), which takes a minute the first time"
	version=$(sed -n 's/^version: //p' "$root/plugin.yaml")
	(cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X helm-tenant/cli.buildVersion=$version" -o "$temp/new" .)
	how="built it"
elif [ -n "${HELM_TENANT_URL:-}" ]; then
	say "downloading $name from $HELM_TENANT_URL"
	if command -v curl >/dev/null 2>&1; then
		curl --fail --silent --show-error --location --output "$temp/new" "$HELM_TENANT_URL/$name"
	else
		wget -q -O "$temp/new" "$HELM_TENANT_URL/$name"
	fi
	verify "$temp/new" "$name"
	how="downloaded and checked $name"
else
	fail "no binary for $os/$arch comes with this plugin: install Go 1.26 or later and try again, or set HELM_TENANT_URL to the folder of a release"
fi

chmod 755 "$temp/new"
mv -f "$temp/new" "$target"
say "$how: $("$target" --version)"
case $root in
*' '*) say "warning: Helm 2 can't run a plugin whose path holds a space: $root" ;;
esac
