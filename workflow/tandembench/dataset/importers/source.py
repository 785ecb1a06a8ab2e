"""What an importer finds: runs as their source timed them, whatever its files look like."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.text import sanitise

# The study's names of what a model is asked with; anything else in a source is not an option.
OPTIONS = (
    "num_gpu",
    "num_ctx",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "seed",
    "num_predict",
)
# The two agents of the reports that are imported, and short names of their scenarios.
AGENTS = ("collector", "insight")
SCENARIOS = {"baseline_vs_chimera": "bvc", "chimera_hetero": "hetero", "chimera_homo": "homo"}
_LETTERS = {"num_gpu": "g", "num_ctx": "c", "temperature": "t", "top_p": "p", "top_k": "k"}
_LETTERS |= {"min_p": "m", "repeat_penalty": "r", "seed": "s", "num_predict": "n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAgent:
    """One agent of one run. Times in s, None where the source does not tell.

    ``duration_s`` is the source's own; ``first_token_s`` sums over LLM calls, ``ttft_s`` is the
    first call's. ``ended_ns`` is Unix time.
    """

    name: str
    model: str
    options: Mapping[str, Any]
    endpoint: str
    duration_s: float
    first_token_s: float
    ttft_s: float | None
    decode_s: float | None
    prompt_s: float | None
    load_s: float | None
    answer_tokens: int
    calls: int
    ended_ns: int | None

    @property
    def started_ns(self) -> int | None:
        """Unix time at which it began: sources stamp the end."""
        return None if self.ended_ns is None else self.ended_ns - round(self.duration_s * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRun:
    """One run: agents in the order of the study. ``place`` is the folder of its config.

    ``contention`` is the source's own flag, whatever rule it follows; None if it has none.
    """

    place: str
    phase: str
    scenario: str
    repetition: int
    wall_s: float
    started_at: datetime
    agents: tuple[SourceAgent, ...]
    contention: bool | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """``runs`` and, by reason, how many files were left out; ``notes`` say what does not fit."""

    runs: tuple[SourceRun, ...]
    skipped: Mapping[str, int]
    notes: tuple[str, ...] = ()


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """A JSON file without NaN and infinity; TandemError (exit 3) names one that is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise bad(path, f"not JSON ({sanitise(str(error), 80)})") from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def bad(path: Path, what: str) -> TandemError:
    """The one line about a file that is not what its layout promises."""
    fix = "mend the file or take it out of the folder; nothing was imported"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)


class Reader:
    """Values of one JSON file by their path of keys; what is missing or no number is one line."""

    def __init__(self, path: Path, value: Any) -> None:  # noqa: ANN401 - JSON
        self.path = path
        self.value = value

    def at(self, *keys: str | int) -> Any:  # noqa: ANN401 - JSON
        """What stands under ``keys``."""
        found = self.value
        for key in keys:
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                name = ".".join(map(str, keys))
                raise bad(self.path, f"'{name}' is missing") from None
        return found

    def seconds(self, *keys: str | int, scale: float = 1.0) -> float:
        """A finite number that is not negative, times ``scale``."""
        value = self.at(*keys)
        name = ".".join(map(str, keys))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad(self.path, f"'{name}' is {sanitise(json.dumps(value), 40)}, not a number")
        if not 0 <= value < math.inf:
            raise bad(self.path, f"'{name}' is {value}, which is no duration")
        return value * scale if scale != 1 else float(value)

    def count(self, *keys: str | int) -> int:
        """A whole number that is not negative."""
        value = self.at(*keys)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            name = ".".join(map(str, keys))
            raise bad(self.path, f"'{name}' is {sanitise(json.dumps(value), 40)}, not a count")
        return value

    def flag(self, section: str, name: str) -> bool | None:
        """True or false; None where the section has no such flag."""
        value = self.at(section).get(name)
        if value is not None and not isinstance(value, bool):
            raise bad(self.path, f"'{section}.{name}' is neither true nor false")
        return value

    def text(self, *keys: str | int) -> str:
        """A text, sanitised: it may come to stand in a report."""
        value = self.at(*keys)
        if not isinstance(value, str):
            raise bad(self.path, f"'{'.'.join(map(str, keys))}' is not a text")
        return sanitise(value, 200)

    def options(self, *keys: str | int) -> dict[str, Any]:
        """Model options under the study's names, without those that are null."""
        found = self.at(*keys)
        if not isinstance(found, dict):
            raise bad(self.path, f"'{'.'.join(map(str, keys))}' is not a mapping of options")
        return {name: six_digits(found[name]) for name in OPTIONS if found.get(name) is not None}


def six_digits(value: Any) -> Any:  # noqa: ANN401 - a JSON scalar
    """0.8 for 0.800000011920929: sources widen their 32 bits."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def unix_ns(stamp: str) -> int | None:
    """ISO 8601 in UTC -> Unix time in ns, digits beyond cut off; None if it is not that."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|\+00:00)", stamp)
    if not found:
        return None
    try:
        seconds = datetime.fromisoformat(f"{found[1]}+00:00").timestamp()
    except ValueError:
        return None
    return int(seconds) * 10**9 + int(f"{found[2] or 0:0<9}"[:9])


def utc(ns: int) -> datetime:
    """Unix time in ns as a datetime, to the microsecond."""
    return datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns % 10**9 // 1000)


def host(url: str) -> str:
    """A URL in one spelling: localhost is 127.0.0.1."""
    return url.rstrip("/").replace("//localhost", "//127.0.0.1")


def config_ids(runs: Iterable[SourceRun]) -> dict[str, str]:
    """Ids by the place of each config, made as a study's axes make them.

    Scenario, num_gpu and num_ctx, and what else differs within phase and scenario. ``validation``
    leads those of the phase of that name, which measures configs once more. Where two places hold
    equal options, the later one is called after its folder.
    """
    cells: dict[str, SourceRun] = {}
    for run in runs:
        cells.setdefault(run.place, run)
    ids: dict[str, str] = {}
    # A folder that is called like its scenario comes first to the name that both could have.
    for place, run in sorted(cells.items(), key=lambda cell: not _called_so(*cell)):
        beside = [
            other
            for other in cells.values()
            if (other.phase, other.scenario) == (run.phase, run.scenario)
        ]
        words = _words(run, beside)
        name = "-".join([SCENARIOS[run.scenario], *words])
        if run.phase == "validation":
            name = f"validation-{name}"
        if name in ids.values():
            first = re.sub(r"[^a-z0-9]+.*", "", place.rsplit("/", 1)[-1].lower())
            name = "-".join([first or "other", *words])
        n = 2
        while name in ids.values():
            name = f"{name.removesuffix(f'-{n - 1}')}-{n}"
            n += 1
        ids[place] = name
    return ids


def _called_so(place: str, run: SourceRun) -> bool:
    return place.rsplit("/", 1)[-1].startswith(SCENARIOS[run.scenario])


def _words(run: SourceRun, beside: Sequence[SourceRun]) -> list[str]:
    words = []
    for option, letter in _LETTERS.items():
        values = _values(run, option)
        varied = len({_values(other, option) for other in beside}) > 1
        if set(values) == {None} or not (varied or option in ("num_gpu", "num_ctx")):
            continue
        if run.scenario == "baseline_vs_chimera":
            values = values[-1:]
        elif run.scenario == "chimera_homo" or (
            len(set(values)) == 1 and option not in ("num_gpu", "num_ctx")
        ):
            values = values[:1]
        words.append(letter + "x".join(str(value) for value in values))
    return words


def _values(run: SourceRun, option: str) -> tuple[Any, ...]:
    return tuple(agent.options.get(option) for agent in run.agents)
