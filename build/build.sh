#!/usr/bin/env bash
# Builds every binary into bin/. ARCA_VERSION overrides the version that git tells.
set -euo pipefail
cd "$(dirname "$0")/.."
go=build/go.sh
version=${ARCA_VERSION:-$(git describe --tags 2>/dev/null || echo 0.1.0-dev)}
runc=$(awk '/github.com\/opencontainers\/runc v/ {print $(NF-(/indirect/?2:0))}' build/runc/go.mod)
commit=$(git rev-parse HEAD 2>/dev/null || true)
flags=(-trimpath -ldflags "-s -w -X github.com/arca-engine/arca/internal/version.Version=$version -X github.com/arca-engine/arca/internal/version.Commit=$commit -X github.com/arca-engine/arca/internal/version.Runc=${runc#v}")
mkdir -p bin
export CGO_ENABLED=0
$go build "${flags[@]}" -o bin/arca ./arca
$go build "${flags[@]}" -o bin/arca-frontend ./api-frontend
$go build "${flags[@]}" -o bin/arca-vmhelper ./vmhelper
if [ "$($go env GOOS)" = linux ]; then
	$go build "${flags[@]}" -o bin/arca-guest ./guest
	$go build "${flags[@]}" -o bin/arca-init ./guest/init
	# Without the commit in it, so that the image is made again only when the program changes.
	$go build -trimpath -buildvcs=false -ldflags "-s -w" -o bin/arca-network ./helpervm
	# runc is a module of its own, static, with seccomp: without that tag every start would fail.
	if [ ! -x bin/runc ] || [ -n "$(find build/runc -newer bin/runc -print -quit)" ]; then
		version=$(awk '$1 == "github.com/opencontainers/runc" {print $2} $1 == "require" && $2 == "github.com/opencontainers/runc" {print $3}' build/runc/go.mod)
		# Docker's default seccomp profile is compiled now, not at every start (build/runc/libseccomp).
		mkdir -p out/runc
		CGO_ENABLED=1 $go run -C build/runc -tags "seccomp netgo osusergo" ./precompile "$PWD/api-frontend/container/oci/testdata/default.json" >out/runc/filters.json
		printf '{"Replace": {"%s": "%s"}}' "$PWD/build/runc/libseccomp/filters.json" "$PWD/out/runc/filters.json" >out/runc/overlay.json
		CGO_ENABLED=1 $go build -C build/runc -trimpath -overlay "$PWD/out/runc/overlay.json" -tags "seccomp netgo osusergo" \
			-ldflags "-s -w -extldflags -static -X main.version=${version#v}" -o "$PWD/bin/runc" github.com/opencontainers/runc
	fi
	build/helper-image.sh
fi
