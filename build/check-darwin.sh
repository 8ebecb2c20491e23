#!/usr/bin/env bash
# Everything but guest/ must build and vet for macOS.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOOS=darwin GOARCH=arm64 CGO_ENABLED=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
build/go.sh build -o "$out/" ./arca ./api-frontend ./vmhelper
mapfile -t packages < <(build/go.sh list ./... | grep -vE '/(guest|test|bench)(/|$)')
build/go.sh vet "${packages[@]}"
