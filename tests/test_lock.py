"""Pins: pyproject.toml, environment.yaml, the lock files and what is installed, all the same."""

import re
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-build.lock")
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
ENTRY = re.compile(r"(?P<pin>[^\s\\][^\\]*?) \\\n(?P<hashes>(?:    --hash=\S+(?: \\)?\n)+)")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")


def pins(requirements: list[str]) -> dict[str, str]:
    """Canonical name -> version; each requirement must be pinned by == and nothing else."""
    found = {}
    for text in requirements:
        requirement = Requirement(text)
        (pin,) = requirement.specifier
        assert pin.operator == "==", text
        assert "*" not in pin.version, text
        assert requirement.url is None, text
        found[canonicalize_name(requirement.name)] = pin.version
    assert len(found) == len(requirements)
    return found


def locked(name: str) -> list[tuple[str, list[str]]]:
    """Each entry of a lock file with its hashes; the file must hold nothing else."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    entries = [(match["pin"], match["hashes"]) for match in ENTRY.finditer(text)]
    assert ENTRY.sub("", text).strip() == ""
    return [(pin, hashes.replace(" \\", "").splitlines()) for pin, hashes in entries]


def environment() -> tuple[list[str], list[str]]:
    """The conda and the pip requirements of environment.yaml."""
    listed = YAML(typ="safe").load(REPOSITORY / "environment.yaml")["dependencies"]
    (by_pip,) = (one["pip"] for one in listed if isinstance(one, dict))
    return [one for one in listed if isinstance(one, str)], by_pip


DIRECT = pins(PROJECT["project"]["dependencies"])
DEVELOPMENT = pins(PROJECT["project"]["optional-dependencies"]["dev"])
ENTRIES = [pin for pin, _ in locked("requirements.lock")]
LOCKED = pins(ENTRIES)
# What the lock wants on this machine: some entries are for others only.
MARKERS = {canonicalize_name(Requirement(pin).name): Requirement(pin).marker for pin in ENTRIES}
HERE = {n: v for n, v in LOCKED.items() if (m := MARKERS[n]) is None or m.evaluate()}


def test_environment_and_lock_have_what_the_project_needs() -> None:
    conda, by_pip = environment()
    direct = DIRECT | DEVELOPMENT
    assert pins(by_pip) == DIRECT
    assert "pip" in conda
    assert {name: LOCKED.get(name) for name in direct} == direct
    assert not DIRECT.keys() & DEVELOPMENT.keys()


@pytest.mark.parametrize("name", LOCKS)
def test_locks_have_hashes_and_name_no_place(name: str) -> None:
    entries = locked(name)

    assert entries
    for pin, hashes in entries:
        assert hashes, pin
        assert all(HASH.fullmatch(one) for one in hashes), pin
        assert len(set(hashes)) == len(hashes), pin
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    for forbidden in ("://", "index-url", "--find-links", "--trusted-host", "-e ", "--editable"):
        assert forbidden not in text
    assert " @ " not in text
    names = [canonicalize_name(Requirement(pin).name) for pin, _ in entries]
    assert len(set(names)) == len(names)


def test_the_lock_is_closed_under_what_its_packages_need() -> None:
    missing = set()
    for name in HERE:
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            needed = canonicalize_name(requirement.name)
            pinned = LOCKED.get(needed)
            if pinned is None or not requirement.specifier.contains(pinned, prereleases=True):
                missing.add(f"{name} needs {requirement}, locked: {pinned}")
    assert missing == set()


def test_the_build_lock_pins_the_build_backend() -> None:
    backend = pins(PROJECT["build-system"]["requires"])

    assert pins([pin for pin, _ in locked("requirements-build.lock")]) == backend
    assert PROJECT["build-system"]["build-backend"].partition(".")[0] in backend
    assert {name: LOCKED.get(name) for name in backend} == backend


def test_what_is_installed_is_what_is_locked_and_runs_on_the_oldest_python() -> None:
    floor = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert {name: version(name) for name in HERE} == HERE
    assert len(HERE) > 50
    for name in HERE:
        needs = distribution(name).metadata["Requires-Python"]
        assert needs is None or SpecifierSet(needs).contains(f"{floor}.99"), name
    lock = YAML(typ="safe").load(REPOSITORY / "config/servers.lock.yaml")
    assert str(lock["embedded"]["version"]) == DIRECT["xllamacpp"]


def test_one_floor_for_python_everywhere() -> None:
    floor = PROJECT["project"]["requires-python"]
    conda, _ = environment()
    (python,) = (Requirement(one) for one in conda if Requirement(one).name == "python")
    (bound,) = SpecifierSet(floor)

    assert bound.operator == ">="
    assert python.specifier == SpecifierSet(floor)
    assert PROJECT["tool"]["mypy"]["python_version"] == bound.version
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{bound.version.replace('.', '')}"
