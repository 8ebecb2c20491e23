#!/usr/bin/env bash
# testcontainers-go as a client of an instance of its own: build/test-testcontainers.sh [TEST FLAGS].
# ARCA_REFERENCE=1 runs the client's tests on Debian's dockerd instead.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec build/as-root.sh "$0" "$@"
mkdir -p out
build/go.sh test -C test/testcontainers/testdata/client -c -o "$PWD/out/testcontainers.test" .
export ARCA_TESTCONTAINERS=$PWD/out/testcontainers.test
if [ -n "${ARCA_REFERENCE:-}" ]; then
	build/go.sh build -o out/fixtures ./test/fixtures/cmd/fixtures
	build/go.sh build -o out/peer ./test/peer/cmd/peer
	cache=${ARCA_CACHE:-$PWD/out/cache}
	out/fixtures --cache "$cache" make busybox counter redis nginx
	TESTCONTAINERS_RYUK_DISABLED=true exec out/peer -fixtures "$PWD/out/fixtures" -cache "$cache" "$ARCA_TESTCONTAINERS" -test.timeout 5m "$@"
fi
exec build/go.sh test -tags integration -count=1 -timeout 10m "$@" ./test/testcontainers/
