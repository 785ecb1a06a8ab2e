"""How much more to measure for a precision, in minutes: what `tandembench plan` says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.answer import comparisons, measured, plan
from tandembench.analysis.findings import Next, Verdict
from tandembench.errors import TandemError
from tandembench.text import sanitise


@dataclass(frozen=True, slots=True)
class Planned:
    """One ratio against the reference: where it stands, and what tells it to a precision.

    ``half``: the half width of its 95 % interval, as a ratio less 1. ``step`` is None where that
    is reached, or, without a precision, where the ratio is decided.
    """

    comparison: str
    config_id: str
    ratio: float
    half: float
    verdict: Verdict
    step: Next | None


def as_fraction(text: str) -> float:
    """The precision "3%" or "0.03" as 0.03; TandemError unless it is above 0 and at most 50 %."""
    number = text.strip()
    scale = 100 if number.endswith("%") else 1
    try:
        value = float(number.removesuffix("%")) / scale
    except ValueError:
        value = math.nan
    if not 0 < value <= 0.5:
        what = f"'{sanitise(text, 40)}' is no precision"
        raise TandemError(what, where="--precision", fix="above 0 and at most 50 %, such as 3%")
    return value


def planned(
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    margin: float,
    reference: str,
    precision: float | None,
) -> list[Planned]:
    """Every ratio of every comparison with what tells it to ``precision``, or else decides it.

    TandemError where no comparison has a ratio yet.
    """
    rows = []
    for group, of_agents in comparisons(runs, executions):
        base = measured(group, of_agents, margin, reference)
        for one, step in plan(base, group, margin, precision):
            if one.ratio is None or one.ratio.high is None:
                continue
            half = one.ratio.high / one.ratio.value - 1
            enough = half <= precision if precision else one.verdict != "inconclusive"
            place = (str(group["comparison"].iloc[0]), one.subject)
            left = None if enough else step
            rows.append(Planned(*place, one.ratio.value, half, one.verdict, left))
    if not rows:
        fix = "measure two configs side by side (an axis `topology`), two rounds or more"
        raise TandemError("no two configs were compared", where="plan", fix=fix)
    return rows


def as_text(rows: Sequence[Planned], precision: float | None, study_file: str) -> str:
    """The plan for people: a line a ratio, then the command that does all of it."""
    aim = f"to within {100 * precision:g} %" if precision else "until it is decided"
    lines = [f"Ratios against the reference, and how much more measuring each takes {aim}:", ""]
    width = max(len(row.config_id) for row in rows)
    for row in rows:
        now = f"{row.ratio:.3f} +- {100 * row.half:.1f} %"
        lines.append(f"{row.config_id:<{width}}  {now:<16}  {_more(row)}")
    steps = [row.step for row in rows if row.step]
    if steps:
        widest = max(steps, key=lambda step: (step.sessions is not None, step.minutes))
        lines += ["", f"All of them: {command(widest, study_file)}"]
        if widest.sessions:
            lines.append("Sessions on different days say most; name each: s2, s3 and so on.")
    return "\n".join(lines)


def command(step: Next, study_file: str) -> str:
    """The command that measures a step; of several sessions the first."""
    more = "session=s2" if step.repetitions is None else f"repetitions={step.repetitions}"
    return f"snakemake --cores 1 --configfile {study_file} --config {more}"


def _more(row: Planned) -> str:
    if row.step is None:
        return "enough"
    minutes = f"{max(1, math.ceil(row.step.minutes))} min"
    if row.step.sessions:
        return f"{row.step.sessions} more session{'s' * (row.step.sessions > 1)}, {minutes} in all"
    return f"{minutes} more ({row.step.repetitions} repetitions in all)"
