"""What a person sees of `snakemake --quiet all`, which make calls: progress, answer and faults."""

import re
from pathlib import Path

import pytest
from checkouts import attached_study, command_said, edit, simulated_checkout
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
    assert len(lines) == 3
    assert "2 of 2 blocks to measure" in lines[0]
    assert "1 of 2 blocks" in lines[1]
    assert "2 of 2 blocks" in lines[2]
    assert "rule run_block:" in last_log(folder)
    assert "python -m tandembench run --spec" in last_log(folder)


def test_a_step_that_fails_says_why_and_names_its_log(repository: Path, tmp_path: Path) -> None:
    with faked_thread() as url:
        study = attached_study("small", [url], CONFIGS)
    folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
    _, *lines = command_said(folder, GO, ok=False).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"tandembench: {url}")
    log = re.fullmatch(r"tandembench: run_block failed; its log: (\S+)", lines[1])
    assert log
    assert (folder / log[1]).is_file()
    assert "CalledProcessError" in last_log(folder)


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
