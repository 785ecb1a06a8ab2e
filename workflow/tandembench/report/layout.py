"""Factor check of topology and compute threads: how configs' servers were really laid out."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tandembench.analysis.numbers import RUN

# Less of the decoding beside another agent than this is none: stamps are a little off.
TOGETHER = 0.05
# Under this share of decoding in the agents' time, windows that miss each other say nothing.
ENOUGH = 0.2
# (factor, asked, effective, applied); effective and applied are None where nothing tells.
Told = tuple[str, Any, str | None, bool | None]


def layout_checks(
    executions: pd.DataFrame, threads_total: int | None
) -> Iterator[tuple[str, Told]]:
    """(config, what is told) of each config's topology, and of its threads if asked.

    ``executions`` are complete ones. A server that does not tell its slots is known by what it
    did: agents that never decode at once wait for each other, and agents that do have slots or
    servers of their own.
    """
    together = executions[(executions["mode"] == "concurrent") & (executions["n_agents"] > 1)]
    known = together.dropna(subset=["endpoint"])
    servers = _distinct(known.groupby(RUN)["endpoint"].nunique())
    slots = _distinct(together.dropna(subset=["slots"]).set_index("config_id")["slots"])
    at_once = _decoded_at_once(together)
    listed = together.dropna(subset=["threads"]).drop_duplicates([*RUN, "server"])
    threads = _distinct(listed.groupby(RUN)["threads"].sum())
    firsts = together.drop_duplicates("config_id")
    for config, topology, n in zip(
        firsts["config_id"], firsts["topology"], firsts["n_agents"], strict=True
    ):
        found = _topology(
            topology, int(n), servers.get(config, []), slots.get(config, []), at_once.get(config)
        )
        yield config, ("topology", topology, *found)
        if threads_total is not None:
            totals = threads.get(config, [])
            said = ", ".join(map(str, totals)) or None
            applied = totals == [threads_total] if totals else None
            yield config, ("threads_total", threads_total, said, applied)


def _distinct(values: "pd.Series[Any]") -> dict[str, list[int]]:
    """The distinct values of each config, smallest first."""
    pairs = set(zip(values.index.get_level_values("config_id"), values.astype(int), strict=True))
    found: dict[str, list[int]] = {}
    for config, value in sorted(pairs):
        found.setdefault(config, []).append(value)
    return found


def _topology(
    topology: str, n: int, counts: list[int], slots: list[int], at_once: bool | None
) -> tuple[str | None, bool | None]:
    """(what the servers were, whether that is the topology); None where nothing tells.

    ``counts`` are the distinct numbers of servers of a config's runs.
    """
    if not counts:
        return None, None
    said = [f"{', '.join(map(str, counts))} server{'s' * (counts != [1])}"]
    wanted = n if topology == "dual" else 1
    if slots:
        said.append(f"{', '.join(map(str, slots))} slot{'s' * (slots != [1])} each")
    elif at_once is not None and topology != "serial":
        said.append("agents decoded at once" if at_once else "agents never decoded at once")
    one_slot = slots == [1] if slots else (None if at_once is None else not at_once)
    applied: bool | None = counts == [wanted]
    if topology == "single" and applied:
        applied = one_slot
    elif topology == "single_parallel" and applied:
        applied = min(slots) >= n if slots else at_once
    elif topology == "dual" and applied and not slots and at_once is False:
        applied = False  # two addresses of one server
    return "; ".join(said), applied


def _decoded_at_once(together: pd.DataFrame) -> dict[str, bool | None]:
    """By config, whether agents decoded beside each other; None where stamps show too little."""
    columns = ["overlap_s", "alone_s", "duration_s"]
    windows = together.dropna(subset=columns)
    sums = windows.groupby("config_id")[columns].sum()
    found: dict[str, bool | None] = {}
    for config, beside, alone, duration in sums.itertuples():
        if beside > TOGETHER * (beside + alone):
            found[str(config)] = True
        else:
            found[str(config)] = False if beside + alone > ENOUGH * duration else None
    return found
