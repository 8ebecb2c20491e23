#!/usr/bin/env bash
# Runs each fuzz target for a few seconds: FUZZ_SECONDS (default 3), PACKAGES (default ./...).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-3}
root=$PWD
log=$(mktemp)
trap 'rm -f "$log"' EXIT
while IFS=: read -r file line; do
	target=$(sed -nE 's/.*func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' <<<"$line")
	package=./$(dirname "$file")
	echo "fuzz $package $target"
	# What go test says while it fuzzes is of interest only when it fails.
	build/go.sh test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 100x "$package" >"$log" 2>&1 || {
		# go test may take the end of its own time for a failure when a target is slow: then it names no input.
		grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input written' "$log" || { cat "$log" >&2; exit 1; }
	}
	tail -n 1 "$log"
done < <(git grep -nE '^func Fuzz[A-Za-z0-9_]+\(' -- '*_test.go' | sed -E 's/^([^:]+):[0-9]+:/\1:/')
cd "$root"
