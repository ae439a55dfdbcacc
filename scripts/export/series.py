#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""series.py SOURCE TREE OUT

Writes patches for the kernel tree TREE to the folder OUT. They add the Rust abstractions of the
checkout SOURCE as the module `ext` of the `kernel` crate, with the C code that they need.
"""

import re
import subprocess
import sys
from pathlib import Path

import paths
import shims

MODULE = "ext"

# Files of the crate that are not exported: the commands of diofs, and what redirects
# functions of a running kernel, with AIO and what only AIO uses, and what earlier kernels need
LEFT_OUT = {
    "aio.rs",
    "compat.rs",
    "dio/attach.rs",
    "dio/uapi.rs",
    "eventfd.rs",
    "fs/mount.rs",
    "fs/open_file.rs",
    "ftrace.rs",
    "signal.rs",
    "sysctl.rs",
}
# Files with C code, likewise
LEFT_OUT_C = {"aio.c", "aio_calls.c", "aio_poll.c", "compat.c", "redirect.c", "trace.c"}

# The patches with abstractions: the name of the changelog, and the modules of the crate, which come
# with their folders. A patch without names takes all modules that no other patch names. Unknown
# names are ignored, so that files can move between folders without an edit here. A module with
# functions that only a module of a later patch calls must be in that patch.
IO = {"block", "fs", "io_uring", "dio", "trace"}
USED_BY_IO = {"context", "iov", "percpu_ref", "sync", "task_work", "workqueue"}
PATCHES = (("foundation", None), ("io", IO | USED_BY_IO))

CHANGED = (
    "init/Kconfig",
    "rust/Makefile",
    "rust/bindgen_parameters",
    "rust/bindings/bindings_helper.h",
    "rust/helpers/helpers.c",
    "rust/kernel/lib.rs",
)

AUTHOR = {"NAME": "rnull-dio", "EMAIL": "rnull-dio@example.org"}


class Export:
    def __init__(self, source, tree, repo):
        self.source, self.tree, self.repo = source, tree, repo
        self.texts = source / "scripts/export"
        self.ours = source / "rust/kernel_ext"

    def check(self):
        """Exits with a message if the tree is not suitable."""
        for name in CHANGED:
            if not (self.tree / name).is_file():
                sys.exit(f"this kernel has no {name}: its Rust support is too old or too new")
        if (self.tree / f"rust/kernel/{MODULE}.rs").exists():
            sys.exit(f"this kernel has rust/kernel/{MODULE}.rs already")

    def run(self):
        self.check()
        self.begin()
        self.helpers()
        self.commit("helpers")
        self.tracepoints()
        self.commit("tracepoints")
        self.insert_mod()
        done = set()
        for changelog, names in PATCHES:
            done |= self.all_modules() & names if names else self.unnamed_modules()
            self.modules(done)
            self.commit(changelog)

    # The steps

    def helpers(self):
        self.write("rust/kernel/Kconfig.ext", (self.texts / "Kconfig.ext").read_text())
        anchor = 'source "rust/kernel/Kconfig.test"\n'
        self.insert_after("init/Kconfig", anchor, anchor.replace("test", MODULE))
        header = self.read_ours("helpers/helpers.h")
        self.write("rust/helpers/ext/ext.h", shims.header(header))
        names = []
        for file in sorted((self.source / "rust/helpers").glob("*.c")):
            if file.name not in LEFT_OUT_C:
                names.append(file.name)
                self.write(f"rust/helpers/ext/{file.name}", shims.helpers(file.read_text()))
        lines = "".join(f'#include "ext/{name}"\n' for name in names)
        self.insert_sorted(
            "rust/helpers/helpers.c",
            r'#include "(\w+)[^"]*"\n',
            f"#ifdef CONFIG_RUST_EXT\n{lines}#endif\n",
        )
        ours = self.read_ours("bindings/bindings_helper.h")
        self.append("rust/bindings/bindings_helper.h", shims.bindings(ours))
        ours = self.read_ours("bindings/bindgen_parameters")
        self.append("rust/bindgen_parameters", shims.parameters(ours))

    def tracepoints(self):
        events = shims.events(self.read_ours("helpers/trace.h"))
        self.write("include/trace/events/rust_ext.h", events)
        self.write("rust/ext_trace.c", shims.trace_points(events))
        self.insert_after(
            "rust/Makefile",
            "obj-$(CONFIG_RUST) += exports.o\n",
            "obj-$(subst y,$(CONFIG_RUST_EXT),$(CONFIG_TRACEPOINTS)) += ext_trace.o\n",
        )
        self.insert_after(
            "rust/bindings/bindings_helper.h",
            '#include "../helpers/ext/ext.h"\n',
            "#include <trace/events/rust_ext.h>\n",
        )

    def modules(self, names):
        """Writes these modules of the crate, each with its folder."""
        declarations = [line for line in self.declarations() if mod_name(line) in names]
        about = (self.texts / "ext.rs").read_text()
        text = f"{about}\n{''.join(declarations)}"
        files = [self.write(f"rust/kernel/{MODULE}.rs", text)]
        for file in sorted(self.ours.rglob("*.rs")):
            path = file.relative_to(self.ours)
            if path.parts[0].removesuffix(".rs") in names and str(path) not in LEFT_OUT:
                text = without_left_out(without_features(file.read_text()), path.with_suffix(""))
                text = shims.rename(paths.convert(text, MODULE))
                files.append(self.write(f"rust/kernel/{MODULE}/{path}", text))
        rustfmt(self.tree, files)

    def insert_mod(self):
        self.insert_sorted(
            "rust/kernel/lib.rs",
            r"(?:#\[[^\n]*\]\n)*pub mod (\w+);\n",
            f"#[cfg(CONFIG_RUST_EXT)]\npub mod {MODULE};\n",
        )

    # The crate

    def read_ours(self, name):
        return (self.source / "rust" / name).read_text()

    def declarations(self):
        return re.findall(r"^pub mod \w+;\n", (self.ours / "lib.rs").read_text(), re.MULTILINE)

    def all_modules(self):
        names = {mod_name(line) for line in self.declarations()}
        return {name for name in names if f"{name}.rs" not in LEFT_OUT}

    def unnamed_modules(self):
        named = set().union(*(names for _, names in PATCHES if names))
        return self.all_modules() - named

    # A repository with the files of the tree that the patches change

    def begin(self):
        for name in CHANGED:
            self.write(name, (self.tree / name).read_text())
        self.git("init", "--quiet")
        self.commit_with("--message=The tree")
        self.git("tag", "tree")

    def commit(self, changelog):
        self.commit_with(f"--file={self.texts / changelog}.txt")

    def commit_with(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", message)

    def git(self, *args):
        env = {f"GIT_{who}_{k}": v for who in ("AUTHOR", "COMMITTER") for k, v in AUTHOR.items()}
        subprocess.run(["/usr/bin/git", "-C", self.repo, *args], check=True, env=env)

    def format_patches(self, out):
        options = ["--quiet", "--zero-commit", "--no-signature", f"--output-directory={out}"]
        self.git("format-patch", *options, "tree")

    def write(self, name, text):
        if left := re.search(r".*rnull.*", text, re.IGNORECASE):
            sys.exit(f"{name} would mention this module: {left[0].strip()}")
        path = self.repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def append(self, name, text):
        self.write(name, (self.repo / name).read_text() + text)

    def insert_after(self, name, anchor, text):
        before, found, after = (self.repo / name).read_text().partition(anchor)
        if not found:
            sys.exit(f"{name} has no line {anchor.strip()!r}")
        self.write(name, before + found + text + after)

    def insert_sorted(self, name, entry, text):
        """Inserts `text` before the first entry of a sorted list that comes after MODULE."""
        old = (self.repo / name).read_text()
        for match in re.finditer(f"^{entry}", old, re.MULTILINE):
            if match[1] > MODULE:
                self.write(name, old[: match.start()] + text + old[match.start() :])
                return
        sys.exit(f"{name} has no list for {MODULE!r}")


def without_features(text):
    """Takes it that the tree has all features, and removes what is for others."""
    text = re.sub(
        r"(?:^///.*\n)*^#\[cfg\(not\(ext_has_\w+\)\)\]\n(?:.*\n)*?^\}\n\n?",
        "",
        text,
        flags=re.MULTILINE,
    )
    return re.sub(r"^#\[cfg\(ext_has_\w+\)\]\n", "", text, flags=re.MULTILINE)


def without_left_out(text, folder):
    """Removes the declarations and re-exports of files that are left out of a module's folder."""
    for path in map(Path, LEFT_OUT):
        if path.parent == folder:
            text = re.sub(rf"(?m)^(?:pub(?:\([^)]*\))? )?mod {path.stem};\n", "", text)
            text = re.sub(rf"(?ms)^    {path.stem}::\{{.*?^    \}},\n", "", text)
    return text


def mod_name(declaration):
    return declaration.split()[-1].rstrip(";")


def rustfmt(tree, files):
    config = tree / ".rustfmt.toml"
    subprocess.run(["rustfmt", "--edition=2021", "--config-path", config, *files], check=True)


def main():
    source, tree, out = map(Path, sys.argv[1:])
    export = Export(source, tree, out / "repo")
    export.repo.mkdir()
    export.run()
    export.format_patches(out)


if __name__ == "__main__":
    main()
