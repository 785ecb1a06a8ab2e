"""The 48 faults that a measurement must survive, and the table of them: fault -> test -> result.

A test names what it shows: ``fault(40, 42)``, or ``fault`` alone where its parameter ``reason``
says it. Under ``--fault-table`` the table ends the run, which fails if a fault has no test.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest

# Reason codes stand in brackets.
FAULTS = {
    1: "connection refused at start: exit 4 within 2 s, names the URL, nothing measured",
    2: "refused in mid study: failed, the other configs go on",
    3: "accepted, closed without bytes: [disconnect_before_first_byte]",
    4: "reset in mid stream: [reset], tokens kept, not in statistics",
    5: "end inside a chunk: [truncated_chunked]",
    6: "close-delimited cut: [no_terminal_event], although 200",
    7: "stream ends without its last event: [no_terminal_event]",
    8: "half a line of JSON: [bad_json], 80 sanitised characters",
    9: "error line inside a 200: [server_error]",
    10: "two ends, or data after the end: [protocol]",
    11: "invalid UTF-8: [bad_utf8]",
    12: "5 MB line, endless line: [line_too_long], memory bounded",
    13: "503: [busy], never retried inside a timed window",
    14: "401, 403: stop, no key shown; 429: failed, others go on",
    15: "model missing: preflight lists the installed models",
    16: "out of memory: failed, after two in a config the rest is unsafe",
    17: "HTML page: [not_ndjson]",
    18: "empty 200, 204: [empty]",
    19: "redirect: refused, says where to, never followed",
    20: "gzip: identity is asked for, else failed [bad_utf8]",
    21: "not HTTP: [protocol]",
    22: "stall: [stalled] at the idle deadline, tokens kept",
    23: "endless drip: deadline and token cap",
    24: "no headers: [no_first_byte]",
    25: "server restarted between runs: warm-up again",
    26: "model evicted or reloaded in a warm run: invalid, imported cold runs stay valid",
    27: "digest or effective context changed: stop, not comparable",
    28: "model spilt to the CPU: invalid unless declared",
    29: "prompt truncated by the server: invalid",
    30: "prefix-cache hit: flagged, nonce policy recorded",
    31: "token counts of solo and run differ: token-normalised, the row says so",
    32: "throttled: invalid where the hardware says so; a drift is a warning",
    33: "wall clock stepped: durations are monotonic, row stamped",
    34: "suspend and resume: invalid",
    35: "event loop blocked: flagged, stamps hold",
    36: "proxy in the environment: ignored, with a warning",
    37: "localhost is ::1 first: resolved once, outside of all times",
    38: "name cannot be resolved: one line before anything is measured",
    39: "both endpoints are one server: detected",
    40: "kill -9 at any system call of the writer: old or new, rerun finishes, swept",
    41: "no space, I/O error: the previous file is intact, exit 4",
    42: "power loss: a frozen baseline survives",
    43: "flipped or cut Parquet or descriptor: named, exit 3",
    44: "two studies in one folder: the lock names its holder",
    45: "Ctrl-C once, twice: partial block dropped, finished stay, streams closed",
    46: "Snakemake killed, rerun: only the lost block, no orphan",
    47: "read-only folder, odd paths: works, or refuses clearly",
    48: "a cell missing: the report renders, verdict inconclusive",
}
_RESULTS = ("failed", "error", "passed", "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", action="store_true", help="End with the table of faults.")


def _rows(item: pytest.Item) -> Iterable[int]:
    for mark in item.iter_markers("fault"):
        reason = getattr(item, "callspec", None) and item.callspec.params.get("reason")  # type: ignore[attr-defined]
        yield from mark.args or (n for n, text in FAULTS.items() if f"[{reason}]" in text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [("fault", row) for row in sorted(set(_rows(item)))]


def pytest_sessionfinish(session: pytest.Session) -> None:
    shown = {row for item in session.items for name, row in item.user_properties if name == "fault"}
    if session.config.option.fault_table and shown != FAULTS.keys() and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not terminalreporter.config.option.fault_table:
        return
    results: dict[object, Counter[str]] = defaultdict(Counter)
    tests: dict[object, str] = {}
    for result in _RESULTS:
        for report in terminalreporter.stats.get(result, ()):
            for name, row in report.user_properties:
                if name == "fault":
                    results[row][result] += 1
                    tests.setdefault(row, re.sub(r"\[.*", "", report.nodeid.partition("/")[2]))
    terminalreporter.section("faults")
    for row, fault in FAULTS.items():
        told = ", ".join(f"{n} {result}" for result, n in results[row].items())
        terminalreporter.write_line(f"{row:2} {fault}")
        terminalreporter.write_line(f"   {tests.get(row, '')}: {told or 'NO TEST'}")
