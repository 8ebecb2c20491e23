#!/usr/bin/env bash
# The storms: ARCA_SOAK=1 runs them whole, 0.1 at a tenth.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
export ARCA_SOAK=${ARCA_SOAK:-1}
build/go.sh test -tags soak -count=1 -timeout 60m "$@" ./test/soak/...
# Whole: every failpoint fails in every way (test/crash/fault), and the kills go on longer.
[ "$ARCA_SOAK" != 1 ] || exec build/go.sh test -tags integration -count=1 -timeout 120m "$@" ./test/crash/...
