#!/usr/bin/env bash
# A JavaScript client, dockerode, against an instance of its own. Its modules go below out/, never into the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
if ! command -v npm >/dev/null; then
	echo "installing nodejs and npm for the dockerode tests" >&2
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nodejs npm >/dev/null
fi
work=${ARCA_CACHE:-$PWD/out/cache}/dockerode
mkdir -p "$work"
cp test/dockerode/package.json test/dockerode/package-lock.json test/dockerode/*.js "$work/"
if ! cmp -s "$work/package-lock.json" "$work/node_modules/.installed"; then
	(cd "$work" && npm ci --no-audit --no-fund --loglevel=error && cp package-lock.json node_modules/.installed)
fi
ARCA_DOCKERODE=$work exec build/go.sh test -tags integration -count=1 -timeout 10m "$@" ./test/dockerode/...
