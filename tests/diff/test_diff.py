"""Two sides of runs compared: the same, different, worse, not comparable."""

import json
from pathlib import Path
from typing import Any

import pytest
from checkouts import command_said, copy_checkout
from click.testing import CliRunner
from raw_blocks import block, rounds, scaled, write_dataset

from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.diff.compare import compare
from tandembench.diff.sides import open_side


def dataset(tmp_path: Path, name: str, factor: float = 1.0, n: int = 5, **changes: Any) -> str:
    """Rounds of serial and dual whose times differ a little from round to round."""
    blocks = [
        scaled(rows, factor * (1 + 0.002 * (rows[0]["repetition"] % 3)))
        for rows in rounds(n, block("serial"), block("dual"), **changes)
    ]
    return str(write_dataset(tmp_path / name, blocks))


def told(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["diff", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_dataset_is_the_same_as_itself_wherever_it_lies(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one")
    made = freeze(Path(one), "mine", None, tmp_path / "baselines")
    code, text, _ = told(one, str(made.folder))
    assert code == 0
    assert "**Both hold the same runs**: 10, equal in every column." in text


def test_what_became_slower_is_worse_and_by_how_much(tmp_path: Path) -> None:
    one, other = dataset(tmp_path, "one"), dataset(tmp_path, "other", factor=1.2)
    code, text, _ = told(one, other, "--format", "json")
    assert code == 1
    found = json.loads(text)
    (wall,) = (
        row
        for row in found["content"]["configs"]
        if (row["config_id"], row["metric"]) == ("dual", "wall_s")
    )
    assert wall["verdict"] == "worse"
    assert wall["ratio"]["mean"] == pytest.approx(1.2, rel=1e-6)
    assert wall["ratio"]["low"] < 1.2 < wall["ratio"]["high"]
    # the agents alone are as quick as before, which the estimator cannot see
    verdicts = {
        row["metric"]: row["verdict"]
        for row in found["content"]["configs"]
        if row["config_id"] == "dual"
    }
    assert verdicts["speedup_true"] == "worse"
    assert verdicts["efficiency_estimate"] == "equivalent"
    assert found["content"]["rows"]["changed"] == 10
    assert found["worse"] > 0
    # the other way round it is better
    assert told(one, other, "--fail-on", "worse")[0] == 1
    assert told(other, one, "--fail-on", "worse")[0] == 0
    assert told(one, other, "--exit-zero")[0] == 0


def test_runs_that_came_and_went_are_counted(tmp_path: Path) -> None:
    found = compare(
        open_side(dataset(tmp_path, "one", n=3)), open_side(dataset(tmp_path, "other", n=5))
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
    assert "another work policy in serial and 1 more" in told(one, natural)[2]


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
