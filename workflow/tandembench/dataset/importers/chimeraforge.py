"""The result folders of Chimeraforge's two runners: metrics.json per run.

Rust (TR113, TR114, TR115): ``.../run_N/metrics.json`` or ``.../run_N/run_1/metrics.json``, where
the outer N counts. Python (TR110): ``phase_P_test_TTT/run_N/metrics.json``, with sums over the
calls of each agent; which scenario a test is, and when it ran, only ``test_execution_log.json``
says, in local time without a zone. Source: the authors' public folders and their README.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)

from tandembench.dataset.importers.layouts import MOST_BYTES, looks_like
from tandembench.dataset.importers.source import (
    LONGEST_S,
    MOST,
    OPTIONS,
    Imported,
    SourceAgent,
    SourceRun,
    as_name,
    bad,
    files_below,
    unix_ns,
    utc,
)
from tandembench.files import read_text
from tandembench.study.spec import Scenario
from tandembench.text import sanitise

LOG = "test_execution_log.json"
_PYTHON_RUN = re.compile(r"phase_(\d+)_test_(\d+)/run_(\d+)/metrics\.json")
_FLAG_NOTE = "contention_source is the source's own flag, whatever its report says that it means."
_PHASES = {"phase1": "core", "phase2": "temperature", "phase3": "validation"}
# Folders of a tree above those of its configs: TR114's phases and scenarios, TR115's runtimes.
_RUNTIME = "runtime-"
_ABOVE = re.compile(rf"phase_?\d+|{_RUNTIME}.+|baseline[-_]vs[-_]chimera|chimera[-_](hetero|homo)")


def _known(options: object) -> object:
    """The options that are the study's too, without those that are null."""
    if not isinstance(options, dict):
        return options
    return {name: options[name] for name in OPTIONS if options.get(name) is not None}


def _number(value: object) -> float:
    """0.8 for 0.800000011920929: the runners widen their 32 bits. Whole numbers stay whole."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
        raise ValueError("Input should be a number in range")
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _ended_ns(stamp: object) -> int:
    ns = unix_ns(stamp) if isinstance(stamp, str) else None
    if ns is None or utc(ns) is None:
        raise ValueError("Input should be an ISO 8601 time with a zone, from 1970 to 2200")
    return ns


def _local(stamp: object) -> datetime:
    start = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    if start is None or start.tzinfo or not 1970 <= start.year < 2200:
        raise ValueError("Input should be a local time without a zone, from 1970 to 2200")
    return start.replace(tzinfo=UTC)


def _url(url: str) -> str:
    """In one spelling."""
    return sanitise(url.rstrip("/").replace("//localhost", "//127.0.0.1"), 200)


def _at(*keys: str, **more: Any) -> Any:  # noqa: ANN401 - pydantic's fields are of any type
    return Field(validation_alias=AliasPath(*keys), **more)


_Text = Annotated[str, AfterValidator(lambda text: sanitise(text, 200))]
_Url = Annotated[str, AfterValidator(_url)]
_Options = Annotated[dict[str, Annotated[float, PlainValidator(_number)]], BeforeValidator(_known)]
_Count = Annotated[int, Field(ge=0, le=MOST)]
_Seconds = Annotated[float, Field(gt=0, le=LONGEST_S)]
# In ms in the file, in s from here on.
_Milliseconds = Annotated[
    float, Field(ge=0, le=LONGEST_S * 1e3), AfterValidator(lambda ms: ms * 1e-3)
]
_Flag = Annotated[bool | None, _at("summary", "resource_contention_detected")]


class _Json(BaseModel):
    """What is read of a file's object; its other keys are left alone."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    layout: ClassVar[str] = ""


class _Call(_Json):
    ttft_s: _Milliseconds = _at("ttft_ms")
    decode_s: _Milliseconds = _at("eval_duration_ms")
    prompt_s: _Milliseconds = _at("prompt_eval_duration_ms")
    load_s: _Milliseconds = _at("load_duration_ms")
    tokens: _Count = _at("tokens_generated")


class _RustAgent(_Json):
    model: _Text = _at("config", "model")
    options: _Options = _at("config", "options")
    endpoint: _Url = _at("config", "base_url")
    duration_s: _Seconds = _at("execution_time_s")
    calls: Annotated[list[_Call], Field(min_length=1)] = _at("result", "individual_runs")
    ended_ns: Annotated[int, PlainValidator(_ended_ns)] = _at("result", "timestamp")


class _System(_Json):
    """What ran the client; the host's name is left alone."""

    rust_version: _Text | None = None
    os: _Text | None = None
    arch: _Text | None = None


