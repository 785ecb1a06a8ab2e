"""What an import made of its source, for people and for programs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tandembench.dataset.importers.source import Imported
from tandembench.dataset.load import Dataset

_GROUPS = ("session", "phase", "scenario", "topology")
_STATISTICS = {"mean": "mean", "median": "median", "sd": "std", "min": "min", "max": "max"}


def summary(dataset: Dataset, imported: Imported) -> dict[str, Any]:
    """What is in ``dataset``, just imported, and what was left out of it, and why.

    efficiency_estimate is a fraction; its ``sd`` is None for one run.
    """
    runs = dataset.runs
    efficiency = {name: runs["efficiency_estimate"].agg(of) for name, of in _STATISTICS.items()}
    return {
        "runs": len(runs),
        "executions": len(dataset.executions),
        "configs": int(runs["config_id"].nunique()),
        **{
            f"runs_by_{name}": {str(key): int(n) for key, n in runs[name].value_counts().items()}
            for name in _GROUPS
        },
        "cold_runs": None if runs["cold"].isna().all() else int(runs["cold"].fillna(False).sum()),
        "started_at": {key: runs["started_at"].agg(key).isoformat() for key in ("min", "max")},
        "efficiency_estimate": {
            name: None if pd.isna(value) else float(value) for name, value in efficiency.items()
        },
        "rates_from_overlap": len(dataset.rates),
        "left_out": dict(sorted(imported.skipped.items())),
        "notes": [
            *imported.notes,
            "No agent was measured alone. Metrics of true gain are null, and solo_basis is none.",
        ],
    }


def as_text(facts: Mapping[str, Any]) -> str:
    """The same in lines."""
    groups = [
        f"{name} " + ", ".join(f"{key} {n}" for key, n in facts[f"runs_by_{name}"].items())
        for name in _GROUPS
    ]
    spread = ", ".join(
        f"{name} {'none' if value is None else format(value, '.6f')}"
        for name, value in facts["efficiency_estimate"].items()
    )
    cold = "not known" if facts["cold_runs"] is None else facts["cold_runs"]
    lines = [
        f"runs {facts['runs']}, executions {facts['executions']}, configs {facts['configs']},"
        f" cold runs {cold}",
        f"runs by {'; '.join(groups)}",
        f"started {facts['started_at']['min']} to {facts['started_at']['max']}",
        f"efficiency_estimate: {spread}",
        f"rates from overlap: of {facts['rates_from_overlap']} groups of runs",
        *(f"left out: {n} x {reason}" for reason, n in facts["left_out"].items()),
        *(f"note: {note}" for note in facts["notes"]),
    ]
    return "\n".join(lines)
