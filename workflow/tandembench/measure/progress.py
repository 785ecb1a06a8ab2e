"""For the person who watches: what was done, on stderr and in the log."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import IO

import psutil

from tandembench.files import way_out
from tandembench.measure.execution import Execution
from tandembench.measure.siblings import UNREADABLE, planned


@contextmanager
def open_log(path: Path) -> Iterator[IO[str]]:
    """A log to append to. What cannot be written there is lost and said once: no block is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = io.FileIO(path, "a")
    except OSError as error:
        _say(_unwritten(path, error))
        raw = io.FileIO(os.devnull, "a")
    with _Log(raw, encoding="utf-8", write_through=True) as log:
        yield log


class _Log(io.TextIOWrapper):
    """A text file on a disk that may be full."""

    _failed = False

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            if not self._failed:
                self._failed = True
                _say(_unwritten(self.name, error))
            return len(text)


def _unwritten(path: Path | str, error: OSError) -> str:
    fix = f"{way_out(error)}; measuring goes on"
    return f"tandembench: {path}: cannot be written ({error.strerror}); {fix}"


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal is closed
        print(line, file=sys.stderr, flush=True)


def teller(log: IO[str]) -> Callable[[str], None]:
    """Say a line to the person and to the log; neither is missed if it is gone."""

    def tell(line: str) -> None:
        _say(line)
        print(line, file=log, flush=True)

    return tell


def execution_line(label: str, execution: Execution) -> str:
    """Config, repetition, agent, mode, and the decode rate or the fault of one execution."""
    head = f"{label} {execution.agent} {execution.mode}:"
    steps, last = execution.steps, execution.steps[-1]
    if last.error:
        return f"{head} failed ({last.error}) after {len(last.chunk_ns)} chunks {last.detail}"
    tokens = [step.final.answer_tokens or 0 for step in steps]
    decode_s = sum(step.chunk_ns[-1] - step.chunk_ns[0] for step in steps if step.chunk_ns) / 1e9
    rate = (
        f"{sum(max(n - 1, 0) for n in tokens) / decode_s:.1f} tokens/s" if decode_s else "no rate"
    )
    first_s = (steps[0].chunk_ns[0] - steps[0].request_ns) / 1e9
    return f"{head} {sum(tokens)} tokens, {rate}, first token after {first_s:.2f} s"


def time_left(output: Path) -> str:
    """How far the session of the run file ``output`` is, which is written already.

    The study's manifest lies two folders above; without one, or with a damaged one, there is
    nothing to say. A block takes the median of what the last ones took, or as long as this process
    has worked.
    """
    with suppress(*UNREADABLE):
        return _time_left(output)
    return ""


def _time_left(output: Path) -> str:
    session, names = output.parent, planned(output)
    present = [session / name for name in names if (session / name).exists()]
    done, left = f"{len(present)} of {len(names)} blocks", len(names) - len(present)
    if left == 0:
        return done
    recent = sorted(map(_written_at, present))[-10:]
    # The median: one pause over night must not count.
    gaps = sorted(b - a for a, b in pairwise(recent))
    gaps = gaps or [time.time() - psutil.Process().create_time()]
    minutes = left * gaps[len(gaps) // 2] / 60
    return f"{done}, {f'about {minutes:.0f} min' if minutes >= 1 else 'less than a minute'} left"


def _written_at(path: Path) -> float:
    return path.stat().st_mtime
