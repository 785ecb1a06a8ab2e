"""Section "How far to trust it": controls, drift, failures, settings, the instrument."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from tandembench.analysis.controls import Control
from tandembench.analysis.findings import Answer
from tandembench.analysis.groups import Row
from tandembench.analysis.instrument import Instrument
from tandembench.analysis.settings import Settings
from tandembench.analysis.validity import reloads
from tandembench.report.details import Details
from tandembench.report.formats import bounded, interval, listed, number, percent
from tandembench.report.hardware import said_hardware
from tandembench.report.said import called
from tandembench.report.sections import MOST_ROWS, Points, Section, Shown, section, table
from tandembench.report.words import say
from tandembench.text import counted

# Rows of a table of the first page.
_MOST = 8


def trust(
    answers: Sequence[Answer],
    controls: Sequence[Control],
    details: Details,
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    figures: Sequence[Shown],
) -> Section:
    """What stands behind the numbers of a dataset, good and bad; its tables hold twins too."""
    machines = len(details.fingerprints["machines"])
    nowhere = all(row.applied is None for row in details.settings.rows)
    points = [
        *(_control(one) for one in controls[:MOST_ROWS]),
        *([] if controls else [say("control", "none")]),
        *_others(runs, executions),
        *_drift(details),
        *([say("machines", "several", n=str(machines))] if machines > 1 else []),
        *_hardware(answers),
        *([] if details.failures else [say("failure", "none", runs=str(len(runs)))]),
        *_cold(runs),
        *_reloads(runs),
        *_settings(details.settings, nowhere),
        *_instrument(details.instrument),
        *([say("one_session", "yes")] if runs["session"].nunique() == 1 else []),
    ]
    # What no server reports of any setting is said once.
    unapplied, failed = () if nowhere else details.settings.rows, details.failures
    return section(
        say("title", "trust"),
        Points(tuple(points)),
        table("settings_briefly", unapplied, _MOST),
        _left_out("settings", len(unapplied)),
        say("failure", "note") if failed else None,
        table("failures_briefly", map(_failure, failed), _MOST),
        _left_out("failures", len(failed)),
        *(one for one in figures if one.name == "order"),
        level=2,
    )


def _left_out(what: str, n: int) -> str | None:
    return say("more", what, n=str(n - _MOST)) if n > _MOST else None


def _failure(row: Row) -> Row:
    places = {name: str(row[name]) for name in ("session", "repetition", "round", "attempt")}
    return {**row, "where": say("failure", "twin" if row["twin"] else "run", **places)}


def _control(one: Control) -> str:
    ratio, finding = one.versus.ratio, f"control_{one.kind}"
    names = {"subject": one.versus.subject, "other": one.versus.other}
    # A twin is one of many; a gain over agents alone has no other.
    pair = {"twin": (), "same_config": ("subject", "other"), "serial_gain": ("subject",)}[one.kind]
    places = {name: names[name] for name in pair}
    if ratio is None:
        return say(finding, "unpaired", **places)
    return say(finding, one.result, ratio=bounded(ratio.value, ratio.low, ratio.high), **places)


def _others(runs: pd.DataFrame, executions: pd.DataFrame) -> list[str]:
    """What other processes used of the machine."""
    known = runs["foreign_cores"].dropna()
    if known.empty:
        why = executions.get("process_unknown", pd.Series(dtype=object)).dropna()
        return [say("others", str(next(iter(why), "unknown")))] if len(runs) else []
    places = {"median": number(float(known.median())), "most": number(float(known.max()))}
    return [say("others", "known", **places)]


def _drift(details: Details) -> list[str]:
    if details.stability is None:
        return [say("drift", "untold")]
    said = []
    for one in details.stability:
        if one.drift is None or one.verdict is None:
            said.append(say("drift", "few", session=one.session))
            continue
        point = say("drift", one.verdict, session=one.session, times=interval(one.drift))
        if one.level_starts:
            state = one.state.replace(" ", "_").replace("-", "_")
            begins = {"run": str(one.level_starts[-1]), "runs": str(one.n)}
            point = f"{point} {say('level', state, **begins)}"
        said.append(point)
    return said


def _hardware(answers: Sequence[Answer]) -> list[str]:
    said = {one.comparison: said_hardware(one, partial(called, one)) for one in answers}
    if len(set(said.values())) == 1:
        return [*said.values()][:1]
    return [f"{comparison}: {sentence}" for comparison, sentence in [*said.items()][:MOST_ROWS]]


def _cold(runs: pd.DataFrame) -> list[str]:
    cold = int(runs.loc[runs["valid"], "cold"].fillna(value=False).astype(bool).sum())
    return [say("cold", "some", cold=counted(cold, "run"))] if cold else []


def _reloads(runs: pd.DataFrame) -> list[str]:
    each = reloads(runs)
    if not each:
        return []
    seconds = float(runs.loc[runs["valid"], "reload_s"].sum())
    places = {"loads": counted(sum(one.loads for one in each), "time"), "seconds": number(seconds)}
    return [say("reloads", "some", runs=str(sum(one.runs for one in each)), **places)]


def _settings(settings: Settings, nowhere: bool) -> list[str]:
    if settings.rows:
        factors = listed(list(dict.fromkeys(row.factor for row in settings.rows)))
        return [say("setting", "not_reported" if nowhere else "not_applied", settings=factors)]
    return [say("setting", "applied")] if settings.asked else []


def _instrument(result: Instrument) -> list[str]:
    said = []
    if result.worst:
        places = {
            "token": number(result.worst.token_stamp_error_us.median, 0),
            "first": number(result.worst.ttft_error_us.median, 0),
            "load": number(result.worst.load_before, 1),
        }
        several = len(result.calibrations) > 1
        said.append(say("instrument", "worst" if several else "known", **places))
    if result.missing:
        said.append(say("instrument", "missing", sessions=listed(result.missing)))
    if result.foreign:
        said.append(say("instrument", "foreign", sessions=listed(result.foreign)))
    if result.client_share:
        said.append(say("instrument", "client", share=percent(result.client_share.median, 2)))
    return said
