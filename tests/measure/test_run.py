"""The run command as the workflow calls it: a process, its exit code, its file, its words."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from raw_servers import RESET, Script, faked_thread, nth
from run_specs import EMBEDDED, MODEL, run_spec, two_agents

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.measure import run as run_module
from tandembench.measure.run import run
from tandembench.servers.open import open_servers
from tandembench.study.spec import RunSpec
from tandembench.tables.parquet import note_of, read_table

FAKE_LOCK = {"version": "0.0.0-fake", "models": {"fake": None}}


def command(spec: RunSpec, models: Path, tmp_path: Path, *more: str) -> list[str]:
    file = tmp_path / "spec.json"
    file.write_text(spec.to_json())
    return [
        *(sys.executable, "-m", "tandembench", "run", "--spec", str(file), "--repetition", "1"),
        *("--output", str(tmp_path / "block.parquet"), "--log", str(tmp_path / "block.log")),
        *("--models", str(models), *more),
    ]


def done(*arguments: Any) -> "subprocess.CompletedProcess[str]":
    words = command(*arguments)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_block_becomes_a_run_file_that_explains_itself(model_file: Path, tmp_path: Path) -> None:
    spec = run_spec("serial", "single", "dual", agents=two_agents(40), telemetry=True)
    ended = done(spec, model_file.parent, tmp_path)
    assert ended.returncode == 0, ended.stderr
    log = (tmp_path / "block.log").read_text()
    assert "dual collector concurrent: 40 tokens" in log
    assert "by-topology r1" in ended.stderr.splitlines()[-1]
    rows = read_table(tmp_path / "block.parquet").to_pylist()
    # a round that others disturb is there twice
    assert len(runs_of(rows)) in (4, 8)
    cores = len(os.sched_getaffinity(0))
    for row in rows:
        assert row["error"] is None
        assert (row["comparison"], row["repetition"], row["attempt"]) == ("by-topology", 1, 1)
        assert row["placement"] == "together"
        assert row["work_effective"] == "fixed"
        assert row["threads"] <= cores
        assert row["num_ctx_effective"] == 512
        assert json.loads(row["options_effective"])["temperature"] == 0.8
        assert row["model_digest"] == spec.lock["models"][row["model"]]
        assert len(row["steps"][0]["chunk_ns"]) == 40
        assert 0 <= row["foreign_cores"] <= cores + 0.5
        assert 0 <= row["loop_lag_s"] < 1
        n = 2 if row["config_id"] == "dual" else 1
        assert 50e6 * n < row["server_memory_bytes"] < 1e9 * n
        assert row["block_s"] == rows[0]["block_s"] > 0
    # telemetry stands with the first agent of a run, and is of its own servers
    for position in {row["position"] for row in rows}:
        first, *others = [row["telemetry"] for row in rows if row["position"] == position]
        assert others in ([], [None])
        stamps = [one["t_ns"] for one in first]
        assert stamps == sorted(stamps)
        assert all(stamp > 0 for stamp in stamps)
        servers = {one["subject"] for one in first if one["subject"].startswith("server")}
        assert servers <= {"server 0", "server 1"}
    shared = {row["config_id"]: row["deployment"] for row in rows if not row["twin"]}
    assert shared["serial"] == shared["single"] != shared["dual"]
    assert len({row["workload"] for row in rows}) == 1
    assert len({row["content"] for row in rows}) == 3
    note = note_of(read_table(tmp_path / "block.parquet"))
    assert note["spec"] == json.loads(spec.to_json()) | {"repetition": 1}
    assert os.uname().nodename not in json.dumps(note["machine"])


@pytest.mark.parametrize(
    ("log", "terminal", "says"),
    [
        (".", "&1", ".: cannot be written (Is a directory); delete or rename"),
        ("/dev/full", "&1", "/dev/full: cannot be written (No space left on device); free some"),
        ("/dev/full", "&-", "/dev/full: cannot be written"),
        ("block.log", "/dev/full", ""),
    ],
)
def test_what_only_tells_of_a_block_costs_none(
    tmp_path: Path, log: str, terminal: str, says: str
) -> None:
    with fake_servers(one=None) as urls:
        words = command(on_fakes(urls, "serial"), tmp_path, tmp_path)
        words[words.index("--log") + 1] = log
        ended = subprocess.run(
            ["sh", "-c", f'exec "$@" 2>{terminal}', "sh", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout
    assert read_table(tmp_path / "block.parquet").num_rows
    lines = [line for line in ended.stdout.splitlines() if line.startswith("tandembench: ")]
    assert len(lines) == bool(says)
    assert says in "".join(lines)


# Attempts, on running servers


@contextmanager
def fake_servers(**scripts: Script | None) -> Iterator[dict[str, str]]:
    """Running servers by name, some of whose answers are those of a script."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(faked_thread(script=script))
            for name, script in scripts.items()
        }


def on_fakes(urls: dict[str, str], *topologies: str, **changes: Any) -> RunSpec:
    """A RunSpec on running servers, by topology; dual has two."""
    values = {"agents": two_agents(model="fake"), "lock": FAKE_LOCK} | changes
    spec = run_spec(*topologies, engine="openai", protocol="chat", **values)
    servers = {"dual": (urls.get("dual", ""), urls.get("second", ""))}
    return replace(
        spec,
        configs=tuple(
            replace(one, servers=servers.get(one.topology, (urls["one"],))) for one in spec.configs
        ),
    )


def rows_of(spec: RunSpec, tmp_path: Path) -> list[dict[str, Any]]:
    run(spec, 1, "s1", tmp_path / "b.parquet", tmp_path, tmp_path / "log")
    return read_table(tmp_path / "b.parquet").to_pylist()


