"""Which baselines there are: ``resources/baselines/<name>/<version>/``. Light, for Snakemake."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandembench.errors import TandemError
from tandembench.text import sanitise

ROOT = Path("resources/baselines")
# What a dataset is compared with if it does not say; the study's schema has the same default.
PUBLISHED = ("tr110", "tr113", "tr114")
_NAME = re.compile(r"[a-z0-9]+([_.-][a-z0-9]+)*")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A frozen dataset, at ``folder``."""

    name: str
    version: str
    folder: Path

    @property
    def label(self) -> str:
        """name@version."""
        return f"{self.name}@{self.version}"


def baselines(root: Path = ROOT, name: str | None = None) -> list[Baseline]:
    """All baselines, or those of one name; oldest version first."""
    return those_of(root.glob(f"{name or '*'}/*/"))


def those_of(folders: Iterable[Path]) -> list[Baseline]:
    """The baselines among ``folders``, which may be somebody's other files, by name and version."""
    named = [
        Baseline(folder.parent.name, folder.name, folder)
        for folder in folders
        if is_name(folder.parent.name) and _VERSION.fullmatch(folder.name)
    ]
    return sorted(named, key=lambda one: (one.name, _number(one.version)))


def find(text: str, root: Path = ROOT) -> Baseline:
    """The baseline ``name`` (its newest version) or ``name@version``."""
    return pick(text, baselines(root), str(root))


def pick(text: str, known: Sequence[Baseline], where: str) -> Baseline:
    """The same among those that are ``known``."""
    name, _, version = text.partition("@")
    check_name(name, version or None)
    versions = [one for one in known if one.name == name]
    if not versions:
        names = ", ".join(dict.fromkeys(one.name for one in known)) or "none"
        raise TandemError(f"no baseline '{name}'", where=where, fix=f"baselines: {names}")
    for one in reversed(versions):
        if version in ("", one.version):
            return one
    fix = f"versions: {', '.join(one.version for one in versions)}"
    raise TandemError(f"no version {version} of '{name}'", where=where, fix=fix)


def next_version(versions: Sequence[Baseline]) -> str:
    """The minor version after those of a baseline; 1.0.0 if it is the first."""
    if not versions:
        return "1.0.0"
    major, minor, _ = _number(versions[-1].version)
    return f"{major}.{minor + 1}.0"


def locate(text: str, root: Path = ROOT) -> tuple[Path, str]:
    """(folder, label) of the dataset ``name``, ``name@version``, ``results/<study>`` or a folder's.

    A dataset's folder may also be given by the ``datapackage.json`` in it.
    """
    path = Path(text)
    path = path.parent if path.name == "datapackage.json" else path
    try:
        folder = path / "dataset" if (path / "dataset").is_dir() else path
        if (folder / "datapackage.json").is_file():
            return folder, text.rstrip("/")
        is_place = path.is_dir() or "/" in text
    except OSError:  # such as a name that is too long
        is_place = "/" in text
    if is_place:
        fix = "name a baseline (tandembench baseline list), results/<study> or a dataset's folder"
        if (path / "runs").is_dir():
            fix = "run snakemake with the study's file, which makes it of the run files"
        raise TandemError("no dataset", where=sanitise(text), fix=fix)
    baseline = find(text, root)
    return baseline.folder, baseline.label


def check_name(name: str, version: str | None) -> None:
    """TandemError unless both can be folders' names; a ``version`` is three numbers."""
    if not is_name(name):
        fix = "small letters and digits, joined by single '_', '.' or '-', 64 at most"
        raise TandemError(f"'{sanitise(name, 40)}' is no name", where="baseline", fix=fix)
    if version is not None and not _VERSION.fullmatch(version):
        what = f"'{sanitise(version, 40)}' is no version"
        raise TandemError(what, where="baseline", fix="three numbers, such as 1.0.0")


def is_name(text: str) -> bool:
    """Whether it can be a name: of a baseline, or of a study, phase, config or session."""
    return len(text) <= 64 and _NAME.fullmatch(text) is not None


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
