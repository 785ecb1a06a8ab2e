"""Two sides of runs compared: the same, different, worse, not comparable."""

import json
import shutil
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from checkouts import command_said, copy_checkout
from click.testing import CliRunner
from first_form import as_first_form
from raw_blocks import START, block, rounds, scaled, write_dataset

from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.dataset.descriptor import file_hash, read_descriptor, seal
from tandembench.dataset.load import Dataset
from tandembench.diff.compare import compare
from tandembench.diff.sides import open_side
from tandembench.tables.columns import STUDY_RUNS
from tandembench.tables.parquet import read_rows, write_table


def dataset(
    tmp_path: Path, name: str, factor: float = 1.0, n: int = 5, sessions: int = 1, **changes: Any
) -> str:
    """Rounds of serial and dual whose times differ a little, each dataset of another day."""
    day = START + timedelta(days=zlib.crc32(name.encode()) % 1000)
    blocks = [
        [row | {"session": f"s{session}"} for row in scaled(rows, factor * around(rows, session))]
        for session in range(1, sessions + 1)
        for rows in rounds(
            n, block("serial"), block("dual"), invocation=f"{name}{session}", started_at=day
        )
    ]
    return str(write_dataset(tmp_path / name, [[row | changes for row in b] for b in blocks]))


def around(rows: Sequence[dict[str, Any]], session: int) -> float:
    return 1 + 0.002 * (rows[0]["repetition"] % 3) + 0.003 * (session % 4)


