#!/usr/bin/env bash
# The same command lines on Debian's dockerd and on Arca: build/compare.sh [-only TEXT].
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
mkdir -p out
build/go.sh build -o out/fixtures ./test/fixtures/cmd/fixtures
build/go.sh build -o out/compare ./test/compare
exec out/compare -fixtures "$PWD/out/fixtures" "$@"
