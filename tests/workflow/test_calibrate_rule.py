"""The rule calibrate, by dry runs: once a session, whatever the study says."""

from pathlib import Path

from checkouts import copy_checkout, snakemake

from tandembench.project import open_plan

FILE = "config/quick.yaml"


def test_a_session_is_calibrated_once(repository: Path, tmp_path: Path) -> None:
    folder = copy_checkout(repository, tmp_path / "checkout")
    file = open_plan(FILE, root=folder).calibration_file()
    said = snakemake(folder, FILE, "--dry-run", "--printshellcmds")
    (command,) = (line.strip() for line in said.splitlines() if "tandembench calibrate" in line)
    assert command.endswith(
        f" exec python -m tandembench calibrate --session s1 --output {file}"
        " --log results/quick/logs/s1.calibrate.log --parent $PPID"
    )
    # it is there: not again, even for another study of the same name
    (folder / file).parent.mkdir(parents=True)
    (folder / file).touch()
    study = folder / FILE
    text = study.read_text()
    assert "num_ctx: 512" in text
    study.write_text(text.replace("num_ctx: 512", "num_ctx: 640"))
    said = snakemake(folder, FILE, "--dry-run")
    assert "rule run_block:" in said
    assert "rule calibrate:" not in said
    # another session is another calibration
    said = snakemake(folder, FILE, "--dry-run", "--printshellcmds", "--config", "session=s2")
    assert f"calibrate --session s2 --output {file.replace('s1.', 's2.')}" in said
