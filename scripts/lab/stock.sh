#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# stock.sh: makes sure that the stock Debian kernel is there, ready to boot and to build modules
# for; prints its path. Below it are boot/vmlinuz, usr/lib/modules and usr/src, which in_root()
# mounts where they belong; "kdir" is the tree to build modules with, "release" what uname -r says.
#
# Debian's packages lack Rust's metadata. It is made again, from the kernel's own source with the
# compilers that Debian used, and is the same as that of the stock kernel: this is checked.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lib.sh"

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

# All that modules are built with goes below usr/src, so that one mount brings it into the root.
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
		/src/scripts/lab/initrd.sh "$RELEASE" /boot/initrd
}

# metadata DIR: builds into DIR/obj as much of the kernel as it takes
metadata() {
	local dir=$1 headers=$1/usr/src/linux-headers-$RELEASE
	mkdir "$dir/obj" "$dir/usr/src/linux"
	cp "$headers"/{.config,.kernelvariables,Module.symvers,vmlinux} "$dir/obj/"
	in_root --bind "$dir/usr/src:/usr/src" --bind "$(lab source):/usr/src/linux" \
		--bind "$dir/obj:/out:rw" \
		make -C /usr/src/linux O=/out ARCH=x86 CROSS_COMPILE=x86_64-linux-gnu- \
		CC=x86_64-linux-gnu-gcc-14 "KERNELRELEASE=$RELEASE" -j"$(nproc)" \
		olddefconfig modules_prepare
}

# Nothing but the very kernel that Debian built will do: its symbol names are hashes of all this.
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
	echo "$1 came out different from Debian's (above: < Debian's, > ours):"
	echo "the root's compilers are not those that built kernel $RELEASE."
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
	# What macros of the kernel crate include where they are used
	cp "$dir"/obj/rust/kernel/generated_*.rs "$headers/rust/kernel/"
	cp "$dir/obj/scripts/target.json" "$dir/usr/src/linux-kbuild-${RELEASE%-*}/scripts/"
	rm -r "$dir/obj"
	rmdir "$dir/usr/src/linux"
}

make_stock() {
	lab source >/dev/null
	step stock-unpack "Stock kernel $RELEASE" unpack "$1"
	step stock-modules "Its module index and initrd" index_modules "$1"
	step stock-metadata "Its Rust metadata (about 1 minute)" metadata "$1"
	step stock-verify "Comparison with Debian's" verify "$1"
	install_metadata "$1"
}

toolchain=$(lab root --toolchain)
DEBS=$(lab source --debs)
RELEASE=$(<"$DEBS/release")
artefact stock "$(key "$LAB"/{stock,initrd,initrd-init}.sh "$DEBS/version" "$toolchain")" make_stock
echo "$ARTEFACT"
