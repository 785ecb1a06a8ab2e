"""Two sides compared: the same, different, worse, not comparable; as text, page and JSON."""

import json
import re
import shutil
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from checkouts import command_said, copy_checkout
from click.testing import CliRunner
from first_form import as_first_form
from raw_blocks import START, block, rounds, scaled, write_dataset

from tandembench.analysis.intervals import Interval
from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.dataset.load import Dataset
from tandembench.diff.compare import Fingerprint, Measurements, OfPrintAndRuns, OfRuns
from tandembench.diff.runs import Change, Changes
from tandembench.report.diff_page import as_text

HOSTILE = "a | b\n# Verdict: <script>alert(1)</script> [x](http://evil)"


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


def measured(*arguments: str) -> dict[str, Any]:
    """What programs read of a difference of runs."""
    found: dict[str, Any] = json.loads(told(*arguments, "--format", "json")[1])["found"]["measured"]
    return found


def of(found: dict[str, Any], subject: str, metric: str) -> dict[str, Any]:
    (row,) = (
        one for one in found["metrics"] if (one["subject"], one["metric"]) == (subject, metric)
    )
    return dict(row)


def test_the_same_wherever_it_lies_and_whichever_version_wrote_it(
    tr114: Dataset, tmp_path: Path
) -> None:
    one = dataset(tmp_path, "one")
    made = freeze(Path(one), "mine", None, tmp_path / "baselines")
    code, text, _ = told(one, str(made.folder))
    assert code == 0
    assert "**Both hold the same runs**: 10, equal in every column." in text
    old = as_first_form(shutil.copytree(tr114.folder, tmp_path / "old"))
    assert told(str(old), str(tr114.folder))[0] == 0


