"""How long `tandembench diff` takes, and how much memory, for datasets of up to 10^6 runs."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tandembench.dataset.build import write_dataset
from tandembench.tables.columns import EXECUTIONS, STUDY_RUNS, Column, arrow_schema

START = datetime(2026, 11, 22, 17, 30, tzinfo=UTC)
SCENARIOS = ("baseline_vs_chimera", "chimera_hetero", "chimera_homo")
TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
SESSIONS = 10
# Bars at 10^6 runs, on two cores.
LIMIT_S, LIMIT_MB = 5.0, 500.0
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Two datasets of ``runs`` runs each, ``per_config`` of every config.

    ``changed``: the part of B's runs that differs from A's; None: B was measured anew, on another
    day, and all of it differs.
    """

    name: str
    runs: int
    per_config: int
    changed: float | None


def cases(largest: int) -> list[Case]:
    """What is measured, by tens up to ``largest`` runs."""
    sizes = [10**power for power in range(4, 7) if 10**power <= largest]
    return [
        *(Case("measured anew", n, 1000, None) for n in sizes),
        *(Case("1 % changed", n, 1000, 0.01) for n in sizes),
        *(Case("many configs", n, 100, None) for n in sizes),
    ]


def table(case: Case, day: int) -> pa.Table:
    """All columns of ``runs``; metrics vary by 10 %, with every digit different."""
    random = np.random.default_rng(day)
    n = case.runs
    place = np.arange(n)
    config, within = place // case.per_config, place % case.per_config
    per_session = -(-case.per_config // SESSIONS)

    def text(numbers: np.ndarray[Any, Any], words: Sequence[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(words)).cast(pa.string())

    def made(column: Column) -> pa.Array:
        if column.kind == "text":
            return text(config % 4, [f"{column.name}-{k}" for k in range(4)])
        if column.kind == "integer":
            return pa.array(random.integers(1, 1000, n))
        if column.kind == "boolean":
            return pa.array(random.random(n) < 0.1)
        return pa.array(random.lognormal(0, 0.1, n))

    started = np.int64(START.timestamp() * 1e6) + (day * n + place) * 10**7
    configs = [f"homo-g80-c512-t{k}" for k in range(int(config[-1]) + 1)]
    known: Mapping[str, pa.Array] = {
        "session": text(within // per_session, [f"s{k + 1}" for k in range(SESSIONS)]),
        "config_id": text(config, configs),
        "repetition": pa.array(within % per_session + 1),
        "attempt": pa.array(np.ones(n, dtype=np.int64)),
        "scenario": text(config % 3, SCENARIOS),
        "topology": text(config % 4, TOPOLOGIES),
        "work_policy": text(place * 0, ["fixed"]),
        "work_effective": text(place * 0, ["fixed"]),
        "started_at": pa.array(started).cast(pa.timestamp("us", tz="UTC")),
        "invocation": text(within // per_session, [f"i{day}-{k}" for k in range(SESSIONS)]),
        "valid": pa.array(np.ones(n, dtype=np.bool_)),
        "reason": pa.nulls(n, pa.string()),
    }
    columns = [known.get(column.name, None) for column in STUDY_RUNS]
    arrays = [
        made(column) if array is None else array
        for column, array in zip(STUDY_RUNS, columns, strict=True)
    ]
    return pa.table(arrays, schema=arrow_schema(STUDY_RUNS, "runs"))


def changed(runs: pa.Table, part: float) -> pa.Table:
    """The same runs, but that so many of them took 1 % longer."""
    hit = np.random.default_rng(0).random(runs.num_rows) < part
    for name in ("wall_s", "block_s"):
        values = np.asarray(runs[name]) * np.where(hit, 1.01, 1.0)
        place = runs.schema.get_field_index(name)
        runs = runs.set_column(place, runs.schema.field(name), pa.array(values))
    return runs


def write_scaled(folder: Path, runs: pa.Table) -> None:
    """A dataset of these runs; its other tables are empty."""
    folder.mkdir(parents=True)
    executions = arrow_schema(EXECUTIONS, "executions").empty_table()
    study = {
        "repetitions": 1,
        "order": "random",
        "seed": 1,
        "margin": 0.05,
        "reference": "serial",
        "engine": "embedded",
        "phases": [],
    }
    about = {"name": "scale", "title": "A study of many runs", "study": study}
    origin: dict[str, object] = {"machines": [], "measuring_code": [], "analysing_code": None}
    write_dataset(folder, {"runs": [runs], "executions": [executions]}, about, origin)


def write_both(case: Case, folder: Path) -> None:
    """The two datasets of a case, in ``folder``."""
    first = table(case, 0)
    write_scaled(folder / "a", first)
    other = table(case, 1) if case.changed is None else changed(first, case.changed)
    write_scaled(folder / "b", other)


def measured(folder: Path, style: str) -> Result:
    """Wall time, CPU and peak memory of one `tandembench diff` of the case, as a process."""
    output = folder / "diff"
    command = [sys.executable, "-m", "tandembench", "diff", str(folder / "a"), str(folder / "b")]
    command += ["--format", style, "--output", str(output), "--exit-zero"]
    begin = time.monotonic()
    process = subprocess.Popen(command)  # noqa: S603 - this project's own
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"diff_scale: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "wall_s": time.monotonic() - begin,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        # KiB on Linux, bytes on macOS.
        "peak_mb": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        "output_mb": output.stat().st_size / 1e6,
    }


def result(case: Case, tries: int, style: str) -> Result:
    """The best of some tries: others on the machine can only add time."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # A process of its own: what is in memory here when diff starts would count as its own.
        writer = get_context("spawn").Process(target=write_both, args=(case, folder))
        writer.start()
        writer.join()
        if writer.exitcode:
            sys.exit("diff_scale: the datasets could not be written")
        size = (folder / "a/runs.parquet").stat().st_size / 1e6
        outcome = [measured(folder, style) for _ in range(tries)]
    best = {name: min(one[name] for one in outcome) for name in ("wall_s", "cpu_s")}
    best |= {name: max(one[name] for one in outcome) for name in ("peak_mb", "output_mb")}
    about = {"case": case.name, "runs": case.runs, "configs": case.runs // case.per_config}
    return {**about, "table_mb": size, **best}


def as_table(results: Sequence[Result]) -> str:
    """What a person reads; ``growth`` is against ten times fewer runs."""
    lines = [
        "| case | runs | configs | table, MB | wall, s | growth | CPU, s | peak, MB | output, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    walls = {(one["case"], one["runs"]): one["wall_s"] for one in results}
    for one in results:
        before = walls.get((one["case"], one["runs"] // 10))
        growth = f"x {one['wall_s'] / before:.1f}" if before else "-"
        lines.append(
            f"| {one['case']} | {one['runs']} | {one['configs']} | {one['table_mb']:.1f}"
            f" | {one['wall_s']:.2f} | {growth} | {one['cpu_s']:.2f} | {one['peak_mb']:.0f}"
            f" | {one['output_mb']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10**6, help="the largest datasets")
    parser.add_argument("--tries", type=int, default=3, help="the best counts")
    parser.add_argument("--diff-format", default="markdown", help="what diff writes")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    options = parser.parse_args()
    results = [result(case, options.tries, options.diff_format) for case in cases(options.runs)]
    print(json.dumps(results, indent=1) if options.format == "json" else as_table(results))
    slow = [one for one in results if one["wall_s"] > LIMIT_S or one["peak_mb"] > LIMIT_MB]
    for one in slow:
        print(f"missed: {one['case']}, {one['runs']} runs", file=sys.stderr)
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()
