"""For the person who watches: one line on stderr and in the log when something is done."""

import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import IO

from tandembench.measure.block import Execution

Tell = Callable[[str], None]


def teller(log: IO[str]) -> Tell:
    """Say a line to the person and to the log."""

    def tell(line: str) -> None:
        for stream in (sys.stderr, log):
            print(line, file=stream, flush=True)

    return tell


def execution_line(label: str, execution: Execution) -> str:
    """Config, repetition, agent, mode, and the decode rate or the fault of one execution."""
    head = f"{label} {execution.agent} {execution.mode}:"
    last = execution.steps[-1]
    if last.error:
        return f"{head} failed ({last.error}) after {len(last.chunk_ns)} chunks {last.detail}"
    tokens = sum(step.final.answer_tokens or 0 for step in execution.steps)
    intervals = sum(max((step.final.answer_tokens or 0) - 1, 0) for step in execution.steps)
    decode_s = (
        sum(step.chunk_ns[-1] - step.chunk_ns[0] for step in execution.steps if step.chunk_ns) / 1e9
    )
    rate = f"{intervals / decode_s:.1f} tokens/s" if decode_s > 0 else "no rate"
    first_s = (execution.steps[0].chunk_ns[0] - execution.steps[0].request_ns) / 1e9
    return f"{head} {tokens} tokens, {rate}, first token after {first_s:.2f} s"


def time_left(output: Path) -> str:
    """How far the study is, from its manifest and the run files beside ``output``.

    The manifest lies two folders above; without one there is nothing to say.
    """
    manifests = sorted(output.parent.parent.parent.glob("manifest.*.json"), key=_age)
    if not manifests:
        return ""
    names = [Path(f).name for f in json.loads(manifests[0].read_text("utf-8"))["run_files"]]
    present = [output.parent / name for name in names if (output.parent / name).exists()]
    recent = sorted(path.stat().st_mtime for path in present)[-10:]
    left = len(names) - len(present)
    if len(recent) < 2 or left == 0:
        return f"{len(present)} of {len(names)} blocks"
    # The median of the last gaps: one pause over night must not count.
    gaps = sorted(b - a for a, b in pairwise(recent))
    minutes = left * gaps[len(gaps) // 2] / 60
    return f"{len(present)} of {len(names)} blocks, about {minutes:.0f} min left"


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
