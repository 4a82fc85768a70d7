#!/usr/bin/env bash
# release.sh VERSION [ARGS]: makes a release; ARGS are for scripts/package.sh. It checks
# that the tree is clean and that CHANGELOG.md has unreleased changes, writes VERSION into
# plugin.yaml, CHANGELOG.md and the image tags of deploy/, commits, tags, builds dist/ and
# verifies it. It pushes nothing. After a failure, repair the cause and type the same command
# again: it does not repeat finished steps.
set -euo pipefail
for variable in SIGNING_KEYRING SIGNING_PASSPHRASE_FILE; do # paths are the caller's
	[[ ${!variable:-/} == /* ]] || export "$variable=$PWD/${!variable}"
done
cd "$(dirname "$0")/.."

say() { printf 'release: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

export LC_ALL=C # ranges of characters are ASCII's
version=${1:-}
shift || true
# Semantic versions without build metadata, which no tag of an image can have.
number='(0|[1-9][0-9]{0,8})' identifier='(0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)'
[[ $version =~ ^$number\.$number\.$number(-$identifier(\.$identifier)*)?$ && ${#version} -le 64 ]] ||
	fail "\"$version\" is not a version; type: make release VERSION=1.2.3"
for argument in "$@"; do
	case $argument in
	-out* | --out*) fail "a release is built into dist/, where it is verified; $argument is for scripts/package.sh alone" ;;
	-*) ;;
	*) fail "\"$argument\" is no flag; platforms are named by the variable PLATFORMS" ;;
	esac
done
for program in git go sha256sum; do
	command -v "$program" >/dev/null || fail "$program is not installed"
done
[ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ] || fail "this folder is no git repository of its own"
branch=$(git symbolic-ref -q --short HEAD) || fail "no branch is checked out; type: git checkout main"
default=$(git symbolic-ref -q --short refs/remotes/origin/HEAD) || default=origin/main
default=${default#origin/}
case $branch in
"$default" | release-*) ;;
*) fail "branch $branch is checked out, and releases are made on $default or on a branch release-...; type: git checkout $default" ;;
esac
[ -z "$(git status --porcelain)" ] || fail "the tree has changes that are not committed; commit them, or type: git checkout -- . && git clean -n"
if [ -n "${SIGNING_KEYRING:-}" ]; then
	if [ ! -f "$SIGNING_KEYRING" ] || [ ! -r "$SIGNING_KEYRING" ]; then fail "SIGNING_KEYRING $SIGNING_KEYRING can't be read"; fi
	command -v gpg >/dev/null || fail "gpg is not installed; it verifies what SIGNING_KEYRING signs"
fi

for file in plugin.yaml CHANGELOG.md; do
	[ -f "$file" ] || fail "$file is missing"
done
current=$(sed -n 's/^version: //p' plugin.yaml)
[ -n "$current" ] || fail "plugin.yaml has no version"
if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then
	[ "$(git rev-parse "v$version^{commit}")" = "$(git rev-parse HEAD)" ] || fail "v$version is released already: the tag exists, and is not this commit"
	[ "$current" = "$version" ] || fail "the tag v$version is this commit, and plugin.yaml says $current; type: git tag -d v$version"
	say "v$version is tagged; building it"
else
	# 1.2.3-rc.1 comes before 1.2.3: for sort -V, ~ comes before everything.
	order() { sed '/-/!s/$/+/; s/-/~/'; }
	highest=$(printf '%s\n%s\n' "$current" "$version" | order | LC_ALL=C sort -V | tail -1)
	[ "$highest" = "$(echo "$version" | order)" ] || fail "$version is older than $current in plugin.yaml"
	news=$(awk '/^## \[Unreleased\]/ { inside = 1; next } /^## \[/ { inside = 0 } inside && /^- / { print }' CHANGELOG.md)
	grep -q '^## \[Unreleased\]' CHANGELOG.md || fail "CHANGELOG.md has no section [Unreleased]"
	if ! grep -qF "## [$version]" CHANGELOG.md; then
		[ -n "$news" ] || fail "CHANGELOG.md has nothing under [Unreleased]; say what is new in $version"
		heading="## [$version] - $(date -u +%Y-%m-%d)"
	elif [ -n "$news" ]; then
		fail "CHANGELOG.md has $version already, and lines under [Unreleased]: release a later version"
	fi
	bash scripts/package.sh -check "$@" # before anything is tagged that can't be built
	files=(CHANGELOG.md plugin.yaml deploy/*/kustomization.yaml)
	trap 'rm -f "${files[@]/%/.new}"' EXIT
	# All new files are complete before the first takes its place: a disk may be full.
	write() {
		awk -v heading="${heading:-}" '{ print } heading != "" && /^## \[Unreleased\]/ { print ""; print heading }' CHANGELOG.md >CHANGELOG.md.new || return
		sed "s/^version: .*/version: $version/" plugin.yaml >plugin.yaml.new || return
		for file in deploy/*/kustomization.yaml; do # the image of the same version
			sed "s/^\(  newTag:\) .*/\1 $version/" "$file" >"$file.new" || return
		done
	}
	write || fail "the version can't be written, and nothing is changed; see above"
	for file in "${files[@]}"; do
		mv "$file.new" "$file"
	done
	if [ -n "$(git status --porcelain)" ]; then
		git commit -qam "Release $version" || { git checkout -q HEAD -- .; fail "git can't commit, and nothing is changed; see above"; }
	fi
	git tag -a "v$version" -m "helm-tenant $version" || fail "git can't tag the commit, see above; then type the same command again"
fi

bash scripts/package.sh "$@"
say "verifying dist/"
[ -f dist/SHA256SUMS ] || fail "dist/ is missing or incomplete"
(cd dist && sha256sum --quiet -c SHA256SUMS)
if [ -f dist/SHA256SUMS.asc ]; then
	gpg --verify dist/SHA256SUMS.asc dist/SHA256SUMS || fail "the signature can't be verified: import the public key of SIGNING_KEYRING into gpg"
fi
native=dist/helm-tenant-$(go env GOOS)-$(go env GOARCH)
if [ -x "$native" ]; then
	said=$("$native" --version)
	[ "$said" = "helm-tenant $version" ] || fail "the program calls itself \"$said\", not helm-tenant $version"
fi
say "dist/ holds helm-tenant $version; publish it with: git push origin $branch v$version"
