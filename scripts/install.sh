#!/bin/sh
# Puts the plugin's programs into bin/ of the plugin's folder: on Unix helm-tenant, a small
# program that starts fast, and helm-tenant-full, by which it is replaced for everything that
# it does not do itself; on Windows, and from a release without the small program, the whole
# program as helm-tenant. It takes the first of these that exists:
#
#   1. the programs for this system in dist/ of a release archive, checked against the
#      archive's SHA256SUMS;
#   2. programs that it builds with Go, in a checkout;
#   3. programs that it downloads from HELM_TENANT_URL, the address of a release's folder,
#      checked against the SHA256SUMS in the plugin's folder, or, if there is none, against
#      the one at that address, whose PGP signature (SHA256SUMS.asc) must then be good. A bad signature is refused in any case.
#
# gpg checks the signature with the user's own keyring, or with the file of public
# keys that HELM_TENANT_KEYRING names. curl and wget take a proxy from https_proxy, or
# HTTPS_PROXY, and the hosts that need none from no_proxy, or NO_PROXY.
# Existing programs stay until the new ones are complete and checked.
set -eu

say() { printf 'helm-tenant: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

unset CDPATH # cd would print, and could go elsewhere
root=${HELM_PLUGIN_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
case $root in
/* | [A-Za-z]:*) ;;
*) # go builds in that folder, where a relative path would lead elsewhere
	absolute=$(cd -- "$root" 2>/dev/null && pwd) || fail "HELM_PLUGIN_DIR is no folder: $root"
	root=$absolute
	;;
esac

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
wrapper=helm-tenant-wrapper-$os-$arch
target=$root/bin/helm-tenant$exe

checksum() { # prints the SHA-256 of a file
	# Read from standard input: before the sum of a file whose path has a backslash, as on
	# Windows, sha256sum prints another one.
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum <"$1" | cut -d' ' -f1
	elif command -v shasum >/dev/null 2>&1; then
		shasum -a 256 <"$1" | cut -d' ' -f1
	else
		fail "neither sha256sum nor shasum is installed; install one"
	fi
}

verify() { # FILE NAME SUMS: compares FILE with the line for NAME in the file SUMS
	wanted=$(awk -v name="$2" '$2 == name || $2 == "*" name { print $1 }' "$3")
	[ -n "$wanted" ] || fail "SHA256SUMS has no line for $2"
	have=$(checksum "$1") || exit 1
	[ "$have" = "$wanted" ] || fail "the checksum of $2 is $have, SHA256SUMS says $wanted; the file is not used"
}

patience=60     # seconds in which a server has to send something
least=1024      # bytes a second; a server that is slower for $patience is given up
largest=1048576 # blocks of 512 bytes that a file may have
downloading=    # process ids of a download with wget
watching=

fetch() { # NAME FILE: downloads NAME from the release's address
	if command -v curl >/dev/null 2>&1; then
		(bounded curl --fail --silent --show-error --location --connect-timeout "$patience" --speed-limit "$least" --speed-time "$patience" --output "$2" "$HELM_TENANT_URL/$1")
		return
	fi
	(bounded wget -q -t 1 -T "$patience" -O "$2" "$HELM_TENANT_URL/$1") &
	downloading=$!
	# wget's own limit is for the next byte only, so a few bytes now and then would pass it.
	watch_speed "$2" "$downloading" </dev/null >/dev/null 2>&1 &
	watching=$!
	code=0
	wait "$downloading" || code=$?
	stop_download
	return "$code"
}

bounded() { # COMMAND...: becomes the command, which ends when a file of it gets too large
	ulimit -f "$largest" 2>/dev/null || true # Windows has no such limit
	exec "$@"
}

watch_speed() { # FILE PID: ends the process when the file grows too slowly
	before=0
	while :; do
		# A sleep that outlived us would keep the folder in which helm started us.
		sleep "$patience" &
		sleeping=$!
		trap 'kill "$sleeping"; exit' TERM
		if ! wait "$sleeping" || ! kill -0 "$2"; then
			break
		fi
		size=$(wc -c <"$1") || size=0
		[ $((size - before)) -ge $((least * patience)) ] || kill "$2"
		before=$size
	done
}

stop_download() { # a background process is not ended by Ctrl-C
	# shellcheck disable=SC2086 # each may be empty
	kill $downloading $watching 2>/dev/null || true
	downloading='' watching=''
}

no_room() { # TEXT: fails if this error of the system is about a full disk
	case $1 in
	*'No space left'* | *'uota exceeded'*) fail "there is no room for the plugin's programs in $root: ${1##*: }" ;;
	esac
}

take() { # FILE TO: copies a program of the archive
	said=$(LC_ALL=C cp "$1" "$2" 2>&1) && return
	no_room "$said"
	fail "$1 can't be copied: $said"
}

not_downloaded() { # NAME CODE: says why, as far as curl has not said it
	said=$(LC_ALL=C cp "$0" "$temp/room" 2>&1) || no_room "$said"
	if ! command -v curl >/dev/null 2>&1; then
		case $2 in # of GNU wget, which is silent; others speak
		4) say "wget: no connection, or no answer in time" ;;
		5) say "wget: the server's certificate is not trusted" ;;
		8) say "wget: the server has no such file, or refuses it" ;;
		esac
	fi
	fail "$1 can't be downloaded from $HELM_TENANT_URL"
}

signature() { # SUMS ASC: prints good, bad, unknown (no gpg, or not its key), expired or revoked (the key)
	command -v gpg >/dev/null 2>&1 || { echo unknown; return; }
	if [ -n "${HELM_TENANT_KEYRING:-}" ]; then
		[ -r "$HELM_TENANT_KEYRING" ] || fail "HELM_TENANT_KEYRING $HELM_TENANT_KEYRING can't be read"
		mkdir -m 700 "$temp/gpg"
		# An import reports a failure if no agent can be started, and imports anyway.
		gpg --homedir "$temp/gpg" --no-autostart --batch --quiet --import "$HELM_TENANT_KEYRING" 2>"$temp/gpg.log" || true
		gpg --homedir "$temp/gpg" --no-autostart --batch --quiet --with-colons --list-keys 2>>"$temp/gpg.log" | grep -q '^pub:' ||
			fail "HELM_TENANT_KEYRING $HELM_TENANT_KEYRING holds no PGP keys"
		set -- "$1" "$2" --homedir "$temp/gpg" --no-autostart
	fi
	sums=$1 asc=$2
	shift 2
	gpg "$@" --batch --status-fd 1 --verify "$asc" "$sums" >"$temp/status" 2>/dev/null || true
	if grep -q '^\[GNUPG:\] VALIDSIG ' "$temp/status" && grep -q '^\[GNUPG:\] GOODSIG ' "$temp/status"; then
		echo good
	elif grep -q '^\[GNUPG:\] NO_PUBKEY ' "$temp/status"; then
		echo unknown
	elif grep -q '^\[GNUPG:\] EXPKEYSIG ' "$temp/status"; then
		echo expired
	elif grep -q '^\[GNUPG:\] REVKEYSIG ' "$temp/status"; then
		echo revoked
	else
		echo bad
	fi
}

unvouched() { # prints what to do where no signature shows who made SHA256SUMS
	if [ ! -s "$temp/SHA256SUMS.asc" ]; then
		echo "its signature, SHA256SUMS.asc, can't be downloaded; unpack a release archive instead"
	elif ! command -v gpg >/dev/null 2>&1; then
		echo "install gpg, which checks its signature, or unpack a release archive"
	elif [ -n "${HELM_TENANT_KEYRING:-}" ]; then
		echo "the key that signed it is not in HELM_TENANT_KEYRING, $HELM_TENANT_KEYRING; name a file with the release's public key"
	else
		echo "import the release's public key into gpg, or name its file with HELM_TENANT_KEYRING"
	fi
}

download() { # gets the program into $temp/new, checked
	say "downloading $name from $HELM_TENANT_URL"
	command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1 || fail "neither curl nor wget is installed; install one, or unpack a release archive"
	sums=$root/SHA256SUMS
	fetch SHA256SUMS "$temp/SHA256SUMS" || not_downloaded SHA256SUMS "$?"
	fetch SHA256SUMS.asc "$temp/SHA256SUMS.asc" 2>/dev/null || rm -f "$temp/SHA256SUMS.asc"
	state=unknown
	if [ -s "$temp/SHA256SUMS.asc" ]; then state=$(signature "$temp/SHA256SUMS" "$temp/SHA256SUMS.asc"); fi
	case $state in
	bad) fail "the signature of SHA256SUMS at $HELM_TENANT_URL is bad; nothing is used" ;;
	expired) fail "the key that signed SHA256SUMS at $HELM_TENANT_URL has expired; import its current form, or install a newer release" ;;
	revoked) fail "the key that signed SHA256SUMS at $HELM_TENANT_URL was revoked; install a newer release" ;;
	esac
	if [ ! -f "$sums" ]; then
		[ "$state" = good ] || fail "nothing vouches for SHA256SUMS at $HELM_TENANT_URL: $(unvouched)"
		sums=$temp/SHA256SUMS
	fi
	fetch "$name" "$temp/new" || not_downloaded "$name" "$?"
	verify "$temp/new" "$name" "$sums"
	if grep -q "[ *]$wrapper\$" "$sums"; then
		fetch "$wrapper" "$temp/wrapper" || not_downloaded "$wrapper" "$?"
		verify "$temp/wrapper" "$wrapper" "$sums"
	fi
	how="downloaded and checked $name"
	if [ "$state" = good ]; then how="$how, and its signature"; fi
}

if ! temp=$(LC_ALL=C mkdir -p "$root/bin" 2>&1 && LC_ALL=C mktemp -d "$root/bin/.install.XXXXXX" 2>&1); then
	no_room "$temp"
	fail "the plugin's folder can't be written: $root; install the plugin as a user who owns it, or set HELM_PLUGINS to a folder of your own"
fi
trap 'stop_download; rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
for left in "$root"/bin/.install.*; do # of a run that was killed
	if [ "$left" != "$temp" ] && [ -d "$left" ]; then rm -rf "$left"; fi
done

if [ -f "$root/dist/$name" ] && [ -f "$root/SHA256SUMS" ]; then
	take "$root/dist/$name" "$temp/new"
	verify "$temp/new" "$name" "$root/SHA256SUMS"
	if [ -f "$root/dist/$wrapper" ]; then
		take "$root/dist/$wrapper" "$temp/wrapper"
		verify "$temp/wrapper" "$wrapper" "$root/SHA256SUMS"
	fi
	how="took the bundled $name"
elif [ -f "$root/go.mod" ] && command -v go >/dev/null 2>&1; then
	say "building with $(cd "$root" && go version | cut -d' ' -f3), which takes a minute the first time"
	version=$(sed -n 's/^version: //p' "$root/plugin.yaml")
	# The checkout may belong to another user, whose git metadata git refuses to read.
	build() { # PACKAGE FILE
		(cd "$root" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X helm-tenant/wrapper.buildVersion=$version" -o "$2" "$1")
	}
	build . "$temp/new"
	if [ "$os" != windows ]; then build ./cmd/wrapper "$temp/wrapper"; fi
	how="built it"
elif [ -n "${HELM_TENANT_URL:-}" ]; then
	HELM_TENANT_URL=${HELM_TENANT_URL%/}
	if [ -z "${https_proxy:-}" ] && [ -n "${HTTPS_PROXY:-}" ]; then
		https_proxy=$HTTPS_PROXY
		export https_proxy # wget reads that one alone
	fi
	if [ -z "${no_proxy:-}" ] && [ -n "${NO_PROXY:-}" ]; then
		no_proxy=$NO_PROXY
		export no_proxy
	fi
	download
elif [ -f "$root/dist/$name" ]; then
	fail "SHA256SUMS, which vouches for the programs in dist/, is missing from $root; unpack the release archive again"
else
	fail "no binary for $os/$arch comes with this plugin: install Go 1.26 or later and try again, or set HELM_TENANT_URL to the folder of a release"
fi

chmod 755 "$temp/new"
if [ -f "$temp/wrapper" ]; then
	chmod 755 "$temp/wrapper"
	mv -f "$temp/new" "$root/bin/helm-tenant-full"
	mv -f "$temp/wrapper" "$target"
else
	mv -f "$temp/new" "$target"
	rm -f "$root/bin/helm-tenant-full"
fi
say "$how: $("$target" --version)"
case ${HELM_PLUGINS+newer}$root in # Helm 3 and 4 set HELM_PLUGINS for a hook, and Helm 2 does not
newer*) ;;
*' '*) say "warning: Helm 2 can't run a plugin whose path holds a space: $root" ;;
esac
