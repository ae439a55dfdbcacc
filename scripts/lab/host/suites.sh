#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# suites.sh: fetches the sources of liburing and fio and builds the programs that these are tested with;
# prints the folder. In guests they are in /build/samples/suites.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/apt.sh
. "$LAB/lib/apt.sh"

# Sources in Debian's pool: that of the liburing which the root has, and a fio whose t/ has tests of its
# own version only, so that fio is built as well
LIBURING=(libu/liburing/liburing_2.9.orig.tar.gz
	57e9b36e4ac1e46b8e0351dfb1694dc59638fc25e384b4ba36d87b800b16db1a)
FIO=(f/fio/fio_3.41.orig.tar.gz a40b45112005e30a67bab6be4860b198c35104a628b6ec4d15720d62b5d1bab9)

FIO_PROGRAMS=(fio t/io_uring t/fio-dedupe t/read-to-pipe-async)

# download DIR PATH SHA256: unpacks a source from the pool into DIR
download() {
	local mirror
	mirror=$(apt_mirror)
	mkdir -p "$1"
	/usr/lib/apt/apt-helper download-file "${mirror%/}/pool/main/$2" "$1/tar.gz" "SHA256:$3"
	tar -x --strip-components=1 -C "$1" -f "$1/tar.gz"
	rm "$1/tar.gz"
}

# Some of the tests of liburing cannot be built, because they need a C++ compiler.
# shellcheck disable=SC2016 # nproc is that of the root
build_liburing() {
	in_root --bind "$1:/build:rw" sh -e -c '
		cd /build
		./configure
		make -C src
		make -k -j"$(nproc)" -C test || true'
}

# shellcheck disable=SC2016 # as above
build_fio() {
	in_root --bind "$1:/build:rw" sh -e -c '
		cd /build
		./configure --disable-native
		make -j"$(nproc)" "$@"' sh "${FIO_PROGRAMS[@]}"
}

make_suites() {
	step suites-liburing-source "Source of liburing" download "$1/src/liburing" "${LIBURING[@]}"
	step suites-fio-source "Source of fio" download "$1/src/fio" "${FIO[@]}"
	step suites-liburing "Tests of liburing" build_liburing "$1/src/liburing"
	step suites-fio "Tests of fio" build_fio "$1/src/fio"
	mkdir "$1"/{liburing,fio}
	mv "$1"/src/liburing/test/*.t "$1/liburing"
	mv "$1"/src/fio/{fio,t} "$1/fio"
	# The tests that need this package are not run.
	sed -i '/^from statsmodels/d' "$1/fio/t/run-fio-tests.py"
	find "$1" -name '*.o' -delete
	strip "$1/liburing"/*.t "${FIO_PROGRAMS[@]/#/$1/fio/}"
	rm -r "$1/src"
}

need_root
artefact suites "$(key "$LAB/host/suites.sh" "$(lab root)")" make_suites
to_samples suites
