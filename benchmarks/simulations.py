"""Do the statistics keep their promises? Studies of which the truth is known, by the thousand.

Every cell (cells.py) draws its studies from a fixed seed, hands them to the project's own
functions, and counts; the first version's rules stand beside it, on the same data. A promise is
kept if the 99 % binomial interval of the count includes or beats it. README.md says what the
cells are.
"""

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import click
import numpy as np
from cells import (
    BLOCKS,
    LIKE,
    ROUNDS,
    UNLIKE,
    Cell,
    cells,
    compared,
    first_interval,
    half_width,
    synthetic,
)
from scipy.stats import binomtest

SEED = 114
STUDIES = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """A cell's count: its share of the studies with the 99 % interval, and whether that passes.

    ``half_width`` is a mean; ``first_version`` the share under its rules.
    """

    cell: str
    promise: str
    studies: int
    count: int
    share: float
    low: float
    high: float
    passed: bool | None
    half_width: float | None
    first_version: float | None
    first_half_width: float | None


def counted(cell: Cell, studies: int) -> Row:
    """The row of ``cell``, from a seed of its own."""
    random = np.random.default_rng([SEED, zlib.crc32(cell.name.encode())])
    seen = [cell.happens(random) for _ in range(studies)]
    count = sum(one.happens for one in seen)
    interval = binomtest(count, studies).proportion_ci(0.99, method="exact")
    passed = None
    if cell.low is not None or cell.high is not None:
        above = cell.low is None or interval.high >= cell.low
        passed = bool(above and (cell.high is None or interval.low <= cell.high))
    return Row(
        cell=cell.name,
        promise=cell.promise,
        studies=studies,
        count=count,
        share=count / studies,
        low=float(interval.low),
        high=float(interval.high),
        passed=passed,
        half_width=_mean([one.half for one in seen]),
        first_version=_mean([one.first_version for one in seen]),
        first_half_width=_mean([one.first_half for one in seen]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class Widths:
    """Mean half widths as one thing is added, the rest as it is; ``passed``: each is smaller."""

    subject: str
    added: str
    numbers: tuple[int, ...]
    half_widths: tuple[float, ...]
    first_half_widths: tuple[float, ...]

    @property
    def passed(self) -> bool:
        """Whether more data narrows the interval at every step."""
        return all(later < earlier for earlier, later in pairwise(self.half_widths))


def widths(studies: int) -> list[Widths]:
    """What every added round, block and session is worth."""
    result = []
    for added, numbers, shape in (
        ("rounds", (2, 3, 4, 6), lambda n: (1, BLOCKS, n)),
        ("blocks", (1, 2, 3, 6, 12), lambda n: (1, n, ROUNDS)),
        ("sessions", (1, 2, 3, 5), lambda n: (n, BLOCKS, ROUNDS)),
    ):
        means = [_mean_widths(shape(number), studies) for number in numbers]
        for place, subject in enumerate((UNLIKE, LIKE)):
            now = tuple(mean[0][place] for mean in means)
            before = tuple(mean[1][place] for mean in means)
            result.append(Widths(subject, added, numbers, now, before))
    return result


def _mean_widths(
    shape: tuple[int, int, int], studies: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    sessions, blocks, rounds = shape
    random = np.random.default_rng([SEED, *shape])
    draw = synthetic(sessions, blocks, rounds=rounds)
    now, before = [], []
    for _ in range(studies):
        measured = draw(random)
        of = {one.subject: half_width(one) for one in compared(measured).against}
        now.append((of[UNLIKE], of[LIKE]))
        before.append([first_interval(measured, name)[1] for name in (UNLIKE, LIKE)])
    new, old = np.mean(now, axis=0), np.mean(before, axis=0)
    return (float(new[0]), float(new[1])), (float(old[0]), float(old[1]))


def table(rows: Sequence[Row], falls: Sequence[Widths]) -> str:
    """The rows, and the widths, as Markdown tables."""
    words = {True: "pass", False: "**fail**", None: "told only"}
    lines = [
        "| of the studies | promise | share | 99 % interval | half width | first version:"
        " share | half width | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.cell} | {row.promise} | {_percent(row.share, 2)}"
        f" | {100 * row.low:.2f} to {_percent(row.high, 2)} | {_percent(row.half_width)}"
        f" | {_percent(row.first_version, 2)} | {_percent(row.first_half_width)}"
        f" | {words[row.passed]} |"
        for row in rows
    ]
    lines += ["", "| mean half width of | with | | first version | |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.subject} | {', '.join(map(str, one.numbers))} {one.added}"
        f" | {', '.join(_percent(half) for half in one.half_widths)}"
        f" | {', '.join(_percent(half) for half in one.first_half_widths)} | {words[one.passed]} |"
        for one in falls
    ]
    return "\n".join(lines)


def _percent(share: float | None, digits: int = 1) -> str:
    return "" if share is None else f"{100 * share:.{digits}f} %"


@click.command()
@click.option("--studies", default=STUDIES, show_default=True, help="Simulated studies a cell.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def main(studies: int, style: str) -> None:
    """Count how often the project's statistics are right; exit code 1 if a promise is broken."""
    rows = []
    for cell in cells():
        click.echo(cell.name, err=True)
        rows.append(counted(cell, studies))
    click.echo("half widths", err=True)
    falls = widths(studies)
    if style == "json":
        said = {
            "cells": [asdict(row) for row in rows],
            "widths": [{**asdict(one), "passed": one.passed} for one in falls],
        }
        click.echo(json.dumps(said, indent=2))
    else:
        click.echo(table(rows, falls))
    if any(row.passed is False for row in rows) or not all(one.passed for one in falls):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
