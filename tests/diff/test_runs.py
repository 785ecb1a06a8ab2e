"""Runs of two datasets: counts and metrics as a comparison row by row, pair by pair has them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from raw_blocks import START

from tandembench.analysis.sides import observations, paired_ratio
from tandembench.dataset.descriptor import file_hash, seal
from tandembench.dataset.load import Dataset, open_dataset
from tandembench.diff.runs import Changes, changes, frames, match, metric_changes
from tandembench.errors import TandemError
from tandembench.tables.columns import KEYS, STUDY_RUNS
from tandembench.tables.parquet import write_table

Row = dict[str, Any]
NAMES = [column.name for column in KEYS]


def run(config: int, repetition: int, **changes: Any) -> Row:
    key = {"session": "s1", "config_id": f"dual-{config}", "repetition": repetition, "attempt": 1}
    key |= {"comparison": "c1", "round": 1, "twin": False}
    texts = {"scenario": "chimera_homo", "topology": "dual", "work_policy": "fixed", "engine": "e"}
    about = {"phase": "main", "n_agents": 2, "started_at": START, "valid": True}
    return {**key, **texts, **about, "wall_s": 2.0, "cold": False, **changes}


def opened(folder: Path, rows: Sequence[Row]) -> Dataset:
    """A dataset that holds just these runs."""
    write_table(folder / "runs.parquet", "runs", STUDY_RUNS, rows)
    fields = [{"name": column.name} for column in STUDY_RUNS]
    with (folder / "runs.parquet").open("rb") as file:
        runs = {"name": "runs", "path": "runs.parquet", "hash": file_hash(file)}
    others = [{"name": "executions", "path": "x", "hash": "x"}]
    study = {"reference": "serial", "phases": []}
    resources = [{**runs, "schema": {"fields": fields}}, *others]
    seal(folder, {"resources": resources, "study": study, "instrument": None})
    return open_dataset(folder)


def row_by_row(a: Sequence[Row], b: Sequence[Row]) -> Changes:
    """The same, the long way."""
    left, right = ({tuple(row[name] for name in NAMES): row for row in side} for side in (a, b))
    both = [key for key in left if key in right]
    columns = [column.name for column in STUDY_RUNS]
    unlike = {
        key: [name for name in columns if left[key].get(name) != right[key].get(name)]
        for key in both
    }
    counts = Counter(name for names in unlike.values() for name in names)
    changed = sum(bool(names) for names in unlike.values())
    return Changes(
        len(right) - len(both), len(left) - len(both), changed, len(both) - changed, counts
    )


CHANGES: Sequence[Mapping[str, Any]] = (
    {},
    {"wall_s": 2.5},
    {"wall_s": None},
    {"cold": True},
    {"cold": None},
    {"reason": "oom"},
    {"engine": "other"},
    {"started_at": START + timedelta(microseconds=1)},
    {"answer_tokens": 2**53 + 1},
    {"answer_tokens": 2**53},
)


@pytest.mark.parametrize("seed", range(10))
def test_rows_are_counted_as_row_by_row(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - an example, no secret
    keys = [(config, repetition) for config in range(4) for repetition in range(1, 6)]
    sides = []
    for name in "ab":
        own = [run(*key, **random.choice(CHANGES)) for key in keys if random.random() < 0.8]
        if seed % 2:
            random.shuffle(own)
        sides.append((own, opened(tmp_path / name, own)))
    (a, left), (b, right) = sides
    assert changes(left, right, match(left, right)) == row_by_row(a, b)


def test_what_is_equal_everywhere_is_equal_in_any_order(tmp_path: Path) -> None:
    rows = [run(config, repetition) for config in range(3) for repetition in (1, 2)]
    rows[0] |= {"wall_s": float("nan")}
    left, right = opened(tmp_path / "a", rows), opened(tmp_path / "b", rows[::-1])
    assert changes(left, right, match(left, right)) == Changes(0, 0, 0, 6, {})


@pytest.mark.parametrize("sides", [([], []), ([run(1, 1)], []), ([], [run(1, 1)])])
def test_a_side_may_be_empty(tmp_path: Path, sides: tuple[list[Row], list[Row]]) -> None:
    left, right = (opened(tmp_path / name, rows) for name, rows in zip("ab", sides, strict=True))
    matched = match(left, right)
    assert changes(left, right, matched) == Changes(len(sides[1]), len(sides[0]), 0, 0, {})
    assert metric_changes(left, right, matched, 0.05) == ()


@pytest.mark.parametrize("twice", [0, 1])
def test_a_run_that_is_there_twice_is_corrupt(tmp_path: Path, twice: int) -> None:
    rows = [run(1, 1), run(1, 2)]
    sides = [rows, rows]
    sides[twice] = [*rows, run(1, 2)]
    left, right = (opened(tmp_path / name, own) for name, own in zip("ab", sides, strict=True))
    with pytest.raises(TandemError, match="twice") as caught:
        match(left, right)
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith(str(tmp_path / "ab"[twice]))


@pytest.mark.parametrize(
    "column", ["session", "comparison", "config_id", "phase", "scenario", "topology"]
)
def test_a_text_that_is_no_id_is_corrupt_wherever_it_stands(tmp_path: Path, column: str) -> None:
    rows = [run(1, 1), run(1, 2, **{column: "<script>"})]
    left = opened(tmp_path / "a", rows)
    with pytest.raises(TandemError, match=f"is no id of a {column}") as caught:
        frames(left, left, [column])
    assert caught.value.exit_code == 3


def measured(random: Random, side: str, shared: int) -> list[Row]:
    """Configs whose sessions have levels of their own; ``shared`` seeds those of both sides."""
    both = Random(shared)  # noqa: S311 - an example, no secret
    rows = []
    for config in range(20):
        kinds = [both.choice([0, 0, 1, 3]), random.choice([0, 1, 2, 3, 6])]
        days = [(Random(shared + k), f"s{k}", START) for k in range(kinds[0])]  # noqa: S311
        days += [
            (random, f"{side}{k}", START + timedelta(days=ord(side) + k)) for k in range(kinds[1])
        ]
        for own, session, day in days:
            level = own.gauss(0, 0.1)
            for repetition in range(1, random.choice([1, 5]) + 1):
                if random.random() < 0.9:
                    changes = {"session": session, "invocation": session, "started_at": day}
                    wall = math.exp(level + random.gauss(0, 0.05))
                    work = {"work_effective": "fixed", "antt": None, "wall_s": wall}
                    rows.append(run(config, repetition, **changes, **work))
    return rows


@pytest.mark.parametrize("seed", range(10))
def test_metrics_are_compared_as_pair_by_pair(tmp_path: Path, seed: int) -> None:
    """Every basis: sessions of both, sessions of each, blocks of both, and none of these."""
    random = Random(seed)  # noqa: S311 - an example, no secret
    sides = [measured(random, name, 1000 * seed) for name in "ab"]
    a, b = (opened(tmp_path / name, own) for name, own in zip("ab", sides, strict=True))
    tables = [pd.DataFrame(own) for own in sides]
    told = {
        one.subject: one
        for one in metric_changes(a, b, match(a, b), 0.05)
        if (one.scope, one.metric) == ("config", "wall_s")
    }
    kinds = set()
    for config in {row["config_id"] for own in sides for row in own}:
        before, after = (
            observations(table[table["config_id"] == config], "wall_s") for table in tables
        )
        expected = paired_ratio(after, before)
        if expected.reason == "nothing measured":
            assert config not in told
            continue
        one = told[config]
        kinds.add((expected.basis, expected.reason))
        assert one.reason == expected.reason
        assert one.detectable == pytest.approx(expected.detectable)
        if expected.interval is None:
            assert one.ratio.low is None
            means = [
                sum(math.log(row.value) for row in side) / len(side) for side in (before, after)
            ]
            assert math.log(one.ratio.mean) == pytest.approx(means[1] - means[0])
            continue
        assert (one.ratio.n, one.ratio.basis) == (expected.interval.n, expected.interval.basis)
        bounds = (expected.interval.mean, expected.interval.low, expected.interval.high)
        assert (one.ratio.mean, one.ratio.low, one.ratio.high) == pytest.approx(bounds)
    assert ("sessions", None) in kinds
