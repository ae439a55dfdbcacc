# SPDX-License-Identifier: GPL-2.0
"""The programs of the folder tools/, which are in Python. They run within this process, because one
more Python needs a second to start under emulation."""

import contextlib
import functools
import io
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from unittest import mock

from guest import system

MKFS_DIOFS = system.SOURCE / "tools/mkfs.diofs"
RNULL_DIO = system.SOURCE / "tools/rnull-dio"


@functools.cache
def module(program: Path) -> ModuleType:
    """Imports a program."""
    name = program.name.replace("-", "_").replace(".", "_")
    loader = SourceFileLoader(name, str(program))
    imported = module_from_spec(spec_from_loader(name, loader))
    # dataclasses looks for it.
    sys.modules[name] = imported
    loader.exec_module(imported)
    return imported


def run(program: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Calls a program's main() with these arguments, as system.run() starts other programs."""
    command = [str(program), *map(str, words)]
    output, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", command),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            status = module(program).main()
        except SystemExit as end:
            status = end.code
    if check and status:
        raise AssertionError(f"{' '.join(command)}: {status}\n{errors.getvalue()}")
    return subprocess.CompletedProcess(command, status or 0, output.getvalue(), errors.getvalue())


def mkfs_diofs(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(MKFS_DIOFS, *words, check=check)
