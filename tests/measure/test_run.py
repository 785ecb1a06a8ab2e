"""The run command as the workflow calls it: a process, its exit code, its file, its words."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tandembench.dataset.parquet import read_file, read_rows
from tandembench.measure.exclusive import exclusive

Make = Callable[..., dict[str, Any]]
PREFIX = "homo-g80-c512-"


def command(spec: dict[str, Any], models: Path, tmp_path: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "tandembench", "run", "--spec", json.dumps(spec)),
        *("--output", str(tmp_path / "block.parquet"), "--log", str(tmp_path / "block.log")),
        *("--models", str(models), *more),
    ]


def test_a_block_becomes_a_run_file_that_explains_itself(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    spec = small_spec(PREFIX + "dual")
    done = subprocess.run(
        command(spec, model_file.parent, tmp_path), capture_output=True, text=True, check=True
    )
    assert "collector solo: 6 tokens" in done.stderr
    assert done.stderr.splitlines() == (tmp_path / "block.log").read_text().splitlines()
    rows = read_rows(tmp_path / "block.parquet")
    assert [(row["agent"], row["mode"]) for row in rows].count(("insight", "concurrent")) == 1
    assert len(rows) == 4
    for row in rows:
        assert row["error"] is None
        assert row["attempt"] == 1
        assert row["work_effective"] == "fixed"
        assert row["threads"] == max(1, len(os.sched_getaffinity(0)) // 2)
        assert row["num_ctx_effective"] == 512
        assert json.loads(row["options_effective"])["temperature"] == 0.8
        assert row["model_digest"] == spec["lock"]["models"][row["model"]]
        assert len(row["steps"][0]["chunk_ns"]) == 6
        assert 0 <= row["foreign_cores"] <= len(os.sched_getaffinity(0)) + 0.5
        assert 0 <= row["loop_lag_s"] < 1
    assert read_file(tmp_path / "block.parquet")[1]["spec"] == spec
    together = [row["telemetry"] for row in rows if row["mode"] == "concurrent"]
    assert together[1] is None, "a run's samples stand with its first agent"
    for samples in (together[0], *(row["telemetry"] for row in rows if row["mode"] == "solo")):
        ends = [one["t_ns"] for one in samples]
        assert ends == sorted(ends)
        assert all(end > 0 for end in ends)
    host = os.uname().nodename
    assert host not in json.dumps(read_file(tmp_path / "block.parquet")[1]["machine"])


def test_a_server_that_never_starts_is_a_result_for_every_attempt(
    small_spec: Make, tmp_path: Path
) -> None:
    spec = small_spec(PREFIX + "single", retries=2)
    (model,) = spec["lock"]["models"]
    broken = tmp_path / f"{model}.gguf"
    broken.write_bytes(b"GGUF and nothing more")
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    spec["lock"] = {**spec["lock"], "models": {model: digest}}
    done = subprocess.run(
        command(spec, tmp_path, tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "block.parquet")
    assert [row["attempt"] for row in rows] == [1, 1, 2, 2, 3, 3]
    assert {row["error"] for row in rows} == {"server_start"}


def test_what_cannot_be_measured_at_all_stops_the_study_with_one_line(
    small_spec: Make, tmp_path: Path
) -> None:
    done = subprocess.run(
        command(small_spec(PREFIX + "single"), tmp_path, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    # Somebody may be measuring beside the tests, and is waited for.
    told = [line for line in done.stderr.splitlines() if not line.startswith("waiting: ")]
    assert len(told) == 1
    assert "no model file" in done.stderr
    assert not (tmp_path / "block.parquet").exists()


@pytest.mark.parametrize("killed", ["parent", "run"])
def test_nothing_outlives_a_killed_run(
    small_spec: Make, model_file: Path, tmp_path: Path, killed: str
) -> None:
    spec = small_spec(PREFIX + "dual", tokens=300)
    # Like the workflow: a parent that starts one command and dies without a word.
    arguments = command(spec, model_file.parent, tmp_path, "--parent")
    program = (
        "import os, subprocess, sys\n"
        "run = subprocess.Popen([*sys.argv[1:], str(os.getpid())], stderr=subprocess.DEVNULL)\n"
        "run.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, *arguments]) as parent:
        family = _family(parent.pid, 3)
        run = next(process for process in family if "run" in process.cmdline())
        os.kill(parent.pid if killed == "parent" else run.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert not (tmp_path / "block.parquet").exists()


def _family(pid: int, size: int) -> list[psutil.Process]:
    """All descendants of ``pid``, as soon as there are ``size``: the run and its two servers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        family = psutil.Process(pid).children(recursive=True)
        if len(family) >= size:
            return family
        time.sleep(0.02)
    raise AssertionError("the servers never came up")


def test_a_run_whose_parent_is_gone_already_measures_nothing(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    arguments = command(small_spec(PREFIX + "dual"), model_file.parent, tmp_path, "--parent", "1")
    done = subprocess.run(arguments, capture_output=True, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "block.parquet").exists()


def test_two_measurements_never_run_at_once(tmp_path: Path) -> None:
    lock = tmp_path / "measure.lock"
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tandembench.measure.exclusive import exclusive\n"
        "with exclusive('other', lambda line: None, Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    heard: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"

        def tell(line: str) -> None:
            heard.append(line)
            assert other.poll() is None
            assert other.stdin is not None
            other.stdin.close()  # only now the other one lets go

        with exclusive("this", tell, lock):
            assert other.wait(5) == 0
    assert heard == [f"waiting: other (process {other.pid}) is measuring on this machine"]
