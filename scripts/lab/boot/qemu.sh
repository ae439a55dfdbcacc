#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qemu.sh [OPTION]...: the part of boot.sh that runs in the root; see there for the options. Starts QEMU
# with the same root as the guest's root, over 9p. /out/command is what the guest runs; the console and
# the exit status are written to /out, and the output to stdout.

set -euo pipefail

MONITOR=/run/monitor
MOUNT_OPTIONS=trans=virtio,version=9p2000.L,msize=262144

# QEMU's default CPU with a random number generator, so that the guest does not wait for entropy, and
# with SSE 4.2, whose CRC32C the checksums of file systems and of fio use
CPU=qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2
qemu=(qemu-system-x86_64 -machine q35 -cpu "$CPU" -nodefaults -no-reboot -display none
	-qmp "unix:$MONITOR,server=on,wait=off" -kernel /boot/vmlinuz)
cpus=2
memory=2G
accel=tcg
append='console=ttyS0'
drives=0
shell=''

# share TAG DIR [OPTION]: adds a folder that the guest can mount
share() {
	qemu+=(-fsdev "local,id=$1,path=$2,security_model=none,multidevs=remap${3:+,$3}"
		-device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# add_drive SPEC: adds a drive behind a port of its own, so that it can be unplugged. Flushes need not
# reach a disk, because the image is in memory and does not outlive the guest, or the guest only.
add_drive() {
	local serial=${1%%:*} size=512M error='' blocks='' dir=/run option
	local -a options
	IFS=: read -ra options <<<"$1"
	for option in "${options[@]:1}"; do
		case $option in
		size=*) size=${option#*=} ;;
		error=*) error=${option#*=} ;;
		keep) dir=/results ;;
		blocks=*) blocks=,logical_block_size=${option#*=},physical_block_size=${option#*=} ;;
		*) echo "qemu.sh: unknown option of a drive: $option" >&2; exit 2 ;;
		esac
	done
	truncate --size "$size" "$dir/$serial.img"
	drives=$((drives + 1))
	qemu+=(-drive "id=$serial-image,if=none,format=raw,cache=unsafe,$(backend "$dir/$serial.img" "$error")"
		-device "pcie-root-port,id=slot$drives,chassis=$drives"
		-device "nvme,id=$serial,serial=$serial,drive=$serial-image,bus=slot$drives,max_ioqpairs=4$blocks")
}

# backend FILE [ERROR]: prints the options of a drive's image, with blkdebug if it has an error
backend() {
	local file=$1 inject=file.inject-error.0
	if [ -z "$2" ]; then
		echo "file=$file"
		return
	fi
	printf '%s,' file.driver=blkdebug file.image.driver=file "file.image.filename=$file" \
		$inject.event=none "$inject.iotype=${2%@*}" "$inject.sector=${2#*@}" $inject.errno=5
	echo $inject.once=off
}

# add_root: the stock kernel has 9p as a module, so that an initrd mounts the root; other kernels mount it
# themselves
add_root() {
	share root9p / readonly=on
	share out /out
	share results /results
	if [ -f /boot/initrd ]; then
		qemu+=(-initrd /boot/initrd)
	else
		append+=" root=root9p rootfstype=9p rootflags=$MOUNT_OPTIONS,cache=loose ro"
		append+=' init=/src/scripts/lab/guest/init.sh'
	fi
}

# add_console: the console goes to a file, or to the terminal for a shell
add_console() {
	if [ -n "$shell" ]; then
		append+=" quiet lab.shell=$(stty size | tr ' ' ,)"
		qemu+=(-chardev 'stdio,id=console,mux=on,signal=off' -mon chardev=console)
	else
		append+=' earlyprintk=serial,ttyS0,115200 ignore_loglevel'
		qemu+=(-chardev 'file,id=console,path=/out/console,append=on'
			-chardev 'file,id=output,path=/proc/self/fd/1,append=on'
			-device virtio-serial-pci -device 'virtserialport,chardev=output,name=output')
	fi
	qemu+=(-serial chardev:console)
}

while [ $# -gt 0 ]; do
	case $1 in
	--cpus) cpus=$2; shift 2 ;;
	--memory) memory=$2; shift 2 ;;
	--append) append+=" $2"; shift 2 ;;
	--drive) add_drive "$2"; shift 2 ;;
	--qemu-opt) qemu+=("$2"); shift 2 ;;
	--accel) accel=$2; shift 2 ;;
	--shell) shell=1; shift ;;
	esac
done

# An oops ends the guest; a warning does not.
append+=' panic=-1 oops=panic log_buf_len=4M mitigations=off nvme.poll_queues=1'
add_root
add_console
qemu+=(-accel "$accel" -smp "$cpus" -m "$memory" -append "$append")
[ -z "$shell" ] || exec "${qemu[@]}"
/src/scripts/lab/boot/monitor.py "$MONITOR" /out/console /results/monitor /out/stuck &
exec "${qemu[@]}" 2>>/out/console
