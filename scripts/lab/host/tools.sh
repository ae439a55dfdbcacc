#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# tools.sh: installs the tools that Debian does not package; prints the folder.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

# pip_environment: prints the options of in_root() that pip needs for this machine's proxy and index
pip_environment() {
	local name
	for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL \
		PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT; do
		[ -z "${!name:-}" ] || printf '%s\n%s=%s\n' --env "$name" "${!name}"
	done
	[ ! -f /etc/ssl/certs/ca-certificates.crt ] ||
		printf '%s\n' --bind /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt
}

install_tools() {
	local options
	mapfile -t options < <(pip_environment)
	in_root --net "${options[@]}" --env PIP_ROOT_USER_ACTION=ignore --bind "$1:/out:rw" \
		python3 -m pip install --no-cache-dir --target /out "ruff==$RUFF"
}

make_tools() {
	step tools "Tools (ruff $RUFF)" install_tools "$1"
}

lab root >/dev/null
artefact tools "$(key "$RUFF")" make_tools
echo "$ARTEFACT"
