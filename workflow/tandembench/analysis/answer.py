"""The answer: does any config of a comparison finish sooner, and which? Tables -> Answer. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tandembench.analysis.allowances import Side, allowance
from tandembench.analysis.compare import Compared, compare, pair_fit, versus
from tandembench.analysis.findings import Answer, Basis, Next, Row, Versus
from tandembench.analysis.levels import Fit
from tandembench.analysis.location import hodges_lehmann
from tandembench.analysis.planning import Pace, deciding_half_width, next_step, slowest
from tandembench.analysis.rounds import Rounds, rounds, twin_rounds
from tandembench.analysis.states import states

_GIB = 2**30
# A run this many times as long as its config's usual one was held up by something.
_STALL = 1.5
_METRICS: Mapping[Basis, tuple[str, bool]] = {
    "makespan": ("wall_s", False),
    "rate": ("aggregate_tokens_per_s", True),
}
_BLOCK = ["session", "invocation", "repetition"]


@dataclass(frozen=True)
class Measured:
    """One comparison as it was measured: the rounds that count, and how its configs are served."""

    basis: Basis
    every: Rounds
    table: Rounds
    reference: str
    sides: Mapping[str, Side]
    twin: Fit | None
    compared: Compared


def answers(
    runs: pd.DataFrame, executions: pd.DataFrame, margin: float, reference: str
) -> tuple[Answer, ...]:
    """An Answer for each comparison of two configs or more, in the order of ``runs``.

    ``runs`` and ``executions`` are a dataset's tables, ``margin`` the relative difference that
    does not matter, ``reference`` the topology that others are compared with.
    """
    return tuple(
        answer(own, of_agents, margin, reference)
        for own, of_agents in comparisons(runs, executions)
    )


def comparisons(
    runs: pd.DataFrame, executions: pd.DataFrame
) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The tables of each comparison of two configs or more, in the order of ``runs``."""
    several = runs.groupby("comparison")["config_id"].nunique() > 1
    return [
        (own, executions[executions["comparison"] == name])
        for name, own in runs.groupby("comparison", sort=False)
        if several[name]
    ]


def answer(runs: pd.DataFrame, executions: pd.DataFrame, margin: float, reference: str) -> Answer:
    """The Answer of one comparison, of whose runs alone these are the tables."""
    found = measured(runs, executions, margin, reference)
    compared, table = found.compared, found.table
    others = [one.subject for one in compared.against]
    shown = compared.best if compared.best in others else next(iter(others), None)
    attempts = runs.drop_duplicates([*_BLOCK, "attempt"])
    return Answer(
        comparison=str(runs["comparison"].iloc[0]),
        phase=str(runs["phase"].iloc[0]),
        outcome=compared.outcome,
        basis=found.basis,
        best=compared.best,
        rivals=compared.rivals,
        reference=found.reference,
        adjusted_p=compared.adjusted_p,
        margin=margin,
        rows=_rows(runs, executions, compared, found.reference),
        twin=versus("twin", "first", found.twin, margin) if found.twin else None,
        states=states(table, shown, found.reference) if shown else None,
        equal_hardware=_equal_hardware(found.sides),
        rounds=len(found.every.logs),
        used=len(table.logs),
        disturbed=int(found.every.disturbed.sum()),
        failed=int((~runs["valid"]).sum()),
        blocks=len(runs.drop_duplicates(_BLOCK)),
        sessions=int(runs["session"].nunique()),
        measuring_s=float(attempts["block_s"].sum()),
        next=slowest(
            [step for one, step in plan(found, runs, margin) if one.verdict == "inconclusive"]
        ),
    )


def measured(
    runs: pd.DataFrame, executions: pd.DataFrame, margin: float, reference: str
) -> Measured:
    """What one comparison comes to, by the walls of fixed work, else by the rates."""
    valid = runs[runs["valid"]]
    fixed = bool((valid["work_effective"] == "fixed").all())
    basis: Basis = "makespan" if fixed else "rate"
    metric, more_is_better = _METRICS[basis]
    every = rounds(runs, metric, more_is_better=more_is_better)
    table = every.undisturbed()
    against = _reference(runs, reference)
    sides = _sides(executions)
    twin = _twin(runs, "wall_s", sides)
    twins = [(sides[name], twin) for name in _twins(runs) if name in sides] if twin else []
    compared = (
        compare(table, against, margin, sides, twins)
        if against in table.logs and table.logs.shape[1] > 1
        else Compared("not_measured", None, (), against, (), None)
    )
    return Measured(basis, every, table, against, sides, twin, compared)


