"""kill -9, a full disk and a power cut at any system call that the writer makes.

Two scenarios (see ``kills``): a study that is resumed, and a baseline that is published. A hundred
kills in every run, a thousand and more under the marker ``full``.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kills import Act, Point, before, careless, is_temporary, publish, recorded, resume, warm
from power_cuts import changing, losses

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace to kill with")
Scenario = Callable[[Path], None]
Files = dict[str, bytes]


class Case(NamedTuple):
    """A scenario acted out undisturbed in ``folder``: the files before and after, and its calls."""

    act: Act
    scenario: Scenario
    folder: Path
    pristine: Path
    old: Files
    new: Files
    points: list[Point]

    def start_anew(self) -> None:
        """Have the folder as it was before the scenario: manifests hold whole paths."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.pristine, self.folder)


def files_in(folder: Path) -> Files:
    """All but the log of the test's own."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".log")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(scope="module", params=[resume, publish], ids=lambda one: one.__name__)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    top = tmp_path_factory.mktemp("kills")
    folder, pristine = top / "study", top / "pristine"
    folder.mkdir()
    with warm() as act:
        for scenario in (before, resume)[: 1 if request.param is resume else 2]:
            assert act(scenario, folder) == 0
        (folder / "measured.log").unlink(missing_ok=True)
        shutil.copytree(folder, pristine)
        old = files_in(folder)
        points = recorded(act, request.param, folder, top / "strace")
        new = files_in(folder)
        assert new.keys() > old.keys() or request.param is resume
        assert new != old
        yield Case(act, request.param, folder, pristine, old, new, points)


def assert_nothing_torn(case: Case) -> None:
    """Every file is the old one or the new one, and a version is whole or not there."""
    now = {
        name: data for name, data in files_in(case.folder).items() if not is_temporary(Path(name))
    }
    assert case.old.keys() <= now.keys()
    torn = [name for name, data in now.items() if data not in (case.old.get(name), case.new[name])]
    assert torn == []
    version = {name for name in case.new if name.startswith("baselines/")}
    assert now.keys() & version in (set(), version)


def assert_the_rest_is_made(case: Case) -> None:
    """The same command finishes: the undisturbed files and no others, no block measured twice."""
    blocks = [*case.folder.glob("runs/s1/*")]
    finished = {
        file: (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in blocks
        if not is_temporary(file)
    }
    for left in case.folder.rglob(".new-*"):
        os.utime(left, (0, 0))  # as if it had long been there
    assert case.act(case.scenario, case.folder) == 0
    assert files_in(case.folder) == case.new
    assert {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in finished} == finished
    if case.scenario is resume:
        measured = (case.folder / "measured.log").read_text().splitlines()
        assert len(measured) <= len(set(measured)) + 1


def spread(points: list[Point], n: int) -> list[Point]:
    """``n`` of them from the first to the last, or all."""
    return [points[k * len(points) // n] for k in range(n)] if len(points) > n else points


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("n", [50, pytest.param(560, marks=pytest.mark.full)])
def test_a_kill_at_any_system_call_leaves_old_or_new_and_the_rest_is_made(
    case: Case, n: int
) -> None:
    killed = 0
    for point in spread(case.points, n):
        case.start_anew()
        inject = f"inject={point.name}:signal=KILL:when={point.n}"
        killed += case.act(case.scenario, case.folder, "-o", os.devnull, "-e", inject) == -9
        assert_nothing_torn(case)
        assert_the_rest_is_made(case)
    print(f"{case.scenario.__name__}: {killed} kills at {len(case.points)} system calls")
    # threads may take another way, so that a call is not met
    assert killed >= 0.9 * min(n, len(case.points))


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_system_that_refuses_is_exit_4_and_loses_nothing(case: Case, error: str) -> None:
    changes = {line for _, _, line in changing(case.points, case.folder)}
    points = [one for one in case.points if one.line in changes and one.name != "unlink"]
    assert {"openat", "fsync", "rename"} <= {one.name for one in points}
    for point in spread(points, 12):
        case.start_anew()
        inject = f"inject={point.name}:error={error}:when={point.n}"
        ended = case.act(case.scenario, case.folder, "-o", os.devnull, "-e", inject)
        # Of a file that is in its place only the folder can fail, which is no reason to delete it.
        whole = point.name == "fsync" and files_in(case.folder) == case.new
        assert ended == 4 or (ended == 0 and whole), point
        assert_nothing_torn(case)
        assert not [name for name in files_in(case.folder) if is_temporary(Path(name))]
        assert_the_rest_is_made(case)


def test_a_power_cut_at_any_moment_leaves_old_or_new_and_the_end_is_sure(case: Case) -> None:
    there = [case.folder / path.relative_to(case.pristine) for path in case.pristine.rglob("*")]
    assert list(losses(case.points, case.folder, there)) == []


def test_what_is_not_fsynced_is_seen_to_be_lost(case: Case, tmp_path: Path) -> None:
    points = recorded(case.act, careless, tmp_path, tmp_path.with_name("strace"))
    faults = list(losses(points, tmp_path, []))
    assert any("notes is torn" in fault for fault in faults)
    assert f"{tmp_path / 'notes'} is lost at the end" in faults
