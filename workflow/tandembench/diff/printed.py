"""Printed values against runs: does each follow from them, under its own rounding?"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from tandembench.analysis.rounding import agrees
from tandembench.diff.sides import Row
from tandembench.tables.columns import KEYS

# Scopes in which runs can give a value; the rest tells of machines, or of other reports.
SCOPES = ("overall", "timeline", "phase", "scenario", "level", "config")
_SUBJECTS = {"phase": "phase", "scenario": "scenario", "config": "config_id"}
_PHASES = {"1": "core", "2": "temperature", "3": "validation"}
_OPTIONS = ("num_gpu", "num_ctx", "temperature")
_METRICS = (
    "speedup_estimate",
    "efficiency_estimate",
    "ttft_delta_s",
    "throughput_delta_tokens_per_s",
)
_TIMELINE = ("duration_s", "benchmark_s", "benchmarks_per_hour")
# TR114 counts the levels' part of all contended runs there, not the contended part of a level.
_OF_ANOTHER_WHOLE = "contention by context"
# TR110's bound for an efficient config.
_EFFICIENT = 0.95
_KEY = [column.name for column in KEYS]


def against_runs(printed: Sequence[Row], runs: pd.DataFrame, executions: pd.DataFrame) -> Row:
    """The checked values as ``rows``, and how many agree, by ``scopes`` and ``sections``.

    A subject agrees if all its values do. ``unchecked`` counts printed numbers that no run can
    give, by scope and metric.
    """
    rows = checks(printed, runs, executions)
    unchecked = Counter(map(_kind, (row for row in printed if row["value"] is not None)))
    unchecked.subtract(map(_kind, rows))
    return {
        "scopes": [
            {"scope": scope, **_counts(own)}
            for scope in SCOPES
            if (own := [row for row in rows if row["scope"] == scope])
        ],
        "sections": [
            {"section": section, **_counts([row for row in rows if _section(row) == section])}
            for section in dict.fromkeys(map(_section, rows))
        ],
        "unchecked": [
            {"scope": scope, "metric": metric, "values": n}
            for (scope, metric), n in unchecked.items()
            if n
        ],
        "rows": rows,
    }


def checks(printed: Sequence[Row], runs: pd.DataFrame, executions: pd.DataFrame) -> list[Row]:
    """Every printed value that the runs could give, with what they give: ``agrees``.

    ``computed`` is None where the runs hold nothing of the subject. Deltas are as the reports
    define them: means over calls, and the server's own rates.
    """
    valid = _as_printed(runs[runs["valid"]], executions)
    found = (_checked(row, valid) for row in printed if row["value"] is not None)
    return [row for row in found if row is not None]


def _kind(row: Row) -> tuple[str, str]:
    return _scope(row), row["metric"]


def _scope(row: Row) -> str:
    """The printed scope; how long all took says little of a run, and is one of its own."""
    return "timeline" if row["metric"] in _TIMELINE else row["scope"]


def _section(row: Row) -> str:
    return f"{row['report']} {row['section']}"


def _counts(rows: Sequence[Row]) -> Row:
    wrong = {row["subject"] for row in rows if not row["agrees"]}
    subjects = {row["subject"] for row in rows}
    agree = sum(row["agrees"] for row in rows)
    absent = sum(row["computed"] is None for row in rows)
    return {
        "checked": len(rows),
        "agree": agree,
        "contradicted": len(rows) - agree - absent,
        "absent": absent,
        "subjects": len(subjects),
        "subjects_agree": len(subjects - wrong),
    }


def _checked(row: Row, runs: pd.DataFrame) -> Row | None:
    """A printed value with what the runs give; None if they could give none."""
    own = _of_subject(row, runs)
    if own is None:
        return None
    computed, known = _computed(row, own)
    if not known:
        return None
    printed = (row["value"], row["value"])
    same = computed is not None and agrees((computed, computed), printed, row["resolution"] or 0.0)
    return {**row, "scope": _scope(row), "computed": computed, "agrees": same}


def _of_subject(row: Row, runs: pd.DataFrame) -> pd.DataFrame | None:
    """The runs that a printed value is of; None if it is of no such group."""
    if row["scope"] == "overall":
        return runs
    if row["scope"] == "level":
        return _of_level(row, runs)
    if row["scope"] not in _SUBJECTS or " " in row["subject"]:
        return None
    phase = re.match(r"phase (\w+)", row.get("note") or "")
    if row["scope"] == "scenario" and phase:
        runs = runs[runs["phase"] == phase[1]]
    found: pd.DataFrame = runs[runs[_SUBJECTS[row["scope"]]] == row["subject"]]
    return found


def _of_level(row: Row, runs: pd.DataFrame) -> pd.DataFrame | None:
    """Runs at one level of an option, such as "chimera_homo num_gpu=80"."""
    phase = re.match(r"phase (\d)", row["table"])
    if phase:
        runs = runs[runs["phase"] == _PHASES.get(phase[1])]
    if row["table"] == _OF_ANOTHER_WHOLE:
        return None
    for word in row["subject"].split():
        name, _, level = word.partition("=")
        if name in _OPTIONS and re.fullmatch(r"\d+(\.\d+)?", level):
            runs = runs[runs[f"_{name}"] == float(level)]
        elif word in ("baseline_vs_chimera", "chimera_hetero", "chimera_homo"):
            runs = runs[runs["scenario"] == word]
        else:
            return None
    return runs


def _computed(row: Row, own: pd.DataFrame) -> tuple[float | None, bool]:
    """(value that the runs give, whether they can give one at all)."""
    metric, statistic = row["metric"], row["statistic"]
    if own.empty and metric in (*_METRICS, *_COUNTED, *_TIMELINE):
        return None, True
    if metric in _COUNTED or metric in _TIMELINE:
        counts = _timeline(own) if metric in _TIMELINE else _counted(own)
        found = counts.get((metric, statistic))
        return found, found is not None
    if metric not in _METRICS:
        return None, False
    measured = pd.Series(own[metric].dropna(), dtype=float)
    if measured.empty:
        return None, False
    by_config = measured.groupby(own["config_id"]).mean()
    statistics: Mapping[str, float] = {
        "mean": measured.mean(),
        "value": measured.mean(),
        "median": measured.median(),
        "sd": measured.std(),
        "min": measured.min(),
        "max": measured.max(),
        # The largest of the runs, and the largest mean of a config.
        "peak": measured.max(),
        "best": by_config.max(),
    }
    found = statistics.get(statistic)
    return (None, False) if found is None else (float(found), True)


_COUNTED = (
    "runs",
    "configs",
    "contention_speedup_rule",
    "contention_rate",
    *(f"{of}_configs{share}" for of in ("contention", "efficient") for share in ("", "_share")),
)


def _counted(own: pd.DataFrame) -> dict[tuple[str, str], float]:
    flags = own["contention_speedup_rule"].astype(float)
    by_config = flags.groupby(own["config_id"]).max()
    efficient = own["efficiency_estimate"].groupby(own["config_id"]).mean() > _EFFICIENT
    n = len(by_config)
    return {
        ("runs", "n"): len(own),
        ("configs", "n"): n,
        ("contention_speedup_rule", "count"): float(flags.sum()),
        ("contention_speedup_rule", "of"): len(own),
        ("contention_rate", "value"): float(flags.mean()),
        ("contention_configs", "count"): float(by_config.sum()),
        ("contention_configs", "of"): n,
        ("contention_configs_share", "value"): float(by_config.mean()),
        ("efficient_configs", "count"): float(efficient.sum()),
        ("efficient_configs", "of"): n,
        ("efficient_configs_share", "value"): float(efficient.mean()),
    }


def _timeline(own: pd.DataFrame) -> dict[tuple[str, str], float]:
    """From the first run's start to the last one's end, by the runs' own stamps."""
    ends = own["started_at"] + pd.to_timedelta(own["wall_s"], unit="s")
    took_s = (ends.max() - own["started_at"].min()).total_seconds()
    return {
        ("duration_s", "value"): took_s,
        ("benchmark_s", "mean"): took_s / len(own),
        ("benchmarks_per_hour", "mean"): 3600 * len(own) / took_s,
    }


