"""Bad input to an importer is one line, and nothing is made of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from tandembench.cli import main
from tandembench.dataset.baseline import import_runs
from tandembench.dataset.importers.source import unix_ns
from tandembench.dataset.load import load_dataset
from tandembench.errors import EXIT_CORRUPT, TandemError

Json = dict[str, Any]


def agent(port: int, seconds: float, **options: Any) -> Json:
    call = {
        "ttft_ms": 250.0,
        "total_duration_ms": 1000 * seconds,
        "eval_duration_ms": 1000 * seconds - 300,
        "prompt_eval_duration_ms": 20.0,
        "load_duration_ms": 100.0,
        "tokens_generated": 100,
    }
    return {
        "config": {"base_url": f"http://localhost:{port}", "model": "m:latest", "options": options},
        "execution_time_s": seconds,
        "result": {"individual_runs": [call], "timestamp": "2025-11-13T02:00:17.960590100Z"},
    }


def metrics(**changes: Any) -> Json:
    return {
        "collector": agent(11434, 4.0, num_gpu=80, num_ctx=512),
        "insight": agent(11435, 5.0, num_gpu=80, num_ctx=512),
        "scenario": "chimera_homo",
        "run_number": 1,
        "summary": {"concurrent_wall_time_s": 5.0},
    } | changes


def write(root: Path, *names: str, content: Json | None = None) -> Path:
    path = root.joinpath(*names, "metrics.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content or metrics()))
    return path


def refused(source: Path, root: Path) -> str:
    with pytest.raises(TandemError) as caught:
        import_runs("chimeraforge-rust", source, "x", None, root)
    assert not [file for file in root.rglob("*") if file.is_file()], "something was written"
    return str(caught.value)


def test_the_outer_run_counts(tmp_path: Path) -> None:
    write(tmp_path / "in", "homo_gpu80_ctx512", "run_3", "run_1")
    write(tmp_path / "in", "homo_gpu80_ctx512", "run_4")
    made, skipped, _ = import_runs("chimeraforge-rust", tmp_path / "in", "x", None, tmp_path / "b")
    runs = load_dataset(made.folder).runs
    assert runs["repetition"].to_list() == [3, 4]
    assert set(runs["config_id"]) == {"homo-g80-c512"}
    assert skipped == {}


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


def changed(*keys: str, to: Any) -> Callable[[], str]:
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
    "no time": (changed("insight", "result", "timestamp", to="noon"), "not ISO 8601 in UTC"),
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
    with pytest.raises(TandemError, match=r"no test_execution_log\.json"):
        import_runs("chimeraforge-python", tmp_path / "in", "x", None, tmp_path / "b")
    with pytest.raises(TandemError, match=r"no layout 'else'.*chimeraforge-rust"):
        import_runs("else", tmp_path / "in", "x", None, tmp_path / "b")


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
