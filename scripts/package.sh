#!/usr/bin/env bash
# Builds a release into dist/ (scripts/release, which documents its variables). The archives
# have no entry for "./", symlinks or pax headers, which
# Helm 2 can't unpack. -trimpath lets all copies of the source share what Go has compiled.
set -euo pipefail
from=$PWD # paths in flags are the caller's
cd "$(dirname "$0")/release"
# The program itself is built for this machine with the pinned toolchain, whatever the caller's
# settings say.
GOTOOLCHAIN=$(sed -n 's/^toolchain //p' go.mod)
GOOS=$(go env GOHOSTOS) GOARCH=$(go env GOHOSTARCH) GOAMD64=v1 GOARM64=v8.0
GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0
export GOTOOLCHAIN GOOS GOARCH GOAMD64 GOARM64 GOFLAGS GOWORK CGO_ENABLED
exec go run -trimpath . -from "$from" "$@"
