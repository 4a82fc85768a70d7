#!/usr/bin/env bash
# Feeds each parser generated inputs: fuzz.sh COUNT, the number of inputs for each function
# (1000x) or a duration. Each package is compiled once, however many such functions it has:
# `go test -fuzz` takes one function at a time, and links the program anew for each.
set -euo pipefail
cd "$(dirname "$0")/.."
count=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(go env GOCACHE)/fuzz # where go test keeps the inputs that reached new code
module=$(go list -m)
grep -rlE --include='*_test.go' --exclude-dir=test '^func Fuzz' . | xargs -n1 dirname | sort -u >"$work/packages"
while read -r package; do
	echo "compiling $package"
	go test -c -fuzz . -o "$work/program" "$package"
	(
		cd "$package" # the program reads and writes testdata
		for function in $("$work/program" -test.list '^Fuzz'); do
			echo "$function"
			"$work/program" -test.run '^$' -test.fuzz "^$function\$" -test.fuzztime "$count" \
				-test.fuzzcachedir "$cache/$module/${package#./}"
		done
	)
done <"$work/packages"
