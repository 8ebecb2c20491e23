#!/usr/bin/env bash
# The real docker CLI against an instance of its own. Root, for the namespace driver.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
exec build/go.sh test -tags integration -count=1 -timeout 15m -parallel "${ARCA_PARALLEL:-4}" "$@" ./test/integration/... ./test/crash/...
