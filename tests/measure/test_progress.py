"""How far a session is: its own blocks, and none of another's."""

import json
import os
from pathlib import Path

import pytest

from tandembench.measure.progress import time_left

START = 1_700_000_000


def study(folder: Path, sessions: dict[str, list[int]], repetitions: int) -> Path:
    """A study's results: the manifest as s1 has it, and when each run file was written, in s."""
    listed = [f"results/x/runs/s1/a.r{r}.0.parquet" for r in range(1, repetitions + 1)]
    for session, written in sessions.items():
        runs = folder / "runs" / session
        runs.mkdir(parents=True)
        for number, second in enumerate(written, 1):
            file = runs / f"a.r{number}.0.parquet"
            file.touch()
            os.utime(file, (START + second, START + second))
        if session != "s1":
            listed += [f"results/x/runs/{session}/{file.name}" for file in runs.iterdir()]
    (folder / "manifest.0.json").write_text(json.dumps({"run_files": listed}))
    return folder / "runs/s1/a.r1.0.parquet"


@pytest.mark.parametrize(
    ("sessions", "repetitions", "left"),
    [
        ({"s1": [0, 60, 120], "s2": list(range(6))}, 6, "3 of 6 blocks, about 3 min left"),
        ({"s1": [0, 60, 40_000, 40_060]}, 10, "4 of 10 blocks, about 6 min left"),
        ({"s1": [0, 10, 20]}, 6, "3 of 6 blocks, less than a minute left"),
        ({"s1": [1, 2]}, 2, "2 of 2 blocks"),
        ({"s1": [0]}, 6, "1 of 6 blocks, "),  # then its own time counts
    ],
    ids=["two sessions", "a pause over night", "the last minute", "the last block", "the first"],
)
def test_time_left(
    tmp_path: Path, sessions: dict[str, list[int]], repetitions: int, left: str
) -> None:
    assert time_left(study(tmp_path, sessions, repetitions)).startswith(left)


def test_the_newest_manifest_counts_and_the_files_that_it_lists(tmp_path: Path) -> None:
    output = study(tmp_path, {"s1": [0, 60]}, 6)
    (output.parent / "a.r3.1.parquet").touch()
    (output.parent / ".a.r3.0.parquet.12345678").touch()
    old = tmp_path / "manifest.1.json"
    old.write_text(json.dumps({"run_files": []}))
    os.utime(old, (START, START))
    assert time_left(output).startswith("2 of 6 blocks")


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"run_files": 1}', '{"run_files": [1]}', "[" * 200_000]
)
def test_without_a_manifest_that_can_be_read_there_is_nothing_to_say(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "manifest.0.json").write_text(text)
    assert time_left(tmp_path / "runs/s1/a.r1.0.parquet") == ""
