"""Result folders that cannot be imported: one line, and no baseline."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from result_folders import (
    CALLS,
    PYTHON,
    RUST,
    Json,
    agent,
    metrics,
    python_metrics,
    refused,
    write,
    write_log,
)

from tandembench.dataset.importers import read
from tandembench.dataset.importers.tables import tables
from tandembench.dataset.rates import rates
from tandembench.errors import TandemError

# What is refused


def changed(*keys: str | int, to: Any) -> str:
    content = metrics()
    place: Any = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return json.dumps(content)


def run_with(old: str, new: str) -> str:
    return json.dumps(metrics()).replace(old, new)


TOKENS_AT = (*CALLS, 0, "tokens_generated")
DAMAGED: list[tuple[str, str]] = [
    (json.dumps(metrics())[:300], "Invalid JSON"),
    ("[]", ""),
    (run_with("250.0", "NaN"), f"'{'.'.join(CALLS)}.0.ttft_ms'"),
    (run_with('_time_s": 4.0', '_time_s": 1e999'), "'collector.execution_time_s'"),
    (changed("summary", to={}), "'summary.concurrent_wall_time_s'"),
    (changed("insight", "result", "timestamp", to="1970-01-01T00:00:00Z"), "an agent that started"),
    *(
        (changed(*place, to=value), f"'{'.'.join(map(str, place))}'")
        for place, values in (
            (("scenario",), ("else",)),
            (("insight", "execution_time_s"), (0, -1, 5e9, 10**400, "4", True)),
            (("summary", "resource_contention_detected"), ("yes",)),
            (CALLS, ([],)),
            (TOKENS_AT, (10**20, 1.5)),
            (("insight", "config", "options", "num_ctx"), ("../x",)),
            (("insight", "result", "timestamp"), ("0001-01-01T00:00:00Z", "noon")),
        )
        for value in values
    ),
]


@pytest.mark.parametrize(("text", "words"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_run_is_named(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path / "in", "homo/run_1")
    path = write(tmp_path / "in", "homo/run_2")
    path.write_text(text)
    assert refused(tmp_path / "in", tmp_path / "b").startswith(f"{path}: {words}")


NO_SECONDS = '"chimera_homo", "start_time": "2025-10-09T22:11Z"'


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("{", "test_execution_log.json: Invalid JSON"),
        ('{"test_results": 3}', "test_execution_log.json: 'test_results'"),
        ('{"test_results": []}', "metrics.json: test_execution_log.json has no test 1"),
        *(
            (f'{{"test_results": [{{"test_id": 1, "scenario": {scenario}}}]}}', words)
            for scenario, words in (
                ('"else"', "'test_results.0.scenario'"),
                (NO_SECONDS, "'test_results.0.start_time'"),
            )
        ),
    ],
)
def test_a_log_that_does_not_say_what_it_must(tmp_path: Path, log: str, words: str) -> None:
    write(tmp_path / "in", "phase_1_test_001/run_1", python_metrics())
    (tmp_path / "in/test_execution_log.json").write_text(log)
    assert words in refused(tmp_path / "in", tmp_path / "b", PYTHON)


@pytest.mark.parametrize(
    "changes",
    [
        {"insight_execution_time": -1},
        {"collector_execution_time": None},
        {"summary": {}},
        {"insight": {}},
    ],
    ids=str,
)
def test_a_damaged_run_of_the_python_runner_is_named(tmp_path: Path, changes: Json) -> None:
    path = write(tmp_path / "in", "phase_1_test_001/run_1", python_metrics(**changes))
    write_log(tmp_path / "in", (1, "chimera_homo"))
    line = refused(tmp_path / "in", tmp_path / "b", PYTHON)
    assert line.startswith(f"{path}: '{next(iter(changes))}")


def test_what_cannot_be_imported_at_all(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert "no run in it" in refused(tmp_path / "in", tmp_path / "b")
    assert "no such folder" in refused(tmp_path / "gone", tmp_path / "b")
    assert "no layout 'else'" in refused(tmp_path / "in", tmp_path / "b", "else")
    write(tmp_path / "python", "phase_1_test_001/run_1", python_metrics())
    assert "no test_execution_log.json" in refused(tmp_path / "python", tmp_path / "b", PYTHON)
    write(tmp_path / "in", "homo/other_1")
    assert "not in a folder run_N" in refused(tmp_path / "in", tmp_path / "b")
    for name in ("run_1", "run_01"):
        write(tmp_path / "twice", f"homo/{name}")
    line = refused(tmp_path / "twice", tmp_path / "b")
    assert line.startswith(f"{tmp_path}/twice: repetition 1 of 'homo' is there twice")
    write(tmp_path / "mixed", "homo/run_1")
    write(tmp_path / "mixed", "homo/run_2", metrics(insight=agent(11435, 5.0, num_ctx=9)))
    line = refused(tmp_path / "mixed", tmp_path / "b")
    assert line.startswith(f"{tmp_path}/mixed: repetition 2 of 'homo' has other options")


ROLL_UP = {"runs": [{"concurrent_wall_time_s": 5.0}], "agent_a": {}, "agent_b": {}}
ALONE = {"aggregate_metrics": {}, "individual_runs": []}


@pytest.mark.parametrize(
    ("name", "content", "layout", "words"),
    [
        ("run_1/metrics.json", python_metrics(), RUST, "chimeraforge-python"),
        ("phase_1_test_001/run_1/metrics.json", metrics(), PYTHON, "chimeraforge-rust"),
        ("gpu80/summary.json", ROLL_UP, RUST, "TR116"),
        ("run_1/metrics.json", {"result": ALONE}, RUST, "TR109, TR111"),
        ("run_1/results.json", ALONE, PYTHON, "TR109, TR111"),
        ("runs.csv", {}, RUST, "layout csv"),
        ("dataset/datapackage.json", {"resources": [], "study": {}}, RUST, "baseline freeze"),
    ],
)
def test_what_cannot_be_read_says_what_it_looks_like(
    tmp_path: Path, name: str, content: Json, layout: str, words: str
) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    write_log(tmp_path / "in", (1, "chimera_homo")) if layout == PYTHON else None
    line = refused(tmp_path / "in", tmp_path / "b", layout)
    assert name in line
    assert words in line.partition("looks like")[2]


def test_a_folder_that_hides_its_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in", "homo/run_1")
    write(tmp_path / "in", "hetero/run_1")
    scan = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("hetero"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    # root, who runs the tests in places, is refused nothing
    monkeypatch.setattr(os, "scandir", refuse)
    line = refused(tmp_path / "in", tmp_path / "b")
    assert line.startswith(f"{tmp_path}/in/hetero: cannot be read (Permission denied); ")


JUNK = (None, True, -1, 0, 1e9, 10**400, "", "../x", [], {}, float("inf"), [0, 0])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON tree, branches too."""
    inner: Any = ()
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
    paths = [path] if path else []
    for key, one in inner:
        paths += places(one, (*path, key))
    return paths


def test_whatever_stands_anywhere_is_one_line_or_a_dataset(tmp_path: Path) -> None:
    path = write(tmp_path, "homo/run_1")
    refusals = 0
    for place in places(metrics()):
        for junk in JUNK:
            path.write_text(changed(*place, to=junk))
            try:
                (tree,) = read(RUST, tmp_path)
                made = tables(tree)
            except TandemError as error:
                refusals += 1
                line = str(error)
            else:
                line = f"{path}: read"
                rates(made.runs[0], made.executions[0])
            assert line.startswith(f"{path}: "), (place, junk)
            assert "\n" not in line, (place, junk)
    assert 100 < refusals < len(places(metrics())) * len(JUNK)
