#!/usr/bin/env bash
# Makes busybox, hello-world and nginx from Debian packages and loads them into the running Arca: no registry is asked.
# usage: build/images.sh [--home DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
home=${ARCA_HOME:-}
[ "${1:-}" = --home ] && home=$2
if [ -z "$home" ]; then
	[ "$(id -u)" = 0 ] && [ "$(uname -s)" = Linux ] && home=/var/lib/arca || home=$HOME/.arca
fi
[ -S "$home/run/arca.sock" ] || { echo "images: Arca does not run in $home: run \`make up\` first" >&2; exit 1; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "images: the images are made from Debian packages, and this machine has no apt-get: pull images from a registry instead" >&2; exit 1; }
command -v docker >/dev/null || { echo "images: the docker CLI is missing: \`make prerequisites\` says how to get it" >&2; exit 1; }
mkdir -p out/cache
file=$(mktemp out/cache/images-XXXXXX.tar)
trap 'rm -f "$file"' EXIT
build/go.sh run ./test/fixtures/cmd/fixtures --cache out/cache save --output "$file" busybox hello-world nginx
docker --host "unix://$home/run/arca.sock" load --input "$file"
