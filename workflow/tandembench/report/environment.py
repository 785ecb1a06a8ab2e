"""What the study was measured on: machines, engines, models, servers."""

from typing import Any

import pandas as pd

from tandembench.analysis.numbers import Values, distinct, span
from tandembench.tables.columns import TOPOLOGIES


def environment(descriptor: dict[str, Any], executions: pd.DataFrame) -> Values:
    """Fingerprints of the descriptor, and what the executions say of their servers."""
    fingerprints = descriptor["fingerprints"]
    servers = [
        {
            "topology": str(topology),
            "n_agents": int(own["n_agents"].iloc[0]),
            "threads": distinct(own["threads"]),
            "slots": distinct(own["slots"]),
            "num_ctx": distinct(own["num_ctx_effective"]),
            "wait_policy": distinct(own["wait_policy"]),
        }
        for (topology, _), own in executions.groupby(["topology", "n_agents"])
    ]
    return {
        "machines": fingerprints["machines"],
        "engines": fingerprints["servers"],
        "models": fingerprints["models"],
        "servers": sorted(
            servers, key=lambda row: (TOPOLOGIES.index(row["topology"]), row["n_agents"])
        ),
        "clocks": distinct(executions["clock"]),
        "prompt_tokens": span(executions["prompt_tokens"]),
        "answer_tokens": span(executions["answer_tokens"]),
    }
