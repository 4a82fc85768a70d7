#!/usr/bin/env bash
# Builds a release into dist/ (scripts/release, which documents its variables). The archives
# have no entry for "./", symlinks or pax headers, which
# Helm 2 can't unpack. -trimpath lets all copies of the source share what Go has compiled.
set -euo pipefail
cd "$(dirname "$0")/release"
exec go run -trimpath . "$@"
