#!/usr/bin/env bash
# Builds the real clients that tests use, each a small module of its own below build/clients, once into the cache:
# build/clients.sh compose-v2 compose-v5. Tells on stdout a line NAME=PATH for each.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${ARCA_CACHE:-$PWD/out/cache}/clients
mkdir -p "$cache"

# package_of NAME: what a client is built from.
package_of() {
	case $1 in
	compose-v2) echo github.com/docker/compose/v2/cmd ;;
	compose-v5) echo github.com/docker/compose/v5/cmd ;;
	*) echo "clients: there is no client $1" >&2; return 1 ;;
	esac
}

# version_of NAME: what its go.mod pins.
version_of() {
	local package
	package=$(package_of "$1")
	awk -v p="$package" '{v = $1 == "require" ? $3 : $2; n = $1 == "require" ? $2 : $1} v ~ /^v/ && index(p "/", n "/") == 1 {print v; exit}' "build/clients/$1/go.mod"
}

for name in "$@"; do
	package=$(package_of "$name")
	version=$(version_of "$name")
	program=$cache/$name-$version
	exec 9>"$cache/$name.lock"
	flock 9
	if [ ! -x "$program" ]; then
		echo "building $name $version, once: some minutes" >&2
		# Both composes tell their version from this variable.
		symbol=github.com/docker/compose/${name#compose-}/internal.Version
		CGO_ENABLED=0 build/go.sh build -C "build/clients/$name" -trimpath -ldflags "-s -w -X $symbol=$version" -o "$program.new" "$package"
		mv "$program.new" "$program"
	fi
	exec 9>&-
	echo "$name=$program"
done
