"""Takes each check of the measuring path away and sees that a test fails: python mutations.py.

A mutant is a copy of the package in which one snippet is replaced; the tests that should notice
run on it. One that they let live is a check that nothing tests. Prints the table, and ends with 1
if a mutant lives. `python benchmarks/mutations.py validity` takes those of one file alone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("workflow/tandembench")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``snippet`` of ``file`` (of the package) becomes ``other``; ``tests`` are pytest's words."""

    file: str
    snippet: str
    other: str
    tests: str


INJECTED = "tests/measure/test_validity.py"
_BLOCK, _KEEPER, _VALIDITY = (f"measure/{name}.py" for name in ("block", "keeper", "validity"))
MUTANTS = (
    Mutant(_VALIDITY, "(one.slept_s or 0.0) > SLEPT_S", "False", f"{INJECTED} -k slept"),
    Mutant(_VALIDITY, "if around.restarted:", "if False:", f"{INJECTED} -k restarted"),
    Mutant(_VALIDITY, "one.load_s > COLD_LOAD_S and", "False and", f"{INJECTED} -k says_of"),
    Mutant(_VALIDITY, "COLD_LOAD_S = 0.25", "COLD_LOAD_S = 0.5", f"{INJECTED} -k says_of"),
    Mutant(_VALIDITY, "prompt < words", "prompt < 0", f"{INJECTED} -k says_of"),
    Mutant(
        _VALIDITY, "full = prompt + answer > num_ctx + 1", "full = False", f"{INJECTED} -k says_of"
    ),
    Mutant(_VALIDITY, "answer < max_tokens and", "False and", f"{INJECTED} -k says_of"),
    Mutant(_VALIDITY, "there < size and", "False and", f"{INJECTED} -k model_lies"),
    Mutant(_VALIDITY, "or around.on_gpu", "", f"{INJECTED} -k model_lies"),
    Mutant(_VALIDITY, "and not around.may_spill", "", f"{INJECTED} -k model_lies"),
    Mutant(_VALIDITY, "!= KERNEL", "== KERNEL", f"{INJECTED} -k held_up"),
    Mutant(_VALIDITY, "one.loop_lag_s > LAG_S,", "False,", f"{INJECTED} -k held_up"),
    Mutant(_VALIDITY, "any(step.final.cached_tokens", "any(0", f"{INJECTED} -k prefix"),
    Mutant(_VALIDITY, "abs(one.clock_set_s) > CLOCK_SET_S", "False", f"{INJECTED} -k is_set"),
    Mutant(_KEEPER, 'record.error == "unauthorised"', "False", f"{INJECTED} -k wants_a_key"),
    Mutant(_KEEPER, "now.num_ctx != then", "False", f"{INJECTED} -k context_that"),
    Mutant(_KEEPER, "if self.restarted(server):", "if False:", f"{INJECTED} -k restarted"),
    Mutant(_KEEPER, "stamp and stamp in stamps", "False", f"{INJECTED} -k two_addresses"),
    Mutant(_BLOCK, "then and now and then != now", "False", f"{INJECTED} -k context_that"),
    Mutant(
        _BLOCK,
        "await confirm(self.spec",
        "await asyncio.sleep(0) or (self.spec",
        f"{INJECTED} -k digest",
    ),
    Mutant(_BLOCK, 'if one.error == "unauthorised"', "if False", f"{INJECTED} -k wants_a_key"),
    Mutant(_BLOCK, '+= "oom" in each.reasons', "+= 0", f"{INJECTED} -k without_memory"),
    Mutant(_BLOCK, "each.reasons - LASTING", "each.reasons", f"{INJECTED} -k says_of"),
    Mutant(_BLOCK, "if not bench.unsafe(turn.config))", ")", f"{INJECTED} -k without_memory"),
    Mutant(
        "measure/siblings.py", 'row["error"] == "oom"', "False", f"{INJECTED} -k without_memory"
    ),
    Mutant(
        "measure/siblings.py", "invocation is not None and", "False and", f"{INJECTED} -k mid_study"
    ),
    Mutant("measure/run.py", "if not earlier.under_way:", "if False:", f"{INJECTED} -k mid_study"),
    Mutant(
        "measure/run.py",
        "for row in of_turn if slowed else ()",
        "for row in ()",
        f"{INJECTED} -k heat",
    ),
    Mutant("measure/telemetry.py", "said & _THROTTLES", "said", f"{INJECTED} -k heat"),
    Mutant(
        "measure/sampler.py",
        "HOT if hotter else None",
        "None",
        "tests/measure/test_telemetry.py -k heat",
    ),
    Mutant(
        "servers/open.py",
        "except NoAnswer as error:",
        "except ZeroDivisionError as error:",
        f"{INJECTED} -k mid_study",
    ),
    Mutant(
        "dataset/blocks.py",
        'row["error"] or row["invalid"]',
        'row["error"]',
        f"{INJECTED} -k slept",
    ),
    Mutant(
        "study/expand.py",
        "        if lack:\n",
        "        if False:\n",
        "tests/study/test_refused.py",
    ),
    Mutant(
        "study/lock.py",
        "            if lack:\n",
        "            if False:\n",
        "tests/study/test_refused.py",
    ),
    Mutant(
        "analysis/validity.py",
        "left_out={str",
        "left_out={} and {str",
        "tests/report/test_show.py -k first_screen",
    ),
)


def dies(mutant: Mutant, folder: Path) -> bool:
    """Whether a test fails on the copy of the package in ``folder`` with this mutant in it.

    ValueError if the snippet is not there exactly once: the code moved on, and this table did not.
    """
    file = folder / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.snippet) != 1:
        raise ValueError(f"{mutant.file} has {mutant.snippet!r} {text.count(mutant.snippet)} times")
    file.write_text(text.replace(mutant.snippet, mutant.other), encoding="utf-8")
    try:
        return not passes(mutant.tests, folder)
    finally:
        file.write_text(text, encoding="utf-8")


def passes(tests: str, folder: Path) -> bool:
    """Whether ``tests`` pass on the copy in ``folder``; ValueError if there are none that ran."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(folder.parent)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=False)  # noqa: S603 - our own tests, no shell
    if done.returncode not in (0, 1):
        raise ValueError(f"pytest {tests}: exit {done.returncode}")
    return done.returncode == 0


def survivors(mutants: tuple[Mutant, ...]) -> Iterator[Mutant]:
    """The mutants that no test notices; each is printed with what became of it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "tandembench")
        shutil.copytree(ROOT / PACKAGE.parent, place, dirs_exist_ok=True)
        for tests in dict.fromkeys(one.tests.partition(" ")[0] for one in mutants):
            if not passes(tests, folder):
                raise ValueError(f"{tests} fails as it is: no mutant can be told from that")
        for one in mutants:
            killed = dies(one, folder)
            print(
                f"{'dies ' if killed else 'LIVES'} {one.file}: {one.snippet.strip()} ({one.tests})"
            )
            if not killed:
                yield one


if __name__ == "__main__":
    chosen = tuple(one for one in MUTANTS if not sys.argv[1:] or sys.argv[1] in one.file)
    sys.exit(bool(list(survivors(chosen))))
