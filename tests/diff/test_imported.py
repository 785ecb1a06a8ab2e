"""Two imported sets: as wholes and by setting, or not at all if their work is another."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from authors_runs import reloading, rewritten
from click.testing import CliRunner

from tandembench.cli import main
from tandembench.dataset.baseline import import_runs
from tandembench.dataset.load import Dataset


def made(folder: Path, change: Callable[[Any, int], None]) -> str:
    rewritten(folder / "in", "{path}/{config}/{run}", change)
    ((baseline, _),) = import_runs("chimeraforge-rust", folder / "in", "made", None, folder / "b")
    return str(baseline.folder)


def diff(a: Dataset | str, b: Dataset | str, *options: str) -> tuple[int, str]:
    sides = [one if isinstance(one, str) else str(one.folder) for one in (a, b)]
    done = CliRunner().invoke(main, ["diff", *sides, *options])
    return done.exit_code, done.stdout


def test_walls_do_not_differ_and_equal_options_on_one_server_are_the_fastest(
    tmp_path: Path, tr114: Dataset
) -> None:
    one_server = made(tmp_path, reloading())
    code, text = diff(tr114, one_server, "--format", "json")
    found = json.loads(text)["found"]["between"]
    (pair,) = found["sides"]["pairs"]
    assert code == 1
    assert pair["wall_verdict"] == "inconclusive"
    assert pair["wall_s"]["low"] < 0 < pair["wall_s"]["high"]
    (alike,) = found["factors"]
    assert alike["best"] == "B: equal"
    verdicts = {one["other"]: one["verdict"] for one in alike["pairs"]}
    # than the same options on two servers, and than others on this one
    assert verdicts["A: equal"] == verdicts["B: num_gpu, num_ctx"] == "better"
    turns = {one["level"]: one["turns"] for one in found["sides"]["groups"]}
    assert turns == {"A": {"at_once": 30}, "B": {"server": 30}}
    # whoever ranks them, the estimator does not, and a page shows the same
    code, text = diff(tr114, one_server)
    assert "efficiency" not in text.partition("Runs by key")[0]
    page = tmp_path / "pair.html"
    assert diff(tr114, one_server, "--output", str(page))[0] == 1
    assert page.exists()


def longer(times: float) -> Callable[[Any, int], None]:
    def change(content: Any, _: int) -> None:
        for agent in ("collector", "insight"):
            call = content[agent]["result"]["individual_runs"][0]
            call["tokens_generated"] = round(times * call["tokens_generated"])

    return change


@pytest.mark.parametrize(("times", "code"), [(2.0, 2), (0.5, 2), (1.1, 1)])
def test_answers_of_another_length_are_other_work(
    tmp_path: Path, tr114: Dataset, times: float, code: int
) -> None:
    assert diff(tr114, made(tmp_path, longer(times)))[0] == code


def test_another_number_of_calls_is_other_work(tr110: Dataset, tr114: Dataset) -> None:
    code, text = diff(tr110, tr114, "--format", "json")
    found = json.loads(text)["found"]
    assert (code, len(found["obstacles"]), found["measured"]) == (2, 2, None)
    assert diff(tr110, tr114, "--force")[0] == 1
