#!/usr/bin/env bash
# Runs a script of this directory as root, keeping the environment that the tests read: build/as-root.sh SCRIPT...
set -euo pipefail
if [ "$(id -u)" = 0 ]; then exec "$@"; fi
command -v sudo >/dev/null || { echo "$1 needs root (it starts sandboxes) and sudo is not installed: run it as root" >&2; exit 1; }
echo "asking sudo for root: $1 starts sandboxes" >&2
exec sudo --preserve-env=ARCA_CACHE,ARCA_BIN,ARCA_SOAK,ARCA_KEEP,GOPROXY,GOSUMDB,GOFLAGS,GOCACHE,GOMODCACHE,PATH -- "$@"
