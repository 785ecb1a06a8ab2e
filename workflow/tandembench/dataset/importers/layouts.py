"""What a file that is not of the layout asked for looks like, and what to do with it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

_THAT = "import that folder by itself, in that layout"
_ONE_AGENT = (
    "the result of one agent alone (TR109, TR111), which no layout reads",
    "write its runs to a CSV file with one agent: layout csv",
)
_ROLL_UP = (
    "a roll-up of a config's runs (TR116 keeps nothing else), without duration and tokens of each"
    " agent",
    "get the runs' own metrics.json",
)
# What an object holds that is of a kind, the kind in words, and the way out.
_KINDS: tuple[tuple[tuple[str, ...], tuple[str, str]], ...] = (
    (("scenario", "collector.config"), ("a run of chimeraforge-rust", _THAT)),
    (("collector_execution_time",), ("a run of chimeraforge-python", _THAT)),
    (("test_results",), ("the log of chimeraforge-python", _THAT)),
    (("runs", "agent_a", "agent_b"), _ROLL_UP),
    (("aggregate_metrics",), _ONE_AGENT),
    (("result.aggregate_metrics",), _ONE_AGENT),
    (("individual_runs",), _ONE_AGENT),
    (("resources", "study"), ("a dataset of tandem-bench", "use baseline freeze")),
)
# Larger files are no run's.
MOST_BYTES = 20_000_000


def looks_like(data: bytes | str) -> tuple[str, str] | None:
    """(kind, what to do) of a JSON file's content; None if it is of no known kind."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return next((kind for keys, kind in _KINDS if all(_holds(content, key) for key in keys)), None)


def first_known(files: Iterable[Path]) -> tuple[Path, str, str] | None:
    """(file, kind, what to do) of the first file that is of a known kind."""
    for path in files:
        kind = None
        if path.suffix == ".csv":
            kind = "a table", "name it with layout csv and a --mapping"
        elif path.suffix == ".json" and path.is_file() and path.stat().st_size < MOST_BYTES:
            kind = looks_like(path.read_bytes())
        if kind:
            return path, *kind
    return None


def _holds(content: object, path: str) -> bool:
    for key in path.split("."):
        if not isinstance(content, Mapping) or key not in content:
            return False
        content = content[key]
    return True