def test_what_became_slower_is_worse_and_by_how_much(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one", sessions=4)
    other = dataset(tmp_path, "other", factor=1.2, sessions=3)
    found = measured(one, other)
    wall = of(found, "dual", "wall_s")
    assert (wall["verdict"], wall["reason"]) == ("worse", None)
    assert wall["ratio"]["mean"] == pytest.approx(1.2, rel=0.01)
    assert wall["ratio"]["low"] < 1.2 < wall["ratio"]["high"]
    assert 1 < wall["detectable"] < 1.05
    # the agents alone are as quick as before, which the estimator cannot see
    assert of(found, "dual", "speedup_true")["verdict"] == "worse"
    assert of(found, "dual", "efficiency_estimate")["verdict"] == "equivalent"
    rows = found["rows"]
    assert [rows[name] for name in ("added", "removed", "changed", "equal")] == [0, 10, 30, 0]
    assert {"wall_s", "started_at", "invocation"} <= rows["changed_columns"].keys()


def test_another_day_alone_says_nothing_sure(tmp_path: Path) -> None:
    one, other = dataset(tmp_path, "one"), dataset(tmp_path, "other", factor=1.2)
    found = measured(one, other)
    assert {one["verdict"] for one in found["metrics"]} == {"inconclusive"}
    assert {one["reason"] for one in found["metrics"]} == {"different sessions"}
    ratio = of(found, "dual", "wall_s")["ratio"]
    assert (ratio["mean"], ratio["low"]) == (pytest.approx(1.2), None)


def test_a_scenario_is_compared_by_the_configs_of_both(tmp_path: Path) -> None:
    blocks = rounds(2, block("serial"), block("dual"), scaled(block("single"), 9.0))
    other = str(write_dataset(tmp_path / "other", blocks))
    found = measured(dataset(tmp_path, "one", sessions=3), other)
    assert of(found, "chimera_homo", "wall_s")["ratio"]["mean"] == pytest.approx(1, rel=0.02)


NATURAL = {"work_policy": "natural", "work_effective": "natural"}
OTHER_MODEL = {"model": "large-model", "model_digest": None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_digest": "cd" * 32}, "small-model is not the same model: its digests differ"),
        (OTHER_MODEL, "other models: small-model and large-model"),
        (NATURAL, "another work policy in dual and 1 more"),
    ],
)
def test_what_is_not_comparable_says_why_unless_forced(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    sides = dataset(tmp_path, "one"), dataset(tmp_path, "other", **changes)
    code, text, error = told(*sides)
    assert (code, f"**Not comparable**: {reason}" in text, "worse" in text) == (2, True, False)
    assert error.startswith(f"tandembench: diff: not comparable: {reason}")
    # A page of it is a result as well: a rule keeps it.
    assert told(*sides, "--exit-zero")[:2] == (0, text)
    code, text, _ = told(*sides, "--force")
    assert (code, text.splitlines()[2].startswith("**Not comparable**, shown")) == (1, True)


def test_wall_times_are_compared_where_both_did_fixed_work(tmp_path: Path) -> None:
    def compared(work: str) -> set[str]:
        changes = {"work_policy": "natural", "work_effective": work}
        sides = [dataset(tmp_path / work, name, **changes) for name in "ab"]
        return {one["metric"] for one in measured(*sides)["metrics"]}

    assert compared("fixed") - compared("natural") == {"wall_s", "makespan_ratio"}


def test_exit_codes_and_files(tmp_path: Path) -> None:
    one, slower = dataset(tmp_path, "one", sessions=3), dataset(tmp_path, "two", 1.2, sessions=3)
    (tmp_path / "empty").mkdir()
    made = freeze(Path(one), "mine", None, tmp_path / "baselines")
    (made.folder / "runs.parquet").write_bytes(b"")
    out = tmp_path / "d/a..b.json"
    for code, arguments in (
        (0, (one, one)),
        (1, (one, slower)),
        (1, (one, slower, "--fail-on", "worse")),
        (0, (slower, one, "--fail-on", "worse")),
        (0, (one, slower, "--exit-zero")),
        (3, (one, str(made.folder))),
        (2, (one, "No Name")),
        (1, (one, slower, "--output", str(out))),
    ):
        assert told(*arguments)[0] == code, arguments
    assert json.loads(out.read_text(encoding="utf-8"))["worse"] > 0
    told(one, slower, "--output", str(out), "--format", "markdown")
    assert out.read_text(encoding="utf-8").startswith("# ")
    for side in (str(tmp_path / "empty"), "results/nothing"):
        assert told(one, side) == (
            2,
            "",
            f"tandembench: {side}: no dataset; name a baseline (tandembench baseline list),"
            " results/<study> or a dataset's folder\n",
        )


def test_the_rule_makes_pages_of_baselines_and_nothing_of_a_study(
    repository: Path, tmp_path: Path
) -> None:
    folder = copy_checkout(repository, tmp_path / "checkout")
    for name, digest in (("one", "ab" * 32), ("other", "cd" * 32)):
        source = Path(dataset(tmp_path, name, model_digest=digest))
        freeze(source, name, None, folder / "resources/baselines")
    targets = [f"reports/diff/tr113..tr114.{ending}" for ending in ("md", "json", "html")]
    targets.append("reports/diff/one..other.html")
    command_said(folder, f"snakemake --cores 1 {' '.join(targets)}")
    page, values, html, apart = (
        (folder / target).read_text(encoding="utf-8") for target in targets
    )
    assert page.startswith("# tr113\\@1.0.0 against tr114\\@1.0.0\n")
    found = json.loads(values)
    assert (found["a"], found["b"], found["same"]) == ("tr113@1.0.0", "tr114@1.0.0", False)
    assert found["found"]["kind"] == "prints"
    assert "<title>tr113@1.0.0 against tr114@1.0.0</title>" in html
    assert "Not comparable" in apart
    assert not list(folder.glob("results/*"))
    again = command_said(folder, f"snakemake --cores 1 {' '.join(targets)}")
    assert "Nothing to be done" in again


def checked(n: int, *, agrees: bool, scope: str = "config", **more: Any) -> dict[str, Any]:
    row = {"report": "TR1", "section": "3", "scope": scope, "subject": f"c{n}", "note": ""}
    row |= {"metric": "efficiency_estimate", "statistic": "mean", "value": 0.9, "unit": "1"}
    row |= {"printed": "90.0%", "computed": 0.9 if agrees else 0.8, "agrees": agrees}
    return row | more


def values(rows: list[dict[str, Any]], section: str = "TR1 3") -> OfPrintAndRuns:
    """A print against runs, with these values checked."""
    names = ("checked", "agree", "contradicted", "absent", "subjects", "subjects_agree")
    counts = dict.fromkeys(names, 1)
    found = {"scopes": {"config": counts}, "sections": {section: counts}, "rows": rows}
    return OfPrintAndRuns(cast("Any", found | {"unchecked": {"machine": {"n": 2}}}))


def runs(fingerprint: str) -> OfRuns:
    """Datasets that were compared, of which one config became worse."""
    change = Change("config", "c0", "wall_s", Interval(1.1, 1.0, 1.2, 5), "worse", 1.1, None)
    models = Fingerprint("models", "m1", fingerprint, same=False)
    return OfRuns(
        (), (models,), Measurements(0.05, Changes(0, 1, 2, 3, {"x": 2}), (), (), (change,))
    )


@pytest.mark.parametrize(
    ("metric", "printed", "value", "unit", "computed", "cells"),
    [
        ("efficiency_estimate", "1.8x, 91.9%", 0.919, "1", 0.8, "1.8x, 91.9% (91.90 %) | 80.00 %"),
        ("speedup_estimate", "1.8x, 91.9%", 1.8, "1", 0.8, "1.8x, 91.9% (1.8000) | 0.8000"),
        ("runs", "3/30 runs", 3.0, "runs", 2.0, "3/30 runs (3) | 2"),
        ("wall_s", "+19,235", 19.235, "s", 16.4052, "+19,235 (19.2350 s) | 16.4052 s"),
        ("efficiency_estimate", "5.5pp", 0.055, "1", 0.8, "5.5pp | 80.00 %"),
        ("efficiency_estimate", "90.0%", 0.9, "1", None, "90.0% | no such runs"),
    ],
)
def test_what_the_runs_give_stands_in_the_unit_of_the_print(
    metric: str, printed: str, value: float, unit: str, computed: float | None, cells: str
) -> None:
    row = {"metric": metric, "printed": printed, "value": value, "unit": unit}
    found = values([checked(1, agrees=False, computed=computed, **row)])
    assert f"| {cells} |" in as_text(found, "a", "b", "markdown")


def test_text_of_others_stays_text() -> None:
    row = checked(1, agrees=False, subject=HOSTILE, note=HOSTILE, printed=HOSTILE, section=HOSTILE)
    for found in (values([row], HOSTILE), runs(HOSTILE)):
        text = as_text(found, HOSTILE, HOSTILE, "markdown")
        assert "\n# Verdict" not in text
        assert not re.search(r"(?<!\\)(<script|\[x\])", text)
        assert not re.search(r"(?<!\\):(?=//evil)", text)
