#!/usr/bin/env bash
# Installs the binaries and the systemd unit: PREFIX (default /usr/local).
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && exec sudo -- env PREFIX="$prefix" "$0"; echo "install: root is needed to write below $prefix" >&2; exit 1; }
install -d "$prefix/bin" "$prefix/libexec/arca"
install -m 755 bin/arca "$prefix/bin/arca"
for b in arca-frontend arca-vmhelper arca-guest arca-init runc; do install -m 755 "bin/$b" "$prefix/libexec/arca/$b"; done
[ ! -f bin/helper-image.tar ] || install -m 644 bin/helper-image.tar "$prefix/libexec/arca/helper-image.tar"
if [ -d /etc/systemd/system ]; then
	sed "s|@PREFIX@|$prefix|g" build/systemd/arca.service >/etc/systemd/system/arca.service
	echo "Installed. Start it now and at every boot with: systemctl daemon-reload && systemctl enable --now arca"
else
	echo "Installed. Start it with: $prefix/bin/arca up"
fi
