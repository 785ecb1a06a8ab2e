"""Ends at any system call: a warm process forks a child for each, which strace kills or refuses.

As a program it is the warm process: a scenario and a folder a line in; out comes the pid of a child
that waits to be let go on, and later how it ended.
"""

import os
import re
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import raw_blocks
from raw_blocks import block, rounds, side_by_side, write_dataset, write_run_file

from tandembench.dataset.baseline import freeze
from tandembench.errors import TandemError

BLOCKS = rounds(4, side_by_side(block("serial", workload="w"), block("dual", workload="w")))
# A scenario, its folder, and options of strace -> the child's exit code, or less a signal.
Act = Callable[..., int]


class Point(NamedTuple):
    """The ``n``-th call of this name (from 1) in a process, and strace's line of it."""

    name: str
    n: int
    line: str


def before(folder: Path) -> None:
    """A study of which half of the blocks were measured."""
    write_dataset(folder, BLOCKS[:2])


def resume(folder: Path) -> None:
    """As Snakemake does it: the blocks that are missing, and everything that is made of them."""

    def measure_if_missing(path: Path, *rest: Any) -> Path:
        if path.exists():
            return path
        with (folder / "measured.log").open("a") as log:
            log.write(f"{path.name}\n")
        return write_run_file(path, *rest)

    with patch.object(raw_blocks, "write_run_file", measure_if_missing):
        write_dataset(folder, BLOCKS)


def publish(folder: Path) -> None:
    """A baseline, frozen unless it is there."""
    if not (folder / "baselines/mine/1.0.0").exists():
        freeze(folder / "dataset", "mine", "1.0.0", folder / "baselines")


def careless(folder: Path) -> None:
    """What no writer may do: rename what is not on disk, and leave the rename to chance."""
    (folder / ".notes").write_text("x")
    (folder / ".notes").rename(folder / "notes")


@contextmanager
def warm() -> Iterator[Act]:
    """The warm process: it acts out a scenario in a folder, under strace if given options."""
    words = [sys.executable, __file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin
        assert server.stdout

        def act(scenario: Callable[[Path], None], folder: Path, *options: str) -> int:
            print(scenario.__name__, folder, file=server.stdin, flush=True)
            pid = int(server.stdout.readline())
            if options:
                words = ["strace", "-f", "-y", "-s", "0", "-p", str(pid), *options]
                tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
                assert tracer.stderr
                first = tracer.stderr.readline()
                assert "attached" in first, first
            os.kill(pid, signal.SIGCONT)
            ended = int(server.stdout.readline())
            if options:
                tracer.communicate()
            return ended

        yield act
        server.stdin.close()


def recorded(act: Act, scenario: Callable[[Path], None], folder: Path, log: Path) -> list[Point]:
    """Every system call on files of the undisturbed scenario, in order."""
    assert act(scenario, folder, "-o", str(log)) == 0
    counts: Counter[str] = Counter()
    points = []
    for line in log.read_text().splitlines():
        if called := re.match(r"\d+ +(\w+)\(", line):
            counts[called[1]] += 1
            if str(folder) in line and not line.endswith("ENOENT (No such file or directory)"):
                points.append(Point(called[1], counts[called[1]], line))
    return points


def is_temporary(path: Path) -> bool:
    """Whether it is a writer's own, to be swept."""
    return any(part.startswith(".") for part in path.parts)


def _serve() -> None:
    with TemporaryDirectory() as folder:  # all that is imported late is here before the first fork
        for scenario in (before, resume, publish):
            scenario(Path(folder))
    for line in sys.stdin:
        name, folder = line.split()
        pid = os.fork()
        if pid == 0:
            _act(globals()[name], Path(folder))
        os.waitpid(pid, os.WUNTRACED)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _act(scenario: Callable[[Path], None], folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        scenario(folder)
        os._exit(0)
    except TandemError as error:
        os._exit(error.exit_code)
    except BaseException:  # noqa: BLE001 - this process may not go on as its parent's double
        traceback.print_exc()
        os._exit(99)


if __name__ == "__main__":
    _serve()
