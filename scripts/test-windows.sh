#!/usr/bin/env bash
# Runs the wrapper's tests as Windows programs, under Wine: starting helm, exit
# codes, the parent's command line, kubeconfigs and refusals have code of their own
# there. As root on Debian it installs Wine if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'test-windows: %s\n' "$*" >&2; }

packages=()
command -v wine >/dev/null || packages+=(wine wine64)
command -v x86_64-w64-mingw32-ld >/dev/null || packages+=(binutils-mingw-w64-x86-64)
if [ ${#packages[@]} -gt 0 ]; then
	if [ "$(uname -sm)" != "Linux x86_64" ] || [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		say "missing: ${packages[*]} (Debian's packages for amd64)"
		exit 1
	fi
	say "installing ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >&2
	apt-get install -qy --no-install-recommends "${packages[@]}" >&2
fi

work=$(mktemp -d)
export WINEPREFIX=$work/prefix WINEDEBUG=-all CGO_ENABLED=0 GOOS=windows GOARCH=amd64
trap 'wineserver -k 2>/dev/null || true; rm -rf "$work"' EXIT
say "making a Windows folder for Wine"
wine cmd /c exit >/dev/null 2>&1
system=$WINEPREFIX/drive_c/windows/system32
# Go programs take their first random bytes from this library, which Wine has since version
# 9. It only names a function of another library.
if [ ! -e "$system/bcryptprimitives.dll" ]; then
	cat >"$work/random.def" <<-'DEF'
		LIBRARY bcryptprimitives.dll
		EXPORTS
		  ProcessPrng = advapi32.SystemFunction036
	DEF
	x86_64-w64-mingw32-as -o "$work/random.o" /dev/null
	x86_64-w64-mingw32-ld -shared --entry=0 -o "$system/bcryptprimitives.dll" "$work/random.o" "$work/random.def"
fi
say "testing the programs for Windows"
go test -exec wine -timeout 30m -count=1 -short ./command ./helm ./visible
export FAKE_HELM_PROGRAM=$work/fakehelm.exe # Wine's drive Z has the same paths
go build -o "$FAKE_HELM_PROGRAM" ./cli/testdata/fakehelm
scripts() { go test -exec wine -timeout 30m -count=1 -run 'TestScripts' ./cli 2>&1 | tee "$work/scripts"; }
# Of some thousand processes Wine has once failed to start one, with an error of its own.
scripts || { grep -q 'fork/exec .*: Internal error' "$work/scripts" && say "Wine failed to start a process; once more" && scripts; }
