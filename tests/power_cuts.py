"""What a power cut leaves, by the strictest reading of POSIX: only what was fsynced is sure.

Data that was not fsynced is torn; of names that were made, moved or removed since their folder was
fsynced any may be there and any not.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path, PurePath
from typing import NamedTuple

from kills import Point, is_temporary

_PATH = re.compile(r'<([^>]*)>|"([^"]*)"')
_WRITES = ("write", "pwrite64", "writev", "sendfile", "copy_file_range", "ftruncate")
_CHANGES = ("fsync", "fdatasync", "rename", "unlink", "mkdir", "rmdir")
_NOT_KNOWN = (
    "renameat",
    "renameat2",
    "unlinkat",
    "mkdirat",
    "link",
    "linkat",
    "symlink",
    "truncate",
)
# More subsets of what is not sure than those of so many changes are drawn.
_MOST = 5


class Change(NamedTuple):
    """A file or folder that is made (``inode``), moved (``to``) or removed (neither)."""

    path: str
    inode: int | None = None
    to: str | None = None

    def apply(self, names: dict[str, int]) -> None:
        """Let it come about, if what it is about is there."""
        if self.inode is not None:
            names[self.path] = self.inode
        elif self.to is None:
            names.pop(self.path, None)
        elif self.path in names:
            for old in [one for one in names if PurePath(one).is_relative_to(self.path)]:
                names[self.to + old[len(self.path) :]] = names.pop(old)

    def is_within(self, folder: str) -> bool:
        """Whether an fsync of ``folder`` makes it sure."""
        return folder in (str(PurePath(one).parent) for one in (self.path, self.to or self.path))


def changing(points: Sequence[Point], folder: Path) -> Iterator[tuple[str, list[str], str]]:
    """The calls that change something in ``folder``: a name, paths in it, and the whole line."""
    for name, _, line in points:
        paths = [one or other for one, other in _PATH.findall(line)]
        paths = [path for path in paths if PurePath(path).is_relative_to(folder)]
        if "= -1 " in line or "measured.log" in line:
            continue
        if name in _WRITES or name in _CHANGES or (name == "openat" and "O_CREAT" in line):
            yield name, paths, line
        assert name not in _NOT_KNOWN, line


def losses(points: Sequence[Point], folder: Path, there: Sequence[Path]) -> Iterator[str]:
    """What a power cut at any moment could lose or tear of ``folder``, in which ``there`` was sure.

    A folder of a version counts as a file: it is not there, or all of it.
    """
    inodes = count()
    sure = {str(path): next(inodes) for path in (folder, *there)}
    files = {str(path) for path in there if path.is_file() and not is_temporary(path)}
    live, unsure = dict(sure), list[Change]()
    written, synced = Counter[int](), Counter[int]()
    seen: list[tuple[str, dict[str, int], Counter[int]]] = []
    for name, paths, line in changing(points, folder):
        change = None
        if name in ("openat", "mkdir") and paths[-1] not in live:
            change = Change(paths[-1], inode=next(inodes))
        elif name in _WRITES or name == "openat":
            written[live[paths[-1 if name == "openat" else 0]]] += 1
        elif name in ("fsync", "fdatasync"):
            synced[live[paths[0]]] = written[live[paths[0]]]
            for one in [one for one in unsure if one.is_within(paths[0])]:
                unsure.remove(one)
                one.apply(sure)
                if one.to:  # what is not sure in a folder moves with it
                    moved = dict.fromkeys(left.path for left in unsure)
                    assert not any(PurePath(path).is_relative_to(one.path) for path in moved), line
        elif name == "rename":
            change = Change(paths[0], to=paths[1])
        else:
            change = Change(paths[0])
        if change:
            unsure.append(change)
            change.apply(live)
        seen += [(line, names, Counter(synced)) for names in _after_a_cut(sure, unsure)]
    whole = {name for name in live if not is_temporary(Path(name))}
    for line, names, on_disk in [*seen, ("the end", sure, synced)]:
        kept = {name for name in names if not is_temporary(Path(name)) and _reached(name, names)}
        versions = {name for name in kept if Path(name).parent.parent.name == "baselines"}
        of_versions = {one for one in whole if any(_below(one, version) for version in versions)}
        must = files | of_versions | (whole if line == "the end" else set())
        yield from (f"{one} is lost at {line}" for one in sorted(must - kept))
        torn = (one for one in sorted(kept) if on_disk[names[one]] != written[names[one]])
        yield from (f"{one} is torn at {line}" for one in torn)


def _below(path: str, folder: str) -> bool:
    return PurePath(path).is_relative_to(folder)


def _reached(path: str, names: dict[str, int]) -> bool:
    """Whether the folders above are there."""
    return all(
        str(one) in names or not _below(str(one), min(names)) for one in PurePath(path).parents
    )


def _after_a_cut(sure: dict[str, int], unsure: Sequence[Change]) -> Iterator[dict[str, int]]:
    n = len(unsure)
    kept: Sequence[int] = range(2**n)
    if n > _MOST:
        draw = random.Random(n)  # noqa: S311 - an example, no secret
        kept = [2**k - 1 for k in range(n + 1)] + [draw.randrange(2**n) for _ in range(20)]
    for bits in kept:
        names = dict(sure)
        for number, change in enumerate(unsure):
            if bits >> number & 1:
                change.apply(names)
        yield names
