#!/usr/bin/env bash
# Measures Arca beside dockerd: build/bench.sh [-only TEXT] [-bytes N] [-many N] [-o FILE].
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
mkdir -p out
build/go.sh build -o out/fixtures ./test/fixtures/cmd/fixtures
CGO_ENABLED=0 build/go.sh build -o out/bench ./bench # Static: it runs in containers, too.
client=$(build/clients.sh compose-v2)
exec out/bench -fixtures "$PWD/out/fixtures" -compose "${client#*=}" "$@"
