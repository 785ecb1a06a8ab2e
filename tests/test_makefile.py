"""What make says where something is missing, and that CI and make run the same checks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML


def make(
    folder: Path, *arguments: str, program: str = "make", **environment: str
) -> subprocess.CompletedProcess[str]:
    # These tests run under make too, which tells its children so.
    outside = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=outside | environment,
    )


@pytest.mark.parametrize(
    ("missing", "package"),
    [("libgomp.so.1", "libgomp1"), ("libstdc++.so.6", "libstdc++6"), ("version_info", "Python 3.")],
)
def test_a_missing_library_stops_make_with_one_line_that_names_the_package(
    repository: Path, tmp_path: Path, missing: str, package: str
) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-build.lock"):
        shutil.copy(repository / name, tmp_path)
    # A Python that finds everything but the one thing.
    crippled = tmp_path / "python"
    crippled.write_text(
        f'#!/bin/sh\ncase "$*" in *{missing}*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    )
    crippled.chmod(0o755)
    done = make(tmp_path, "quick", f"PYTHON={crippled}")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(told) == 1
    assert package in told[0]
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("study", ["quick", "study"])
def test_a_study_is_measured_with_the_profiles_options_and_ends_with_the_answer(
    repository: Path, study: str
) -> None:
    text = " ".join(make(repository, "--dry-run", study).stdout.replace("\\\n", " ").split())
    check, snakemake, answer = text.rpartition(". .venv/bin/activate && ")[2].split(" && ")
    assert check == f"tandembench check config/{study}.yaml"
    assert snakemake.startswith("snakemake --cores 1 --quiet all ")
    assert snakemake.endswith(f" --configfile config/{study}.yaml")
    assert answer == f"tandembench show results/{study}"
    profile = YAML(typ="safe").load(repository / "profiles/default/profile.yaml")
    for option, value in profile.items():
        assert f" --{option}{'' if value is True else f' {value}'} " in snakemake


def test_without_go_the_s3_server_is_one_line(repository: Path, tmp_path: Path) -> None:
    shutil.copy(repository / "Makefile", tmp_path)
    for tool in ("make", "sh", "mkdir"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = make(tmp_path, "s3-server", program=str(tmp_path / "make"), PATH=str(tmp_path))
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "***" not in line]
    assert told == [
        "make: Go is missing, which builds the S3 server: install it (go.dev, or golang-go)"
    ]
