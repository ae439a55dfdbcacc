# SPDX-License-Identifier: GPL-2.0
"""fio: its command lines, job files and results."""

import json
from collections.abc import Iterable
from pathlib import Path

from guest import kernel, system

Options = dict[str, object]

# How many bytes a job reads or writes by default
SIZE = (1 if kernel.IS_DEBUG else 4) << 20

# Without files beside the one that is read and written; threads start faster than processes.
COMMON: Options = {"allow_file_create": 0, "verify_state_save": 0, "thread": 1}


def words(options: Options) -> list[str]:
    return [f"--{key}={value}" for key, value in options.items()]


def command(path: Path, **options: object) -> list[str]:
    """Returns the command line of one job."""
    defaults = {"filename": path, "direct": 1, "bs": "4k", "size": SIZE}
    return ["fio", "--name=job", "--output-format=json", *words(defaults | COMMON | options)]


def run(path: Path, **options: object) -> dict:
    """Runs one job and returns its result; the caller checks its "error"."""
    result = system.run(*command(path, **options), check=False)
    return job_output(result.stdout)["jobs"][0]


def lay_out(path: Path, size: int) -> None:
    """Writes all of a file, which is created if need be."""
    job = run(path, rw="write", size=size, bs="1M", ioengine="psync", allow_file_create=1)
    assert job["error"] == 0


def job_output(output: str) -> dict:
    """Returns the JSON object in a program's output, which may have other lines around it."""
    return json.loads(output[output.index("{") : output.rindex("}") + 1])


def job_file(sections: Iterable[tuple[str, Options]]) -> str:
    """Returns the text of a job file with these sections."""
    return "\n".join(section(name, options) for name, options in sections)


def section(name: str, options: Options) -> str:
    lines = [f"[{name}]", *(f"{key}={value}" for key, value in options.items())]
    return "\n".join(lines) + "\n"
