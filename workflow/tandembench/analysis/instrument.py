"""What measured and what it cost: calibrations, telemetry, first tokens, gaps. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.analysis.groups import Row
from tandembench.analysis.numbers import RUN
from tandembench.calibrate.record import Instrument as Calibration
from tandembench.metrics import percentile

_OF_SAMPLES = ("cores", "memory_gib", "clock_mhz", "utilisation", "power_w", "temperature_c")
# In this order, each by its number; a subject that is not known comes last.
_SUBJECTS = ("server", "client", "telemetry", "others", "machine", "gpu")
_STEP = [*RUN, "mode", "agent", "step"]


@dataclass(frozen=True, slots=True)
class Typical:
    """``n`` values; ``p99`` is None for fewer than 662."""

    median: float
    p99: float | None
    max: float
    n: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """``calibrations`` of measured sessions; ``missing`` sessions have none, and those of
    ``foreign`` ones were made on no machine that measured.

    ``client_share``: the client's part of the CPU time that the cores had during a run;
    ``start_skew``: how far apart agents that start together started, s.
    """

    calibrations: tuple[Calibration, ...]
    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    client_share: Typical | None
    start_skew: Typical | None

    @property
    def worst(self) -> Calibration | None:
        """The one with the largest error in the arrival of a token; None without any."""
        return max(self.calibrations, key=lambda one: one.token_stamp_error_us.median, default=None)


def instrument(
    calibrations: Mapping[str, Calibration],
    machines: Sequence[Mapping[str, Any]],
    runs: pd.DataFrame,
) -> Instrument:
    """The calibrations by session, and what the runs say of the client."""
    sessions = sorted(runs["session"].unique())
    valid = runs[runs["valid"]]
    known = [calibrations[session] for session in sessions if session in calibrations]
    # Where machines differ in cores, the fewest count: the share is never too small.
    cores = min((machine["cores"] for machine in machines), default=None)
    return Instrument(
        calibrations=tuple(known),
        missing=tuple(session for session in sessions if session not in calibrations),
        foreign=tuple(one.session for one in known if one.machine not in machines),
        client_share=_typical(valid["client_cpu_s"] / (cores * valid["wall_s"])) if cores else None,
        start_skew=_typical(valid["start_skew_s"]),
    )


def _typical(values: "pd.Series[Any]") -> Typical | None:
    known = values.dropna()
    if known.empty:
        return None
    p99 = percentile(known.to_list(), 0.99)
    return Typical(float(known.median()), p99, float(known.max()), len(known))


def usage(telemetry: pd.DataFrame, runs: pd.DataFrame) -> list[dict[str, object]]:
    """Mean and peak of the samples of valid runs, a row a subject and mode; none without samples.

    ``throttle``: every reason that a GPU gave.
    """
    if telemetry.empty:
        return []
    samples = telemetry.merge(runs.loc[runs["valid"], RUN], on=RUN)
    samples["memory_gib"] = samples["memory_bytes"] / 2**30
    samples["throttle"] = samples["throttle"].fillna("")
    of = {
        f"{name}_{what}": (name, how)
        for name in _OF_SAMPLES
        for what, how in (("mean", "mean"), ("peak", "max"))
    }
    by_subject = samples.groupby(["subject", "mode"])
    table = by_subject.agg(n=("mode", "size"), throttle=("throttle", _reasons), **of).reset_index()
    known = table.astype(object).where(table.notna(), None)
    rows = [{str(name): value for name, value in one.items()} for one in known.to_dict("records")]
    return sorted(rows, key=lambda one: (_place(str(one["subject"])), one["mode"] != "solo"))


def cost_of_samples(telemetry: pd.DataFrame, runs: pd.DataFrame) -> float | None:
    """Cores that taking the samples of valid runs used; None if not known."""
    if telemetry.empty:
        return None
    samples = telemetry.merge(runs.loc[runs["valid"], RUN], on=RUN)
    cores = samples.loc[samples["subject"] == "telemetry", "cores"].dropna()
    return float(cores.mean()) if len(cores) else None


def _reasons(throttle: "pd.Series[str]") -> str | None:
    reasons = {reason for text in throttle for reason in text.split(", ") if reason}
    return ", ".join(sorted(reasons)) or None


def _place(subject: str) -> tuple[int, str, int]:
    word, _, number = subject.partition(" ")
    known = _SUBJECTS.index(word) if word in _SUBJECTS else len(_SUBJECTS)
    return known, word, int(number) if number.isdecimal() else 0


def gaps(tokens: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Every gap of a valid run: config_id, mode, agent and ``gap_s``, in the tokens' order.

    Between chunks of one step: the wait for the next step is no gap.
    """
    columns = ["config_id", "mode", "agent", "gap_s"]
    if tokens.empty:
        return pd.DataFrame({name: [] for name in columns})
    known = tokens.merge(runs.loc[runs["valid"], RUN], on=RUN)
    ordered = known.sort_values([*_STEP, "chunk"])
    gap_ns = ordered.groupby(_STEP, sort=False)["t_ns"].diff()
    return ordered.assign(gap_s=gap_ns / 1e9).dropna(subset=["gap_s"])[columns]


def latencies(executions: pd.DataFrame, tokens: pd.DataFrame, runs: pd.DataFrame) -> list[Row]:
    """First tokens ("first") and gaps ("gap") by config and mode, all agents pooled, in s.

    Solos come first. A percentile is None under its floor (11, 64 and 662 values).
    """
    valid = executions[executions["valid"]]
    waits = valid[["config_id", "mode"]].assign(kind="first", value=valid["ttft_s"])
    between = gaps(tokens, runs).rename(columns={"gap_s": "value"}).assign(kind="gap")
    every = pd.concat([waits, between[waits.columns]]) if len(between) else waits
    by = every.dropna(subset="value").groupby(["config_id", "kind", "mode"])["value"]
    rows: list[Row] = [
        {
            **dict(zip(("config_id", "kind", "mode"), map(str, key), strict=True)),
            "n": len(values),
            **{f"p{round(100 * p)}_s": percentile(values.to_list(), p) for p in (0.5, 0.9, 0.99)},
            "max_s": float(values.max()),
        }
        for key, values in by
    ]
    return sorted(rows, key=lambda row: (row["config_id"], row["kind"], row["mode"] != "solo"))
