#!/usr/bin/env bash
# Makes the image of the networks' helper, bin/helper-image.tar, from Debian packages and bin/arca-network. What was fetched
# once is kept in the cache; an image of the same inputs is not made again.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(build/go.sh env GOOS)" = linux ] || exit 0
if [ ! -f bin/helper-image.tar ] && ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then
	echo "build: bin/helper-image.tar is missing, and this machine has no apt-get to make it from: containers get no egress until it is there (helpervm/image/Dockerfile makes it, too)" >&2
	exit 0
fi
version=${ARCA_VERSION:-$(git describe --tags 2>/dev/null || echo 0.1.0-dev)}
exec build/go.sh run ./helpervm/image/cmd/mkimage --cache "${ARCA_CACHE:-$PWD/out/cache}" --tag "arca/helper:$version"
