"""Snakemake in a process that has it imported already, which is half of what its start takes.

Nothing of the project's is imported here: each checkout brings its own.
"""

import multiprocessing
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["snakemake.cli"])


def snakemake(folder: Path, arguments: list[str]) -> tuple[int | None, str]:
    """The exit code of Snakemake in ``folder``, and what it says."""
    with NamedTemporaryFile() as said:
        words = (folder, arguments, said.name, dict(os.environ))
        process = _FORKS.Process(target=_snakemake, args=words)
        process.start()
        process.join()
        return process.exitcode, Path(said.name).read_text(encoding="utf-8")


def _snakemake(folder: Path, arguments: list[str], said: str, environment: dict[str, str]) -> None:
    from snakemake.cli import main  # noqa: PLC0415 - in this process alone

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    out = os.open(said, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(out, stream)
    main(arguments)
