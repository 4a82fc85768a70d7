#!/usr/bin/env bash
# release.sh VERSION: makes a release. It checks that the tree is clean and that
# CHANGELOG.md says what is new, writes VERSION into plugin.yaml and CHANGELOG.md,
# commits, tags, builds dist/ and verifies it. It pushes nothing. What stopped it is
# mended and the same command typed again: steps that are done are not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'release: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

version=${1:-}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
	fail "\"$version\" is not a version; type: make release VERSION=1.2.3"
[ -z "$(git status --porcelain)" ] || fail "the tree has changes that are not committed"

current=$(sed -n 's/^version: //p' plugin.yaml)
if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then
	[ "$(git rev-parse "v$version^{commit}")" = "$(git rev-parse HEAD)" ] || fail "the tag v$version exists and is not this commit"
	say "v$version is tagged; building it"
else
	highest=$(printf '%s\n%s\n' "${current%%-*}" "${version%%-*}" | sort -V | tail -1)
	[ "$highest" = "${version%%-*}" ] || fail "$version is older than $current in plugin.yaml"
	news=$(awk '/^## \[Unreleased\]/ { inside = 1; next } /^## \[/ { inside = 0 } inside && /^- / { print }' CHANGELOG.md)
	if ! grep -qF "## [$version]" CHANGELOG.md; then
		[ -n "$news" ] || fail "CHANGELOG.md has nothing under [Unreleased]; say what is new in $version"
		today=$(date -u +%Y-%m-%d)
		awk -v heading="## [$version] - $today" '{ print } /^## \[Unreleased\]/ { print ""; print heading }' CHANGELOG.md >CHANGELOG.md.new
		mv CHANGELOG.md.new CHANGELOG.md
	elif [ -n "$news" ]; then
		fail "CHANGELOG.md has both [$version] and lines under [Unreleased]; move them"
	fi
	sed "s/^version: .*/version: $version/" plugin.yaml >plugin.yaml.new
	mv plugin.yaml.new plugin.yaml
	for file in deploy/*/kustomization.yaml; do # the image of the same version
		sed "s/^\(  newTag:\) .*/\1 $version/" "$file" >"$file.new"
		mv "$file.new" "$file"
	done
	if [ -n "$(git status --porcelain)" ]; then git commit -qam "Release $version"; fi
	git tag -a "v$version" -m "helm-tenant $version"
fi

bash scripts/package.sh
say "verifying dist/"
(cd dist && sha256sum --quiet -c SHA256SUMS)
if [ -f dist/SHA256SUMS.asc ]; then
	gpg --verify dist/SHA256SUMS.asc dist/SHA256SUMS || fail "the signature can't be verified: import the public key of SIGNING_KEYRING into gpg"
fi
native=dist/helm-tenant-$(go env GOOS)-$(go env GOARCH)
if [ -x "$native" ]; then
	said=$("$native" --version)
	[ "$said" = "helm-tenant $version" ] || fail "the program calls itself \"$said\", not helm-tenant $version"
fi
say "dist/ holds helm-tenant $version; publish it with: git push origin main v$version"
