"""Controls: where there is nothing to see, nothing may be seen. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pandas as pd

from tandembench.analysis.compare import level_fit, pair_fit, versus
from tandembench.analysis.findings import Answer, Versus
from tandembench.analysis.intervals import holm
from tandembench.analysis.rounds import rounds

Kind = Literal["twin", "same_config", "serial_gain"]
# "passed": equivalent to 1 within the margin; "failed": shown to differ; "too_few": neither.
Result = Literal["passed", "failed", "too_few"]
_RESULTS: dict[str, Result] = {
    "equivalent": "passed",
    "better": "failed",
    "worse": "failed",
    "inconclusive": "too_few",
}


@dataclass(frozen=True, slots=True)
class Control:
    """A ratio that should be 1. ``kind``: the same config twice in a round, one config under two
    ids, or the gain of agents that run one after the other against each alone.
    """

    kind: Kind
    result: Result
    versus: Versus


def controls(runs: pd.DataFrame, answers: Sequence[Answer], margin: float) -> tuple[Control, ...]:
    """Every control that a dataset holds; it passes by equivalence within ``margin`` alone.

    Pairs of one config under two ids are a family of their own (Holm).
    """
    result = [_control("twin", answer.twin) for answer in answers if answer.twin]
    result += [_control("same_config", one) for one in _same_configs(runs, margin)]
    return (*result, *(_control("serial_gain", one) for one in _serial_gains(runs, margin)))


def _control(kind: Kind, one: Versus) -> Control:
    return Control(kind, _RESULTS[one.verdict], one)


def _same_configs(runs: pd.DataFrame, margin: float) -> list[Versus]:
    pairs = []
    for _, group in runs.groupby("content", sort=False):
        ids = [str(name) for name in group["config_id"].unique()]
        if len(ids) > 1:
            # Answers that end by themselves differ in length, and their times with it.
            natural = group["work_effective"] != "fixed"
            rate = bool(natural.any() and group["aggregate_tokens_per_s"].notna().all())
            metric = "aggregate_tokens_per_s" if rate else "wall_s"
            table = rounds(group, metric, more_is_better=rate).undisturbed()
            known = [name for name in ids if name in table.logs]
            pairs += [(a, b, pair_fit(table, b, a, {})) for a, b in pairwise(known)]
    adjusted = holm([one.p if one else None for _, _, one in pairs])
    return [versus(b, a, one, margin, p) for (a, b, one), p in zip(pairs, adjusted, strict=True)]


def _serial_gains(runs: pd.DataFrame, margin: float) -> list[Versus]:
    """speedup_true of configs whose agents take turns, where it was measured against solos."""
    turns = runs[(runs["topology"] == "serial") & (runs["n_agents"] > 1)]
    gains = []
    if turns["speedup_true"].notna().any():
        table = rounds(turns, "speedup_true", more_is_better=True).undisturbed()
        gains = [
            versus(str(name), "alone", level_fit(table, str(name)), margin) for name in table.logs
        ]
    return gains