def runs_of(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    names = ("round", "attempt", "config_id", "twin")
    return {tuple(row[name] for name in names) for row in rows if row["mode"] == "concurrent"}


def test_a_failed_run_voids_itself_and_its_round_is_measured_again(tmp_path: Path) -> None:
    # one request to the second server: one warm-up, then a run a round or two
    with fake_servers(one=None, dual=None, second=nth(3, [RESET])) as urls:
        rows = rows_of(on_fakes(urls, "serial", "single", "dual", rounds=3), tmp_path)
    (failed,) = (row for row in rows if row["error"])
    assert (failed["config_id"], failed["error"], failed["attempt"]) == ("dual", "reset", 1)
    runs = runs_of(rows)
    first = {one for one in runs if one[1] == 1}
    assert len(first) == 3 * 4
    # the whole round, and no other
    again = {(failed["round"], 2, *one[2:]) for one in first if one[0] == failed["round"]}
    assert runs - first == again
    positions = [row["position"] for row in rows]
    assert positions == sorted(positions)
    # where a prompt cache may be, another attempt asks something else
    assert len({row["nonce"] for row in rows}) == len(rows)


def test_a_proxy_is_ignored_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with fake_servers(one=None) as urls:
        rows = rows_of(on_fakes(urls, "serial", "single"), tmp_path)
    assert {row["error"] for row in rows} == {None}
    (line,) = (one for one in (tmp_path / "log").read_text().splitlines() if "PROXY" in one)
    assert "all_proxy" in line


def test_servers_that_are_gone_at_the_second_attempt_leave_the_first_as_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def once(*arguments: Any) -> AsyncIterator[Any]:
        opened.append("servers")
        if len(opened) > 1:
            raise TandemError("no answer", where="there", fix="start it")
        async with open_servers(*arguments) as standing:
            yield standing

    monkeypatch.setattr(run_module, "open_servers", once)
    with fake_servers(one=nth(2, [RESET])) as urls:
        rows = rows_of(on_fakes(urls, "serial", "single"), tmp_path)
    assert len(opened) == 2
    assert {row["attempt"] for row in rows} == {1}
    assert "there: no answer" in (tmp_path / "log").read_text()


# What cannot be measured


def test_running_servers_that_are_others_or_gone_stop_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEMBENCH_LOCK", str(tmp_path / "lock"))  # waits for nobody
    with fake_servers(one=None) as urls:
        spec = on_fakes(urls, "serial", "single")
        with pytest.raises(TandemError) as other:
            rows_of(replace(spec, lock={**FAKE_LOCK, "version": "1.0"}), tmp_path)
    begun = time.monotonic()
    with pytest.raises(TandemError) as gone:
        rows_of(spec, tmp_path)
    assert time.monotonic() - begun < 2
    for error in (other, gone):
        assert error.value.exit_code == EXIT_ENVIRONMENT
        assert urls["one"] in str(error.value)
    assert not (tmp_path / "b.parquet").exists()


def test_a_server_that_never_starts_is_a_result_for_every_attempt(tmp_path: Path) -> None:
    broken = tmp_path / f"{MODEL}.gguf"
    broken.write_bytes(b"GGUF and nothing more")
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    lock = EMBEDDED | {"models": {MODEL: digest}}
    ended = done(run_spec("single", retries=2, lock=lock), tmp_path, tmp_path)
    assert ended.returncode == 0, ended.stderr
    rows = read_table(tmp_path / "block.parquet").to_pylist()
    assert [row["attempt"] for row in rows] == [1, 1, 2, 2, 3, 3]
    assert {row["error"] for row in rows} == {"server_start"}
    assert {row["block_s"] for row in rows} == {None}


def test_what_cannot_be_measured_at_all_stops_the_study_with_one_line(tmp_path: Path) -> None:
    ended = done(run_spec("single"), tmp_path, tmp_path)
    assert ended.returncode == EXIT_ENVIRONMENT
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("waiting: ")]
    assert len(lines) == 1
    assert f"{MODEL}.gguf" in lines[0]
    assert not (tmp_path / "block.parquet").exists()


# Kills


@pytest.mark.parametrize("killed", ["parent", "run"])
def test_nothing_outlives_a_killed_run(model_file: Path, tmp_path: Path, killed: str) -> None:
    spec = run_spec("dual", agents=two_agents(300))
    # Like the workflow: a parent that starts one command and dies without a word.
    arguments = command(spec, model_file.parent, tmp_path, "--parent")
    program = (
        "import os, subprocess, sys\n"
        "run = subprocess.Popen([*sys.argv[1:], str(os.getpid())], stderr=subprocess.DEVNULL)\n"
        "run.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, *arguments]) as parent:
        family: list[psutil.Process] = []
        deadline = time.monotonic() + 200  # others may be measuring, and are waited for
        while len(family) < 3:  # the run and its two servers
            assert time.monotonic() < deadline, "the servers never came up"
            time.sleep(0.02)
            family = psutil.Process(parent.pid).children(recursive=True)
        measuring = next(process for process in family if "run" in process.cmdline())
        os.kill(parent.pid if killed == "parent" else measuring.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert not (tmp_path / "block.parquet").exists()


def test_a_run_whose_parent_is_gone_already_measures_nothing(
    model_file: Path, tmp_path: Path
) -> None:
    ended = done(run_spec("dual"), model_file.parent, tmp_path, "--parent", "1")
    assert ended.returncode != 0
    assert not (tmp_path / "block.parquet").exists()
