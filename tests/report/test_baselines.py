"""Stored baselines beside a dataset: what may be compared, what comes of it, and what is said."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_blocks import MACHINE, block, rounds, scaled, write_dataset
from scipy import stats

from tandembench.audit.beside import Baseline
from tandembench.dataset.baseline import freeze
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.baselines import beside_baselines
from tandembench.report.details import details
from tandembench.report.write import page_two

Row = dict[str, Any]
DUAL = block("dual", (1.0, 1.0), (1.25, 1.25))


def sessions(factor: float = 1.0, **changes: Any) -> list[list[Row]]:
    """Three sessions of two rounds, a little apart."""
    return [
        rows
        for n, own in enumerate((1.0, 1.01, 0.99), start=1)
        for rows in rounds(
            2, scaled(DUAL, factor * own), session=f"s{n}", invocation=f"inv{n}", **changes
        )
    ]


def dataset(folder: Path, blocks: Sequence[Sequence[Row]], **study: Any) -> Dataset:
    return load_dataset(write_dataset(folder, blocks, baselines=["mine"], **study))


def beside(own: Dataset, root: Path) -> tuple[Baseline, str]:
    """(what is known of the only baseline, the section that says it)."""
    (entry,) = beside_baselines(own, root, 0.05)
    text = page_two(details(own, (), root))
    return entry, text.split("\n## Baselines")[1].split("\n## ")[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one baseline of runs, mine."""
    freeze(write_dataset(tmp_path / "x", sessions()), "mine", None, tmp_path / "b")
    return tmp_path / "b"


def test_runs_beside_runs_have_verdicts(tmp_path: Path, root: Path) -> None:
    entry, said = beside(dataset(tmp_path / "y", sessions(1.3)), root)
    assert (entry.state, entry.label) == ("compared", "mine@1.0.0")
    rows = {(row["scope"], row["metric"]): row for row in entry.rows}
    assert rows["config", "speedup_true"]["verdict"] == "worse"
    assert rows["config", "speedup_true"]["ratio"].mean == pytest.approx(1 / 1.3, rel=1e-6)
    assert sum(entry.counts.values()) == len(entry.rows)
    assert "| config dual | speedup_true |" in said


def test_the_very_runs_are_no_comparison(tmp_path: Path, root: Path) -> None:
    entry, said = beside(dataset(tmp_path / "y", sessions()), root)
    assert (entry.state, entry.rows) == ("same", ())
    assert "mine" in said


def test_another_model_is_not_compared(tmp_path: Path, root: Path) -> None:
    other = sessions(model="large-model", model_digest="cd" * 32)
    entry, said = beside(dataset(tmp_path / "y", other), root)
    assert (entry.state, entry.rows) == ("not_comparable", ())
    assert "- other models" in said


def test_what_is_not_known_of_one_side_is_said(tmp_path: Path, root: Path) -> None:
    """Imported runs, for one, come from a machine that nobody names."""
    own = dataset(tmp_path / "y", sessions(1.3))
    fingerprints = {**own.descriptor["fingerprints"], "machines": []}
    descriptor = {**own.descriptor, "fingerprints": fingerprints}
    entry, said = beside(replace(own, descriptor=descriptor), root)
    assert (entry.state, list(entry.unknown)) == ("unsure", ["machine"])
    assert entry.counts["worse"] > 0
    assert "- machine" in said


def test_a_damaged_baseline_is_a_line_of_the_report(tmp_path: Path, root: Path) -> None:
    (root / "mine/1.0.0/runs.parquet").write_bytes(b"PAR1")
    entry, said = beside(dataset(tmp_path / "y", sessions(1.3)), root)
    assert (entry.state, entry.rows) == ("damaged", ())
    assert r"mine\@1.0.0" in said


def test_a_missing_baseline_is_a_line_of_the_report(tmp_path: Path) -> None:
    entry, said = beside(dataset(tmp_path / "y", sessions()), tmp_path / "none")
    assert entry.state == "missing"
    assert "mine" in said


@pytest.fixture
def printed(tmp_path: Path, repository: Path) -> tuple[Dataset, Baseline]:
    """Natural work on the printed model and processor, three sessions, beside what TR114 prints."""
    machine = {**MACHINE, "cpu": "Intel Core i9-13980HX"}
    theirs = {"model": "gemma3:latest", "work_policy": "natural", "work_effective": "natural"}
    blocks = [
        rows
        for n, second in enumerate((1.0, 1.1, 1.2), start=1)
        for rows in rounds(2, block("dual", (1.0, 1.0), (1.25, second)), session=f"s{n}", **theirs)
    ]
    own = load_dataset(write_dataset(tmp_path, blocks, machines=[machine], baselines=["tr114"]))
    (entry,) = beside_baselines(own, repository / "resources/baselines", 0.05)
    return own, entry


def test_a_printed_mean_is_compared_by_sessions(printed: tuple[Dataset, Baseline]) -> None:
    own, entry = printed
    assert (entry.state, list(entry.reasons)) == ("compared", [])
    row = next(row for row in entry.rows if row["scope"] == "overall")
    values = own.runs.groupby("session")["efficiency_estimate"].mean()
    assert (row["ours"].n, row["ours_runs"]) == (3, 6)
    assert row["ours_sd"] == pytest.approx(own.runs["efficiency_estimate"].std())
    # as printed: 89.3 %, sd 5.5 points, n = 150
    expected = stats.ttest_ind_from_stats(
        values.mean(), values.std(), 3, 0.893, 0.055, 150, equal_var=False
    )
    difference = row["difference"]
    assert difference.mean == pytest.approx(values.mean() - 0.893)
    errors = np.sqrt(values.var() / 3 + 0.055**2 / 150)
    assert difference.mean / errors == pytest.approx(expected.statistic)
    half = stats.t.ppf(0.975, difference.freedom) * errors
    assert difference.high - difference.mean == pytest.approx(half)
