#!/usr/bin/env bash
# Unit tests with the race detector.
set -euo pipefail
cd "$(dirname "$0")/.."
exec build/go.sh test -race -timeout 10m ./...
