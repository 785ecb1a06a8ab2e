"""Two sides -> their difference, as values for people (Markdown), programs (JSON) and CI."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.dataset.columns import KEYS
from tandembench.dataset.load import Dataset
from tandembench.diff.metrics import by_group
from tandembench.diff.publications import differences
from tandembench.diff.sides import Row, Side

_KEYS = [column.name for column in KEYS]


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
    if a.dataset is not None and b.dataset is not None:
        return _runs(a.dataset, b.dataset, margin, force)
    if a.dataset is not None:
        return _values(b, a.label, a.dataset)
    if b.dataset is not None:
        return _values(a, b.label, b.dataset)
    rows = differences(a.printed, b.printed)
    worse = sum(row["verdict"] == "worse" for row in rows)
    return Difference("printed", a.printed == b.printed, (), worse, {"rows": rows})


def _values(printed: Side, label: str, dataset: Dataset) -> Difference:
    # It takes data frames, which a difference of runs does without.
    from tandembench.diff.printed import against_runs  # noqa: PLC0415

    found = against_runs(printed.printed, dataset.runs, dataset.executions)
    same = all(row["agrees"] for row in found["rows"])
    return Difference("values", same, (), 0, {"printed": printed.label, "runs": label, **found})


def _runs(a: Dataset, b: Dataset, margin: float | None, force: bool) -> Difference:
    left, right = a.runs, b.runs
    found = obstacles(a, b)
    fingerprints = _fingerprints(a, b)
    if found and not force:
        return Difference("runs", False, found, 0, {"fingerprints": fingerprints})
    limit = margin if margin is not None else float(a.descriptor["study"]["margin"])
    rows = _rows(left, right)
    valid = [side[side["valid"]] for side in (left, right)]
    configs = by_group(valid[0], valid[1], "config_id", limit)
    scenarios = by_group(valid[0], valid[1], "scenario", limit)
    fingerprints.append(_topologies(left, right))
    names = [set(map(str, side.columns)) for side in (left, right)]
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


def _rows(a: pd.DataFrame, b: pd.DataFrame) -> Row:
    """Runs by key: how many are new, gone, changed and equal; changes by column."""
    left, right = (side.set_index(_KEYS).sort_index() for side in (a, b))
    both = left.index.intersection(right.index)
    shared = [column for column in left.columns if column in right.columns]
    changed = pd.Series(data=False, index=both)
    by_column: dict[str, int] = {}
    for column in shared:
        one, other = left.loc[both, column], right.loc[both, column]
        differs = ~((one == other) | (one.isna() & other.isna()))
        if differs.any():
            by_column[column] = int(differs.sum())
            changed |= differs.fillna(value=True).astype(bool)
    return {
        "added": len(right.index.difference(left.index)),
        "removed": len(left.index.difference(right.index)),
        "changed": int(changed.sum()),
        "equal": int((~changed).sum()),
        "changed_columns": by_column,
    }


def obstacles(a: Dataset, b: Dataset) -> tuple[str, ...]:
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
    works = [
        side.runs.drop_duplicates("config_id").set_index("config_id")["work_policy"]
        for side in (a, b)
    ]
    both = works[0].index.intersection(works[1].index)
    other = [str(one) for one in both if works[0][one] != works[1][one]]
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        found.append(f"another work policy in {other[0]}{more}")
    definitions = [_definitions(side.descriptor) for side in (a, b)]
    changed = sorted(
        name
        for name in definitions[0].keys() & definitions[1].keys()
        if definitions[0][name] != definitions[1][name]
    )
    if changed:
        found.append(f"columns that mean something else now: {', '.join(changed)}")
    return tuple(found)


def _known(models: list[dict[str, Any]]) -> dict[str, str]:
    return {one["model"]: one["model_digest"] for one in models if one["model_digest"]}


def _definitions(descriptor: Any) -> dict[str, tuple[str, str]]:  # noqa: ANN401 - JSON
    runs = next(one for one in descriptor["resources"] if one["name"] == "runs")
    return {
        field["name"]: (field.get("unit", ""), field["description"])
        for field in runs["schema"]["fields"]
    }


def _fingerprints(a: Dataset, b: Dataset) -> list[Row]:
    """What the sides were measured with; ``same`` is None where one of them is not known."""
    rows = []
    names = sorted({*a.descriptor["fingerprints"], *b.descriptor["fingerprints"]} - {"boots"})
    for name in names:
        values = [side.descriptor["fingerprints"].get(name) for side in (a, b)]
        texts = [_text(value) for value in values]
        same = values[0] == values[1] if all(values) else None
        rows.append({"name": name, "a": texts[0], "b": texts[1], "same": same})
    return rows


def _topologies(a: pd.DataFrame, b: pd.DataFrame) -> Row:
    """Which topologies the sides hold: a scenario of one side may be of another than the other."""
    names = [sorted(side["topology"].unique()) for side in (a, b)]
    texts = [", ".join(map(str, own)) for own in names]
    return {"name": "topologies", "a": texts[0], "b": texts[1], "same": names[0] == names[1]}


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return "; ".join(_text(one) for one in value) or "not known"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items() if one is not None)
    return "not known" if value is None else str(value)
