"""What an import made of its source, for people and for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tandembench.dataset.importers.source import Imported
from tandembench.dataset.load import open_dataset, read_part

_STATISTICS = {"mean": "mean", "median": "median", "sd": "std", "min": "min", "max": "max"}
_RUNS = (
    *("config_id", "session", "phase", "scenario", "topology", "runner", "cold", "started_at"),
    *("wall_s", "aggregate_tokens_per_s", "efficiency_estimate", "n_agents"),
)
_NO_SOLOS = "No agent was measured alone. Metrics of true gain are null, and solo_basis is none."
# More configs than these are no summary: as text they are only counted.
_MOST_LINES = 40
_UNITS = {"wall_s": "wall time in s", "tokens_per_s": "tokens/s of all agents"}


def summary(folder: Path, imported: Imported) -> dict[str, object]:
    """What is in the dataset at ``folder``, just imported, and what was left out of it, and why.

    Wall times are in s, rates in tokens/s of all agents together; efficiency_estimate is a
    fraction. An ``sd`` is None for one run, a rate where tokens are not known.
    """
    opened = open_dataset(folder)
    runs = read_part(opened, "runs", _RUNS).to_pandas()
    rates = read_part(opened, "rates", ["topology"])
    executions = read_part(opened, "executions", ["agent_index"])
    shown = {"wall_s": "wall_s", "tokens_per_s": "aggregate_tokens_per_s"}
    shown["efficiency_estimate"] = "efficiency_estimate"
    return {
        "runs": len(runs),
        "executions": len(executions),
        "configs": runs["config_id"].nunique(),
        **{name: _statistics(runs[column]) for name, column in shown.items()},
        **{
            f"runs_by_{name}": runs[name].value_counts().to_dict()
            for name in ("session", "phase", "scenario", "topology", "runner")
            if runs[name].notna().any()
        },
        "cold_runs": None if runs["cold"].isna().all() else runs["cold"].eq(True).sum(),
        "started_at": {key: runs["started_at"].agg(key).isoformat() for key in ("min", "max")},
        "rates_from_overlap": len(rates),
        "left_out": dict(sorted(imported.skipped.items())),
        "notes": [*imported.notes, *([_NO_SOLOS] if runs["n_agents"].gt(1).any() else ())],
        "by_config": _by(runs, "config_id"),
        "by_runner": _by(runs, "runner"),
    }


def _by(runs: pd.DataFrame, name: str) -> list[dict[str, object]]:
    return [
        {
            name: value,
            "runs": len(group),
            "wall_s": _statistics(group["wall_s"]),
            "tokens_per_s": _statistics(group["aggregate_tokens_per_s"]),
        }
        for value, group in runs.groupby(name, sort=False)
    ]


def _statistics(values: pd.Series) -> dict[str, float | None]:
    numbers = {name: values.agg(of) for name, of in _STATISTICS.items()}
    return {name: None if pd.isna(value) else float(value) for name, value in numbers.items()}


def as_text(facts: Mapping[str, object]) -> str:
    """The same in lines."""
    lines = []
    for key, value in facts.items():
        name = key.replace("_", " ")
        if key in ("baseline", "folder", "by_config", "by_runner"):
            continue
        if isinstance(value, dict):
            parts = ", ".join(f"{inner} {_shown(one)}" for inner, one in value.items())
            lines.append(f"{_UNITS.get(key, name)}: {parts or 'nothing'}")
        else:
            several = value if isinstance(value, list) else [value]
            lines += [f"{name}: {_shown(one)}" for one in several]
    by = "runner" if facts["by_runner"] else "config"
    return "\n".join([*lines, *_medians(by, facts[f"by_{by}"])])  # type: ignore[arg-type]


def _medians(by: str, parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each part of the runs: what one compares first."""
    if len(parts) > _MOST_LINES:
        return []
    lines = [f"by {by}, medians:"]
    for one in parts:
        name, runs, wall_s, rate = one.values()
        tokens = "tokens not known"
        if rate["median"] is not None:
            tokens = f"{rate['median']:.4g} tokens/s of all agents"
        lines.append(f"  {name}: {runs} runs, wall time {wall_s['median']:.4g} s, {tokens}")
    return lines


def _shown(value: object) -> str:
    if value is None:
        return "not known"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
