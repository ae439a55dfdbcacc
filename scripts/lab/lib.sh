#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Base of every script that runs on the host: paths, and the functions in lib/. Sourced. Messages go
# to stderr; stdout is for results.

set -euo pipefail
shopt -s inherit_errexit

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SRC=$(dirname "$(dirname "$LAB")")
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rnull-dio

# The patches for mainline, without the cover letter of their series
# shellcheck disable=SC2034 # for scripts that source this
PATCHES=("$SRC"/patches/000[1-9]-*.patch)

# shellcheck source=scripts/lab/config/versions
. "$LAB/config/versions"
# shellcheck source=scripts/lab/lib/series.sh
. "$LAB/lib/series.sh"
# shellcheck source=scripts/lab/lib/log.sh
. "$LAB/lib/log.sh"
# shellcheck source=scripts/lab/lib/group.sh
. "$LAB/lib/group.sh"
# shellcheck source=scripts/lab/lib/step.sh
. "$LAB/lib/step.sh"
# shellcheck source=scripts/lab/lib/artefact.sh
. "$LAB/lib/artefact.sh"
# shellcheck source=scripts/lab/lib/root.sh
. "$LAB/lib/root.sh"
# shellcheck source=scripts/lab/lib/tree.sh
. "$LAB/lib/tree.sh"
# shellcheck source=scripts/lab/lib/identity.sh
. "$LAB/lib/identity.sh"

# lab NAME [ARG]...: runs boot.sh, or a script in host/
lab() {
	case $1 in
	boot) "$LAB/boot.sh" "${@:2}" ;;
	*) "$LAB/host/$1.sh" "${@:2}" ;;
	esac
}
