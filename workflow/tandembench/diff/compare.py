"""Two sides -> their difference, as values for people (Markdown), programs (JSON) and CI."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tandembench.dataset.opened import OpenDataset, column_names, definitions
from tandembench.diff.metrics import of_runs
from tandembench.diff.publications import differences
from tandembench.diff.rows import changes, codes, match, read_both
from tandembench.diff.sides import Row, Side


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs. ``kind``: runs, printed or values (printed against runs).

    ``obstacles`` say why the sides may not be compared; then nothing else is filled, unless it
    was forced. ``worse`` counts verdicts against B.
    """

    kind: str
    same: bool
    obstacles: tuple[str, ...]
    worse: int
    content: dict[str, Any]


def compare(a: Side, b: Side, margin: float | None = None, force: bool = False) -> Difference:
    """A against B; ``margin`` is that of A's study unless given."""
    if a.opened is not None and b.opened is not None:
        return _runs(a.opened, b.opened, margin, force)
    if a.opened is not None:
        return _values(b, a.label, a.opened)
    if b.opened is not None:
        return _values(a, b.label, b.opened)
    rows = differences(a.printed, b.printed)
    worse = sum(row["verdict"] == "worse" for row in rows)
    return Difference("printed", a.printed == b.printed, (), worse, {"rows": rows})


def _values(printed: Side, label: str, opened: OpenDataset) -> Difference:
    # It takes data frames, which a difference of runs does without.
    from tandembench.dataset.load import load_table  # noqa: PLC0415
    from tandembench.diff.printed import against_runs  # noqa: PLC0415

    runs, executions = (load_table(opened, table) for table in ("runs", "executions"))
    found = against_runs(printed.printed, runs, executions)
    same = all(row["agrees"] for row in found["rows"])
    return Difference("values", same, (), 0, {"printed": printed.label, "runs": label, **found})


def _runs(a: OpenDataset, b: OpenDataset, margin: float | None, force: bool) -> Difference:
    found = obstacles(a, b)
    fingerprints = _fingerprints(a, b)
    if found and not force:
        return Difference("runs", False, found, 0, {"fingerprints": fingerprints})
    limit = margin if margin is not None else float(a.descriptor["study"]["margin"])
    matched = match(a, b)
    rows = changes(a, b, matched)
    configs, scenarios = of_runs(a, b, matched, limit)
    fingerprints.append(_topologies(a, b))
    names = [set(column_names(side, "runs")) for side in (a, b)]
    columns = {"only_a": sorted(names[0] - names[1]), "only_b": sorted(names[1] - names[0])}
    same = (
        not found
        and not any(rows[name] for name in ("added", "removed", "changed"))
        and not any(columns.values())
    )
    return Difference(
        "runs",
        same,
        found,
        sum(row["verdict"] == "worse" for row in (*configs, *scenarios)),
        {
            "margin": limit,
            "fingerprints": fingerprints,
            "columns": columns,
            "rows": rows,
            "configs": configs,
            "scenarios": scenarios,
        },
    )


def obstacles(a: OpenDataset, b: OpenDataset) -> tuple[str, ...]:
    """Why the two must not be compared: another model, other work, other definitions."""
    found: list[str] = []
    models = [_known(side.descriptor["fingerprints"]["models"]) for side in (a, b)]
    found += [
        f"{model} is not the same model: its digests differ"
        for model in sorted(models[0].keys() & models[1].keys())
        if models[0][model] != models[1][model]
    ]
    # By name too: few sources tell a digest.
    names = [
        sorted(one["model"] for one in side.descriptor["fingerprints"]["models"]) for side in (a, b)
    ]
    if all(names) and not set(names[0]) & set(names[1]):
        found.append(f"other models: {', '.join(names[0])} and {', '.join(names[1])}")
    other = _other_work(a, b)
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        found.append(f"another work policy in {other[0]}{more}")
    meanings = [definitions(side, "runs") for side in (a, b)]
    changed = sorted(
        name
        for name in meanings[0].keys() & meanings[1].keys()
        if meanings[0][name] != meanings[1][name]
    )
    if changed:
        found.append(f"columns that mean something else now: {', '.join(changed)}")
    return tuple(found)


def _other_work(a: OpenDataset, b: OpenDataset) -> list[str]:
    """The configs of both whose work policy is another in each."""
    sides = read_both(a, b, ["config_id", "work_policy"])
    n = sides[0].num_rows
    configs, names = codes([side["config_id"] for side in sides])
    policies, kinds = codes([side["work_policy"] for side in sides])
    there = np.zeros((2, len(names), len(kinds)), dtype=np.bool_)
    for side, rows in enumerate((slice(n), slice(n, None))):
        there[side, configs[rows], policies[rows]] = True
    held = there.any(axis=2).all(axis=0)
    other = (there[0] != there[1]).any(axis=1)
    return sorted(names[code] for code in np.flatnonzero(held & other))


def _known(models: list[dict[str, Any]]) -> dict[str, str]:
    return {one["model"]: one["model_digest"] for one in models if one["model_digest"]}


def _fingerprints(a: OpenDataset, b: OpenDataset) -> list[Row]:
    """What the sides were measured with; ``same`` is None where one of them is not known."""
    rows = []
    names = sorted({*a.descriptor["fingerprints"], *b.descriptor["fingerprints"]} - {"boots"})
    for name in names:
        values = [side.descriptor["fingerprints"].get(name) for side in (a, b)]
        texts = [_text(value) for value in values]
        same = values[0] == values[1] if all(values) else None
        rows.append({"name": name, "a": texts[0], "b": texts[1], "same": same})
    return rows


def _topologies(a: OpenDataset, b: OpenDataset) -> Row:
    """Which topologies the sides hold: a scenario of one side may be of another than the other."""
    sides = read_both(a, b, ["topology"])
    names = [sorted(codes([side["topology"]])[1]) for side in sides]
    texts = [", ".join(map(str, own)) for own in names]
    return {"name": "topologies", "a": texts[0], "b": texts[1], "same": names[0] == names[1]}


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return "; ".join(_text(one) for one in value) or "not known"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items() if one is not None)
    return "not known" if value is None else str(value)
