"""The house: rooms in the order in which data flows, none importing a later one; its size."""

import ast
from itertools import chain
from pathlib import Path

import pytest

import tandembench

PACKAGE = Path(tandembench.__file__).parent
# From YAML to sentence. What stands together in a line knows nothing of each other.
ORDER = (
    ("errors", "text"),
    ("files", "system"),
    ("study",),
    ("steps",),
    ("metrics",),
    ("agents",),
    ("tables",),
    ("fake_server",),
    ("wire",),
    ("servers",),
    ("measure",),
    ("calibrate",),
    ("dataset",),
    ("analysis",),
    ("audit",),
    ("diff",),
    ("report",),
    ("project",),
    ("plan", "doctor"),
    ("cli",),
    ("__main__",),
)
PLACES = {room: place for place, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(file: Path) -> set[str]:
    """The rooms that a file imports, wherever in it."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "tandembench":
                names = [f"tandembench.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("tandembench.")}
    return rooms


def lines_of(folder: Path) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in folder.rglob("*.py"))


def test_every_room_has_a_place() -> None:
    assert {room_of(file) for file in FILES} - {"__init__"} == set(PLACES)


@pytest.mark.parametrize("rooms", ORDER, ids=", ".join)
def test_no_room_imports_a_later_one(rooms: tuple[str, ...]) -> None:
    for file in (one for one in FILES if room_of(one) in rooms):
        later = {
            name
            for name in imports_of(file) - {room_of(file)}
            if PLACES[name] >= PLACES[room_of(file)]
        }
        assert not later, f"{file.relative_to(PACKAGE)} imports {later}"


def test_files_say_what_they_are_and_stay_readable() -> None:
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, file
        assert not text or ast.get_docstring(ast.parse(text)), file


def test_values_are_typed() -> None:
    """Few functions take or give a dict of anything."""
    loose = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = chain(node.args.args, node.args.kwonlyargs, node.args.posonlyargs)
                signature = [node.returns, *(one.annotation for one in arguments)]
                words = [ast.unparse(one) for one in signature if one]
                if any("dict[str, Any]" in word for word in words):
                    loose.append(f"{file.relative_to(PACKAGE)}: {node.name}")
    assert len(loose) < 30, loose


def test_the_tests_are_no_larger_than_the_package() -> None:
    assert lines_of(Path(__file__).parent) <= lines_of(PACKAGE)