def told(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["diff", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_dataset_is_the_same_as_itself_wherever_it_lies(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one")
    made = freeze(Path(one), "mine", None, tmp_path / "baselines")
    code, text, _ = told(one, str(made.folder))
    assert code == 0
    assert "**Both hold the same runs**: 10, equal in every column." in text


def test_an_import_of_the_first_version_is_that_of_today(tr114: Dataset, tmp_path: Path) -> None:
    old = as_first_form(shutil.copytree(tr114.opened.folder, tmp_path / "old"))
    code, text, _ = told(str(old), str(tr114.opened.folder))
    assert code == 0
    assert "**Both hold the same runs**: 150, equal in every column." in text


def test_what_became_slower_is_worse_and_by_how_much(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one", sessions=4)
    other = dataset(tmp_path, "other", factor=1.2, sessions=3)
    code, text, _ = told(one, other, "--format", "json")
    assert code == 1
    found = json.loads(text)
    (wall,) = (
        row
        for row in found["content"]["configs"]
        if (row["config_id"], row["metric"]) == ("dual", "wall_s")
    )
    assert wall["verdict"] == "worse"
    assert wall["ratio"]["mean"] == pytest.approx(1.2, rel=0.01)
    assert wall["ratio"]["low"] < 1.2 < wall["ratio"]["high"]
    assert wall["reason"] is None
    assert 1 < wall["detectable"] < 1.05
    # the agents alone are as quick as before, which the estimator cannot see
    verdicts = {
        row["metric"]: row["verdict"]
        for row in found["content"]["configs"]
        if row["config_id"] == "dual"
    }
    assert verdicts["speedup_true"] == "worse"
    assert verdicts["efficiency_estimate"] == "equivalent"
    assert found["content"]["rows"] == {
        "added": 0,
        "removed": 10,
        "changed": 30,
        "equal": 0,
        "changed_columns": found["content"]["rows"]["changed_columns"],
    }
    assert {"wall_s", "started_at", "invocation"} <= found["content"]["rows"][
        "changed_columns"
    ].keys()
    assert found["worse"] > 0
    # the other way round it is better
    assert told(one, other, "--fail-on", "worse")[0] == 1
    assert told(other, one, "--fail-on", "worse")[0] == 0
    assert told(one, other, "--exit-zero")[0] == 0


def test_another_day_alone_says_nothing_sure(tmp_path: Path) -> None:
    one, other = dataset(tmp_path, "one"), dataset(tmp_path, "other", factor=1.2)
    code, text, _ = told(one, other, "--format", "json", "--fail-on", "worse")
    assert code == 0
    rows = json.loads(text)["content"]["configs"]
    assert {row["verdict"] for row in rows} == {"inconclusive"}
    assert {row["reason"] for row in rows} == {"different sessions"}
    (ratio,) = (
        row["ratio"] for row in rows if (row["config_id"], row["metric"]) == ("dual", "wall_s")
    )
    assert ratio["mean"] == pytest.approx(1.2)
    assert ratio["low"] is None


def test_the_same_blocks_read_anew_are_paired(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one")
    other = tmp_path / "other"
    rows = read_rows(Path(one, "runs.parquet"))
    for row in rows:
        row["antt"] *= 1.5
    shutil.copytree(one, other)
    write_table(other / "runs.parquet", "runs", STUDY_RUNS, rows)
    with (other / "runs.parquet").open("rb") as file:
        found = file_hash(file)
    content = read_descriptor(other)
    content["resources"][0]["hash"] = found
    seal(other, content)
    code, text, _ = told(one, str(other), "--format", "json")
    content = json.loads(text)["content"]
    assert code == 1
    assert content["rows"]["changed_columns"] == {"antt": 10}
    verdicts = {(row["config_id"], row["metric"]): row["verdict"] for row in content["configs"]}
    assert verdicts["dual", "antt"] == "worse"
    assert verdicts["dual", "wall_s"] == "equivalent"
    (antt,) = (row for row in content["scenarios"] if row["metric"] == "antt")
    assert (antt["ratio"]["mean"], antt["ratio"]["n"]) == (pytest.approx(1.5), 10)


def test_a_scenario_is_told_by_the_configs_of_both(tmp_path: Path) -> None:
    one = open_side(dataset(tmp_path, "one", sessions=3))
    blocks = rounds(2, block("serial"), block("dual"), scaled(block("single"), 9.0))
    other = open_side(str(write_dataset(tmp_path / "other", blocks)))
    rows = {row["metric"]: row["ratio"].mean for row in compare(one, other).content["scenarios"]}
    assert rows["wall_s"] == pytest.approx(1, rel=0.02)


def test_runs_that_came_and_went_are_counted(tmp_path: Path) -> None:
    found = compare(
        open_side(dataset(tmp_path, "one", n=3)), open_side(dataset(tmp_path / "x", "one", n=5))
    )
    rows = found.content["rows"]
    assert (rows["equal"], rows["added"], rows["removed"]) == (6, 4, 0)
    assert not found.same


def test_another_model_or_work_is_not_comparable_unless_forced(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one")
    other = dataset(tmp_path, "other", model_digest="cd" * 32)
    code, text, error = told(one, other)
    assert code == 2
    assert "**Not comparable**: small-model is not the same model" in text
    assert "| models |" in text
    assert "worse" not in text
    assert error.startswith("tandembench: diff: not comparable: small-model")
    code, text, _ = told(one, other, "--force")
    assert code == 1
    assert "shown because it was forced" in text
    renamed = dataset(tmp_path, "renamed", model="large-model", model_digest=None)
    assert "other models: small-model and large-model" in told(one, renamed)[2]
    natural = dataset(tmp_path, "natural", work_policy="natural", work_effective="natural")
    assert "another work policy in dual and 1 more" in told(one, natural)[2]


def test_wall_times_are_compared_where_both_did_fixed_work(tmp_path: Path) -> None:
    def compared(**changes: Any) -> set[str]:
        work = {"work_policy": "natural", **changes}
        sides = [open_side(dataset(tmp_path / str(changes), name, **work)) for name in "ab"]
        content = compare(*sides).content
        return {row["metric"] for row in (*content["configs"], *content["scenarios"])}

    assert compared(work_effective="fixed") - compared(work_effective="natural") == {
        "wall_s",
        "makespan_ratio",
    }


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one")
    (tmp_path / "empty").mkdir()
    for side in (str(tmp_path / "empty"), "results/nothing"):
        code, text, error = told(one, side)
        assert (code, text) == (2, "")
        assert error == (
            f"tandembench: {side}: no dataset; name a baseline (tandembench baseline list),"
            " results/<study> or a dataset's folder\n"
        )
    assert "is no name" in told(one, "No Name")[2]


def test_the_rule_makes_the_page(repository: Path, tmp_path: Path) -> None:
    folder = copy_checkout(repository, tmp_path / "checkout")
    target = " ".join(f"reports/diff/tr113..tr114.{ending}" for ending in ("md", "json", "html"))
    command_said(folder, f"snakemake --cores 1 {target}")
    page = (folder / "reports/diff/tr113..tr114.md").read_text(encoding="utf-8")
    assert page.startswith("# tr113\\@1.0.0 against tr114\\@1.0.0\n")
    found = json.loads((folder / "reports/diff/tr113..tr114.json").read_text(encoding="utf-8"))
    assert (found["a"], found["b"], found["kind"]) == ("tr113@1.0.0", "tr114@1.0.0", "printed")
    html = (folder / "reports/diff/tr113..tr114.html").read_text(encoding="utf-8")
    assert "<title>tr113@1.0.0 against tr114@1.0.0</title>" in html
    assert not list(folder.glob("results/*/runs")), "nothing is measured"
    assert "Nothing to be done" in command_said(folder, f"snakemake --cores 1 {target}")
