#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# programs.sh: runs programs that use Linux AIO on the stock kernel, with the kernel's own code and the
# module's: the tests of libaio, fio, QEMU, and MariaDB, whose clients make TRANSFERS (200) each. Prints
# a table of their outcomes, the sides beside each other.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

TRANSFERS=${TRANSFERS:-200}

guest() {
	lab boot --name programs-console --timeout $((TRANSFERS * 3 + 3600)) --append kunit.enable=0 -- \
		env PROGRAMS=1 TRANSFERS="$TRANSFERS" python3 -m pytest -p no:cacheprovider -v \
		/src/tests/aio/test_{harness,fio,qemu,mariadb}.py
}

need_root
[[ $TRANSFERS =~ ^[1-9][0-9]*$ ]] || die "TRANSFERS=$TRANSFERS: not a number of transfers"
lab module stock >/dev/null
lab harness >/dev/null
lab programs >/dev/null
LAB_TAIL=60 step programs "Programs that use Linux AIO, on both sides" guest
sed -n '/ programs that use Linux AIO /,$p' "$(log_path programs)"
