"""Bad input to an importer is one line, and nothing is made of it."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from json_runs import agent, metrics, write

from tandembench.cli import main
from tandembench.dataset.baseline import import_runs
from tandembench.dataset.importers import read
from tandembench.dataset.importers.source import unix_ns
from tandembench.dataset.importers.tables import rows
from tandembench.dataset.load import load_dataset
from tandembench.dataset.rates import rates
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.tables.columns import EXECUTIONS, RATES, STUDY_RUNS, arrow_schema


def refused(source: Path, root: Path) -> str:
    with pytest.raises(TandemError) as caught:
        import_runs("chimeraforge-rust", source, "x", None, root)
    assert not root.exists(), "something was written"
    return str(caught.value)


def test_the_outer_run_counts(tmp_path: Path) -> None:
    write(tmp_path / "in", "homo_gpu80_ctx512", "run_3", "run_1")
    write(tmp_path / "in", "homo_gpu80_ctx512", "run_4")
    made, skipped, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    runs = load_dataset(made.folder).runs
    assert runs["repetition"].to_list() == [3, 4]
    assert set(runs["config_id"]) == {"homo-g80-c512"}
    assert skipped == {}


def test_each_runtime_of_tr115_is_a_phase_of_its_own(tmp_path: Path) -> None:
    for runtime in ("runtime-tokio-default", "runtime-async_std"):
        for number in ("run_1", "run_2"):
            write(tmp_path / "in", runtime, "chimera_homo_gpu80_ctx512", number, "run_1")
    made, skipped, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    runs = load_dataset(made.folder).runs
    assert sorted(runs["repetition"]) == [1, 1, 2, 2]
    assert dict(zip(runs["config_id"], runs["phase"], strict=True)) == {
        "runtime-tokio-default-homo-g80-c512": "runtime-tokio-default",
        "runtime-async-std-homo-g80-c512": "runtime-async-std",
    }
    assert skipped == {}


def test_options_are_those_of_the_file_whatever_its_folder_is_called(tmp_path: Path) -> None:
    wide = {"temperature": 0.800000011920929, "repeat_penalty": 1.0499999523162842}
    content = metrics(
        collector=agent(11434, 4.0),
        insight=agent(11435, 5.0, num_gpu=80, num_ctx=2048, **wide),
        scenario="baseline_vs_chimera",
    )
    write(
        tmp_path / "in", "phase3", "baseline-vs-chimera", "gpu60_ctx512", "run_1", content=content
    )
    made, _, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    dataset = load_dataset(made.folder)
    assert dataset.runs["config_id"].to_list() == ["validation-bvc-g80-c2048"]
    assert [json.loads(text) for text in dataset.executions["options_asked"]] == [
        {},
        {"num_gpu": 80, "num_ctx": 2048, "temperature": 0.8, "repeat_penalty": 1.05},
    ]


def test_two_calls_of_an_agent_are_one_execution(tmp_path: Path) -> None:
    content = metrics()
    calls = content["collector"]["result"]["individual_runs"]
    calls.append({**calls[0], "ttft_ms": 150.0, "tokens_generated": 51, "eval_duration_ms": 99.5})
    # a tenth of a nanosecond, and the sources' own flag and delta, which are not asked
    content["collector"]["result"]["timestamp"] = "2025-11-13T02:00:17.9605901007Z"
    content["summary"] |= {"resource_contention_detected": True, "throughput_delta": 99.0}
    write(tmp_path / "in", "homo", "run_1", content=content)
    made, _, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    dataset = load_dataset(made.folder)
    own = dataset.executions.set_index("agent").loc["collector"]
    assert (own["n_steps"], own["answer_tokens"], own["duration_s"]) == (2, 151, 4.0)
    assert own["ttft_s"] == 0.25
    assert own["first_token_s"] == pytest.approx(0.4)
    assert own["decode_s"] == pytest.approx(3.7995)
    assert own["decode_rate_tokens_per_s"] == pytest.approx(149 / 3.7995)
    # which of the two decoded when is not known
    assert dataset.executions["overlap_s"].isna().all()
    run = dataset.runs.iloc[0]
    assert not run["contention_speedup_rule"]
    assert run["throughput_delta_tokens_per_s"] == pytest.approx(99 / 4.7 - 149 / 3.7995)


def test_names_of_machines_are_not_kept(tmp_path: Path) -> None:
    content = metrics()
    for name, port in (("collector", 11434), ("insight", 11435)):
        content[name]["config"]["base_url"] = f"http://me:key@desk-7.example:{port}"
        content[name]["result"]["system_info"] = {"hostname": "desk-7"}
    write(tmp_path / "in", "homo", "run_1", content=content)
    made, _, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    dataset = load_dataset(made.folder)
    assert dataset.runs["topology"].to_list() == ["dual"]
    assert dataset.executions["endpoint"].isna().all()
    for file in made.folder.iterdir():
        assert b"desk-7" not in file.read_bytes()


def test_one_url_under_two_names_is_one_server(tmp_path: Path) -> None:
    one = agent(11434, 5.0)
    one["config"]["base_url"] = "http://127.0.0.1:11434/"
    content = metrics(collector=agent(11434, 4.0), insight=one)
    write(tmp_path / "in", "bvc", "run_1", content=content)
    made, _, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    assert load_dataset(made.folder).runs["topology"].to_list() == ["single"]


def test_two_agents_decode_beside_each_other_over_the_full_hour(tmp_path: Path) -> None:
    early, late = agent(11434, 4.0), agent(11435, 6.0)
    early["result"]["timestamp"] = "2025-11-13T01:59:59.000000000Z"
    late["result"]["timestamp"] = "2025-11-13T02:00:01.000000000Z"
    write(tmp_path / "in", "homo", "run_1", content=metrics(collector=early, insight=late))
    made, _, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    found = load_dataset(made.folder).executions.set_index("agent")
    # Both begin at 01:59:55 and have their first token after 0.25 s.
    assert found["overlap_s"].to_dict() == pytest.approx({"collector": 3.75, "insight": 3.75})
    assert found["alone_s"].to_dict() == pytest.approx({"collector": 0.0, "insight": 2.0})


def changed(*keys: str | int, to: Any) -> Callable[[], str]:
    def text() -> str:
        content = metrics()
        place: Any = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to
        return json.dumps(content)

    return text


@pytest.mark.parametrize("flag", [True, False, None])
def test_the_sources_own_flag_is_kept_beside_the_rules(tmp_path: Path, flag: bool | None) -> None:
    content = metrics()
    content["summary"].pop("resource_contention_detected", None)
    content["summary"] |= {} if flag is None else {"resource_contention_detected": flag}
    write(tmp_path / "in", "homo", "run_1", content=content)
    made, _, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    (kept,) = load_dataset(made.folder).runs["contention_source"]
    assert pd.isna(kept) if flag is None else bool(kept) is flag


CALLS = ("collector", "result", "individual_runs")
DAMAGED: dict[str, tuple[Callable[[], str], str]] = {
    "half": (lambda: json.dumps(metrics())[:300], "not JSON"),
    "not an object": (lambda: "[]", "'scenario' is missing"),
    "NaN": (
        lambda: json.dumps(metrics()).replace("250.0", "NaN"),
        "not JSON (NaN is no number)",
    ),
    "infinite": (
        lambda: json.dumps(metrics()).replace(
            '"execution_time_s": 4.0', '"execution_time_s": 1e999'
        ),
        "'collector.execution_time_s' is inf",
    ),
    "negative": (
        changed("insight", "execution_time_s", to=-1),
        "'insight.execution_time_s' is -1, which is no duration",
    ),
    "a metric missing": (
        changed("summary", to={}),
        "'summary.concurrent_wall_time_s' is missing",
    ),
    "no flag": (
        changed("summary", "resource_contention_detected", to="yes"),
        "'summary.resource_contention_detected' is neither true nor false",
    ),
    "no number": (changed("collector", "execution_time_s", to="4"), 'is "4", not a number'),
    "no call": (changed(*CALLS, to=[]), "has no LLM call"),
    "another scenario": (changed("scenario", to="else"), "unknown scenario 'else'"),
    "no time at all": (
        changed("collector", "execution_time_s", to=0),
        "'collector.execution_time_s' is 0,",
    ),
    "a time in another unit": (
        changed("summary", "concurrent_wall_time_s", to=5e9),
        "'summary.concurrent_wall_time_s' is 5000000000.0, which is no duration",
    ),
    "a number of 400 digits": (
        changed("collector", "execution_time_s", to=10**400),
        "which is no duration",
    ),
    "too many tokens": (changed(*CALLS, 0, "tokens_generated", to=10**20), "not a count"),
    "half a token": (changed(*CALLS, 0, "tokens_generated", to=1.5), "is 1.5, not a count"),
    "an option that is a path": (
        changed("insight", "config", "options", "num_ctx", to="../x"),
        "'insight.config.options.num_ctx' is \"../x\", not a number",
    ),
    "before 1970": (
        changed("insight", "result", "timestamp", to="0001-01-01T00:00:00Z"),
        "no ISO 8601 time with a zone, from 1970 on",
    ),
    "no time": (
        changed("insight", "result", "timestamp", to="noon"),
        "no ISO 8601 time with a zone",
    ),
}


@pytest.mark.parametrize(("text", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_run_is_named(tmp_path: Path, text: Callable[[], str], words: str) -> None:
    write(tmp_path / "in", "homo", "run_1")
    path = write(tmp_path / "in", "homo", "run_2")
    path.write_text(text())
    told = refused(tmp_path / "in", tmp_path / "b")
    assert told.startswith(f"{path}: ")
    assert words in told
    assert "\n" not in told


def test_what_cannot_be_imported_at_all(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert "no run in it" in refused(tmp_path / "in", tmp_path / "b")
    assert "no such folder" in refused(tmp_path / "gone", tmp_path / "b")
    write(tmp_path / "in", "homo", "other_1")
    assert "not in a folder run_N" in refused(tmp_path / "in", tmp_path / "b")
    # TR116 keeps roll-ups alone
    (tmp_path / "rollups").mkdir()
    (tmp_path / "rollups/summary.json").write_text("{}")
    assert "no run in it" in refused(tmp_path / "rollups", tmp_path / "b")
    for name in ("run_1", "run_01"):
        write(tmp_path / "twice", "homo", name)
    told = refused(tmp_path / "twice", tmp_path / "b")
    assert f"{tmp_path}/twice: repetition 1 of 'homo' is there twice" in told
    with pytest.raises(TandemError, match=r"no test_execution_log\.json"):
        import_runs("chimeraforge-python", tmp_path / "in", "x", None, tmp_path / "b")
    with pytest.raises(TandemError, match=r"no layout 'else'.*chimeraforge-rust"):
        import_runs("else", tmp_path / "in", "x", None, tmp_path / "b")


def test_a_folder_that_hides_its_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in", "homo", "run_1")
    write(tmp_path / "in", "hetero", "run_1")
    scan = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("hetero"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    # root, who runs the tests in places, is refused nothing
    monkeypatch.setattr(os, "scandir", refuse)
    told = refused(tmp_path / "in", tmp_path / "b")
    assert told == (
        f"{tmp_path}/in/hetero: cannot be read (Permission denied); check path and rights;"
        " nothing was imported"
    )


def test_the_command_says_what_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in"), "homo", "run_1")
    Path("in/homo/summary.json").write_text("{}")
    Path("in/homo/run_1/combined_report.md").write_text("# words")
    done = CliRunner().invoke(
        main, ["baseline", "import", "chimeraforge-rust", "in", "--name", "mine"]
    )
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "mine@1.0.0: resources/baselines/mine/1.0.0"
    assert "left out: 1 x not a run (.md)" in lines
    assert "left out: 1 x roll-up of a config (summary.json): made from its runs" in lines
    Path("in/homo/run_1/metrics.json").write_text("{")
    done = CliRunner().invoke(
        main, ["baseline", "import", "chimeraforge-rust", "in", "--name", "mine"]
    )
    assert done.exit_code == EXIT_CORRUPT
    assert done.stderr.count("\n") == 1


def test_stamps_are_read_to_the_nanosecond() -> None:
    assert unix_ns("1970-01-01T00:00:01.2Z") == 1_200_000_000
    assert unix_ns("1970-01-01T00:00:01.1234567899Z") == 1_123_456_789
    assert unix_ns("1970-01-01T00:00:01+00:00") == 1_000_000_000
    assert unix_ns("1970-01-01T00:00:01") is None
    assert unix_ns("1970-13-01T00:00:01Z") is None


JUNK = (None, True, -1, 0, 1e9, 10**400, "", "../x", [], {}, float("inf"), [0, 0])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON tree, branches too."""
    inner: Any = ()
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path] if path else []
    for key, one in inner:
        found += places(one, (*path, key))
    return found


def outcome(folder: Path) -> str | None:
    """What is said of a folder of runs; None if they make tables."""
    try:
        runs, executions, _ = rows(read("chimeraforge-rust", folder))
    except TandemError as error:
        return str(error)
    tables = ((STUDY_RUNS, runs), (EXECUTIONS, executions), (RATES, rates(runs, executions)))
    for columns, table in tables:
        pa.Table.from_pylist(table, schema=arrow_schema(columns, "t"))
    return None


def test_whatever_stands_anywhere_is_one_line_or_a_dataset(tmp_path: Path) -> None:
    path = write(tmp_path, "homo", "run_1")
    refusals = 0
    for place in places(metrics()):
        for junk in JUNK:
            path.write_text(changed(*place, to=junk)())
            told = outcome(tmp_path)
            refusals += told is not None
            assert told is None or told.startswith(f"{path}: "), (place, junk, told)
            assert "\n" not in (told or "")
    assert 100 < refusals < len(places(metrics())) * len(JUNK)
