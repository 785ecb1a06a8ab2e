"""What makes a run and a row: the columns that a run is known by, and those that rows share."""

from collections.abc import Iterable

from tandembench.report.numbers import Values
from tandembench.tables.columns import KEYS, TOPOLOGIES

RUN = [column.name for column in KEYS]
# Runs of one kind, which stand in one row whatever their configs.
KIND = ["scenario", "work_policy", "topology", "n_agents"]


def in_order(rows: Iterable[Values]) -> list[Values]:
    """Rows of one kind each, by scenario, work, topology and agents."""
    return sorted(
        rows,
        key=lambda row: (
            row["scenario"],
            row["work_policy"],
            TOPOLOGIES.index(row["topology"]),
            row["n_agents"],
        ),
    )