class _RustRun(_Json):
    layout = "chimeraforge-rust"
    scenario: Scenario
    run_number: _Count | None = None
    client: _System | None = _at("collector", "result", "system_info", default=None)
    collector: _RustAgent
    insight: _RustAgent
    wall_s: _Seconds = _at("summary", "concurrent_wall_time_s")
    contention: _Flag = None


class _PythonAgent(_Json):
    model: _Text
    options: _Options = _at("configuration")
    calls: _Count = _at("aggregate_metrics", "total_requests")
    ttft_s: _Milliseconds = _at("aggregate_metrics", "average_ttft_ms")
    answer_tokens: _Count = _at("aggregate_metrics", "total_tokens_generated")


class _PythonRun(_Json):
    layout = "chimeraforge-python"
    collector: _PythonAgent
    insight: _PythonAgent
    collector_s: _Seconds = _at("collector_execution_time")
    insight_s: _Seconds = _at("insight_execution_time")
    collector_url: _Url = _at("summary", "collector_ollama_url")
    insight_url: _Url = _at("summary", "insight_ollama_url")
    wall_s: _Seconds = _at("summary", "concurrent_wall_time")
    contention: _Flag = None


class _Test(_Json):
    test_id: _Count
    scenario: Scenario
    start_time: Annotated[datetime, PlainValidator(_local)]


class _Log(_Json):
    layout = "chimeraforge-python"
    test_results: list[_Test]


_Content = TypeVar("_Content", bound=_Json)


def _read(path: Path, kind: type[_Content]) -> _Content:
    """A JSON file; TandemError (exit 3) names what in it is missing or wrong."""
    data = read_text(path, "copy it again", MOST_BYTES)
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        other = looks_like(data)
        if other and not other[0].endswith(kind.layout):
            raise bad(path, f"looks like {other[0]}", other[1]) from None
        first = error.errors(include_url=False)[0]
        place = ".".join(str(key) for key in first["loc"] if key != "[key]")
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] not in ("missing", "json_invalid"):
            what += f", not {json.dumps(first['input'], default=str)}"
        raise bad(path, sanitise(f"'{place}': {what}" if place else what)) from None


def _skipped(files: Iterable[Path]) -> Counter[str]:
    """How many files are no runs, by what they are instead."""
    return Counter(
        f"no run ({path.name}): made from the runs, or about them"
        if path.suffix == ".json"
        else f"no run ({path.suffix or path.name})"
        for path in files
    )


def read_rust(root: Path) -> list[Imported]:
    """All runs below ``root``, by tree. TandemError names a run that is damaged."""
    notes = (
        "The duration of each agent and the wall time are those of the source.",
        "decode_s is the server's decode time. Prompt tokens were not counted. An agent's start is"
        " its end less its duration.",
        "Prompts, labels, the host name, and what was computed from the rest (aggregate_metrics,"
        " rates, deltas) were left out of each run.",
        _FLAG_NOTE,
    )
    files = files_below(root)
    trees: dict[str, list[SourceRun]] = {}
    for path in files:
        if path.name == "metrics.json":
            tree, run = _rust_run(root, path)
            trees.setdefault(tree, []).append(run)
    left = [path for path in files if path.name != "metrics.json"]
    return [
        Imported(
            tuple(runs),
            _skipped(one for one in left if one.is_relative_to(root / tree)),
            notes,
            tree,
        )
        for tree, runs in trees.items()
    ]


def _rust_run(root: Path, path: Path) -> tuple[str, SourceRun]:
    """The tree of a run, the folder that its phases, scenarios or configs are in, and the run."""
    run = _read(path, _RustRun)
    folders = path.relative_to(root).parts[:-1]
    numbered = [i for i, part in enumerate(folders) if re.fullmatch(r"run_\d+", part)]
    if not numbered:
        raise bad(path, "not in a folder run_N", "put it into one, N counting the config's runs")
    agents = _rust_agent("collector", run.collector), _rust_agent("insight", run.insight)
    started_at = utc(min(agent.started_ns or 0 for agent in agents))
    if started_at is None:
        raise bad(path, "an agent that started before 1970")
    for fault in filter(None, (agent.beyond_reason() for agent in agents)):
        raise bad(path, fault)
    place, number = folders[: numbered[0]], folders[numbered[0]]
    start = len(place) - 1
    while start > 0 and _ABOVE.fullmatch(place[start - 1].lower()):
        start -= 1
    above = place[max(start, 0) :]
    client = run.client or _System()
    return "/".join(place[: max(start, 0)]), SourceRun(
        place="/".join(above),
        phase=next((_PHASES[folder] for folder in above if folder in _PHASES), "all"),
        scenario=run.scenario,
        repetition=int(number.removeprefix("run_")),
        wall_s=run.wall_s,
        started_at=started_at,
        agents=agents,
        contention=run.contention,
        runner=next(filter(None, map(_runner, above)), None),
        client_version=client.rust_version and f"rust {client.rust_version}",
        client_platform=" ".join(filter(None, (client.os, client.arch))) or None,
        process_run=run.run_number,
    )


