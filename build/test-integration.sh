#!/usr/bin/env bash
# The real docker CLI against an instance of its own. Root, for the namespace driver.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
# One package at a time: each measures what its instance leaves, and what is killed comes back late on a busy machine.
exec build/go.sh test -tags integration -count=1 -p 1 -timeout 30m -parallel "${ARCA_PARALLEL:-4}" "$@" ./test/integration/... ./test/crash/
