#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# programs.sh: fetches MariaDB, PostgreSQL, RocksDB and stress-ng, and makes empty databases of the first
# two; prints the folder. In guests it is /build/samples/programs. Packages that the root lacks are
# unpacked there, in place of a root of their own, because the programs find their files below any folder.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

PACKAGES=(mariadb-server-core mariadb-client-core postgresql-17 rocksdb-tools stress-ng)

# Below /build, because the root cannot be written to
APT=(apt-get -y --no-install-recommends -o Dir::State::lists=/build/lists -o Dir::Cache=/build/cache
	-o Debug::NoLocking=1 -o APT::Sandbox::User=root)

# Settings of the database, which guest/mariadb.py gives the server as well
INNODB=(--innodb-log-file-size=8M --innodb-data-file-path=ibdata1:12M:autoextend)

# download DIR: fetches the packages and what they depend on, if the root does not have it
download() {
	mkdir -p "$1"/{lists,cache/archives}/partial
	in_root --net --bind "$1:/build:rw" "${APT[@]}" update
	in_root --net --bind "$1:/build:rw" "${APT[@]}" --download-only install "${PACKAGES[@]}"
}

unpack() {
	local deb
	for deb in "$1"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$1" --exclude='./usr/share/doc'
	done
	rm -r "$1/lists" "$1/cache"
}

install_mariadb() {
	in_root --bind "$1:/build:rw" --env LD_LIBRARY_PATH=/build/usr/lib/x86_64-linux-gnu \
		/build/usr/bin/mariadb-install-db --no-defaults --user=root --basedir=/build/usr \
		--datadir=/build/data --auth-root-authentication-method=normal --skip-test-db "${INNODB[@]}"
}

# PostgreSQL does not run as root. Its pages get checksums.
install_postgresql() {
	mkdir "$1/postgresql"
	chown 65534:65534 "$1/postgresql"
	in_root --bind "$1:/build:rw" --env LD_LIBRARY_PATH=/build/usr/lib/x86_64-linux-gnu \
		setpriv --reuid=65534 --regid=65534 --clear-groups \
		/build/usr/lib/postgresql/17/bin/initdb --pgdata=/build/postgresql --username=postgres \
		--auth=trust --no-locale --encoding=UTF8 --data-checksums --wal-segsize=1 --no-sync
}

make_programs() {
	step programs-packages "Packages of databases and other programs" download "$1"
	step programs-unpack "Their files" unpack "$1"
	step programs-mariadb "An empty database of MariaDB" install_mariadb "$1"
	step programs-postgresql "An empty database of PostgreSQL" install_postgresql "$1"
}

need_root
artefact programs "$(key "$LAB/host/programs.sh" "$(lab root)")" make_programs
to_samples programs
