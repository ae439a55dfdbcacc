#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# stock.sh: fetches the stock Debian kernel and prepares it for booting and for building modules;
# prints its path. Below it are boot/vmlinuz, usr/lib/modules and usr/src, which in_root() mounts at
# the same places in the root; "kdir" is the tree to build modules with, "release" is uname -r.
#
# Debian's packages lack the metadata of the kernel's Rust crates. It is built again from the kernel's
# source with the compilers that Debian used, and compared with the exported symbols of the stock
# kernel.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

unpack() {
	local dir=$1 deb
	for deb in "$DEBS"/linux-{headers,kbuild,modules,binary,base}-*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --exclude='./usr/share'
	done
	relocate_kbuild "$dir"
	mkdir -p "$dir/boot"
	mv "$dir"/usr/lib/modules/*/vmlinuz* "$dir/boot/vmlinuz"
	echo "$RELEASE" >"$dir/release"
	echo "/usr/src/linux-headers-$RELEASE" >"$dir/kdir"
}

# Moves everything that modules are built with below usr/src, so that one mount is enough.
relocate_kbuild() {
	local usr=$1/usr name=linux-kbuild-${RELEASE%-*} link
	rm "$usr/src/$name"
	mv "$usr/lib/$name" "$usr/src/"
	for link in "$usr"/src/linux-headers-*/{scripts,tools}; do
		ln -sfn "../$name/${link##*/}" "$link"
	done
}

index_modules() {
	in_root --bind "$1/usr/lib/modules:/usr/lib/modules:rw" depmod "$RELEASE"
	in_root --bind "$1/usr/lib/modules:/usr/lib/modules" --bind "$1/boot:/boot:rw" \
		/src/scripts/lab/root/initrd.sh "$RELEASE" /boot/initrd
}

# metadata DIR: builds the metadata into DIR/obj, and no more of the kernel than it needs
metadata() {
	local dir=$1 headers=$1/usr/src/linux-headers-$RELEASE
	mkdir "$dir/obj" "$dir/usr/src/linux"
	cp "$headers"/{.config,.kernelvariables,Module.symvers,vmlinux} "$dir/obj/"
	in_root --bind "$dir/usr/src:/usr/src" --bind "$(lab kernel-source):/usr/src/linux" \
		--bind "$dir/obj:/out:rw" \
		make -C /usr/src/linux O=/out ARCH=x86 CROSS_COMPILE=x86_64-linux-gnu- \
		CC=x86_64-linux-gnu-gcc-14 "KERNELRELEASE=$RELEASE" -j"$(nproc)" \
		olddefconfig modules_prepare
}

# Fails unless the result matches Debian's build, because Rust symbol names contain hashes of the
# configuration and the compiler.
verify() {
	local dir=$1 headers=$1/usr/src/linux-headers-$RELEASE file
	same_lines "the configuration" <(grep ^CONFIG "$headers/.config") \
		<(grep ^CONFIG "$dir/obj/.config")
	for file in autoconf.h asm-offsets.h bounds.h rustc_cfg; do
		same_lines "$file" "$headers/include/generated/$file" "$dir/obj/include/generated/$file"
	done
	same_lines "the exported Rust symbols" <(symbols_of "$headers/Module.symvers") \
		<(exports_of "$dir/obj")
}

same_lines() {
	echo "checking $1"
	diff "$2" "$3" && return
	echo "$1 differs from Debian's (above: < Debian's, > this build): the compilers in the root"
	echo "are not those that built kernel $RELEASE."
	return 1
}

symbols_of() {
	awk '$3 == "vmlinux" && $2 ~ /^(_R|rust_helper_)/ { print $2 }' "$1" | LC_ALL=C sort --unique
}

exports_of() {
	sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\(.*\));$/\1/p' "$1"/rust/exports_*_generated.h |
		grep -E '^(_R|rust_helper_)' | LC_ALL=C sort --unique
}

install_metadata() {
	local dir=$1 headers=$1/usr/src/linux-headers-$RELEASE
	mkdir -p "$headers/rust/kernel"
	cp "$dir"/obj/rust/lib*.{rmeta,so} "$headers/rust/"
	# Macros of the kernel crate include these files in modules.
	cp "$dir"/obj/rust/kernel/generated_*.rs "$headers/rust/kernel/"
	cp "$dir/obj/scripts/target.json" "$dir/usr/src/linux-kbuild-${RELEASE%-*}/scripts/"
	rm -r "$dir/obj"
	rmdir "$dir/usr/src/linux"
}

make_stock() {
	lab kernel-source >/dev/null
	step stock-unpack "Stock kernel $RELEASE" unpack "$1"
	step stock-modules "Its module index and initrd" index_modules "$1"
	step stock-metadata "Its Rust metadata (about 1 minute)" metadata "$1"
	step stock-verify "Comparison with Debian's" verify "$1"
	install_metadata "$1"
}

toolchain=$(lab root --toolchain)
DEBS=$(lab kernel-source --debs)
RELEASE=$(<"$DEBS/release")
artefact stock "$(key "$LAB"/{host/stock,root/initrd,initrd/init}.sh "$DEBS/version" "$toolchain")" make_stock
echo "$ARTEFACT"
