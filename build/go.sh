#!/usr/bin/env bash
# Runs go with the toolchain that go.mod asks for, at low noise: build/go.sh ARGUMENTS...
set -euo pipefail
cd "$(dirname "$0")/.."
go=$(command -v go || true)
for candidate in /usr/local/go/bin/go /usr/lib/go/bin/go "$PWD/out/toolchain/go/bin/go"; do
	[ -n "$go" ] || { [ -x "$candidate" ] && go=$candidate; }
done
[ -n "$go" ] || { echo "Go is not installed: run make prerequisites" >&2; exit 1; }
wanted=$(awk '$1 == "go" {print $2; exit}' go.mod)
have=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null | sed 's/^go//')
if [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1)" != "$wanted" ]; then
	# An older Go fetches the one that go.mod names; one older than 1.21 cannot, so prerequisites.sh did.
	if [ -x out/toolchain/go/bin/go ]; then go=$PWD/out/toolchain/go/bin/go; else export GOTOOLCHAIN=go$wanted; fi
fi
exec "$go" "$@"
