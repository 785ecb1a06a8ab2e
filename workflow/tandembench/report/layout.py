"""Factor check of topology and compute threads: how a config's servers were really laid out."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

RUN = ["session", "repetition", "attempt"]
# Less of the decoding beside another agent than this is none: stamps are a little off.
TOGETHER = 0.05
# Under this share of decoding in the agents' time, windows that miss each other say nothing.
ENOUGH = 0.2


def layout_checks(
    own: pd.DataFrame, threads_total: int | None
) -> Iterator[tuple[str, Any, str | None, bool | None]]:
    """(factor, asked, effective, applied) of one config's topology, and of its threads if asked.

    A server that does not tell its slots is known by what it did: agents that never decode at
    once wait for each other, and agents that do have slots or servers of their own.
    """
    together = own[own["mode"] == "concurrent"]
    if together.empty or together["n_agents"].iloc[0] < 2:
        return
    yield "topology", str(own["topology"].iloc[0]), *_topology(together)
    if threads_total is not None:
        servers = together.dropna(subset=["threads"]).drop_duplicates([*RUN, "server"])
        totals = sorted({int(total) for total in servers.groupby(RUN)["threads"].sum()})
        said = ", ".join(map(str, totals)) or None
        yield "threads_total", threads_total, said, totals == [threads_total] if totals else None


def _topology(together: pd.DataFrame) -> tuple[str | None, bool | None]:
    """(what the servers were, whether that is the topology); None where nothing tells."""
    topology, n = str(together["topology"].iloc[0]), int(together["n_agents"].iloc[0])
    known = together.dropna(subset=["endpoint"])
    counts = sorted({int(one) for one in known.groupby(RUN)["endpoint"].nunique()})
    if not counts:
        return None, None
    said = [f"{', '.join(map(str, counts))} server{'s' * (counts != [1])}"]
    wanted = n if topology == "dual" else 1
    slots = sorted({int(one) for one in together["slots"].dropna()})
    at_once = _decoded_at_once(together)
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


def _decoded_at_once(together: pd.DataFrame) -> bool | None:
    """Whether agents decoded beside each other; None if stamps are missing or show too little."""
    windows = together.dropna(subset=["overlap_s", "alone_s", "duration_s"])
    beside, alone = windows["overlap_s"].sum(), windows["alone_s"].sum()
    if beside > TOGETHER * (beside + alone):
        return True
    return False if beside + alone > ENOUGH * windows["duration_s"].sum() else None
