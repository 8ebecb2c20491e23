#!/usr/bin/env bash
# Makes the package for macOS, bin/arca-VERSION-ARCH.pkg: on a Mac with pkgbuild and productbuild, elsewhere with our own
# writer. What Linux builds has no cgo and so no Virtualization.framework: its package proves the packaging alone.
set -euo pipefail
cd "$(dirname "$0")/.."
go=build/go.sh
arch=${ARCH:-arm64}
case $arch in arm64) host=arm64 ;; amd64) host=x86_64 ;; *) echo "pkg: ARCH is arm64 or amd64, and is $arch" >&2; exit 2 ;; esac
version=${ARCA_VERSION:-$(git describe --tags 2>/dev/null || echo 0.1.0-dev)}
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root libexec=$stage/root/usr/local/libexec/arca
install -d "$root/usr/local/bin" "$libexec" "$root/Library/LaunchAgents"
native=no
[ "$(uname -s)" != Darwin ] || native=yes
export GOOS=darwin GOARCH=$arch CGO_ENABLED=0
flags=(-trimpath -ldflags "-s -w -X github.com/arca-engine/arca/internal/version.Version=$version -X github.com/arca-engine/arca/internal/version.Commit=$(git rev-parse HEAD 2>/dev/null || true)")
$go build "${flags[@]}" -o "$root/usr/local/bin/arca" ./arca
$go build "${flags[@]}" -o "$libexec/arca-frontend" ./api-frontend
if [ $native = yes ]; then export CGO_ENABLED=1; fi
$go build "${flags[@]}" -o "$libexec/arca-vmhelper" ./vmhelper
unset GOOS GOARCH CGO_ENABLED
install -m 644 launchd/vmhelper.entitlements "$libexec/vmhelper.entitlements"
install -m 755 installer/uninstall "$libexec/uninstall"
install -m 644 launchd/agent/*.plist "$root/Library/LaunchAgents/"
mkdir -p bin
out=bin/arca-$version-$arch.pkg
if [ $native = yes ]; then
	codesign --force --sign "${CODESIGN_IDENTITY:--}" --entitlements launchd/vmhelper.entitlements "$libexec/arca-vmhelper"
	pkgbuild --root "$root" --scripts installer/scripts --identifier com.arca.engine --version "$version" --ownership recommended "$stage/arca.pkg"
	productbuild --package "$stage/arca.pkg" ${INSTALLER_IDENTITY:+--sign "$INSTALLER_IDENTITY"} "$out"
else
	$go run ./installer/cmd/mkpkg --root "$root" --scripts installer/scripts --version "$version" --arch "$host" --epoch "$epoch" -o "$out"
fi
echo "$out"
