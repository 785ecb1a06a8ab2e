"""The table of 48 faults: fault -> test -> result, as ``faults.txt`` says which tests show it.

Under ``--faults`` only these tests run; the table ends that run, and that of all tests with
``--fault-table``, which fails if a fault has no test.
"""

from collections import Counter, defaultdict
from fnmatch import fnmatch
from pathlib import Path

import pytest

# Number -> the fault with what must come of it, and patterns of tests below this folder.
FAULTS: dict[int, tuple[str, list[str]]] = {}
for _line in (Path(__file__).parent / "faults.txt").read_text(encoding="utf-8").splitlines()[1:]:
    _number, _fault, _tests = _line.split("|")
    FAULTS[int(_number)] = _fault.strip(), _tests.split()
_RESULTS = ("failed", "error", "passed", "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="Only what the table of faults names.")
    parser.addoption("--fault-table", action="store_true", help="End with the table of faults.")


def _shown(nodeid: str) -> list[int]:
    """The faults of which a test shows what comes of them."""
    name = _name(nodeid)
    return [n for n, (_, tests) in FAULTS.items() if any(fnmatch(name, one) for one in tests)]


def _name(nodeid: str) -> str:
    return nodeid.removeprefix("tests/").replace("[", "(")  # which a pattern would read


def _is_wanted(config: pytest.Config) -> bool:
    return bool(config.option.faults or config.option.fault_table)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.faults:
        others = [item for item in items if not _shown(item.nodeid)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def pytest_sessionfinish(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if not _is_wanted(session.config) or terminal is None:  # one of several processes has none
        return
    names = {_name(one.nodeid) for result in _RESULTS for one in terminal.stats.get(result, ())}
    missing = [
        number
        for number, (_, tests) in FAULTS.items()
        if not tests or not all(any(fnmatch(name, one) for name in names) for one in tests)
    ]
    if missing and not session.exitstatus:
        print(f"\nfaults.txt names tests that are not there, or none: {missing}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not _is_wanted(config):
        return
    results: dict[int, Counter[str]] = defaultdict(Counter)
    for result in _RESULTS:
        for report in terminalreporter.stats.get(result, ()):
            results |= {n: results[n] + Counter([result]) for n in _shown(report.nodeid)}
    terminalreporter.section("faults")
    for number, (fault, tests) in FAULTS.items():
        counts = ", ".join(f"{n} {result}" for result, n in results[number].items())
        terminalreporter.write_line(f"{number:2} {fault}")
        terminalreporter.write_line(f"   {', '.join(tests)} -> {counts or 'NO TEST'}")
