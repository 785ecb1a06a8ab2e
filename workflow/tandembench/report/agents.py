"""What each agent gets: how much slower, how long until its first token, and whether it is fair."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandembench.metrics import percentile
from tandembench.report.groups import KIND, RUN, in_order
from tandembench.report.numbers import Values, mean_with_interval, numbers, ratio, verdict


def agent_rows(runs: pd.DataFrame, executions: pd.DataFrame, margin: float) -> list[Values]:
    """One row per scenario, work, topology and number of agents; ``agents`` in study order.

    Numbers are over the valid runs of all configs of a row. ``slower``: "slower" than alone if an
    agent surely is, "faster" likewise, "mixed" if both, "equal" if none differs by more than the
    margin, else "inconclusive". ``fair``: "fair" if every agent's slowdown is within the margin of
    the run's geometric mean, "unfair" if one's surely is not, else "inconclusive". Both None
    where it is not known; ``fair`` also where there is one agent.
    """
    valid = executions[executions["valid"]]
    shared = _with_share(valid[valid["mode"] == "concurrent"])
    solo = dict(iter(valid[valid["mode"] == "solo"].groupby(KIND)))
    of_runs = dict(iter(runs[runs["valid"]].groupby(KIND)))
    rows = [
        dict(zip(KIND, key, strict=True)) | _row(own, solo.get(key), of_runs[key], margin)
        for key, own in shared.groupby(KIND)
    ]
    return in_order(rows)


def _with_share(shared: pd.DataFrame) -> pd.DataFrame:
    """``share``: an agent's slowdown over the geometric mean of its run's; above 1 pays more."""
    logs = shared[RUN].assign(log=np.log(shared["slowdown"].astype(float)))
    means = logs.groupby(RUN)["log"].transform("mean")
    return shared.assign(share=np.exp(logs["log"] - means))


def _row(
    shared: pd.DataFrame, solo: pd.DataFrame | None, runs: pd.DataFrame, margin: float
) -> Values:
    alone = {} if solo is None else dict(iter(solo.groupby("agent")))
    agents = [
        _agent(str(name), own, alone.get(name), margin)
        for name, own in shared.groupby("agent", sort=False)
    ]
    agents.sort(key=lambda agent: (agent["index"], agent["agent"]))
    return {
        "n": len(runs),
        "agents": agents,
        "slower": _slower(agents),
        "jain": mean_with_interval(runs, "jain"),
        "fair": _fair(agents) if len(agents) > 1 else None,
        "pays": [agent["agent"] for agent in agents if agent["share_verdict"] == "better"],
    }


def _agent(name: str, shared: pd.DataFrame, solo: pd.DataFrame | None, margin: float) -> Values:
    slowdown, share = ratio(shared, "slowdown"), ratio(shared, "share")
    return {
        "agent": name,
        "index": int(shared["agent_index"].iloc[0]),
        "slowdown": slowdown,
        # Of a slowdown, "better" reads: surely above 1.
        "slowdown_verdict": verdict(slowdown, margin) if slowdown else None,
        "share": share,
        "share_verdict": verdict(share, margin) if share else None,
        "first_token": _waits(shared),
        "first_token_alone": None if solo is None else _waits(solo),
    }


def _waits(executions: pd.DataFrame) -> Values:
    """Waits for the first token, s; p90 is None under 64 of them."""
    known = numbers(executions["ttft_s"])
    return {
        "n": known.size,
        "median": float(np.median(known)) if known.size else None,
        "p90": percentile(known.tolist(), 0.9) if known.size else None,
        "max": float(known.max()) if known.size else None,
    }


def _slower(agents: Sequence[Values]) -> str | None:
    verdicts = {agent["slowdown_verdict"] for agent in agents} - {None}
    if {"better", "worse"} <= verdicts:
        return "mixed"
    if "better" in verdicts:
        return "slower"
    if "worse" in verdicts:
        return "faster"
    if not verdicts:
        return None
    return "equal" if verdicts == {"equivalent"} else "inconclusive"


def _fair(agents: Sequence[Values]) -> str | None:
    verdicts = {agent["share_verdict"] for agent in agents}
    if verdicts & {"better", "worse"}:
        return "unfair"
    if verdicts == {"equivalent"}:
        return "fair"
    return None if verdicts == {None} else "inconclusive"
