"""What an import made of its source, for people and for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tandembench.dataset.load import Dataset

_STATISTICS = ("mean", "median", "std", "min", "max")


def summary(dataset: Dataset, skipped: Mapping[str, int], notes: Sequence[str]) -> dict[str, Any]:
    """What is in ``dataset``, just imported, and what was left out of it, and why.

    efficiency_estimate is a fraction; its ``sd`` is None for one run.
    """
    runs = dataset.runs
    efficiency = runs["efficiency_estimate"]
    spread = {name.replace("std", "sd"): _number(efficiency.agg(name)) for name in _STATISTICS}
    return {
        "runs": len(runs),
        "executions": len(dataset.executions),
        "configs": int(runs["config_id"].nunique()),
        **{
            f"runs_by_{name}": {str(key): int(n) for key, n in runs[name].value_counts().items()}
            for name in ("session", "phase", "scenario", "topology")
        },
        "cold_runs": None if runs["cold"].isna().all() else int(runs["cold"].fillna(False).sum()),
        "started_at": {key: runs["started_at"].agg(key).isoformat() for key in ("min", "max")},
        "efficiency_estimate": spread,
        "rates_from_overlap": len(dataset.rates),
        "left_out": dict(sorted(skipped.items())),
        "notes": [
            *notes,
            "No agent was measured alone: true metrics are null, solo_basis is none.",
        ],
    }


def as_text(facts: Mapping[str, Any]) -> str:
    """The same in lines."""
    groups = [
        f"{name} " + ", ".join(f"{key} {n}" for key, n in facts[f"runs_by_{name}"].items())
        for name in ("session", "phase", "scenario", "topology")
    ]
    spread = ", ".join(
        f"{name} {'none' if value is None else format(value, '.6f')}"
        for name, value in facts["efficiency_estimate"].items()
    )
    cold = facts["cold_runs"]
    lines = [
        f"runs {facts['runs']}, executions {facts['executions']}, configs {facts['configs']},"
        f" cold runs {'not known' if cold is None else cold}",
        f"runs by {'; '.join(groups)}",
        f"started {facts['started_at']['min']} to {facts['started_at']['max']}",
        f"efficiency_estimate: {spread}",
        f"rates from overlap: of {facts['rates_from_overlap']} groups of runs",
        *(f"left out: {n} x {reason}" for reason, n in facts["left_out"].items()),
        *(f"note: {note}" for note in facts["notes"]),
    ]
    return "".join(f"{line}\n" for line in lines)


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
