"""`tandembench plan`: from a pilot, the sessions that a precision needs; or the pilot it needs."""

import json
import math
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from click.testing import CliRunner, Result
from raw_blocks import block, rounds, scaled, write_dataset
from scipy import stats

from tandembench.cli import main
from tandembench.errors import TandemError
from tandembench.plan import as_fraction


def pilot(folder: Path, *factors: float) -> Path:
    """A session for each factor, by which dual is slower in it; serial and single never vary."""
    blocks = []
    for number, factor in enumerate(factors, start=1):
        session = f"s{number}"
        blocks += rounds(2, block("serial"), session=session)
        blocks += rounds(2, block("single", (1.0, 1.0), (2.0, 2.0)), session=session)
        blocks += rounds(2, scaled(block("dual"), factor), session=session)
    return write_dataset(folder, blocks)


def planned(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["plan", str(folder), "--precision", "3%", *more])


def as_json(folder: Path, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(planned(folder, "--format", "json", *more).output)
    return found


FACTORS = (1.0, 1.04, 0.97, 1.02, 1.01)


def test_the_most_spread_config_says_how_many(tmp_path: Path) -> None:
    found = as_json(pilot(tmp_path, *FACTORS))
    sd = stdev(math.log(factor) for factor in FACTORS)
    needed = math.ceil((stats.t.ppf(0.975, 4) * sd / math.log(1.03)) ** 2)
    by_config = {row["config_id"]: row for row in found["configs"]}
    assert by_config.keys() == {"single", "dual"}  # the reference is no comparison
    dual = by_config["dual"]
    assert dual["spread"] == pytest.approx(sd)
    assert (dual["sessions"], dual["needed"], dual["more"]) == (5, needed, needed - 5)
    assert dual["mean"] == pytest.approx(2 / math.prod(FACTORS) ** 0.2)
    assert (by_config["single"]["needed"], by_config["single"]["more"]) == (5, 0)
    assert (found["needed"], found["more"]) == (needed, needed - 5)
    assert (found["metric"], found["precision"], found["level"]) == ("makespan_ratio", 0.03, 0.95)
    text = planned(tmp_path / "dataset").output
    assert f"{needed - 5} more session" in text
    assert "stopping once an interval looks narrow" in text


def test_one_session_needs_a_pilot(tmp_path: Path) -> None:
    found = as_json(pilot(tmp_path, 1.0))
    assert (found["needed"], found["more"]) == (None, 4)
    assert {row["spread"] for row in found["configs"]} == {None}
    assert "A pilot is needed first, of 5 sessions: 4 more." in planned(tmp_path / "dataset").output


def test_a_small_pilot_says_that_it_is_one(tmp_path: Path) -> None:
    text = planned(pilot(tmp_path, 1.0, 1.02)).output
    assert "A pilot of 2 knows its spread badly" in text


def test_enough_is_enough(tmp_path: Path) -> None:
    found = as_json(pilot(tmp_path, 1.0, 1.0, 1.0001))
    assert (found["needed"], found["more"]) == (3, 0)
    assert "No more sessions are needed." in planned(tmp_path / "dataset").output


def test_any_ratio_or_time_can_be_planned(tmp_path: Path) -> None:
    found = as_json(pilot(tmp_path, *FACTORS), "--metric", "wall_s")
    rows = {row["config_id"]: row for row in found["configs"]}
    assert rows.keys() == {"serial", "single", "dual"}
    assert rows["dual"]["spread"] == pytest.approx(stdev(math.log(one) for one in FACTORS))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--metric", "nonsense"], "--metric: unknown metric 'nonsense'; one of makespan_ratio"),
        (["--precision", "zero"], "--precision: 'zero' is no precision; above 0"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = planned(pilot(tmp_path, 1.0, 1.1), *arguments)
    assert done.exit_code == 2
    assert done.output.startswith(f"tandembench: {says}")
    assert done.output.count("\n") == 1


def test_no_reference_is_one_line(tmp_path: Path) -> None:
    done = planned(write_dataset(tmp_path, rounds(2, block("dual"))))
    assert done.exit_code == 2
    assert "no run has a makespan_ratio" in done.output


def test_printed_values_are_no_pilot(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)
    done = planned(Path("tr114"))
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "printed values, no runs; name one of runs" in done.output


@pytest.mark.parametrize(
    ("text", "value"), [("3%", 0.03), ("3 %", 0.03), ("0.03", 0.03), ("50%", 0.5)]
)
def test_precisions(text: str, value: float) -> None:
    assert as_fraction(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "0", "-1%", "51%", "3", "nan", "inf", "3%%", "\x1b[31m"])
def test_what_is_no_precision(text: str) -> None:
    with pytest.raises(TandemError, match="no precision"):
        as_fraction(text)
