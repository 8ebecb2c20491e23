#!/usr/bin/env bash
# gofmt and golangci-lint, the linter pinned in build/tools and built once into out/cache.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$(build/go.sh env GOROOT)/bin:$PATH"
bad=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
[ -z "$bad" ] || { echo "not gofmt-ed:" >&2; echo "$bad" >&2; exit 1; }
cache=${ARCA_CACHE:-$PWD/out/cache}
version=$(awk '$1 == "github.com/golangci/golangci-lint/v2" {print $2; exit}' build/tools/go.mod)
linter=$cache/golangci-lint-$version
if [ ! -x "$linter" ]; then
	echo "building golangci-lint $version, once" >&2
	mkdir -p "$cache"
	build/go.sh build -C build/tools -o "$linter.new" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	mv "$linter.new" "$linter"
fi
"$linter" run ./...
"$linter" run --build-tags integration,soak ./test/...
