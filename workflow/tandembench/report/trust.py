"""Section "How far to trust it": controls, drift, failures, settings, the instrument, in words."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.analysis.controls import Control
from tandembench.analysis.findings import Answer
from tandembench.analysis.numbers import MOST_CONFIGS, Values
from tandembench.analysis.settings import Settings
from tandembench.analysis.stability import Stability
from tandembench.report.formats import bounded, counted, interval, listed, number, percent
from tandembench.report.words import say


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that was not applied as asked, or that no server reports."""

    factor: str
    asked: str
    effective: str
    configs: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, and why; ``reason`` is foreign text."""

    config_id: str
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trust:
    """``points`` are sentences; ``more_failures`` and ``more_settings`` are not listed."""

    points: tuple[str, ...]
    failures: tuple[Failure, ...]
    more_failures: int
    settings: tuple[Setting, ...]
    more_settings: int


# Rows of a table of the first page.
_MOST = 8


def trust(
    answers: Sequence[Answer],
    controls: Sequence[Control],
    stability: Sequence[Stability] | None,
    runs: pd.DataFrame,
    settings: Settings,
    instrument: Values,
    machines: int,
) -> Trust:
    """What stands behind the numbers of a dataset, good and bad."""
    points = [
        *(_control(one) for one in controls[:MOST_CONFIGS]),
        *([] if controls else [say("control", "none")]),
        *_others(runs),
        *_drift(stability),
        *([say("machines", "several", n=str(machines))] if machines > 1 else []),
        *_hardware(answers),
        *_cold(runs),
        *_settings(settings),
        *_instrument(instrument),
        *_sessions(runs),
    ]
    failed = runs[~runs["valid"]]
    rows = [
        Setting(
            factor=row.factor,
            asked=row.asked,
            effective=row.effective or say("setting", "unreported"),
            configs=len(row.configs),
        )
        for row in settings.rows
    ]
    return Trust(
        points=tuple(points),
        failures=tuple(_failure(row) for row in failed.head(_MOST).to_dict("records")),
        more_failures=max(len(failed) - _MOST, 0),
        settings=tuple(rows[:_MOST]),
        more_settings=max(len(rows) - _MOST, 0),
    )


def _failure(row: Mapping[Hashable, Any]) -> Failure:
    where = say(
        "failure",
        "twin" if row["twin"] else "run",
        session=str(row["session"]),
        repetition=str(row["repetition"]),
        round=str(row["round"]),
        attempt=str(row["attempt"]),
    )
    return Failure(str(row["config_id"]), where, str(row["reason"]))


def _control(one: Control) -> str:
    ratio = one.versus.ratio
    if ratio is None:
        return say(f"control_{one.kind}", "unpaired", **_pair(one))
    places = {"ratio": bounded(ratio.value, ratio.low, ratio.high), **_pair(one)}
    return say(f"control_{one.kind}", one.result, **places)


def _pair(one: Control) -> dict[str, str]:
    """The configs that a control names; a twin is one of many."""
    if one.kind == "twin":
        return {}
    names = {"subject": one.versus.subject}
    return names | ({"other": one.versus.other} if one.kind == "same_config" else {})


def _others(runs: pd.DataFrame) -> list[str]:
    """What other processes used of the machine."""
    known = runs["foreign_cores"].dropna()
    if known.empty:
        return [say("others", "unknown")] if len(runs) else []
    places = {"median": number(float(known.median())), "most": number(float(known.max()))}
    return [say("others", "known", **places)]


def _drift(stability: Sequence[Stability] | None) -> list[str]:
    if stability is None:
        return [say("drift", "untold")]
    said = []
    for row in stability:
        session = row.session
        if row.drift is None or row.verdict is None:
            said.append(say("drift", "few", session=session))
            continue
        times = interval(row.drift)
        said.append(say("drift", row.verdict, session=session, times=times))
        level = row.level_starts[-1] if row.level_starts else None
        if level:
            state = row.state.replace(" ", "_").replace("-", "_")
            said.append(say("level", state, session=session, run=str(level), runs=str(row.n)))
    return said


def _hardware(answers: Sequence[Answer]) -> list[str]:
    unequal = [answer for answer in answers if answer.equal_hardware is False]
    if unequal:
        names = listed([answer.comparison for answer in unequal])
        return [say("hardware", "unequal", comparisons=names)]
    if answers and all(answer.equal_hardware for answer in answers):
        return [say("hardware", "equal")]
    return [say("hardware", "unknown")] if answers else []


def _cold(runs: pd.DataFrame) -> list[str]:
    cold = int(runs.loc[runs["valid"], "cold"].fillna(value=False).astype(bool).sum())
    if not cold:
        return []
    return [say("cold", "some", cold=counted(cold, "run"))]


def _settings(settings: Settings) -> list[str]:
    if settings.rows:
        return [say("setting", "not_applied")]
    return [say("setting", "applied")] if settings.asked else []


def _instrument(instrument: Values) -> list[str]:
    said = []
    if instrument["worst"]:
        worst = instrument["worst"]
        places = {
            "token": number(worst["token_stamp_error_us"]["median"], 0),
            "first": number(worst["ttft_error_us"]["median"], 0),
            "load": number(worst["load_before"], 1),
        }
        several = len(instrument["sessions"]) > 1
        said.append(say("instrument", "worst" if several else "known", **places))
    if instrument["missing"]:
        names = listed(instrument["missing"])
        said.append(say("instrument", "missing", sessions=names))
    if instrument["foreign"]:
        said.append(say("instrument", "foreign", sessions=listed(instrument["foreign"])))
    if instrument["client_share"]:
        share = instrument["client_share"]
        said.append(say("instrument", "client", share=percent(share["median"], 2)))
    return said


def _sessions(runs: pd.DataFrame) -> list[str]:
    n = int(runs["session"].nunique())
    if not n:
        return []
    return [say("one_session", "yes")] if n == 1 else []
