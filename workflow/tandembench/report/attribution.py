"""Where the loss comes from, group by group, and whether answer lengths alone explain it."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from tandembench.analysis.attribution import (
    Agreement,
    Part,
    agreement,
    fitted_gain,
    predict_sharing,
    predict_turns,
    split,
)
from tandembench.analysis.flags import identify
from tandembench.analysis.intervals import Interval
from tandembench.analysis.numbers import RUN, Values
from tandembench.dataset.load import Dataset
from tandembench.metrics import IMBALANCE_PARTS
from tandembench.report.render import render
from tandembench.tables.columns import TOPOLOGIES
from tandembench.text import as_json

ESTIMATE_PARTS = (
    "imbalance_loss",
    *IMBALANCE_PARTS,
    "sequencing_loss",
    "orchestration_loss",
)
TRUE_PARTS = ("work_imbalance", "sequencing_loss", "queueing", "contention", "orchestration_true")


def attribution(runs: pd.DataFrame, executions: pd.DataFrame, margin: float) -> Values:
    """``groups``: the dataset, each topology and each scenario, with their splits and predictions.

    Over valid runs of two agents or more: one agent has nobody to wait for. ``true`` is None where
    no run of the group has solos, ``predictions`` where no run can have one. ``outside`` says
    whether orchestration explains any of the loss that matters, ``sharing`` whether contention
    costs; ``flag`` which rule a contention flag that came with the data follows.
    """
    valid = runs[runs["valid"] & (runs["n_agents"] > 1)]
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    pairs = _pairs(valid, shared)
    groups = [
        {**place, **_splits(own, margin), **_predictions(own, pairs, margin)}
        for place, own in _groups(valid)
    ]
    return {"groups": groups, "flag": identify(valid, shared)}


def as_text(dataset: Dataset, style: str) -> str:
    """The attribution of ``dataset`` as Markdown or, by ``style`` "json", for programs."""
    margin = float(dataset.descriptor["study"]["margin"])
    found = attribution(dataset.runs, dataset.executions, margin)
    if style == "json":
        return as_json(found)
    return render({"attribution": found, "margin": margin}, "attribution.md.j2")


def _groups(valid: pd.DataFrame) -> Iterator[tuple[Values, pd.DataFrame]]:
    """(place, runs), the whole first; topologies and works apart, and then scenarios too."""
    whole = {"scenario": None, "topology": None, "work": None}
    if valid.empty:
        return
    ordered = valid.assign(rank=valid["topology"].map(TOPOLOGIES.index))
    columns = ["rank", "topology", "work_policy"]
    if ordered.groupby(columns).ngroups > 1:
        yield whole, valid
    for (_, topology, work), own in ordered.groupby(columns):
        place = {"scenario": None, "topology": str(topology), "work": str(work)}
        yield place, own
        if own["scenario"].nunique() > 1:
            for scenario, of_scenario in own.groupby("scenario"):
                yield place | {"scenario": str(scenario)}, of_scenario


def _splits(own: pd.DataFrame, margin: float) -> Values:
    known = own.dropna(subset=["efficiency_true"])
    estimate = _split(own, "efficiency_estimate", ESTIMATE_PARTS)
    true = _split(known, "efficiency_true", TRUE_PARTS) if len(known) else None
    return {
        "n": len(own),
        "n_true": len(known),
        "estimate": estimate,
        "true": true,
        "outside": _outside(estimate["parts"]["orchestration_loss"].share, margin),
        "sharing": _sharing(true["parts"]["contention"].mean) if true else None,
    }


def _outside(share: Interval | None, margin: float) -> str:
    """Whether time outside the agents is a part of the loss: "nothing" that matters, or "part"."""
    if share is None or share.low is None or share.high is None:
        return "inconclusive"
    if share.high < margin:
        return "nothing"
    return "part" if share.low > margin else "inconclusive"


def _sharing(contention: Interval) -> str:
    if contention.low is None or contention.high is None:
        return "inconclusive"
    if contention.low > 0:
        return "costs"
    return "helps" if contention.high < 0 else "inconclusive"


def _split(own: pd.DataFrame, efficiency: str, names: Sequence[str]) -> Values:
    loss = (1 - own[efficiency]).to_list()
    # What a source does not tell (decode seconds, for one) is no part.
    told = [name for name in names if own[name].notna().all()]
    sessions = own["session"].to_list()
    found = split(loss, {"loss": loss} | {name: own[name].to_list() for name in told}, sessions)
    parts: dict[str, Part | None] = dict.fromkeys(names)
    parts |= {part.name: part for part in found[1:]}
    of_imbalance = [part for part in found[1:] if part.name in IMBALANCE_PARTS]
    others = [part for part in found[1:] if part not in of_imbalance]
    return {
        "loss": found[0].mean,
        "parts": parts,
        "largest": _largest(others),
        "largest_imbalance": _largest(of_imbalance),
    }


def _largest(parts: Sequence[Part]) -> str | None:
    return max(parts, key=lambda part: part.mean.mean).name if parts else None


def _pairs(valid: pd.DataFrame, shared: pd.DataFrame) -> pd.DataFrame:
    """Runs of two agents at once, with the lengths of their answers.

    ``first`` is the index of the agent that was done first: of two that start together and are
    served in turn, the one that was served first.
    """
    both = valid[(valid["n_agents"] == 2) & (valid["topology"] != "serial")]
    own = shared.merge(both[RUN], on=RUN).dropna(subset=["answer_tokens"])
    if own.empty:
        return both.iloc[:0].assign(tokens_0=0, tokens_1=0, first=0)
    agents = own.pivot(index=RUN, columns="agent_index", values=["answer_tokens", "duration_s"])
    agents = agents.dropna()
    flat = pd.DataFrame(
        {
            "tokens_0": agents["answer_tokens", 0],
            "tokens_1": agents["answer_tokens", 1],
            "first": (agents["duration_s", 1] < agents["duration_s", 0]).astype(int),
        }
    )
    return both.merge(flat[flat["tokens_0"] + flat["tokens_1"] > 0], on=RUN)


def _predictions(own: pd.DataFrame, pairs: pd.DataFrame, margin: float) -> Values:
    """What token counts alone say of the estimator, beside it; runs of one topology only.

    ``predictions`` are over the runs in which no model is known to be loaded, of which token
    counts know nothing; ``with_cold`` over all, None if that is the same.
    """
    known = pairs.merge(own[RUN], on=RUN)
    cold = known["cold"].fillna(value=False).astype(bool)
    if known.empty or cold.all() or own["topology"].nunique() > 1:
        return {"predictions": None, "with_cold": None}
    return {
        "predictions": _beside(known[~cold], margin),
        "with_cold": _beside(known, margin) if cold.any() else None,
    }


def _beside(known: pd.DataFrame, margin: float) -> Values:
    tokens = list(zip(known["tokens_0"].astype(int), known["tokens_1"].astype(int), strict=True))
    measured, sessions = known["efficiency_estimate"].to_list(), known["session"].to_list()
    gain = fitted_gain(tokens, measured, sessions)
    predicted = {
        "share_one": predict_sharing(tokens, 1.0),
        "own_each": predict_sharing(tokens, 2.0),
        **({"fitted": predict_sharing(tokens, gain.mean)} if gain else {}),
        "turns": predict_turns(tokens, known["first"].to_list()),
    }
    rows = {
        name: agreement(values, measured, sessions, margin) for name, values in predicted.items()
    }
    finding, by = _finding(rows)
    return {
        "n": len(known),
        "tokens": [float(known[name].mean()) for name in ("tokens_0", "tokens_1")],
        "gain": gain,
        "rows": rows,
        "finding": finding,
        "by": by,
    }


def _finding(rows: Mapping[str, Agreement]) -> tuple[str | None, str | None]:
    """(what the estimator has measured, the prediction that shows it).

    "lengths": that prediction follows it from run to run, of several the nearest in the mean. With
    answers of one length there is nothing to follow: "turns" if only one-at-a-time service gives
    its mean, else "blind", since then no gain at all reads like a full one. Both None else.
    """
    following = {
        name: abs(row.difference.mean) for name, row in rows.items() if row.outcome == "agrees"
    }
    if following:
        return "lengths", min(following, key=lambda name: following[name])
    level = [name for name, row in rows.items() if row.outcome == "level"]
    if not level:
        return None, None
    return ("turns" if level == ["turns"] else "blind"), level[0]
