"""Copies of this checkout in which tests run Snakemake and change what they like."""

import shutil
import subprocess
import sys
from pathlib import Path


def snakemake(folder: Path, study: str, *arguments: str, ok: bool = True) -> str:
    """What Snakemake says; it must end well, or must not."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", study, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is ok, said
    return said


def tandembench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a command of the package comes to in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "tandembench", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def copy_checkout(repository: Path, target: Path) -> Path:
    """The files under version control, or about to be, and the model."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (repository / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, target / name)
    (target / "resources").mkdir(exist_ok=True)
    (target / "resources/models").symlink_to(repository / "resources/models")
    return target