def plan(
    found: Measured, runs: pd.DataFrame, margin: float, precision: float | None = None
) -> list[tuple[Versus, Next]]:
    """Each ratio with the measuring that decides it, or tells it to within ``precision``.

    ``precision`` is a ratio less 1; without it a ratio that stays where it is gets decided.
    """
    table = found.table
    blocks = max(1, len(set(table.blocks)) // max(1, len(set(table.sessions))))
    pace = Pace(_block_s(runs), blocks)
    steps = []
    for one in found.compared.against:
        own = pair_fit(table, one.subject, one.other, found.sides) if one.ratio else None
        if own is None:
            continue
        allowed = allowance(found.sides[one.subject], found.sides[one.other])
        half = math.log1p(precision) if precision else deciding_half_width(one, margin)
        steps.append((one, next_step(one, own, allowed, half, pace)))
    return steps


def _reference(runs: pd.DataFrame, topology: str) -> str:
    """The first config of that topology, else the first of all."""
    own = runs[runs["topology"] == topology]
    return str((own if len(own) else runs)["config_id"].iloc[0])


def _sides(executions: pd.DataFrame) -> dict[str, Side]:
    """How each config is served, by what its valid executions say."""
    shared = executions[executions["valid"] & ~executions["twin"].astype(bool)]
    return {
        str(name): Side(
            deployment=str(own["deployment"].iloc[0]),
            threads=_threads(own),
            # Where each run starts its own servers, rounds show what a start is worth.
            started=bool(
                (own["engine"] == "embedded").all() and (own["placement"] != "in_turn").all()
            ),
        )
        for name, own in shared.groupby("config_id", sort=False)
    }


def _twins(runs: pd.DataFrame) -> list[str]:
    return [str(name) for name in runs.loc[runs["twin"].astype(bool), "config_id"].unique()]


def _twin(runs: pd.DataFrame, metric: str, sides: Mapping[str, Side]) -> Fit | None:
    """The same config twice, whichever it was: both on servers of their own."""
    table = twin_rounds(runs, metric).undisturbed()
    if not {"first", "twin"} <= set(table.logs):
        return None
    started = any(side.started for side in sides.values())
    pair = {name: Side(name, (), started) for name in ("first", "twin")}
    return pair_fit(table, "twin", "first", pair)


def _threads(executions: pd.DataFrame) -> tuple[int, ...]:
    """Compute threads of each server of a config; empty where one does not say."""
    servers = executions.drop_duplicates("server")["threads"]
    return () if servers.isna().any() else tuple(int(value) for value in servers)


def _equal_hardware(sides: Mapping[str, Side]) -> bool | None:
    """Whether all configs had as many compute threads; None where that is not known."""
    if not sides or any(not side.threads for side in sides.values()):
        return None
    return len({sum(side.threads) for side in sides.values()}) == 1


def _rows(
    runs: pd.DataFrame, executions: pd.DataFrame, compared: Compared, reference: str
) -> tuple[Row, ...]:
    against = {one.subject: one for one in compared.against}
    labels = _options(executions)
    first_tokens = _first_tokens(executions)
    own_runs = runs[~runs["twin"].astype(bool)]
    return tuple(
        _row(
            str(name),
            own,
            labels.get(str(name), ""),
            first_tokens.get(str(name), ()),
            against.get(str(name)),
            is_reference=name == reference,
        )
        for name, own in own_runs.groupby("config_id", sort=False)
    )


def _row(
    name: str,
    runs: pd.DataFrame,
    options: str,
    first_token_s: tuple[float, ...],
    against: Versus | None,
    *,
    is_reference: bool,
) -> Row:
    valid = runs[runs["valid"]]
    walls = valid["wall_s"].to_numpy(dtype=float)
    usual = math.exp(hodges_lehmann(np.log(walls))) if len(walls) else None
    memory = valid["server_memory_bytes"].dropna()
    rates = valid["aggregate_tokens_per_s"].dropna()
    return Row(
        config_id=name,
        topology=str(runs["topology"].iloc[0]),
        options=options,
        is_reference=is_reference,
        makespan_s=usual,
        tokens_per_s=float(rates.median()) if len(rates) else None,
        first_token_s=first_token_s,
        memory_gib=float(memory.median()) / _GIB if len(memory) else None,
        stalled=float((walls > _STALL * usual).mean()) if usual else 0.0,
        runs=len(valid),
        failed=len(runs) - len(valid),
        against=against,
    )


def _first_tokens(executions: pd.DataFrame) -> dict[str, tuple[float, ...]]:
    """Median seconds from the start to first content, by order of service, of each config."""
    shared = executions[
        executions["valid"]
        & (executions["mode"] == "concurrent")
        & ~executions["twin"].astype(bool)
        & executions["first_token_start_s"].notna()
    ]
    medians = shared.groupby(["config_id", "service_order"])["first_token_start_s"].median()
    return {
        str(name): tuple(own.sort_index().tolist())
        for name, own in medians.groupby(level="config_id")
    }


def _options(executions: pd.DataFrame) -> dict[str, str]:
    """What options tell configs apart, such as "num_ctx 512"; empty where none does."""
    asked: dict[str, dict[str, set[str]]] = {}
    for name, text in zip(executions["config_id"], executions["options_asked"], strict=True):
        options = json.loads(text) if isinstance(text, str) else {}
        own = asked.setdefault(str(name), {})
        for key, value in options.items():
            own.setdefault(key, set()).add(str(value))
    keys = {key for own in asked.values() for key in own}
    differing = sorted(
        key for key in keys if len({frozenset(own.get(key, ())) for own in asked.values()}) > 1
    )
    return {
        name: ", ".join(f"{key} {'/'.join(sorted(own[key]))}" for key in differing if key in own)
        for name, own in asked.items()
    }


def _block_s(runs: pd.DataFrame) -> float:
    """What a block takes, start to start where two follow each other, else its own seconds."""
    starts = runs.groupby(_BLOCK, dropna=False)["started_at"].min().sort_values()
    steps: Sequence[float] = starts.diff().dt.total_seconds().dropna().tolist()
    alone = runs.groupby(_BLOCK, dropna=False)["block_s"].max().dropna()
    own = float(alone.median()) if len(alone) else 60.0
    close = [step for step in steps if 0 < step < 3 * max(own, 1.0)]
    return max(own, float(np.median(close))) if close else max(own, 1.0)
