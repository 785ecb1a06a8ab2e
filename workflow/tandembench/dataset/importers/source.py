"""What an importer finds: runs as their source timed them, whatever its files look like."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from tandembench.errors import EXIT_CORRUPT, EXIT_ENVIRONMENT, TandemError
from tandembench.study.ids import LETTERS, SCENARIO_SHORT
from tandembench.study.spec import Topology
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
# The two agents of the reports that are imported.
AGENTS = ("collector", "insight")
# Ids name options as a study's do; its models are elsewhere, and its num_predict is its work.
_LETTERS = {name: LETTERS[name] for name in OPTIONS if name in LETTERS} | {"num_predict": "n"}
# How TR115 calls the folders of its phases.
RUNTIME = "runtime-"
# No agent runs for three years; what is longer stands in another unit.
LONGEST_S = 1e8
# No count of tokens, calls or runs is higher.
MOST = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAgent:
    """One agent of one run. Times in s, None where the source does not tell.

    ``duration_s`` is the source's own; ``first_token_s`` sums over LLM calls, ``ttft_s`` is the
    first call's. ``ended_ns`` is Unix time. ``endpoint`` is compared; of other machines it is
    not kept.
    """

    name: str
    model: str
    options: Mapping[str, Any]
    endpoint: str | None
    duration_s: float
    first_token_s: float | None
    ttft_s: float | None
    decode_s: float | None
    prompt_s: float | None
    load_s: float | None
    server_decode_s: float | None
    answer_tokens: int | None
    calls: int
    ended_ns: int | None

    @property
    def started_ns(self) -> int | None:
        """Unix time at which it began: sources stamp the end."""
        return None if self.ended_ns is None else self.ended_ns - round(self.duration_s * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRun:
    """One run: agents in the order of the study.

    ``place`` is the folder of its config, or what else its source calls it. Its id is made from
    the options unless the source has one, its topology told by the endpoints unless it is known.
    ``contention`` is the source's own flag, whatever rule it follows; None if it has none.
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
    contention: bool | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """``runs`` and, by reason, how many files (of a table: cells) were left out.

    ``notes`` say how what was kept is to be read.
    """

    runs: tuple[SourceRun, ...]
    skipped: Mapping[str, int]
    notes: tuple[str, ...] = ()


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


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """A JSON file without NaN and infinity; TandemError (exit 3) names one that is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
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
        inner = self.value
        for key in keys:
            try:
                inner = inner[key]
            except (KeyError, IndexError, TypeError):
                name = ".".join(map(str, keys))
                raise bad(self.path, f"'{name}' is missing") from None
        return inner

    def seconds(self, *keys: str | int, scale: float = 1.0, positive: bool = False) -> float:
        """A finite number that is not negative, or even above 0, times ``scale``."""
        value = self.at(*keys)
        name = ".".join(map(str, keys))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad(self.path, f"'{name}' is {sanitise(json.dumps(value), 40)}, not a number")
        if not 0 <= value <= LONGEST_S / scale or (positive and value == 0):
            shown = sanitise(str(value), 40)
            raise bad(self.path, f"'{name}' is {shown}, which is no duration")
        return value * scale if scale != 1 else float(value)

    def count(self, *keys: str | int) -> int:
        """A whole number from 0 to MOST."""
        value = self.at(*keys)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
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
        given = self.at(*keys)
        place = ".".join(map(str, keys))
        if not isinstance(given, dict):
            raise bad(self.path, f"'{place}' is not a mapping of options")
        options = {name: given[name] for name in OPTIONS if given.get(name) is not None}
        for name, value in options.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not -MOST <= value <= MOST:
                shown = sanitise(json.dumps(value), 40)
                raise bad(self.path, f"'{place}.{name}' is {shown}, not a number in range")
        return {name: six_digits(value) for name, value in options.items()}


def six_digits(value: float) -> float:
    """0.8 for 0.800000011920929: sources widen their 32 bits. Whole numbers stay whole."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def unix_ns(stamp: str, zone: str = "") -> int | None:
    """ISO 8601 -> Unix time in ns, digits beyond cut off; None if it is not that.

    ``zone``, such as +01:00, is that of times that name none; without one they are None.
    """
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", stamp
    )
    if not match or not (match[4] or zone):
        return None
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[4] or zone}")
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 10**9 + int(f"{match[3] or 0:0<9}"[:9])


def utc(ns: int) -> datetime | None:
    """Unix time in ns as a datetime, to the microsecond; None before 1970 or after 2200."""
    if not 0 <= ns < 7_258_118_400 * 10**9:
        return None
    return datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns % 10**9 // 1000)


def host(url: str) -> str:
    """A URL in one spelling: localhost is 127.0.0.1."""
    return url.rstrip("/").replace("//localhost", "//127.0.0.1")


def kept(endpoint: str | None) -> str | None:
    """The endpoint if it is of this machine; another's name is nobody's business."""
    local = re.fullmatch(r"https?://(127\.0\.0\.1|\[::1\])(:\d+)?", endpoint or "")
    return endpoint if local else None


def check_runs(runs: Sequence[SourceRun], root: Path) -> None:
    """TandemError (exit 3) if two of them are the same repetition of a config."""
    seen = set()
    for run in runs:
        key = run.session, run.place, run.repetition
        if key in seen:
            what = f"repetition {run.repetition} of '{sanitise(run.place, 80)}' is there twice"
            raise bad(root, what)
        seen.add(key)


def config_ids(runs: Iterable[SourceRun]) -> dict[str, str]:
    """Ids by the place of each config, made as a study's axes make them.

    Scenario, num_gpu and num_ctx, and what else differs within phase and scenario. ``validation``
    leads those of the phase of that name, which measures configs once more, and so does each of
    TR115's runtimes. Where two places hold equal options, the later one is called after its
    folder. An id that the source has is kept.
    """
    cells: dict[str, SourceRun] = {}
    for run in runs:
        cells.setdefault(run.place, run)
    ids: dict[str, str] = {}
    # A folder that is called like its scenario comes first to the name that both could have.
    for place, run in sorted(cells.items(), key=lambda cell: not _called_so(*cell)):
        if run.config_id is not None:
            ids[place] = run.config_id
            continue
        beside = [
            other
            for other in cells.values()
            if (other.phase, other.scenario) == (run.phase, run.scenario)
        ]
        words = _words(run, beside)
        name = "-".join([SCENARIO_SHORT[run.scenario], *words])
        if run.phase == "validation" or run.phase.startswith(RUNTIME):
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


def _called_so(place: str, run: SourceRun) -> bool:
    return place.rsplit("/", 1)[-1].startswith(SCENARIO_SHORT[run.scenario])


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
        texts = ("default" if value is None else str(value) for value in values)
        words.append(letter + "x".join(texts))
    return words


def _values(run: SourceRun, option: str) -> tuple[Any, ...]:
    return tuple(agent.options.get(option) for agent in run.agents)
