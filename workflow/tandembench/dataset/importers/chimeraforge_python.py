"""The result folders of Chimeraforge's Python runner (TR110): sums over the calls of each agent.

A run is ``phase_P_test_TTT/run_N/metrics.json``; which scenario a test is, and when it ran, only
``test_execution_log.json`` says, in local time without a zone. Source: the authors' public folder.
"""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tandembench.dataset.importers.source import (
    AGENTS,
    Imported,
    Reader,
    SourceAgent,
    SourceRun,
    bad,
    files_below,
    host,
    read_json,
)
from tandembench.errors import TandemError
from tandembench.study.ids import SCENARIO_SHORT

LOG = "test_execution_log.json"
_PHASES = {1: "core", 2: "temperature", 3: "validation"}


def read(root: Path) -> Imported:
    """All runs below ``root``. TandemError names a run that is damaged, or a missing log."""
    tests = _tests(root / LOG)
    runs = []
    skipped: Counter[str] = Counter()
    for path in files_below(root):
        match = re.fullmatch(
            r"phase_(\d+)_test_(\d+)/run_(\d+)/metrics\.json", path.relative_to(root).as_posix()
        )
        if match:
            phase, test, number = (int(group) for group in match.groups())
            if test not in tests:
                raise bad(path, f"{LOG} has no test {test}")
            runs.append(_run(path, phase, test, number, *tests[test]))
        elif path.suffix == ".json":
            skipped[f"no run ({path.name}): made from the runs, or about them"] += 1
        else:
            skipped[f"not a run ({path.suffix or path.name})"] += 1
    notes = (
        "Agents report sums and means over their calls: how long a first token took is known as a"
        " sum, not for the first call; decoding is not separate from the rest.",
        "Starts are local time without a zone, taken for UTC, and counted from the test's start by"
        " the wall times of its runs: good for the order, not for the clock.",
        "contention_source is the source's own flag, whatever its report says that it means.",
        "Not kept: Chimera's constants and citations, fields that were never filled, and what was"
        " computed from the rest (rates, deltas, 95th percentiles of two values).",
    )
    return Imported(tuple(_in_time(runs)), skipped, notes)


def _tests(path: Path) -> dict[int, tuple[str, datetime]]:
    """Scenario and start by test id."""
    if not path.is_file():
        what = f"no {LOG}, the only place that names the scenario of each test"
        raise TandemError(what, where=str(path.parent), fix="name the folder of results with it")
    log = Reader(path, read_json(path))
    listed = log.at("test_results")
    if not isinstance(listed, list):
        raise bad(path, "'test_results' is no list")
    tests = {}
    for index in range(len(listed)):
        scenario = log.text("test_results", index, "scenario")
        if scenario not in SCENARIO_SHORT:
            raise bad(path, f"unknown scenario '{scenario}'")
        try:
            start = datetime.fromisoformat(log.text("test_results", index, "start_time"))
        except ValueError:
            start = None
        if start is None or start.tzinfo or not 1970 <= start.year < 2200:
            raise bad(path, f"test_results.{index}.start_time is no local time from 1970 on")
        tests[log.count("test_results", index, "test_id")] = scenario, start.replace(tzinfo=UTC)
    return tests


def _run(
    path: Path, phase: int, test: int, number: int, scenario: str, started_at: datetime
) -> SourceRun:
    data = Reader(path, read_json(path))
    return SourceRun(
        place=f"phase_{phase}_test_{test:03d}",
        phase=_PHASES.get(phase, f"phase{phase}"),
        scenario=scenario,
        repetition=number,
        wall_s=data.seconds("summary", "concurrent_wall_time", positive=True),
        started_at=started_at,
        agents=tuple(_agent(data, name) for name in AGENTS),
        contention=data.flag("summary", "resource_contention_detected"),
    )


def _agent(data: Reader, name: str) -> SourceAgent:
    calls = data.count(name, "aggregate_metrics", "total_requests")
    mean_s = data.seconds(name, "aggregate_metrics", "average_ttft_ms", scale=1e-3)
    return SourceAgent(
        name=name,
        model=data.text(name, "model"),
        options=data.options(name, "configuration"),
        endpoint=host(data.text("summary", f"{name}_ollama_url")),
        duration_s=data.seconds(f"{name}_execution_time", positive=True),
        first_token_s=mean_s * calls,
        ttft_s=mean_s if calls == 1 else None,
        decode_s=None,
        prompt_s=None,
        load_s=None,
        server_decode_s=None,
        answer_tokens=data.count(name, "aggregate_metrics", "total_tokens_generated"),
        calls=calls,
        ended_ns=None,
    )


def _in_time(runs: list[SourceRun]) -> list[SourceRun]:
    """Runs of a test one after the other, from the test's start on."""
    elapsed: Counter[str] = Counter()
    placed = []
    for run in sorted(runs, key=lambda run: (run.place, run.repetition)):
        at = run.started_at + timedelta(seconds=elapsed[run.place] / 1e6)
        elapsed[run.place] += round(run.wall_s * 1e6)
        placed.append(replace(run, started_at=at))
    return placed
