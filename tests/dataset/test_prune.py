"""What is removed, and above all what is not."""

from pathlib import Path

import pytest
from checkouts import copy_checkout
from click.testing import CliRunner
from raw_blocks import block, failed, no_server, write_run_file

from tandembench.cli import main
from tandembench.dataset.prune import failed_blocks, unnamed
from tandembench.project import open_plan


def test_only_what_the_study_no_longer_names_goes(tmp_path: Path) -> None:
    results = tmp_path / "results/small"
    runs = [
        results / "runs" / name
        for name in ("s1/a.r1.0.parquet", "s1/old.r1.1.parquet", "s2/a.r1.0.parquet")
    ]
    logs = [results / "logs" / name for name in ("s1/a.r1.0.log", "s1/old.r1.1.log")]
    kept = [
        results / name
        for name in ("phases/main.0.parquet", "specs/a.0.json", "manifest.0.json", "dataset.0.made")
    ]
    gone = [
        results / name
        for name in ("phases/main.1.parquet", "specs/a.1.json", "manifest.1.json", "dataset.1.made")
    ]
    other = [results / "dataset/runs.parquet", results / "calibration/s1.1.json"]
    for file in (*runs, *logs, *kept, *gone, *other):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found = unnamed(results, map(str, (runs[0], runs[2], *kept)))
    assert found == sorted([runs[1], logs[1], *gone])


def test_a_block_has_failed_if_a_config_has_no_valid_run(tmp_path: Path) -> None:
    bad = failed(block(), "collector", "concurrent", "oom")
    second = [row | {"attempt": 2} for row in block()]
    write_run_file(tmp_path / "good.parquet", block())
    write_run_file(tmp_path / "mended.parquet", [*second, *bad])
    write_run_file(tmp_path / "bad.parquet", [*bad, *(row | {"attempt": 2} for row in bad)])
    write_run_file(tmp_path / "never.parquet", no_server(block()))
    write_run_file(tmp_path / "half.parquet", [*block("serial"), *no_server(block("dual"))])
    names = ("good", "mended", "bad", "never", "half", "not-measured-yet")
    found = failed_blocks([str(tmp_path / f"{name}.parquet") for name in names])
    assert found == [tmp_path / f"{name}.parquet" for name in ("bad", "half", "never")]


def test_the_command_says_what_it_removes(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_checkout(repository, tmp_path))
    plan = open_plan("config/quick.yaml")
    good, bad = plan.run_files()[:2]
    old = good.replace(".r1.", ".r9.")
    for file in (good, old):
        write_run_file(Path(file), block())
    write_run_file(Path(bad), no_server(block()))

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["prune", "config/quick.yaml", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert said("--dry-run") == f"would remove {old}\n"
    assert Path(old).exists()
    assert said() == f"removed {old}\n"
    assert said() == ""
    assert said("--invalid") == f"removed {bad}\n"
    assert Path(good).exists()
    assert not Path(old).exists()
    assert not Path(bad).exists()
