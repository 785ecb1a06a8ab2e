"""What an import made of its source, for people and for programs."""

from collections.abc import Mapping

import pandas as pd

from tandembench.dataset.importers.source import Imported
from tandembench.dataset.load import Dataset

_STATISTICS = {"mean": "mean", "median": "median", "sd": "std", "min": "min", "max": "max"}


def summary(dataset: Dataset, imported: Imported) -> dict[str, object]:
    """What is in ``dataset``, just imported, and what was left out of it, and why.

    efficiency_estimate is a fraction; its ``sd`` is None for one run.
    """
    runs = dataset.runs
    efficiency = {name: runs["efficiency_estimate"].agg(of) for name, of in _STATISTICS.items()}
    return {
        "runs": len(runs),
        "executions": len(dataset.executions),
        "configs": runs["config_id"].nunique(),
        **{
            f"runs_by_{name}": runs[name].value_counts().to_dict()
            for name in ("session", "phase", "scenario", "topology")
        },
        "cold_runs": None if runs["cold"].isna().all() else runs["cold"].eq(True).sum(),
        "started_at": {key: runs["started_at"].agg(key).isoformat() for key in ("min", "max")},
        "efficiency_estimate": {
            name: None if pd.isna(value) else value for name, value in efficiency.items()
        },
        "rates_from_overlap": len(dataset.rates),
        "left_out": dict(sorted(imported.skipped.items())),
        "notes": [
            *imported.notes,
            "No agent was measured alone. Metrics of true gain are null, and solo_basis is none.",
        ],
    }


def as_text(facts: Mapping[str, object]) -> str:
    """The same in lines."""
    lines = []
    for key, value in facts.items():
        name = key.replace("_", " ")
        if isinstance(value, dict):
            parts = ", ".join(f"{inner} {_shown(one)}" for inner, one in value.items())
            lines.append(f"{name}: {parts or 'nothing'}")
        else:
            several = value if isinstance(value, list) else [value]
            lines += [f"{name}: {_shown(one)}" for one in several]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if value is None:
        return "not known"
    return f"{value:.6f}" if isinstance(value, float) else str(value)
