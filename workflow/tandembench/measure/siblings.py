"""What earlier blocks of a study left beside a run file, as far as the next one must know it."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tandembench.errors import TandemError
from tandembench.study.spec import RunSpec

# So many runs of a config that ran out of memory are enough: the next could take the machine down.
UNSAFE = 2
# What reading a file that is not there, or is not what it should be, may end in.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Siblings:
    """``under_way``: this invocation has measured a block of the study already.

    Of the blocks of the same RunSpec, in the same session: ``ooms`` counts by config the runs that
    ran out of memory; ``contexts`` are tokens by (config, agent), as servers said, with the file.
    """

    under_way: bool = False
    ooms: Counter[str] = field(default_factory=Counter)
    contexts: Mapping[tuple[str, str], tuple[int, str]] = field(default_factory=dict)


def planned(output: Path) -> set[str]:
    """The names of the session's run files, as the study's newest manifest has them.

    It lies two folders above ``output``, a run file. Without one, or where it is damaged, one of
    UNREADABLE is raised.
    """
    manifests = output.parent.parent.parent.glob("manifest.*.json")
    newest = max(manifests, key=lambda file: file.stat().st_mtime_ns)
    listed = json.loads(newest.read_text("utf-8"))["run_files"]
    # Other sessions have blocks of the same names, which are no work of this one.
    return {Path(file).name for file in listed if Path(file).parent.name == output.parent.name}


def planned_specs(output: Path) -> Iterator[RunSpec]:
    """The RunSpecs of the study's run files, as far as they can be read."""
    folder = output.parent.parent.parent / "specs"
    names: set[str] = set()
    with suppress(*UNREADABLE):
        names = planned(output)
    for comparison, digest in sorted(set(map(_names, names))):
        with suppress(*UNREADABLE):
            yield RunSpec.from_json((folder / f"{comparison}.{digest}.json").read_text("utf-8"))


def _names(run_file: str) -> tuple[str, str]:
    """The comparison and the digest in the name of a run file."""
    comparison, _, rest = run_file.removesuffix(".parquet").rpartition(".r")
    return comparison, rest.partition(".")[2]


def siblings(output: Path) -> Siblings:
    """The blocks beside ``output``; one that cannot be read is left to those who need all of it."""
    files = [file for file in output.parent.glob("*.parquet") if file != output and file.is_file()]
    if not files:
        return Siblings()
    # A quarter of a second to import, and not needed by the first block.
    from tandembench.tables.parquet import read_columns  # noqa: PLC0415 - see above

    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    invocation = os.environ.get("TANDEMBENCH_INVOCATION")
    under_way = False
    ooms: Counter[str] = Counter()
    contexts: dict[tuple[str, str], tuple[int, str]] = {}
    keys = ["attempt", "round", "config_id", "twin", "position"]
    with suppress(TandemError):
        rows = read_columns(newest, ["invocation"]).to_pylist()
        under_way = invocation is not None and {"invocation": invocation} in rows
    for file in (file for file in files if _names(file.name) == _names(output.name)):
        with suppress(TandemError):
            names = [*keys, "agent", "error", "num_ctx_effective"]
            rows = read_columns(file, names).to_pylist()
            ooms.update(
                run[2]
                for run in {tuple(map(row.get, keys)) for row in rows if row["error"] == "oom"}
            )
            for row in rows:
                if row["num_ctx_effective"]:
                    said = row["num_ctx_effective"], str(file)
                    contexts.setdefault((row["config_id"], row["agent"]), said)
    return Siblings(under_way, ooms, contexts)
