"""Tables that claims look at: a dataset's runs and executions, and the numbers that reports print.

Pure: data frames in, data frames out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tandembench.audit.expressions import Table
from tandembench.audit.sides import Cell
from tandembench.tables.columns import CLAIMED, KEYS, OF_PRINT

_RUN = [column.name for column in KEYS]
_BLOCK = ["session", "comparison", "repetition"]
_NEEDED = (
    *("ttft_s", "first_token_s", "answer_tokens", "server_decode_s", "load_s"),
    *("model", "endpoint", "n_steps", "overlap_s"),
)
OPTIONS = ("num_gpu", "num_ctx", "temperature")


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of one of a file's data: runs and executions, printed values, or both."""

    runs: pd.DataFrame | None = None
    executions: pd.DataFrame | None = None
    printed: pd.DataFrame | None = None

    def table(self, name: Table) -> pd.DataFrame | None:
        """The table of that name, None if it is not known."""
        return {"runs": self.runs, "executions": self.executions, "printed": self.printed}[name]


def run_tables(runs: pd.DataFrame, executions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Valid runs and their concurrent executions, with all the columns that claims can name."""
    runs = runs[runs["valid"]]
    chosen = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    # Older datasets have fewer columns.
    table = chosen.reindex(columns=chosen.columns.union(pd.Index(_NEEDED))).sort_values(
        [*_RUN, "agent_index"]
    )
    asked = table["options_asked"].fillna("{}")
    options = {text: json.loads(text) for text in asked.unique()}
    for name in OPTIONS:
        known = {text: one.get(name) for text, one in options.items()}
        table[name] = asked.map(known).astype(float)
    groups = table.assign(
        rise=table["ttft_s"] - table.groupby("agent")["ttft_s"].transform("median"),
        first_token=table["first_token_s"] / table["n_steps"],
        rate=table["answer_tokens"] / table["server_decode_s"],
    ).groupby(_RUN, sort=False)
    one, other = groups.nth(0).set_index(_RUN), groups.nth(1).set_index(_RUN)
    pair = groups.size() == 2
    first, last = groups["model"].min(), groups["model"].max()
    derived = pd.DataFrame(
        {
            **{name: groups[name].first() for name in OPTIONS},
            **{f"{name}_max": groups[name].max() for name in OPTIONS},
            "first_token_delta_s": (one["first_token"] - other["first_token"]).where(pair),
            "server_rate_delta_tokens_per_s": (other["rate"] - one["rate"]).where(pair),
            "ttft_rise_s": groups["rise"].max(),
            "load_min_s": groups["load_s"].min(),
            "model": first.where(first == last, first + " and " + last),
            "endpoints": groups["endpoint"].nunique(),
            "n_steps": groups["n_steps"].max(),
            "overlap_s": groups["overlap_s"].first(),
        }
    )
    group = runs.assign(ended_at=runs["started_at"] + pd.to_timedelta(runs["wall_s"], unit="s"))
    group, table = (one.assign(block=one.groupby(_BLOCK).ngroup()) for one in (group, table))
    return group.join(derived, on=_RUN), table


def printed_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """A published baseline's numbers, each with ``low`` and ``high``, between which it lies."""
    table = pd.DataFrame.from_records([dict(cell) for cell in cells])
    table = table[table["value"].notna()].reset_index(drop=True)
    value, half = table["value"].astype(float), table["resolution"].fillna(0.0).astype(float)
    return table.assign(value=value, low=value - half, high=value + half)


def columns(table: Table) -> dict[str, str]:
    """Every column that a table of that name may have, whatever its dataset, with its unit.

    A time has the unit "time", a flag "flag". Of what is printed: what conditions may look at.
    """
    if table == "printed":
        return dict.fromkeys(OF_PRINT, "")
    kinds = {"time": "time", "boolean": "flag"}
    return {one.name: kinds.get(one.kind, one.unit) for group in CLAIMED[table] for one in group}
