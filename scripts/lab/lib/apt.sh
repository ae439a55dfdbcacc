#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# apt with the host's mirror and proxy, but without the host's state. Sourced after lib.sh.

need_debian() {
	command -v apt-get >/dev/null ||
		die "no apt-get: the lab needs Debian or a distribution that is derived from it"
}

# apt_mirror: prints the Debian mirror of this machine, or MIRROR
apt_mirror() {
	local mirror
	need_debian
	mirror=${MIRROR:-$(apt_configured_mirror)}
	[ -n "$mirror" ] || mirror=$(apt_configured_mirror_updated)
	[ -n "$mirror" ] || die "apt on this machine has no Debian mirror: set MIRROR=URL"
	echo "$mirror"
}

# apt_configured_mirror [APT-OPTION]...: prints the mirror in apt's package lists
apt_configured_mirror() {
	# shellcheck disable=SC2016 # apt's own variable
	apt-get "$@" indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		'Label: Debian' | head -n 1
}

# Fetches the package lists first, because apt names no mirrors before.
apt_configured_mirror_updated() {
	local lists=$CACHE/apt/host-lists
	mkdir -p "$lists/partial"
	apt-get -o "Dir::State::lists=$lists" update >/dev/null 2>&1 || true
	apt_configured_mirror -o "Dir::State::lists=$lists"
}

# apt_host_options: prints the options that this machine needs for its mirror, such as proxies, as in
# apt.conf
apt_host_options() {
	apt-config dump --no-empty --format '%F "%v"%n' Acquire |
		grep -E '^Acquire::(https?::|Check-|Retries)' || true
}

# apt_install PACKAGE: installs a package on the host. Nothing else in the lab changes the host.
apt_install() {
	need_debian
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" && return
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"
}

# apt_private: sets APT_OPTIONS, with which apt uses only $SUITE-backports and a state of its own
apt_private() {
	local dir=$CACHE/apt keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed=''
	local mirror
	mirror=$(apt_mirror)
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: >>"$dir/status"
	[ ! -f "$keyring" ] || signed="[signed-by=$keyring]"
	echo "deb $signed $mirror $SUITE-backports main" >"$dir/sources.list"
	# shellcheck disable=SC2034 # for scripts that source this
	APT_OPTIONS=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o "Dir::State::lists=$dir/lists" -o "Dir::State::status=$dir/status"
		-o "Dir::Cache=$dir" -o APT::Architecture=amd64 -o APT::Architectures=amd64
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
		-o APT::Sandbox::User=root)
}

# debootstrap_into ROOT PACKAGES: makes a Debian root with these packages, some of which may be in
# $SUITE-backports
debootstrap_into() {
	local mirror opts=()
	mirror=$(apt_mirror)
	mapfile -t opts < <(apt_host_options | sed 's/^/--aptopt=/')
	mmdebstrap --variant=apt --architectures=amd64 "${opts[@]}" --aptopt='Acquire::Languages "none"' \
		--dpkgopt=force-unsafe-io --include="$2" "$SUITE" "$1" \
		"deb $mirror $SUITE main" "deb $mirror $SUITE-backports main"
}