def _runner(folder: str) -> str | None:
    """tokio-default for runtime-tokio-default; None for another folder."""
    name = folder.removeprefix(_RUNTIME)
    return as_name(name.replace("_", "-")) if name != folder else None


def _rust_agent(name: str, agent: _RustAgent) -> SourceAgent:
    calls = agent.calls
    decode_s = sum(call.decode_s for call in calls)
    given = dict(agent) | {"calls": len(calls)}
    return SourceAgent(
        name=name,
        **given,
        first_token_s=sum(call.ttft_s for call in calls),
        ttft_s=calls[0].ttft_s,
        decode_s=decode_s,
        prompt_s=sum(call.prompt_s for call in calls),
        load_s=sum(call.load_s for call in calls),
        server_decode_s=decode_s,
        answer_tokens=sum(call.tokens for call in calls),
    )


def read_python(root: Path) -> list[Imported]:
    """All runs below ``root``, a tree for each log. TandemError names a run that is damaged."""
    notes = (
        "Agents report sums and means over their calls. The wait for first tokens is known as a"
        " sum, not for the first call, and decoding is not separate from the rest.",
        "Start times are local times without a zone, taken for UTC. Those within a test follow"
        " from the wall times of its runs. They tell the order, not the time of day.",
        "Chimera's constants and citations, fields that were never filled, and what was computed"
        " from the rest (rates, deltas, 95th percentiles of two values) were left out.",
        _FLAG_NOTE,
    )
    files = files_below(root)
    trees = []
    for log in (path for path in files if path.name == LOG):
        folder = log.parent
        tests = {test.test_id: test for test in _read(log, _Log).test_results}
        inside = [path for path in files if path.is_relative_to(folder)]
        runs = {path: run for path in inside if (run := _python_run(folder, tests, path))}
        skipped = _skipped(path for path in inside if path not in runs)
        tree = "/".join(folder.relative_to(root).parts)
        trees.append(Imported(tuple(_in_time(runs.values())), skipped, notes, tree))
    for path in (one for one in files if _PYTHON_RUN.search(one.as_posix())):
        if not any(path.is_relative_to(root / one.tree) for one in trees):
            what = f"no {LOG} beside it, the only place that names the scenario of each test"
            raise bad(path.parents[1], what, "copy it there or name another folder")
    return trees


def _python_run(root: Path, tests: Mapping[int, _Test], path: Path) -> SourceRun | None:
    match = _PYTHON_RUN.fullmatch(path.relative_to(root).as_posix())
    if not match:
        return None
    phase, test_id, number = map(int, match.groups())
    if test_id not in tests:
        raise bad(path, f"{LOG} has no test {test_id}")
    run = _read(path, _PythonRun)
    agents = (
        ("collector", run.collector, run.collector_s, run.collector_url),
        ("insight", run.insight, run.insight_s, run.insight_url),
    )
    return SourceRun(
        place=f"phase_{phase}_test_{test_id:03d}",
        phase=_PHASES.get(f"phase{phase}", f"phase{phase}"),
        scenario=tests[test_id].scenario,
        repetition=number,
        wall_s=run.wall_s,
        started_at=tests[test_id].start_time,
        agents=tuple(_python_agent(*agent) for agent in agents),
        contention=run.contention,
    )


def _python_agent(name: str, agent: _PythonAgent, duration_s: float, url: str) -> SourceAgent:
    # The mean wait is that of the first call where there is no other.
    given = dict(agent) | {"ttft_s": agent.ttft_s if agent.calls == 1 else None}
    sum_s = agent.ttft_s * agent.calls
    return SourceAgent(name=name, endpoint=url, duration_s=duration_s, first_token_s=sum_s, **given)


def _in_time(runs: Iterable[SourceRun]) -> Iterator[SourceRun]:
    """Runs of a test one after the other, from the test's start on."""
    elapsed: Counter[str] = Counter()
    for run in sorted(runs, key=lambda run: (run.place, run.repetition)):
        yield replace(run, started_at=run.started_at + timedelta(microseconds=elapsed[run.place]))
        elapsed[run.place] += round(run.wall_s * 1e6)
