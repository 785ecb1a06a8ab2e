"""Tables that claims look at: a dataset's runs and executions, and what reports call their options.

Pure: data frames in, data frames out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.claims.model import Table
from tandembench.tables.columns import EXECUTIONS, KEYS, STUDY_RUNS

_RUN = [column.name for column in KEYS]
_NEEDED = ("ttft_s", "model", "endpoint", "n_steps", "overlap_s")
_BESIDE_DECODING = ("orchestration_loss", "imbalance_first_token", "imbalance_rest")
OPTIONS = ("num_gpu", "num_ctx", "temperature")
# Columns that reports speak of and datasets have only by agent, with what they mean.
DERIVED: Mapping[str, str] = {
    **{name: f"{name} of the first agent that has one" for name in OPTIONS},
    **{f"{name}_max": f"largest {name} of the run's agents" for name in OPTIONS},
    "ttft_rise_s": "largest ttft_s of an agent over that agent's median",
    "model": "the model, or models, that the agents asked for",
    "endpoints": "number of servers that the agents asked",
    "n_steps": "LLM calls of an agent, the most",
    "overlap_s": "decoding of the first agent while another decodes",
    "loss_beside_decoding": "part of 1 - efficiency_estimate that neither answer lengths nor"
    " decode rates explain: orchestration_loss + imbalance_first_token + imbalance_rest",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of one of a file's data: runs and executions, printed values, or both.

    The labels say which dataset, and which published baseline.
    """

    label: str = ""
    runs: pd.DataFrame | None = None
    executions: pd.DataFrame | None = None
    printed_label: str = ""
    printed: pd.DataFrame | None = None

    def table(self, name: Table) -> tuple[pd.DataFrame | None, str]:
        """The table of that name, None if it is not known, and what it is of."""
        found: pd.DataFrame | None = getattr(self, name)
        return found, self.printed_label if name == "printed" else self.label


def run_tables(runs: pd.DataFrame, executions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Valid runs and their concurrent executions, with the columns of DERIVED and the options."""
    runs = runs[runs["valid"]]
    chosen = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    # Older datasets have fewer columns.
    table = chosen.reindex(columns=chosen.columns.union(pd.Index(_NEEDED))).sort_values(
        [*_RUN, "agent_index"]
    )
    table = table.assign(**_options(table))
    rise = table["ttft_s"] - table.groupby("agent")["ttft_s"].transform("median")
    groups = table.assign(rise=rise).groupby(_RUN, sort=False)
    first, last = groups["model"].min(), groups["model"].max()
    found = pd.DataFrame(
        {
            **{name: groups[name].first() for name in OPTIONS},
            **{f"{name}_max": groups[name].max() for name in OPTIONS},
            "ttft_rise_s": groups["rise"].max(),
            "model": first.where(first == last, first + " and " + last),
            "endpoints": groups["endpoint"].nunique(),
            "n_steps": groups["n_steps"].max(),
            "overlap_s": groups["overlap_s"].first(),
        }
    )
    beside = runs.reindex(columns=list(_BESIDE_DECODING)).sum(axis=1, skipna=False)
    return runs.assign(loss_beside_decoding=beside).join(found, on=_RUN), table


def _options(executions: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """The options that reports sweep, as they were asked for; NaN where the server chose."""
    asked = executions["options_asked"].fillna("{}")
    read = {text: json.loads(text) for text in asked.unique()}
    return {
        name: asked.map(lambda text, name=name: read[text].get(name)).astype(float)
        for name in OPTIONS
    }


def printed_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A published baseline's numbers, each with ``low`` and ``high``, between which it lies."""
    table = pd.DataFrame.from_records(list(rows))
    table = table[table["value"].notna()].reset_index(drop=True)
    value, half = table["value"].astype(float), table["resolution"].fillna(0.0).astype(float)
    return table.assign(value=value, low=value - half, high=value + half)


def columns(table: Table) -> frozenset[str]:
    """Every column that a table of that name may have, whatever dataset it is of."""
    if table == "printed":
        return frozenset(("report", "section", "scope", "subject", "metric", "statistic", "value"))
    if table == "executions":
        return frozenset((*(column.name for column in EXECUTIONS), *OPTIONS))
    return frozenset((*(column.name for column in STUDY_RUNS), *DERIVED))
