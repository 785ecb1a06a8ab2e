"""What claims can name in a baseline: the columns of its tables, or the metrics that it prints."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tandembench.dataset.descriptor import read_descriptor, read_resource
from tandembench.dataset.load import load_table, open_dataset
from tandembench.tables.columns import CLAIMED, OF_PRINT
from tandembench.text import sanitise

# How a claims file names a column of each table of its data.
_PREFIXES = {"runs": "data.", "executions": "data.executions.", "printed": "data.printed."}


@dataclass(frozen=True, slots=True)
class Named:
    """A column and its ``unit``, else its kind; ``values`` it has here, None if computed.

    ``levels`` are the texts that it holds.
    """

    table: str
    name: str
    unit: str
    description: str
    values: int | None
    levels: tuple[str, ...] = ()


def named(folder: Path) -> list[Named]:
    """All that claims can name in the baseline at ``folder``; TandemError (exit 3) if damaged."""
    descriptor = read_descriptor(folder)
    if descriptor.get("kind") == "published":
        (resource,) = descriptor["resources"]
        data = io.BytesIO(read_resource(folder, resource))
        cells = pd.read_csv(data, dtype=str, keep_default_na=False)
        groups = cells[cells["value"] != ""].groupby("metric", sort=True)
        return [
            Named("printed", metric, group["unit"].iloc[0], _statistics(group), len(group))
            for metric, group in ((str(key), group) for key, group in groups)
        ]
    opened, result = open_dataset(folder), []
    for table, (stored, computed) in CLAIMED.items():
        frame = load_table(opened, table)
        for one in (*stored, *computed):
            present = list(frame[one.name].dropna()) if one.name in frame else []
            levels = tuple(dict.fromkeys(map(str, present))) if one.kind == "text" else ()
            unit, values = one.unit or one.kind, len(present) if one in stored else None
            result.append(Named(table, one.name, unit, one.description, values, levels))
    return result


def _statistics(group: pd.DataFrame) -> str:
    return f"printed: {', '.join(dict.fromkeys(group['statistic']))}"


def as_text(columns: Sequence[Named]) -> str:
    """A line a column, by table; columns without a value by name only."""
    lines = ["'data' is the name that a claims file gives to this baseline under data:"]
    for table in dict.fromkeys(one.table for one in columns):
        shown = [one for one in columns if one.table == table and one.values != 0]
        empty = [one.name for one in columns if one.table == table and one.values == 0]
        width = max(len(one.name) for one in shown)
        lines += ["", f"{_PREFIXES[table]}NAME of {table}"]
        for one in shown:
            lines.append(f"  {one.name:{width}} {one.unit:9} {one.description}")
            if one.levels:
                more = f" and {len(one.levels) - 8} more" * (len(one.levels) > 8)
                lines.append(f"  {'':{width}} {'':9} here: {', '.join(one.levels[:8])}{more}")
        if empty:
            lines.append(f"  without any value here: {', '.join(empty)}")
        if table == "printed":
            lines.append(f"  conditions look at: {', '.join(OF_PRINT)}")
    return "\n".join(sanitise(line, 4000) for line in lines)
