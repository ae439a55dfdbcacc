# SPDX-License-Identifier: GPL-2.0
#
# Targets of an external module, which need a prepared kernel tree (KDIR), and targets of the lab, which
# fetch what they need. The build rules are in Kbuild.

KDIR ?= /lib/modules/$(shell uname -r)/build
RUSTC ?= rustc

KBUILD_TARGETS := modules modules_install rust-analyzer clean
LAB_TARGETS := run test test-all kunit stress deadlock powercut programs apps suites check compare shell docs \
	samples kernel fmt deb deb-check bench bench-compare patches-check patches-bench export-patches trees-check

.PHONY: default help distclean tree source-tree $(KBUILD_TARGETS) $(LAB_TARGETS)

default: modules

modules rust-analyzer: tree
rust-analyzer: source-tree

$(KBUILD_TARGETS):
	@$(MAKE) --no-print-directory -C $(KDIR) M=$(CURDIR) RUSTC=$(RUSTC) $@

# Fails if KDIR is unusable, and prints the reason
tree:
	@scripts/lab/host/check-tree.sh $(KDIR) $(RUSTC)

source-tree:
	@[ -n '$(wildcard $(KDIR)/scripts/generate_rust_analyzer.py $(KDIR)/source/scripts/generate_rust_analyzer.py)' ] || \
		{ echo 'KDIR=$(KDIR): rust-analyzer needs a tree with all of its source' >&2; exit 1; }

run shell check deb deb-check compare stress deadlock powercut programs patches-check patches-bench \
		export-patches trees-check:
	@scripts/$@.sh

apps:
	@scripts/bench.sh apps

suites:
	@scripts/suites.sh $(if $(ONLY),"$(ONLY)")

test:
	@scripts/test.sh

test-all:
	@FULL=1 scripts/test.sh

kunit:
	@scripts/test.sh --kunit

docs fmt samples:
	@scripts/lab/host/$@.sh

bench:
	@$(if $(TREE),scripts/bench-trees.sh,scripts/bench.sh --page $(if $(KERNEL),\
		$(if $(filter-out 7.%,$(KERNEL)),--kernel $(KERNEL)) --out bench/$(KERNEL))) $(SET)

bench-compare:
	@scripts/bench-compare.sh $(A) $(B)

kernel:
	@scripts/lab/host/kernel.sh $(if $(PATCHED),patched)

distclean:
	@[ ! -d $(KDIR) ] || $(MAKE) --no-print-directory clean
	@scripts/lab/host/distclean.sh

help:
	@echo 'With a prepared kernel tree, KDIR=$(KDIR):'
	@echo '  modules         - Build the module, rnull_dio.ko (default target)'
	@echo '  modules_install - Install it for the kernel of that tree'
	@echo '  rust-analyzer   - Generate rust-project.json for editors'
	@echo '  clean           - Remove what the build made here'
	@echo
	@echo 'The lab, as root on Debian or a distribution derived from it, fetches and caches all else:'
	@echo '  run             - Main job: fio on XFS and ext4 with both engines, and on diofs, in QEMU'
	@echo '  test            - KUnit suites and end-to-end tests, on a stock and on a test kernel'
	@echo '  test-all        - The same with every variant of each test on the stock kernel, and the tests'
	@echo '                    on the stock kernels of other series; takes hours'
	@echo '  kunit           - KUnit suites only'
	@echo '  stress          - All kinds of I/O at once, on the test kernel, for MINUTES=10'
	@echo '  deadlock        - A task that waits for its own writes, for ROUNDS=100000 rounds'
	@echo '  powercut        - Durable writes, a guest that is stopped, and a check in another guest;'
	@echo '                    and power cuts of null disks, CUTS=67 for each file system'
	@echo '  programs        - Programs that use Linux AIO, MariaDB among them, with it by the kernel and the module'
	@echo '  apps            - Databases and other programs: what a transaction costs, on both sides'
	@echo '  suites          - Tests that liburing, fio and libaio come with, on both sides (ONLY=WORDS)'
	@echo '  check           - rustfmt, clippy, checkpatch, shellcheck, ruff, Sphinx, checks in scripts/check'
	@echo '  compare         - diofs and attached file systems beside XFS and ext4; needs an idle machine'
	@echo '  bench           - Cost of I/O, counted: disk, file, file-polled, path, policies, classes,'
	@echo '                    reactor, live, live-cached, live-files, live-writes, aio (SET=disk for one;'
	@echo '                    KERNEL=plain for a kernel built here); with TREE, BASE=stock, plain or'
	@echo '                    another tree: both kernels side by side;'
	@echo '                    SET=sharing - Accesses to memory that several CPUs share'
	@echo '  bench-compare   - Two results of bench side by side, A=FILE B=FILE'
	@echo '  fmt             - Format the Rust and Python files'
	@echo '  shell           - Shell in a guest, with the module loaded (KERNEL=stock, test, plain or 7.2)'
	@echo '  docs            - Documentation as HTML'
	@echo '  samples         - Build the programs in samples/'
	@echo '  deb             - Debian packages: the tools, and the module for the stock kernel'
	@echo '  deb-check       - Install, use and remove them in a guest with a fresh Debian'
	@echo '  kernel          - Build the test kernel, with KUnit and debugging aids'
	@echo '  patches-check   - Apply patches/ one by one; run checkpatch and build after each'
	@echo '  patches-bench   - Effect of patches/: kernels without and with them, side by side'
	@echo '  trees-check     - Try TREE= with a copy of the source of the lab, which it changes; builds a kernel'
	@echo '  export-patches  - rust/kernel_ext as patches for rust/kernel of TREE=DIR, to OUT=export'
	@echo '  distclean       - clean, and remove the cache'
	@echo
	@echo '  MIRROR=URL      - Debian mirror to use (default: that of this machine)'
	@echo '  KERNEL=7.2      - run, test, shell, bench and others: use the newest stock kernel of that series;'
	@echo '                    kunit: a test kernel of that series'
	@echo '  PATCHED=1       - run, test, kunit, deadlock, kernel: use a kernel with patches/'
	@echo '  TREE=DIR        - run, test, kunit, shell, bench, stress: use a kernel built from this source tree'
	@echo '                    of Linux 7.2 or later, which stays as it is; CONFIG=FILE adds options to it'
	@echo '  ONLY=WORDS      - test: run the end-to-end tests with these words in their names, and nothing else'
	@echo '  KVM=1           - Use KVM, if a trial boot works'
