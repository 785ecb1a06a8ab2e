"""Rates from overlap: what agents decode beside each other and alone, by scenario and topology.

For runs without solos: what one agent gets while another decodes too, against what it gets alone.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import stdtrit

from tandembench.tables.columns import KEYS, RATES
from tandembench.tables.parquet import as_table

_KEY = [column.name for column in KEYS]


def rates(runs: pa.Table, executions: pa.Table) -> pa.Table:
    """The table ``rates``: each topology, then its scenarios.

    From valid runs of two agents in which no model was loaded, where stamps tell who decoded
    when; second runs of twins are left out. A group that cannot tell the two rates apart has no
    row.
    """
    names = ["mode", "scenario", "topology", "overlap_s", "alone_s", "answer_tokens", "n_steps"]
    timed = pc.field("overlap_s").is_valid() & pc.field("answer_tokens").is_valid()
    concurrent = executions.select([*_KEY, *names]).filter(
        timed & (pc.field("mode") == "concurrent")
    )
    if not len(concurrent):
        return as_table(RATES, [])
    of_runs = runs.select([*_KEY, "valid", "cold", "n_agents"]).to_pandas()
    once = of_runs["valid"] & ~of_runs["twin"].astype(bool)
    warm = of_runs[once & of_runs["cold"].ne(True) & of_runs["n_agents"].eq(2)]
    known = concurrent.to_pandas().merge(warm[_KEY], on=_KEY)
    table = []
    for topology, of_topology in known.groupby("topology"):
        for scenario, group in [(None, of_topology), *of_topology.groupby("scenario")]:
            fitted = overlap_rates(
                (group["answer_tokens"] - group["n_steps"]).clip(lower=0).to_list(),
                group["overlap_s"].to_list(),
                group["alone_s"].to_list(),
                group.groupby(_KEY, sort=False).ngroup().to_list(),
            )
            if fitted:
                table.append({"scenario": scenario, "topology": topology, **fitted})
    return as_table(RATES, table)


def overlap_rates(
    intervals: Sequence[float],
    overlap_s: Sequence[float],
    alone_s: Sequence[float],
    run: Sequence[Hashable],
) -> dict[str, float] | None:
    """Least squares of tokens - 1 = r_shared * overlap + r_solo * alone, over executions.

    The columns of ``rates`` that are numbers: both rates in tokens/s and gain_overlap = 2 r_shared
    / r_solo, each with its 95 % interval. ``run`` names the run of each execution: the agents of
    one are not independent, so that the covariance is that of clusters (Liang & Zeger 1986,
    small-sample factor G/(G-1)), t with G - 1 degrees of freedom. The gain's interval is that of
    its logarithm by the delta method. A rate that depends on anything else (options, answer
    length, drift) is averaged over. None with fewer than three runs, or where they do not show
    that both rates are above 0: agents hardly ever decoded alone, or together.
    """
    x = np.column_stack([np.asarray(overlap_s, float), np.asarray(alone_s, float)])
    y = np.asarray(intervals, float)
    groups = {name: number for number, name in enumerate(dict.fromkeys(run))}
    g = len(groups)
    if g < 3 or np.linalg.matrix_rank(x) < 2:
        return None
    bread = np.linalg.inv(x.T @ x)
    fitted = bread @ x.T @ y
    if not (fitted > 0).all():
        return None
    scores = np.zeros((g, 2))
    np.add.at(scores, [groups[name] for name in run], x * (y - x @ fitted)[:, None])
    covariance = bread @ (scores.T @ scores) @ bread * g / (g - 1)
    critical = float(stdtrit(g - 1, (1 + 0.95) / 2))
    # Rounding can leave a variance of nothing a hair below 0.
    halves = critical * np.sqrt(np.maximum(np.diag(covariance), 0))
    if (fitted - halves <= 0).any():
        return None
    shared, solo = map(float, fitted)
    slope = np.array([1 / shared, -1 / solo])
    half = critical * math.sqrt(max(float(slope @ covariance @ slope), 0.0))
    columns: dict[str, float] = {"runs": g, "alone_share": float(x[:, 1].sum() / x.sum())}
    for name, rate, rate_half in (("shared", shared, halves[0]), ("solo", solo, halves[1])):
        columns[f"{name}_tokens_per_s"] = rate
        columns[f"{name}_tokens_per_s_low"] = rate - float(rate_half)
        columns[f"{name}_tokens_per_s_high"] = rate + float(rate_half)
    gain = 2 * shared / solo
    low, high = gain * math.exp(-half), gain * math.exp(half)
    return columns | {"gain_overlap": gain, "gain_overlap_low": low, "gain_overlap_high": high}
