"""Datasets of the first version: read under today's names, and as good as what they hold."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from first_form import as_first_form
from raw_blocks import block, failed, rounds, where, write_dataset

from tandembench.dataset.baseline import freeze, verify
from tandembench.dataset.load import Dataset, column_names, load_dataset
from tandembench.tables.columns import EXECUTIONS, STUDY_RUNS, TELEMETRY, TOKENS

KEY = ["session", "comparison", "repetition", "attempt", "config_id", "twin"]
TABLES = {"runs": STUDY_RUNS, "executions": EXECUTIONS, "telemetry": TELEMETRY, "tokens": TOKENS}


def blocks() -> list[list[dict[str, Any]]]:
    made = rounds(
        2,
        block("serial", (1.0, 1.0)),
        block("single", (1.0, 1.0), foreign_cores=0.2),
        block("dual", (1.0, 1.0), (1.5, 1.25), foreign_cores=None),
        failed(block("dual-b", workload="w2"), "insight", "concurrent", "reset"),
    )
    sample = {"t_ns": 10, "subject": "client", "cores": 0.02, "memory_bytes": 5}
    where(made[0], "concurrent")[0]["telemetry"] = [sample]
    return made


@pytest.fixture
def today(tmp_path: Path) -> Dataset:
    return load_dataset(write_dataset(tmp_path / "today", blocks()))


@pytest.fixture
def old(tmp_path: Path) -> Dataset:
    return load_dataset(as_first_form(write_dataset(tmp_path / "old", blocks())))


def test_every_table_has_the_columns_of_today_and_keys_that_pair(
    old: Dataset, today: Dataset
) -> None:
    for table, columns in TABLES.items():
        rows = getattr(old, table)
        names = {column.name for column in columns}
        assert names <= set(column_names(old, table)) & set(rows.columns)
        required = [column.name for column in columns if column.required]
        assert rows[required].notna().all(axis=None)
        pd.testing.assert_frame_equal(rows[KEY], getattr(today, table)[KEY])
        assert rows["round"].equals(rows["repetition"])
    assert not old.runs.duplicated(KEY).any()
    # the twin is true or false, not an object
    assert old.runs["twin"].dtype == bool
    assert "criteria" not in old.descriptor["study"]


def test_what_its_runs_tell(old: Dataset, today: Dataset) -> None:
    same = ["disturbed", "makespan_ratio", "wall_s", "contention_ttft_rule", "foreign_cores"]
    same += ["work_imbalance", "efficiency_true"]
    pd.testing.assert_frame_equal(old.runs[same], today.runs[same])
    # what waited for the one slot was contention then
    alone, split = old.runs["config_id"] == "single", ["contention", "queueing"]
    assert old.runs.loc[alone, split].isna().all(axis=None)
    pd.testing.assert_frame_equal(old.runs.loc[~alone, split], today.runs.loc[~alone, split])

    def of(name: str, *config_ids: str) -> "pd.Series[Any]":
        return old.runs.loc[old.runs["config_id"].isin(config_ids), name]

    assert of("disturbed", "single").all()
    assert not of("disturbed", "serial").any()
    assert of("disturbed", "dual").isna().all()
    for name in ("deployment", "placement", "server_memory_bytes"):
        assert old.runs[name].isna().all()


def test_a_config_without_a_workload_is_a_comparison_of_its_own(tmp_path: Path) -> None:
    unknown = rounds(1, block("dual", workload="w1"))
    for row in unknown[0]:
        row["workload"] = None
    old = load_dataset(as_first_form(write_dataset(tmp_path, unknown)))
    assert set(old.runs["comparison"]) == {"dual"}
    assert set(old.tokens["comparison"]) == {"dual"}


def test_it_is_frozen_as_it_is(old: Dataset, tmp_path: Path) -> None:
    folder = old.folder
    made = freeze(folder, "mine", None, tmp_path / "baselines")
    assert verify(made) == 5
    for path in folder.glob("*.parquet"):
        assert (made.folder / path.name).read_bytes() == path.read_bytes()
    assert load_dataset(made.folder).runs.equals(old.runs)
