#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# guest.sh [OPTION]... : the part of boot.sh that runs in the root; see there for the options. Starts
# QEMU with this very root as the guest's, over 9p. /out has the command to run and gets the console
# and the command's exit status; the command's output goes to stdout.

set -euo pipefail

MONITOR=/run/monitor
MOUNT_OPTIONS=trans=virtio,version=9p2000.L,msize=262144

# QEMU's default CPU, and a random number generator, so that no one waits for entropy
qemu=(qemu-system-x86_64 -machine q35 -cpu 'qemu64,+rdrand' -nodefaults -no-reboot -display none
	-qmp "unix:$MONITOR,server=on,wait=off" -kernel /boot/vmlinuz)
cpus=2
memory=2G
accel=tcg
append='console=ttyS0'
drives=0
shell=''

# share TAG DIR [OPTION]: a folder for the guest to mount
share() {
	qemu+=(-fsdev "local,id=$1,path=$2,security_model=none,multidevs=remap${3:+,$3}"
		-device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# Each drive is behind a port of its own: that makes a slot, which a drive can be pulled out of.
# Its image is a file in memory that nobody will ever read again, so flushes need not reach a disk.
add_drive() {
	local serial=${1%%:*} size=512M error='' option
	local -a options
	IFS=: read -ra options <<<"$1"
	for option in "${options[@]:1}"; do
		case $option in
		size=*) size=${option#*=} ;;
		error=*) error=${option#*=} ;;
		*) echo "guest.sh: unknown option of a drive: $option" >&2; exit 2 ;;
		esac
	done
	truncate --size "$size" "/run/$serial.img"
	drives=$((drives + 1))
	qemu+=(-drive "id=$serial-image,if=none,format=raw,cache=unsafe,$(backend "$serial" "$error")"
		-device "pcie-root-port,id=slot$drives,chassis=$drives"
		-device "nvme,id=$serial,serial=$serial,drive=$serial-image,bus=slot$drives,max_ioqpairs=4")
}

# backend SERIAL [ERROR]: the drive's file, with blkdebug in between where it is to fail
backend() {
	local file=/run/$1.img inject=file.inject-error.0
	if [ -z "$2" ]; then
		echo "file=$file"
		return
	fi
	printf '%s,' file.driver=blkdebug file.image.driver=file "file.image.filename=$file" \
		$inject.event=none "$inject.iotype=${2%@*}" "$inject.sector=${2#*@}" $inject.errno=5
	echo $inject.once=off
}

# The stock kernel's 9p is a module: its initrd mounts the root. Our own kernel does that itself.
add_root() {
	share root9p / readonly=on
	share out /out
	share results /results
	if [ -f /boot/initrd ]; then
		qemu+=(-initrd /boot/initrd)
	else
		append+=" root=root9p rootfstype=9p rootflags=$MOUNT_OPTIONS,cache=loose ro"
		append+=' init=/src/scripts/lab/init.sh'
	fi
}

# The console of a script goes to a file, of a shell to the terminal.
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
/src/scripts/lab/monitor.py "$MONITOR" /out/console /results/monitor &
exec "${qemu[@]}" 2>>/out/console
