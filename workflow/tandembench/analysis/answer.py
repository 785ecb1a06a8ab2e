"""The answer: does any config of a comparison finish sooner, and which? Tables -> Answer. Pure."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tandembench.analysis.compare import Compared, compare, pair_fit, versus
from tandembench.analysis.findings import Answer, Basis, Early, Next, Row, Versus
from tandembench.analysis.hardware import hardware
from tandembench.analysis.levels import Fit, Side, allowance
from tandembench.analysis.location import hodges_lehmann
from tandembench.analysis.planning import Pace, deciding_half_width, next_step, slowest
from tandembench.analysis.rounds import Rounds, concurrent, rounds, twin_rounds
from tandembench.analysis.states import states
from tandembench.analysis.validity import validity

_GIB = 2**30
# A run this many times as long as its config's usual one was held up by something.
_STALL = 1.5
_METRICS: Mapping[Basis, tuple[str, bool]] = {
    "makespan": ("wall_s", False),
    "capped": ("equal_work_s", False),
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
        answer(group, of_agents, margin, reference)
        for group, of_agents in comparisons(runs, executions)
    )


def comparisons(
    runs: pd.DataFrame, executions: pd.DataFrame
) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The tables of each comparison of two configs or more, in the order of ``runs``."""
    several = runs.groupby("comparison")["config_id"].nunique() > 1
    return [
        (group, executions[executions["comparison"] == name])
        for name, group in runs.groupby("comparison", sort=False)
        if several[name]
    ]


def answer(runs: pd.DataFrame, executions: pd.DataFrame, margin: float, reference: str) -> Answer:
    """The Answer of one comparison, of whose runs alone these are the tables."""
    result = measured(runs, executions, margin, reference)
    compared, table = result.compared, result.table
    others = [one.subject for one in compared.against]
    shown = compared.best if compared.best in others else next(iter(others), None)
    attempts = runs.drop_duplicates([*_BLOCK, "attempt"])
    return Answer(
        comparison=str(runs["comparison"].iloc[0]),
        phase=str(runs["phase"].iloc[0]),
        outcome=compared.outcome,
        basis=result.basis,
        best=compared.best,
        rivals=compared.rivals,
        reference=result.reference,
        adjusted_p=compared.adjusted_p,
        margin=margin,
        rows=_rows(runs, executions, result),
        twin=versus("twin", "first", result.twin, margin) if result.twin else None,
        states=states(table, shown, result.reference) if shown else None,
        hardware=hardware(executions),
        rounds=len(result.every.logs),
        used=len(table.logs),
        disturbed=int(result.every.disturbed.sum()),
        failed=int((~runs["valid"]).sum()),
        blocks=len(runs.drop_duplicates(_BLOCK)),
        sessions=int(runs["session"].nunique()),
        measuring_s=float(attempts["block_s"].sum()),
        next=slowest(
            [step for one, step in plan(result, runs, margin) if one.verdict == "inconclusive"]
        ),
        early=_early(runs[runs["valid"]]) if result.basis == "capped" else None,
        validity=validity(runs, executions),
    )


def measured(
    runs: pd.DataFrame, executions: pd.DataFrame, margin: float, reference: str
) -> Measured:
    """What one comparison comes to, by the times of equal work, else by the rates."""
    basis = _basis(runs[runs["valid"]])
    metric, more_is_better = _METRICS[basis]
    every = rounds(runs, metric, more_is_better=more_is_better)
    table = every.undisturbed()
    against = _reference(runs, reference)
    sides = served(executions)
    twin = _twin(runs, sides, "equal_work_s" if basis == "capped" else "wall_s")
    twice = runs.loc[runs["twin"].astype(bool), "config_id"].unique()
    twins = [(sides[name], twin) for name in twice if name in sides] if twin else []
    compared = compare(table, against, margin, sides, twins)
    return Measured(basis, every, table, against, sides, twin, compared)


def _basis(valid: pd.DataFrame) -> Basis:
    """What may be compared of runs; datasets of before it was kept have no time of equal work."""
    if (valid["work_effective"] == "fixed").all():
        return "makespan"
    return "capped" if "equal_work_s" in valid and valid["equal_work_s"].notna().all() else "rate"


def _early(valid: pd.DataFrame) -> Early:
    shares = valid["equal_work_share"].astype(float)
    runs = int((valid["work_effective"] == "capped").sum())
    return Early(runs, len(valid), float(shares.median()), float(shares.min()))


