#!/usr/bin/env bash
# Real stacks with Docker Compose 2 and 5, and what containers reach from inside, on instances of their own:
# build/test-compose.sh [TEST FLAGS].
# ARCA_REFERENCE=1 runs the same tests on Debian's dockerd, with Compose 2 alone: it is too old for Compose 5.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
if [ -n "${ARCA_REFERENCE:-}" ]; then
	ARCA_COMPOSE=$(build/clients.sh compose-v2)
	export ARCA_COMPOSE
	mkdir -p out
	build/go.sh build -o out/fixtures ./test/fixtures/cmd/fixtures
	build/go.sh build -o out/peer ./test/peer/cmd/peer
	build/go.sh test -tags integration -c -o out/compose.test ./test/compose
	build/go.sh test -tags integration -c -o out/reach.test ./test/reach
	cache=${ARCA_CACHE:-$PWD/out/cache}
	out/fixtures --cache "$cache" make busybox counter redis mariadb nginx wordpress probe
	for suite in compose reach; do
		out/peer -fixtures "$PWD/out/fixtures" -cache "$cache" sh -c 'cd "test/$0" && exec "$@"' $suite "$PWD/out/$suite.test" -test.timeout 15m -test.parallel 4 "$@"
	done
	exit
fi
ARCA_COMPOSE=$(build/clients.sh compose-v2 compose-v5)
export ARCA_COMPOSE
exec build/go.sh test -tags integration -count=1 -p 1 -timeout 15m -parallel "${ARCA_PARALLEL:-4}" "$@" ./test/compose/ ./test/reach/
