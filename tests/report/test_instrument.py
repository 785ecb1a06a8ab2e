"""What the report knows of its instrument: sessions, the client's share, start skew."""

import re
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import MACHINE, block, calibration, rounds, write_dataset

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.render import render

Row = dict[str, Any]


def a_context(folder: Path, *blocks: list[Row], **study: Any) -> dict[str, Any]:
    return details(load_dataset(write_dataset(folder, blocks, **study)))


def instrument(folder: Path, *blocks: list[Row], **study: Any) -> dict[str, Any]:
    found: dict[str, Any] = a_context(folder, *blocks, **study)["instrument"]
    return found


def test_sessions_are_calibrated_or_missing(tmp_path: Path) -> None:
    blocks = [rows for s in ("s1", "s2", "s3") for rows in rounds(1, block(), session=s)]
    files = [calibration("s3", stamp_us=30.0), calibration("s1"), calibration("s9", stamp_us=99.0)]
    found = instrument(tmp_path, *blocks, calibrations=files)
    assert [one["session"] for one in found["sessions"]] == ["s1", "s3"]
    assert found["missing"] == ["s2"]
    assert found["worst"]["session"] == "s3"
    assert found["sessions"][0]["when"] == "2026-11-22 17:20 UTC"
    assert [row["own"]["n"] for row in found["sessions"][0]["spreads"]] == [720, 36, 684, 36, 720]


def test_without_a_calibration_nothing_is_claimed(tmp_path: Path) -> None:
    found = instrument(tmp_path, block())
    assert (found["sessions"], found["worst"], found["missing"]) == ([], None, ["s1"])


@pytest.mark.parametrize(
    ("machine", "foreign"),
    [({}, []), ({"cpu": "B"}, ["s1"]), ({"python": "3.13.1"}, ["s1"])],
    ids=str,
)
def test_a_calibration_is_of_a_machine(tmp_path: Path, machine: Row, foreign: list[str]) -> None:
    own = {key: value for key, value in MACHINE.items() if key != "load_1min"}
    found = instrument(tmp_path, block(), calibrations=[calibration(machine=own | machine)])
    assert found["foreign"] == foreign


def test_the_clients_share_is_of_all_cores_of_the_smallest_machine(tmp_path: Path) -> None:
    # runs of 1 s and 2 s, with 0.1 s of CPU each
    blocks = [
        rows
        for rows in (block("dual"), block("serial"), block("single", (4.0,)))
        for rows in rounds(1, rows, client_cpu_s=0.1)
    ]
    share = instrument(tmp_path / "2", *blocks)["client_share"]
    assert share == {"median": pytest.approx(0.025), "max": pytest.approx(0.05), "n": 3}
    larger = instrument(tmp_path / "4", *blocks, machines=[{**MACHINE, "cores": 4}])
    assert larger["client_share"]["max"] == pytest.approx(0.025)
    both = instrument(tmp_path / "b", *blocks, machines=[{**MACHINE, "cores": 4}, MACHINE])
    assert both["client_share"]["max"] == pytest.approx(0.05)


def test_start_skew_is_of_those_that_start_together(tmp_path: Path) -> None:
    blocks = [
        *rounds(1, block("serial")),
        *(
            [row | {"repetition": n} for row in block("dual", starts=(0, us / 1e6))]
            for n, us in enumerate((100, 300, 900), start=1)
        ),
    ]
    found = a_context(tmp_path, *blocks)
    skew = found["instrument"]["start_skew"]
    assert skew == {
        "median": pytest.approx(300e-6),
        "p99": None,
        "max": pytest.approx(900e-6),
        "n": 3,
    }
    (line,) = [one for one in render(found).splitlines() if "us apart" in one]
    assert re.findall(r"\d+", line) == ["300", "99", "900", "3"]
