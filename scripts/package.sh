#!/usr/bin/env bash
# Builds a release into dist/ (scripts/release, which documents its variables). The archives
# have no entry for "./", symlinks or pax headers, which
# Helm 2 can't unpack. -trimpath lets all copies of the source share what Go has compiled.
set -euo pipefail
from=$PWD # paths are the caller's
for variable in SIGNING_KEYRING SIGNING_PASSPHRASE_FILE; do
	[[ ${!variable:-/} == /* ]] || export "$variable=$PWD/${!variable}"
done
cd "$(dirname "$0")/release"
# The program itself is built for this machine with the pinned toolchain, whatever the caller's
# settings say.
GOTOOLCHAIN=$(sed -n 's/^toolchain //p' go.mod)
GOOS=$(go env GOHOSTOS) GOARCH=$(go env GOHOSTARCH) GOAMD64=v1 GOARM64=v8.0
GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0
export GOTOOLCHAIN GOOS GOARCH GOAMD64 GOARM64 GOFLAGS GOWORK CGO_ENABLED
# Behind the program's own words, go run says "exit status 1". A Ctrl-C ends what it says last.
exec go run -trimpath . -from "$from" "$@" 2> >(trap '' INT && exec sed '/^exit status [0-9]*$/d' >&2)