def _as_printed(runs: pd.DataFrame, executions: pd.DataFrame) -> pd.DataFrame:
    """Runs with the deltas as the reports define them, and the options of the tuned agent.

    ttft_delta_s: mean first token over calls, first agent less second. throughput_delta: tokens
    over the server's decode seconds, second less first. Null where a run has not two agents, or
    its source does not tell.
    """
    together = executions[executions["mode"] == "concurrent"]
    asked = {text: json.loads(text or "{}") for text in together["options_asked"].unique()}
    agents = together[[*_KEY, "agent_index"]].assign(
        first_token=together["first_token_s"] / together["n_steps"],
        rate=together["answer_tokens"] / together["server_decode_s"],
        **{
            f"_{name}": together["options_asked"].map(
                {text: options.get(name) for text, options in asked.items()}
            )
            for name in _OPTIONS
        },
    )
    first, second = (
        agents[agents["agent_index"] == index].set_index(_KEY).drop(columns="agent_index")
        for index in (0, 1)
    )
    keyed = runs.set_index(_KEY, drop=False)
    first, second = first.reindex(keyed.index), second.reindex(keyed.index)
    pair = keyed["n_agents"] == 2
    tuned = second.where(keyed["scenario"] == "baseline_vs_chimera", first)
    found: pd.DataFrame = keyed.assign(
        ttft_delta_s=(first["first_token"] - second["first_token"]).where(pair),
        throughput_delta_tokens_per_s=(second["rate"] - first["rate"]).where(pair),
        **{f"_{name}": tuned[f"_{name}"].astype(float) for name in _OPTIONS},
    ).reset_index(drop=True)
    return found
