"""What every importer gives: runs as their source timed them, and names for their configs."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from tandembench.dataset.versions import is_name
from tandembench.errors import EXIT_CORRUPT, EXIT_ENVIRONMENT, TandemError
from tandembench.study.ids import LETTERS, OF_THE_LOAD, SCENARIO_SHORT
from tandembench.study.spec import Topology

# The study's names of what a model is asked with, each with its letter in an id. A study's models
# are elsewhere, and its num_predict is its work. Anything else in a source is not an option.
OPTIONS = {name: letter for name, letter in LETTERS.items() if name != "model"} | {
    "num_predict": "n"
}
# No agent runs for three years: a longer time is in another unit. No count of anything is higher.
LONGEST_S, MOST = 1e8, 10**9
# No server gives one answer faster; of fewer tokens a rate says nothing.
_FASTEST_TOKENS_PER_S, ENOUGH_TOKENS = 10_000, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAgent:
    """One agent of one run. Times in s, None where the source does not tell.

    ``first_token_s``, ``decode_s`` and the server's ``prompt_s``, ``load_s`` and
    ``server_decode_s`` sum over the LLM calls, ``ttft_s`` is the first call's. ``ended_ns`` is
    Unix time. ``endpoint`` tells servers apart, and is not kept if it is of another machine.
    """

    name: str
    model: str
    options: Mapping[str, float]
    duration_s: float
    answer_tokens: int | None
    calls: int
    endpoint: str | None = None
    first_token_s: float | None = None
    ttft_s: float | None = None
    decode_s: float | None = None
    prompt_s: float | None = None
    load_s: float | None = None
    server_decode_s: float | None = None
    ended_ns: int | None = None

    @property
    def started_ns(self) -> int | None:
        """Unix time at which it began: sources stamp the end."""
        return None if self.ended_ns is None else self.ended_ns - round(self.duration_s * 1e9)

    def beyond_reason(self) -> str | None:
        """What no machine does of that which it is said to have done."""
        tokens = self.answer_tokens or 0
        for what, seconds in (("", self.duration_s), ("decoded ", self.decode_s)):
            fast = seconds is not None and tokens > _FASTEST_TOKENS_PER_S * seconds
            if fast and tokens >= ENOUGH_TOKENS:
                return f"{tokens} tokens of {self.name} {what}in {seconds:g} s"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRun:
    """One run: agents in the order of the study.

    ``place`` is the folder of its config, or what else its source calls it. Without a
    ``config_id`` the id is made from the options, without a ``topology`` the endpoints tell it.
    Configs whose source has ids are different, but for those of one ``same_as``. ``contention`` is
    the source's own flag, by whatever rule; None if it has none. ``runner`` is what ran the agents,
    where that differs within a source; ``process_run`` counts in one process of it, from 1.
    """

    place: str
    phase: str
    scenario: str
    repetition: int
    wall_s: float
    started_at: datetime
    agents: tuple[SourceAgent, ...]
    session: str = "s1"
    engine: str = "ollama"
    config_id: str | None = None
    topology: Topology | None = None
    same_as: str | None = None
    contention: bool | None = None
    runner: str | None = None
    client_version: str | None = None
    client_platform: str | None = None
    process_run: int | None = None

    @property
    def asked(self) -> list[object]:
        """What makes it a run of its config: its scenario, and its agents' models and options."""
        agents = [(agent.name, agent.model, dict(agent.options)) for agent in self.agents]
        return [self.scenario, *agents]


@dataclass(frozen=True, slots=True)
class Imported:
    """``runs`` and, by reason, how many files (of a table: cells) were left out.

    ``notes`` are sentences on how what was kept is to be read. ``tree`` is the folder below that
    of the source, if it has several. ``cold_above``: by model, the seconds that only a load takes.
    """

    runs: tuple[SourceRun, ...]
    skipped: Mapping[str, int]
    notes: tuple[str, ...]
    tree: str = ""
    cold_above: Mapping[str, float] = field(default_factory=dict)


def files_below(root: Path) -> list[Path]:
    """All files below ``root``, sorted; TandemError (exit 4) names a folder that hides some."""

    def stop(error: OSError) -> NoReturn:
        raise unreadable(error.filename, error)

    return sorted(
        Path(folder, name) for folder, _, names in os.walk(root, onerror=stop) for name in names
    )


