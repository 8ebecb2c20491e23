#!/usr/bin/env bash
# The storms and the faults: ARCA_SOAK=1 runs them whole, 0.1 a tenth of them.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
export ARCA_SOAK=${ARCA_SOAK:-1}
build/go.sh test -tags soak -count=1 -timeout 60m "$@" ./test/soak/...
# A part of the failpoints as large (test/crash/fault); ARCA_FAULT takes those that it matches instead.
build/go.sh test -tags integration -count=1 -timeout 120m "$@" ./test/crash/fault/
# Whole: the kills go on longer, too.
[ "$ARCA_SOAK" != 1 ] || exec build/go.sh test -tags integration -count=1 -timeout 120m "$@" ./test/crash/