def plan(
    result: Measured, runs: pd.DataFrame, margin: float, precision: float | None = None
) -> list[tuple[Versus, Next]]:
    """Each ratio with the measuring that decides it, or tells it to within ``precision``.

    ``precision`` is a ratio less 1; without it a ratio that stays where it is gets decided.
    """
    table = result.table
    blocks = max(1, len(set(table.blocks)) // max(1, len(set(table.sessions))))
    pace = Pace(_block_s(runs), blocks)
    steps = []
    for one in result.compared.against:
        group = pair_fit(table, one.subject, one.other, result.sides) if one.ratio else None
        if group is None:
            continue
        allowed = allowance(result.sides[one.subject], result.sides[one.other])
        half = math.log1p(precision) if precision else deciding_half_width(one, margin)
        steps.append((one, next_step(one, group, allowed, half, pace)))
    return steps


def _reference(runs: pd.DataFrame, topology: str) -> str:
    """The first config of that topology, else the first of all."""
    group = runs[runs["topology"] == topology]
    return str((group if len(group) else runs)["config_id"].iloc[0])


def served(executions: pd.DataFrame) -> dict[str, Side]:
    """How each config is served, by what its valid executions say."""
    columns = ["config_id", "server", "threads", "engine", "placement", "deployment"]
    known = executions["valid"] & ~executions["twin"].astype(bool)
    # Repetitions say the same thing again.
    shared = executions.loc[known, columns].drop_duplicates()
    sides = {}
    for name, group in shared.groupby("config_id", sort=False):
        threads = group.drop_duplicates("server")["threads"]
        # Where each run starts its own servers, rounds show what a start is worth.
        started = (group["engine"] == "embedded").all() and (group["placement"] != "in_turn").all()
        sides[str(name)] = Side(
            deployment=str(group["deployment"].iloc[0]),
            threads=() if threads.isna().any() else tuple(map(int, threads)),
            started=bool(started),
        )
    return sides


def _twin(runs: pd.DataFrame, sides: Mapping[str, Side], metric: str) -> Fit | None:
    """The same config twice, whichever it was: both on servers of their own."""
    table = twin_rounds(runs, metric).undisturbed()
    if not {"first", "twin"} <= set(table.logs):
        return None
    started = any(side.started for side in sides.values())
    pair = {name: Side(name, (), started) for name in ("first", "twin")}
    return pair_fit(table, "twin", "first", pair)


def _rows(runs: pd.DataFrame, executions: pd.DataFrame, result: Measured) -> tuple[Row, ...]:
    against = {one.subject: one for one in result.compared.against}
    metric = "equal_work_s" if result.basis == "capped" else "wall_s"
    options, first_tokens = _options(executions), _first_tokens(executions)
    rows = []
    for name, group in runs[~runs["twin"].astype(bool)].groupby("config_id", sort=False):
        valid = group[group["valid"]]
        walls = valid[metric].to_numpy(dtype=float)
        usual = math.exp(hodges_lehmann(np.log(walls))) if len(walls) else None
        memory = _median(valid["server_memory_bytes"])
        rows.append(
            Row(
                config_id=str(name),
                topology=str(group["topology"].iloc[0]),
                options=options.get(str(name), ""),
                is_reference=name == result.reference,
                makespan_s=usual,
                tokens_per_s=_median(valid["aggregate_tokens_per_s"]),
                first_token_s=first_tokens.get(str(name), ()),
                memory_gib=None if memory is None else memory / _GIB,
                stalled=float((walls > _STALL * usual).mean()) if usual else 0.0,
                runs=len(valid),
                failed=len(group) - len(valid),
                against=against.get(str(name)),
            )
        )
    return tuple(rows)


def _median(values: "pd.Series[float]") -> float | None:
    known = values.dropna()
    return float(known.median()) if len(known) else None


def _first_tokens(executions: pd.DataFrame) -> dict[str, tuple[float, ...]]:
    """Median seconds from the start to first tokens, by order of service, of each config.

    None of a config of which one is not known at all.
    """
    known = concurrent(executions).dropna(subset="service_order")
    medians = known.groupby(["config_id", "service_order"])["first_token_start_s"].median()
    return {
        str(name): tuple(group.sort_index().tolist())
        for name, group in medians.groupby(level="config_id")
        if group.notna().all()
    }


def _options(executions: pd.DataFrame) -> dict[str, str]:
    """What options tell configs apart, such as "num_ctx 512"; empty where none does."""
    asked: dict[str, dict[str, set[str]]] = {}
    for name, text in zip(executions["config_id"], executions["options_asked"], strict=True):
        group = asked.setdefault(str(name), {})
        for key, value in (json.loads(text) if isinstance(text, str) else {}).items():
            group.setdefault(key, set()).add(str(value))
    keys = sorted({key for group in asked.values() for key in group})
    differing = [
        key for key in keys if len({frozenset(group.get(key, ())) for group in asked.values()}) > 1
    ]
    return {
        name: ", ".join(
            f"{key} {'/'.join(sorted(group[key]))}" for key in differing if key in group
        )
        for name, group in asked.items()
    }


def _block_s(runs: pd.DataFrame) -> float:
    """What a block takes, start to start where two follow each other, else its own seconds."""
    blocks = runs.groupby(_BLOCK, dropna=False)
    group = max(_median(blocks["block_s"].max()) or 60.0, 1.0)
    steps = blocks["started_at"].min().sort_values().diff().dt.total_seconds()
    close = steps[(steps > 0) & (steps < 3 * group)]
    return max(group, float(close.median())) if len(close) else group
