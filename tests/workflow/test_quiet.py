"""What a person sees of `snakemake --quiet all`, which make calls: progress, answer and faults."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkouts import attached_study, command, command_said, edit, simulated_checkout
from raw_servers import faked_thread

pytestmark = pytest.mark.usefixtures("simulated")
FILE = "config/small.yaml"
GO = f"snakemake --cores 1 --quiet all --workflow-profile none --configfile {FILE}"
CONFIGS = "axes: {topology: [serial, single]}, options: {num_ctx: 2048}"


def last_log(folder: Path) -> str:
    """Snakemake's own log of its last run."""
    logs = sorted((folder / ".snakemake/log").iterdir(), key=lambda log: log.stat().st_mtime_ns)
    return logs[-1].read_text(encoding="utf-8")


def test_a_study_says_how_far_it_is_and_its_log_has_the_rest(
    repository: Path, tmp_path: Path
) -> None:
    with faked_thread() as url:
        study = attached_study("small", [url], CONFIGS, repetitions=2)
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        told = command_said(folder, f"{GO} --until dataset")
    lines = told.splitlines()
    assert len(lines) == 2
    assert "1 of 2 blocks" in lines[0]
    assert "2 of 2 blocks" in lines[1]
    assert "rule run_block:" in last_log(folder)
    assert "python -m tandembench run --spec" in last_log(folder)


def test_a_step_that_fails_says_why_and_names_its_log(repository: Path, tmp_path: Path) -> None:
    with faked_thread() as url:
        study = attached_study("small", [url], CONFIGS)
    folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
    lines = command_said(folder, GO, ok=False).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"tandembench: {url}")
    log = re.fullmatch(r"tandembench: run_block failed; its log: (\S+)", lines[1])
    assert log
    assert (folder / log[1]).is_file()
    assert "CalledProcessError" in last_log(folder)


@pytest.fixture(scope="module")
def measured(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, simulated: None
) -> Iterator[Path]:
    """A checkout whose study has its report, on a server that still runs."""
    with faked_thread() as url:
        study = attached_study("small", [url], CONFIGS)
        folder = tmp_path_factory.mktemp("measured") / "checkout"
        folder = simulated_checkout(repository, folder, FILE, study)
        command_said(folder, GO)
        yield folder


def damage(path: Path) -> None:
    os.truncate(path, 3000)


def block(path: Path) -> None:
    """A folder where a file is, or a file where a folder is."""
    folder = path.is_dir()
    shutil.rmtree(path) if folder else path.unlink()
    path.touch() if folder else path.mkdir()


@pytest.mark.parametrize(
    ("where", "harm", "says"),
    [
        ("results/small/runs/s1/*.parquet", damage, "damaged"),
        ("results/small/manifest.*.json", block, "(Is a directory); delete or rename"),
        ("reports/small", block, "NotADirectoryError"),
    ],
)
def test_a_fault_is_said_each_time_and_what_it_says_mends_it(
    measured: Path, where: str, harm: Callable[[Path], None], says: str
) -> None:
    (path,) = measured.glob(where)
    harm(path)
    dataset = measured / "results/small/dataset"
    shutil.rmtree(dataset)  # whatever else is wrong, it is asked for
    for _ in range(2):
        lines = command_said(measured, GO, ok=False).splitlines()
        assert says in lines[0]
        assert all(line.startswith("tandembench: ") for line in lines)
        assert len(lines) <= 2  # what is wrong, and which step failed for it
    path.rmdir() if path.is_dir() else path.unlink()
    command_said(measured, GO)
    assert (dataset / "runs.parquet").is_file()


def test_what_is_missing_is_made_again_and_a_list_that_cannot_be_written_stops_nothing(
    measured: Path,
) -> None:
    block(measured / "results/small/invocations.ndjson")
    for lost in ("results/small/dataset", "reports/small/figures"):
        shutil.rmtree(measured / lost)
        told = command_said(measured, GO)
        assert "invocations.ndjson: cannot be written (Is a directory), so that" in told
        assert list((measured / lost).iterdir())
    (measured / "results/small/invocations.ndjson").rmdir()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_after_a_closed_terminal_the_same_command_goes_on_and_after_a_kill_it_says_how(
    repository: Path, tmp_path: Path, number: int
) -> None:
    with faked_thread(script=lambda *_: [60.0]) as silent:  # which answers nothing for a minute
        study = attached_study("small", [silent], CONFIGS)
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        with command(folder, f"setsid {GO}") as process:
            log = folder / "results/small/logs/s1"
            while not (log.is_dir() and list(log.iterdir())) and process.poll() is None:
                os.sched_yield()
            os.killpg(process.pid, number)  # the terminal's whole group, as it is
    told = command_said(folder, GO, ok=False).splitlines()
    if number == signal.SIGKILL:
        (line,) = told
        assert line.startswith("tandembench: another snakemake works in this folder")
        command_said(folder, line.partition("if none is running: ")[2])
        told = command_said(folder, GO, ok=False).splitlines()
    assert told[0].startswith(f"tandembench: {silent}")  # it went on, to the server that is gone


def test_a_mistake_in_the_study_is_one_line(repository: Path, tmp_path: Path) -> None:
    study = attached_study("small", ["http://127.0.0.1:9"], CONFIGS)
    folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
    for arguments, words in (
        ("--config repetitions=0", "repetitions: 0 is not allowed"),
        ("--config repetition=3", "unknown key 'repetition'"),
        ("--config session=S2", 'session: "S2" is not allowed'),
        ("", f"{FILE}:2: repetitons: unknown key"),
    ):
        if not arguments:
            edit(folder / FILE, "repetitions:", "repetitons:")
        told = command_said(folder, f"{GO} {arguments}", ok=False)
        assert len(told.splitlines()) == 1
        assert words in told
    folder = folder.rename(tmp_path / "{odd}")
    told = command_said(folder, GO, ok=False)
    assert len(told.splitlines()) == 1
    assert "rename that folder" in told