def unreadable(path: str | Path, error: OSError) -> TandemError:
    """The one line about a file or folder that cannot be read."""
    what = f"cannot be read ({error.strerror or error})"
    fix = "check path and rights; nothing was imported"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_ENVIRONMENT)


def bad(where: object, what: str, fix: str = "correct the file or remove it") -> TandemError:
    """The one line about a file, or a line of one, that is not what its layout promises."""
    fix = f"{fix}; nothing was imported"
    return TandemError(what, where=str(where), fix=fix, exit_code=EXIT_CORRUPT)


def unix_ns(stamp: str, zone: str = "") -> int | None:
    """ISO 8601 -> Unix time in ns, further digits cut off; None if it is not that.

    ``zone``, such as +01:00, is that of times that name none; without one they are None.
    """
    match = re.fullmatch(
        r"(\d{4}-?\d\d-?\d\d)[T ](\d\d:?\d\d(?::?\d\d)?)(?:[.,](\d+))?"
        r"(?: ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?",
        stamp.upper(),
    )
    if not match or not (match[4] or zone):
        return None
    offset = "Z" if match[4] in ("UTC", "GMT") else match[4] or zone
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}")
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 10**9 + int(f"{match[3] or 0:0<9}"[:9])


def utc(ns: int) -> datetime | None:
    """Unix time in ns as a datetime, to the microsecond; None before 1970 or after 2200."""
    if not 0 <= ns < 7_258_118_400 * 10**9:
        return None
    return datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns % 10**9 // 1000)


def as_name(text: str) -> str | None:
    """A text as a name, "-" for what a name cannot hold; None if nothing of it is left."""
    name = text if is_name(text) else re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return name if is_name(name) else None


def config_ids(runs: Sequence[SourceRun]) -> dict[str, str]:
    """Ids by the place of each config, made as a study's axes make them.

    Scenario, num_gpu and num_ctx, what else differs within phase and scenario, and the runner.
    ``validation`` leads those of the phase of that name, which measures configs once more. Where
    two places hold equal options, the later one is called after its folder. An id that the source
    has is kept.
    """
    cells: dict[str, SourceRun] = {}
    for run in runs:
        cells.setdefault(run.place, run)

    def has_another_name(cell: tuple[str, SourceRun]) -> bool:
        place, run = cell
        return not place.rsplit("/", 1)[-1].startswith(SCENARIO_SHORT[run.scenario])

    ids: dict[str, str] = {}
    # A folder that is called like its scenario comes first to the name that both could have.
    for place, run in sorted(cells.items(), key=has_another_name):
        if run.config_id is not None:
            ids[place] = run.config_id
            continue
        kind = run.phase, run.scenario
        beside = [other for other in cells.values() if (other.phase, other.scenario) == kind]
        words = _words(run, beside)
        name = "-".join([SCENARIO_SHORT[run.scenario], *words])
        if run.phase == "validation":
            name = f"{run.phase}-{name}"
        if name in ids.values():
            first = re.sub(r"[^a-z0-9]+.*", "", place.rsplit("/", 1)[-1].lower())
            name = "-".join([first or "other", *words])
        n = 2
        while name in ids.values():
            name = f"{name.removesuffix(f'-{n - 1}')}-{n}"
            n += 1
        ids[place] = name
    return ids


def _words(run: SourceRun, beside: Sequence[SourceRun]) -> list[str]:
    def values_of(one: SourceRun, option: str) -> tuple[float | None, ...]:
        return tuple(agent.options.get(option) for agent in one.agents)

    words = []
    for option, letter in OPTIONS.items():
        values = values_of(run, option)
        varied = len({values_of(other, option) for other in beside}) > 1
        of_the_load = option in OF_THE_LOAD
        if set(values) == {None} or not (varied or of_the_load):
            continue
        if run.scenario == "baseline_vs_chimera":
            values = values[-1:]
        elif run.scenario == "chimera_homo" or (len(set(values)) == 1 and not of_the_load):
            values = values[:1]
        words.append(letter + "x".join("default" if v is None else str(v) for v in values))
    return words if run.runner is None else [*words, run.runner]
