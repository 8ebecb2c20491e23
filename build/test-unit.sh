#!/usr/bin/env bash
# Unit tests with the race detector.
set -euo pipefail
cd "$(dirname "$0")/.."
CGO_ENABLED=1 build/go.sh test -C build/runc github.com/seccomp/libseccomp-golang
exec build/go.sh test -race -timeout 10m ./...
