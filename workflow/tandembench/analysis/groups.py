"""What the runs of a config, of a scenario, or all together come to: one row each. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, ratio_verdict
from tandembench.analysis.numbers import by_config, mean, numbers
from tandembench.analysis.summaries import summary
from tandembench.metrics import IMBALANCE_PARTS
from tandembench.tables.columns import TOPOLOGIES

# Values by name; one that is not known is None.
Row = Mapping[str, object]
# Runs of one kind, which stand in one row whatever their configs.
KIND = ("scenario", "work_policy", "topology", "n_agents")
SUMMARISED = ("speedup_estimate", "efficiency_estimate", "speedup_true", "efficiency_true")
# The exact parts of 1 - efficiency_estimate and of 1 - efficiency_true; turns are a part of both.
_PARTS = (
    *("imbalance_loss", *IMBALANCE_PARTS, "sequencing_loss", "orchestration_loss"),
    *("work_imbalance", "reloading", "queueing", "contention", "orchestration_true"),
)
_MEANS = (
    *("wall_s", "answer_tokens", "aggregate_tokens_per_s", "start_skew_s", "ttft_delta_s"),
    *("throughput_delta_tokens_per_s", *_PARTS),
)
# What speedup_estimate over speedup_true says of TR114's estimator.
Reading = Literal["overstates", "understates", "right", "cannot_tell"]
READINGS: Mapping[Verdict, Reading] = {
    "better": "overstates",
    "worse": "understates",
    "equivalent": "right",
    "inconclusive": "cannot_tell",
}


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``of``."""

    count: int
    of: int

    def __str__(self) -> str:
        return f"{self.count}/{self.of}"


@dataclass(frozen=True, slots=True)
class Estimated:
    """TR114's estimator for a config: what it reads, the measured gain, and the first over it.

    ``reading`` is the verdict on that, None where there is no measured gain.
    """

    config_id: str
    estimate: Interval | None
    measured: Interval | None
    overstated: Interval | None
    reading: Reading | None


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens/s of an agent beside another one (``shared``) and alone, from overlap.

    ``gain`` is 2 x shared / solo, ``verdict`` that on it against 1: what one alone makes.
    ``scenario`` is None for all runs of a topology; ``alone_share``: of decoding, alone.
    """

    scenario: str | None
    topology: str
    runs: int
    alone_share: float
    shared: Interval
    solo: Interval
    gain: Interval
    verdict: Verdict


def groups(runs: pd.DataFrame, by: Sequence[str], margin: float) -> Iterator[Row]:
    """A row for each set of values of the columns ``by``, topologies in the design's order.

    One whose runs all failed is there too, with n = 0.
    """
    place = {name: str(number) for number, name in enumerate(TOPOLOGIES)}
    made = runs.groupby([*by], sort=False)
    for key, part in sorted(made, key=lambda one: [place.get(str(of), str(of)) for of in one[0]]):
        yield group(part, margin, **dict(zip(by, key, strict=True)))


def group(runs: pd.DataFrame, margin: float, **key: object) -> Row:
    """The valid ones of ``runs``, which agree in ``key``.

    A `Summary` of each of SUMMARISED, of ``slowdown`` (geometric mean over the agents) and of
    ``overstated`` (speedup_estimate / speedup_true, the mean slowdown weighted by solo time: what
    the estimator cannot see); arithmetic means of losses and times; ``true_sequencing`` is that of
    sequencing_loss where speedup_true is known. ``gain`` is the verdict on speedup_true against 1,
    ``reading`` that on overstated. ``contended``: of the configs that can tell, those whose lower
    95 % bound of the mean log slowdown is above 0.
    """
    part = _with_ratios(runs[runs["valid"]])
    made = {name: summary(part, name) for name in (*SUMMARISED, "slowdown", "overstated")}
    gain, overstated = made["speedup_true"], made["overstated"]
    skew_s = mean(part["start_skew_s"])
    return {
        **key,
        "n": len(part),
        "configs": int(part["config_id"].nunique()),
        **made,
        **{name: mean(part[name]) for name in _MEANS},
        "speedup_true_arithmetic": mean(part["speedup_true"]),
        "true_sequencing": mean(part.loc[part["speedup_true"].notna(), "sequencing_loss"]),
        "start_skew_ms": None if skew_s is None else 1000 * skew_s,
        "slowdown_max": max(numbers(part["slowdown_max"]), default=None),
        "gain": ratio_verdict(gain.mean, margin) if gain else None,
        "reading": READINGS[ratio_verdict(overstated.mean, margin)] if overstated else None,
        "ttft_rule": _share(part["contention_ttft_rule"]),
        "speedup_rule": _share(part["contention_speedup_rule"]),
        "contended": _contended(part),
        "solo_basis": ", ".join(sorted(part["solo_basis"].dropna().unique())) or None,
    }


def estimator(runs: pd.DataFrame, margin: float) -> tuple[Estimated, ...]:
    """What the estimator reads of each config of ``runs``, in their order."""
    valid = by_config(_with_ratios(runs[runs["valid"]]))
    made = []
    for name in runs["config_id"].unique():
        part = valid.get(name, runs.iloc[:0].assign(overstated=None))
        of = (summary(part, one) for one in ("speedup_estimate", "speedup_true", "overstated"))
        read, gain, overstated = (one.mean if one else None for one in of)
        reading = READINGS[ratio_verdict(overstated, margin)] if overstated else None
        made.append(Estimated(str(name), read, gain, overstated, reading))
    return tuple(made)


def rates(table: pd.DataFrame, margin: float) -> tuple[Rate, ...]:
    """The dataset's table of rates from overlap."""
    made = []
    for row in table.to_dict("records"):
        shared, solo, gain = (
            Interval(row[name], row[f"{name}_low"], row[f"{name}_high"], row["runs"])
            for name in ("shared_tokens_per_s", "solo_tokens_per_s", "gain_overlap")
        )
        scenario = None if pd.isna(row["scenario"]) else str(row["scenario"])
        place = (scenario, str(row["topology"]), int(row["runs"]), float(row["alone_share"]))
        made.append(Rate(*place, shared, solo, gain, ratio_verdict(gain, margin)))
    return tuple(made)


def _with_ratios(runs: pd.DataFrame) -> pd.DataFrame:
    logs = runs["slowdown_log_mean"].to_numpy(dtype=float, na_value=np.nan)
    overstated = runs["speedup_estimate"] / runs["speedup_true"]
    return runs.assign(slowdown=np.exp(logs), overstated=overstated)


def _share(flags: "pd.Series[Any]") -> Share | None:
    known = numbers(flags)
    return Share(int((known != 0).sum()), known.size) if known.size else None


def _contended(part: pd.DataFrame) -> Share | None:
    made = (summary(one, "slowdown") for one in by_config(part).values())
    lows = [one.mean.low for one in made if one and one.mean.low is not None]
    return Share(sum(low > 1 for low in lows), len(lows)) if lows else None
