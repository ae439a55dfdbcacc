# SPDX-License-Identifier: GPL-2.0
"""fio: its command lines, job files and results."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from guest import files, kernel, system
from guest.memory import pattern

Options = dict[str, object]

# How many bytes a job reads or writes by default
SIZE = kernel.fewer(4 << 20)

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


def verifying(path: Path, **options: object) -> AbstractContextManager[subprocess.Popen[str]]:
    """Runs a job that writes at random and verifies what it has written, until it is stopped; kills
    it at the end of the with statement, unless it has ended."""
    defaults = {
        "rw": "randwrite",
        "verify": "crc32c",
        "verify_backlog": 64,
        "time_based": 1,
        "runtime": 36000,
        # A pass over the file may begin while writes of the one before are in flight.
        "serialize_overlap": 1,
    }
    job = command(path, **(defaults | options))
    return system.running(job, stdout=subprocess.PIPE, text=True)


def wait_for_verifying(load: subprocess.Popen[str]) -> None:
    """Waits until such a job has written to its file, and then read it."""
    for transferred in ("write_bytes", "read_bytes"):
        before = accounting(load)[transferred]
        system.wait_for(lambda name=transferred, before=before: accounting(load)[name] > before)


def accounting(process: subprocess.Popen[str]) -> dict[str, int]:
    """Returns what a process and its threads have transferred."""
    lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def stop_verifying(load: subprocess.Popen[str]) -> None:
    """Stops such a job, which must not have failed, after it has verified something."""
    assert load.poll() is None
    wait_for_verifying(load)
    load.terminate()
    job = job_output(load.communicate()[0])["jobs"][0]
    assert job["error"] == 0
    assert job["read"]["total_ios"] > 0


def lay_out(path: Path, size: int) -> None:
    """Writes all of a file by direct I/O, which creates it if need be. fio would start slowly."""
    content = pattern(size)
    with files.opened(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT) as fd:
        assert os.pwrite(fd, content, 0) == size


def run_jobs(common: Options, jobs: dict[str, Options]) -> dict[str, dict]:
    """Runs several jobs in one process; none may fail. Returns the result of each, by name."""
    defaults = {"direct": 1, "bs": "4k", "size": SIZE}
    sections = {"global": defaults | COMMON | common, **jobs}
    with tempfile.NamedTemporaryFile("w", suffix=".fio", dir="/run") as file:
        file.write(job_file(sections.items()))
        file.flush()
        result = system.run("fio", "--output-format=json", file.name)
    return {job["jobname"]: job for job in job_output(result.stdout)["jobs"]}


def job_output(output: str) -> dict:
    """Returns the JSON object in a program's output, which may have other lines around it."""
    return json.loads(output[output.index("{") : output.rindex("}") + 1])


def job_file(sections: Iterable[tuple[str, Options]]) -> str:
    """Returns the text of a job file with these sections."""
    return "\n".join(section(name, options) for name, options in sections)


def section(name: str, options: Options) -> str:
    lines = [f"[{name}]", *(f"{key}={value}" for key, value in options.items())]
    return "\n".join(lines) + "\n"
