"""The digest of code: what it leaves alone, what it sees, and one digest on every Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from study_texts import REPOSITORY

from tandembench.study.code import code_digest, normalise

CODE = REPOSITORY / "workflow/tandembench/study/code.py"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
GOLDEN = "fcb8bae3fa4e97f1"
# Most of the syntax of Python 3.11, and what its versions spell differently in their trees.
SAMPLE = '''\
"""A docstring."""

from __future__ import annotations

import asyncio as aio
import os.path, sys
from . import sibling
from collections.abc import Callable, Iterator as Iter

LIMIT: int = 1_000_000
NAMES, (FIRST, *REST) = ["a", u"b"], (1, 2, 3)
NUMBERS = (0x1F, 0b11, 1e400, -0.0, 1.5e-7, 3j, True, None, ...)
BYTES = b"\\xff" rb"\\d"
TEXT = "\\N{SNOWMAN}" "joined" \'quotes "inside"\' """long
text""" r"\\d" "\U0001fae8\u00e9"
total = yes = 0
total += 1; total -= 2; total @= 3; total //= 4; total **= 5; total >>= 6; total |= 7
del yes


def keep(value: T) -> T:  # type: ignore[name-defined]
    """A docstring."""
    return value


@keep
@keep
class Shape(Base, metaclass=Meta, **options):
    """A docstring."""

    __slots__ = ("x",)
    x: float
    y: "Shape" = None

    @property
    def area(self) -> float:
        return self.x ** 2 if self.x else -self.x

    class Inner:
        pass


def every(a, b: int = 1, /, c=2, *args: str, d, e=[3], **kwargs: int) -> Callable[..., int]:
    global total
    count = 0

    def inner():
        nonlocal count
        count += 1
        yield count
        got = yield from inner()
        return got

    assert a and not b or c, f"no {a!r:>{b}.{c}} {d=} {e!s:^10} {{}} {e['k']}" f"{c:%Y-%m}" "end"
    return lambda x, *y, z=1, **w: (x, *y, {**w, "z": z})


def loops(items):
    for i, (j, *k) in enumerate(items):
        if (n := len(k)) > 1 < 2 <= n != 3 is not None in k not in j:
            continue
        elif n:
            break
    else:
        while not items[1:2, ::3, ...]:
            pass
        else:
            return
    squares = [x * y % 2 for x in items if x if y for y in x]
    unique = {x ^ 1 for x in items} | {~x & 1 for x in items}
    table = {k: v << 1 for k, v in items}
    return sum(x / 2 for x in items), {*unique}, squares, table


async def waits(source):
    """A docstring."""
    async with source as one, source() as two:
        async for item in one:
            await aio.sleep(0)
    return [x async for x in two if await x]


def tries():
    try:
        raise ValueError("x") from None
    except (TypeError, ValueError) as error:
        raise
    except OSError:
        pass
    else:
        pass
    finally:
        pass
    try:
        pass
    except* ValueError as group:
        pass
    with (open("a") as a, open("b")):
        pass


def cases(value):
    match value:
        case 0 | -1 | 2.5 | "x" | None | True:
            pass
        case [1, [x, _], *rest] if rest:
            pass
        case {"k": v, **others}:
            pass
        case Shape(1, x=0) as shape:
            pass
        case Shape.x | sys.path:
            pass
        case _:
            return print(*value, sep="", **value)
'''
SPELLINGS = {
    "comments": SAMPLE.replace("    continue", "    continue  # on").replace(
        "def tries", "# a\n# comment\ndef tries"
    ),
    "docstrings": SAMPLE.replace('"""A docstring."""', "'''Another\n    one.'''"),
    "no docstrings": SAMPLE.replace('"""A docstring."""', ""),
    "quotes": SAMPLE.replace('"joined"', "'joined'").replace('("x",)', "('x',)"),
    "indentation": SAMPLE.replace("    ", "  "),
    "line breaks": SAMPLE.replace(
        "total += 1; total -= 2", "total += (\n  1\n)\ntotal -= 2"
    ).replace("return sum(", "return sum( \\\n"),
    "line ends": SAMPLE.replace("\n", "\r\n"),
}
EDITS = {
    "number": ("LIMIT: int = 1_000_000", "LIMIT: int = 1_000_001"),
    "text": ('"joined"', '"joinde"'),
    "text to bytes": ('b"\\xff" rb"\\d"', '"\\xff" r"\\d"'),
    "name": ("squares, table", "table, squares"),
    "operator": ("v << 1", "v >> 1"),
    "default": ("c=2", "c=3"),
    "annotation": ("value: T", "value: S"),
    "decorator": ("@keep\n@keep\n", "@keep\n"),
    "await": ("await aio.sleep", "aio.sleep"),
    "except": ("except*", "except"),
    "format": ("{e!s:^10}", "{e!s:^11}"),
    "a text that is no docstring": ("    return value", '    ""\n    return value'),
    "negative zero": ("-0.0, 1.5e-7", "0.0, 1.5e-7"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling_does_not_change_the_digest(name: str) -> None:
    assert SPELLINGS[name] != SAMPLE
    assert normalise(SPELLINGS[name]) == normalise(SAMPLE)


@pytest.mark.parametrize("name", EDITS)
def test_every_other_edit_does(name: str) -> None:
    old, new = EDITS[name]
    assert SAMPLE.count(old) == 1
    assert normalise(SAMPLE.replace(old, new)) != normalise(SAMPLE)


def test_names_of_files_count_and_their_order_does_not() -> None:
    one, two = "x = 1", "y = 2"

    assert code_digest({"a": one, "b": two}) == code_digest({"b": two, "a": one})
    assert code_digest({"a": one, "b": two}) != code_digest({"a": two, "b": one})
    assert code_digest({"a": one}) != code_digest({"b": one})
    assert code_digest({"a": one, "b": ""}) != code_digest({"a": one})
    assert len(code_digest({})) == 16


def test_only_the_first_text_of_a_body_is_a_docstring() -> None:
    def body(text: str) -> str:
        return normalise(f"def f():\n    {text}\n    return 1")

    assert body("'one'") == body("'two'") == body("'a' 'b'")
    assert len({body("b'one'"), body("f'one'"), body("1"), body("pass"), body("'one'")}) == 5
    assert normalise("if x:\n    'one'") != normalise("if x:\n    'two'")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_python_gives_the_known_digest(version: str, tmp_path: Path) -> None:
    python = _interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or in ~/.pyenv/versions")
    sample = tmp_path / "sample.py"
    sample.write_text(SAMPLE, encoding="utf-8")
    script = (
        "import pathlib, runpy, sys; code = runpy.run_path(sys.argv[1]); "
        "text = pathlib.Path(sys.argv[2]).read_text(encoding='utf-8'); "
        "print('.'.join(map(str, sys.version_info[:2])), code['code_digest']({'sample.py': text}))"
    )
    # -I: code.py must need nothing but the standard library.
    done = subprocess.run(
        [python, "-I", "-c", script, CODE, sample], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == ([version, GOLDEN], "")


def _interpreter(version: str) -> str | None:
    """The first Python of this version that runs: a shim may name one that is not there."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += Path.home().glob(f".pyenv/versions/{version}.*/bin")
    found = [str(folder / f"python{version}") for folder in folders]
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        found.insert(0, sys.executable)
    for path in filter(os.path.isfile, found):
        done = subprocess.run([path, "-I", "-c", ""], capture_output=True, check=False)
        if done.returncode == 0:
            return path
    return None
