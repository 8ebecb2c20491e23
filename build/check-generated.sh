#!/usr/bin/env bash
# Generates the code of the .proto files into a copy and compares.
set -euo pipefail
cd "$(dirname "$0")/.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -a proto "$before/"
build/go.sh run ./proto/gen
if ! diff -r proto "$before/proto" >/dev/null; then
	diff -r -q proto "$before/proto" >&2 || true
	rm -rf proto && cp -a "$before/proto" .
	echo "generated code is not up to date: run \`make proto\` and commit" >&2
	exit 1
fi
