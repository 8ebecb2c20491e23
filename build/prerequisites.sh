#!/usr/bin/env bash
# Finds what the build and a first session need, and installs what is missing from the distribution's packages.
# It never installs a second Docker daemon. It asks sudo only when something is missing and says for what. With --tests
# it finds what only tests need, too.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "prerequisites: $*" >&2; }
fail() { say "$*"; exit 1; }

# as_root REASON COMMAND...: runs a command as root, through sudo only when we are not.
as_root() {
	local reason=$1
	shift
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		say "asking sudo for root: $reason"
		sudo -- "$@"
	else
		fail "root is needed ($reason) and sudo is not installed: run \`$*\` as root"
	fi
}

fresh=no
refresh() { # reads the lists of packages, once
	[ $fresh = no ] || return 0
	as_root "apt-get update" apt-get -qq update || fail "apt-get update failed: see the lines above"
	fresh=yes
}
install_packages() { # install_packages REASON PACKAGE...
	local reason=$1
	shift
	command -v apt-get >/dev/null || fail "$reason: this machine has no apt-get; install what these Debian packages hold: $*"
	say "installing $* ($reason)"
	refresh
	as_root "apt-get install $*" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null ||
		fail "apt-get could not install $*: see the lines above"
}

older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

# Go. Any Go from 1.21 on fetches the toolchain that go.mod names, through the module proxy.
check_go() {
	local wanted have
	wanted=$(awk '$1 == "go" {print $2; exit}' go.mod)
	[ -d /usr/local/go/bin ] && PATH=$PATH:/usr/local/go/bin
	have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//' || true)
	if [ -z "$have" ] && [ "$(uname -s)" = Linux ] && packaged_go; then
		install_packages "the Go toolchain is missing" golang-go ca-certificates
		hash -r
		have=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')
	fi
	if older "${have:-0}" 1.21; then
		# None, or too old to fetch a toolchain by itself.
		fetch_toolchain "$wanted" && return
		[ -n "$have" ] && have="$have is too old" || have="is missing"
		fail "Go $have, and $wanted could not be fetched from the module proxy: install it with \`curl -fsSL https://go.dev/dl/go$wanted.linux-$(dpkg --print-architecture 2>/dev/null || echo amd64).tar.gz | tar -xz -C /usr/local\` as root and run make again"
	fi
	if older "$have" "$wanted"; then
		say "Go $have is older than $wanted, which go.mod asks for: go fetches that toolchain from the module proxy"
		GOTOOLCHAIN=go$wanted go version >/dev/null || fail "go could not fetch the toolchain go$wanted: check GOPROXY, or install it from https://go.dev/dl/"
	fi
}

# packaged_go tells whether the distribution's Go is new enough to fetch the toolchain that go.mod names.
packaged_go() {
	command -v apt-cache >/dev/null || return 1
	[ -n "$(apt-cache policy golang-go 2>/dev/null)" ] || refresh
	local version
	version=$(apt-cache policy golang-go | awk '$1 == "Candidate:" {sub(/^[0-9]+:/, "", $2); sub(/[~-].*/, "", $2); print $2}')
	[ -n "$version" ] && [ "$version" != "(none)" ] && ! older "$version" 1.21
}

# fetch_toolchain VERSION: gets the toolchain's zip from the module proxy into out/toolchain, where build/go.sh finds it.
fetch_toolchain() {
	local wanted=$1 arch dir=out/toolchain proxy
	case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) return 1 ;; esac
	[ -x $dir/go/bin/go ] && [ "$(GOTOOLCHAIN=local $dir/go/bin/go env GOVERSION)" = "go$wanted" ] && return 0
	# An old Go knows its module proxy; without any Go it has to be said.
	proxy=$( (go env GOPROXY 2>/dev/null || echo "${GOPROXY:-}") | tr ',|' '\n' | grep -m1 '^http' || true)
	[ -n "$proxy" ] || { say "no module proxy is known: set GOPROXY to one"; return 1; }
	local tools=()
	command -v curl >/dev/null || tools+=(curl)
	command -v unzip >/dev/null || tools+=(unzip)
	[ -e /etc/ssl/certs/ca-certificates.crt ] || tools+=(ca-certificates)
	[ ${#tools[@]} = 0 ] || install_packages "they fetch the Go toolchain" "${tools[@]}"
	say "fetching Go $wanted from the module proxy into $dir"
	mkdir -p $dir
	local name="golang.org/toolchain@v0.0.1-go$wanted.linux-$arch"
	curl -fsSL -o $dir/go.zip "$proxy/golang.org/toolchain/@v/v0.0.1-go$wanted.linux-$arch.zip" || return 1
	(cd $dir && unzip -q go.zip && rm -rf go && mv "$name" go && rm -rf go.zip golang.org && chmod -R u+x go/bin go/pkg/tool)
	GOTOOLCHAIN=local $dir/go/bin/go version >/dev/null
}

# runc is linked with libseccomp, statically.
check_c() {
	[ "$(uname -s)" = Linux ] || return 0
	local missing=()
	command -v gcc >/dev/null || missing+=(gcc libc6-dev)
	command -v pkg-config >/dev/null || missing+=(pkg-config)
	pkg-config --exists libseccomp 2>/dev/null || missing+=(libseccomp-dev)
	[ ${#missing[@]} = 0 ] || install_packages "runc is built with seccomp" "${missing[@]}"
}

# The docker CLI alone: Debian's package docker-cli holds no daemon. Older releases have only docker.io, whose
# client we unpack without installing the package, so that no daemon is started or enabled.
check_docker() {
	command -v docker >/dev/null && return 0
	if command -v apt-cache >/dev/null; then
		[ -n "$(apt-cache policy docker.io docker-cli 2>/dev/null)" ] || refresh
		if apt-cache show docker-cli >/dev/null 2>&1; then
			install_packages "the docker CLI is missing" docker-cli
			return 0
		fi
		if apt-cache show docker.io >/dev/null 2>&1; then
			say "the docker CLI is missing: taking the client, and no daemon, out of the package docker.io into /usr/local/bin/docker"
			local dir
			dir=$(mktemp -d)
			chmod 755 "$dir" # apt downloads as a user of its own
			(cd "$dir" && apt-get -qq download docker.io && dpkg -x docker.io_*.deb x) || { rm -rf "$dir"; say_docker; return 0; }
			as_root "the docker CLI goes to /usr/local/bin" install -m 755 "$dir/x/usr/bin/docker" /usr/local/bin/docker
			rm -rf "$dir"
			return 0
		fi
	fi
	say_docker
}
say_docker() {
	say "the docker CLI is missing: Arca works without it, but to use it put the file docker of the static archive at https://download.docker.com/linux/static/stable/ into your PATH"
}

check_git() { command -v git >/dev/null || install_packages "git tells the version" git; }

# Programs that read what we write.
check_tests() {
	local missing=()
	command -v bsdtar >/dev/null || missing+=(libarchive-tools)
	command -v 7z >/dev/null || missing+=(p7zip-full)
	[ ${#missing[@]} = 0 ] || install_packages "tests read packages back with them" "${missing[@]}"
}

check_go
check_c
check_docker
check_git
case ${1:-} in --tests) check_tests ;; esac
