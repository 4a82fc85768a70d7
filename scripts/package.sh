#!/usr/bin/env bash
# Builds the release into dist/: a binary for each platform, SHA256SUMS, and for
# each platform two archives of the plugin. Helm 2 and 3 want plugin.yaml at the
# archive's root; Helm 4, when the archive is a file, in a folder that has the
# name that it takes the file's for: what stands before -VERSION.
#
# Neither has an entry for "./", symlinks or pax headers, which Helm 2 can't
# unpack.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version: //p' plugin.yaml)
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}

rm -rf dist
mkdir -p dist
for platform in $platforms; do
	os=${platform%/*} arch=${platform#*/}
	name=helm-tenant-$os-$arch
	if [ "$os" = windows ]; then name=$name.exe; fi
	echo "building $name"
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X helm-tenant/cli.buildVersion=$version" -o "dist/$name" .
done
(cd dist && sha256sum helm-tenant-* >SHA256SUMS)

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
for platform in $platforms; do
	os=${platform%/*} arch=${platform#*/}
	name=helm-tenant-$os-$arch
	binary=$name
	if [ "$os" = windows ]; then binary=$name.exe; fi
	rm -rf "$stage/tenant"
	mkdir -p "$stage/tenant/scripts" "$stage/tenant/dist"
	cp plugin.yaml plugin.complete LICENSE README.md "$stage/tenant/"
	cp dist/SHA256SUMS "$stage/tenant/"
	cp scripts/install.sh "$stage/tenant/scripts/"
	cp "dist/$binary" "$stage/tenant/dist/"
	(cd "$stage/tenant" && tar --format=ustar --owner=0 --group=0 --numeric-owner -czf - -- *) >"dist/$name-$version.tgz"
	(cd "$stage" && tar --format=ustar --owner=0 --group=0 --numeric-owner -czf - tenant) >"dist/tenant-$version-$os-$arch-helm4.tgz"
done
(cd dist && sha256sum -- *.tgz >>SHA256SUMS)
ls -1 dist
