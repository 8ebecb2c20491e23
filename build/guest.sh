#!/usr/bin/env bash
# Makes what a virtual machine boots, out/guest/ARCH/kernel and initramfs: build/guest.sh [ARCH...]
#
# The kernel is Debian's cloud kernel, of the version that build/guest-kernel names, with its checksum. Where the
# archive has it no more, a newer one is taken if ARCA_GUEST_KERNEL=newest says so, and its line is printed.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
cache=${ARCA_CACHE:-$PWD/out/cache}
say() { echo "guest: $*" >&2; }
fail() { say "$*"; exit 1; }
[ "$(uname -s)" = Linux ] || fail "the guest is made on Linux: copy out/guest from there"
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "apt-get and dpkg-deb are needed: they fetch and unpack Debian's kernel"

# apt_for ARCH ARGUMENTS...: apt-get for packages of an architecture, without touching the machine's own state.
apt_for() {
	local arch=$1 dir=$cache/apt/$1
	shift
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State="$dir" -o Dir::State::status="$dir/status" \
		-o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Retries=3 "$@"
}

# fetch ARCH: unpacks the kernel's package, once, and tells the directory.
fetch() {
	local arch=$1 package version sum got file dir
	read -r _ package version sum < <(awk -v a="$arch" '$1 == a' build/guest-kernel) || fail "build/guest-kernel names no kernel for $arch"
	dir=$cache/kernel/$package-$version
	if [ ! -e "$dir/unpacked" ]; then
		say "fetching $package $version"
		mkdir -p "$cache/kernel"
		apt_for "$arch" update >&2
		if ! (cd "$cache/kernel" && apt_for "$arch" download "$package=$version" >&2); then
			[ "${ARCA_GUEST_KERNEL:-}" = newest ] ||
				fail "the archive has no $package $version any more: put a newer one into build/guest-kernel, or set ARCA_GUEST_KERNEL=newest"
			package=$(apt-cache -o Dir::State="$cache/apt/$arch" -o APT::Architecture="$arch" search --names-only "^linux-image-6\.12\..*-cloud-$arch\$" | awk '{print $1}' | sort -V | tail -1)
			[ -n "$package" ] || fail "the archive has no cloud kernel 6.12 for $arch"
			(cd "$cache/kernel" && apt_for "$arch" download "$package" >&2) || fail "$package could not be fetched"
			sum=
		fi
		file=$(ls -t "$cache/kernel/$package"_*_"$arch".deb | head -1)
		got=$(sha256sum "$file" | cut -d' ' -f1)
		if [ -z "$sum" ]; then
			say "took instead: $arch $package $(dpkg-deb -f "$file" Version) $got"
			dir=$cache/kernel/$package-$(dpkg-deb -f "$file" Version)
		elif [ "$got" != "$sum" ]; then
			rm -f "$file"
			fail "$package $version has the checksum $got instead of $sum"
		fi
		rm -rf "$dir" "$dir.new"
		dpkg-deb -x "$file" "$dir.new"
		touch "$dir.new/unpacked"
		mv "$dir.new" "$dir"
		rm -f "$file"
	fi
	echo "$dir"
}

# programs ARCH: builds what the initramfs holds and tells the directory.
programs() {
	local arch=$1 dir=$top/out/guest/$1/bin version
	mkdir -p "$dir"
	version=$(awk '$1 == "github.com/opencontainers/runc" {print $2} $1 == "require" && $2 == "github.com/opencontainers/runc" {print $3}' build/runc/go.mod)
	if [ "$arch" = "$(build/go.sh env GOARCH)" ]; then
		ARCA_CACHE=$cache build/build.sh
		cp bin/arca-guest bin/arca-init bin/runc "$dir/"
	else
		command -v aarch64-linux-gnu-gcc >/dev/null || fail "the guest for $arch needs a C compiler for runc: apt-get install gcc-aarch64-linux-gnu libseccomp-dev:arm64"
		CGO_ENABLED=0 GOARCH=$arch build/go.sh build -trimpath -ldflags "-s -w" -o "$dir/arca-guest" ./guest
		CGO_ENABLED=0 GOARCH=$arch build/go.sh build -trimpath -ldflags "-s -w" -o "$dir/arca-init" ./guest/init
		CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc GOARCH=$arch build/go.sh build -C build/runc -trimpath -tags "seccomp netgo osusergo" \
			-ldflags "-s -w -extldflags -static -X main.version=${version#v}" -o "$dir/runc" github.com/opencontainers/runc
	fi
	echo "$dir"
}

[ $# -gt 0 ] || set -- "$(build/go.sh env GOARCH)"
for arch; do
	kernel=$(fetch "$arch")
	bin=$(programs "$arch")
	build/go.sh run ./guest/cmd/mkboot --kernel "$kernel" --arch "$arch" --bin "$bin" -o "out/guest/$arch"
	rm -rf "out/guest/$arch/bin"
	say "made out/guest/$arch: kernel $(stat -c %s "out/guest/$arch/kernel") bytes, initramfs $(stat -c %s "out/guest/$arch/initramfs") bytes"
done
