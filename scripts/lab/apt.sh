#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How the lab uses apt: the host's mirror and the host's way to it, but none of the host's state.
# Sourced after lib.sh.

need_debian() {
	command -v apt-get >/dev/null ||
		die "no apt-get: the lab needs a machine with Debian or one of its relatives"
}

# The mirror of Debian that this machine uses, or MIRROR=
apt_mirror() {
	local mirror
	need_debian
	mirror=${MIRROR:-$(apt_configured_mirror)}
	[ -n "$mirror" ] || mirror=$(apt_configured_mirror_updated)
	[ -n "$mirror" ] || die "apt on this machine is set up with no mirror of Debian: give one with MIRROR=URL"
	echo "$mirror"
}

# apt_configured_mirror [APT-OPTION]...
apt_configured_mirror() {
	# shellcheck disable=SC2016 # apt's own variable
	apt-get "$@" indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		'Label: Debian' | head -n 1
}

# A machine whose package lists were never fetched does not know who its mirrors are.
apt_configured_mirror_updated() {
	local lists=$CACHE/apt/host-lists
	mkdir -p "$lists/partial"
	apt-get -o "Dir::State::lists=$lists" update >/dev/null 2>&1 || true
	apt_configured_mirror -o "Dir::State::lists=$lists"
}

# The options with which this machine reaches its mirror (proxies and the like), in apt.conf's form
apt_host_options() {
	apt-config dump --no-empty --format '%F "%v"%n' Acquire |
		grep -E '^Acquire::(https?::|Check-|Retries)' || true
}

# apt_install PACKAGE: the one thing that changes the host
apt_install() {
	need_debian
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" && return
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"
}

# Sets APT_OPTIONS: apt that knows $SUITE-backports only and keeps all it has in a folder of its own
apt_private() {
	local dir=$CACHE/apt keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed=''
	local mirror
	mirror=$(apt_mirror)
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: >>"$dir/status"
	[ ! -f "$keyring" ] || signed="[signed-by=$keyring]"
	echo "deb $signed $mirror $SUITE-backports main" >"$dir/sources.list"
	# shellcheck disable=SC2034 # for those who source this
	APT_OPTIONS=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o "Dir::State::lists=$dir/lists" -o "Dir::State::status=$dir/status"
		-o "Dir::Cache=$dir" -o APT::Architecture=amd64 -o APT::Architectures=amd64
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
		-o APT::Sandbox::User=root)
}
