"""Is every number of one report.json in another? By name: those that went, and why.

The names are the last keys on the way to a number that say what it is. Used to compare the report
of the first version (``git show 5c6206f:reports/example/report.json``) with today's.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

# Keys that say what of a quantity a number is, not which quantity.
PARTS = {"mean", "low", "high", "n", "median", "max", "min", "p90", "p50", "sd", "value"}
# Names of the first version's report -> where the number is today, or why it went.
MOVED = {
    "agents": "rows of services, by order of service",
    "agents_max": "the number of agents of a config, in details.results",
    "aggregate_tokens_per_s": "tokens_per_s of the answer's rows",
    "cells": "internal to the permutation test, which is gone",
    "constant": "part of a hypothesis' text",
    "first_mean": "details.validation compares by the one engine, as a ratio",
    "first_token": "first_token_s, by order of service",
    "first_token_alone": "details.latencies, kind first",
    "index": "order, of service",
    "jain": "column of the section Why",
    "later_mean": "details.validation compares by the one engine, as a ratio",
    "limit": "the constant 0.1 cores, in the method",
    "makespan_ratio": "ratio of the answer's rows",
    "mean_s": "makespan_s and first_token_s of the answer's rows",
    "more": "next: minutes",
    "needed": "next: minutes",
    "not_fixed": "basis of the answer: makespan or rate",
    "of": "rounds",
    "pairs": "rounds",
    "solos": "executions of mode solo, in executions.parquet",
    "tests": "the comparisons of the family, which are the answer's rows",
    "topology_groups_left_out": "no group is left out",
    "wall": "details.validation compares by the one engine, as a ratio",
    "workloads": "comparisons are of one workload by design",
    "control": "details.instrument.calibrations.control, by kind of error",
    "own": "details.instrument.calibrations.client, by kind of error",
    "ttft_gain": "a ratio of two numbers that stand in details.instrument",
    "own_cores": "a sentence of the details, cost of telemetry",
    "efficiency_estimate_peak": "efficiency_estimate.maximum of details.configs",
    "peak": "cores_peak and memory_gib_peak of details.usage",
    "results": "the number of details.configs",
    "throughput_delta": "throughput_delta_tokens_per_s of details.configs",
    "failures": "the number of details.failures",
    "gains": "n of speedup_true",
    "most_configs": "a constant of the tables, no result",
    "tie": "a constant of the calibration's sentence, no result",
    "topologies": "the number of topologies in details.configs",
    **dict.fromkeys(
        ("better", "worse", "equivalent", "inconclusive", "left_out"),
        "verdicts by baseline, in details.baselines of a study that names some",
    ),
    **dict.fromkeys(
        ("ours", "ours_sd", "theirs", "theirs_sd"),
        "sides of a baseline, in details.baselines of a study that names some",
    ),
    **dict.fromkeys(
        ("confirmed", "contradicted", "not testable", "cold"),
        "verdicts of hypotheses, in details.hypotheses of a study that names some",
    ),
}


def numbers(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The ways to all numbers in ``value``, without the places in lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, (*path, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def names(file: Path) -> set[str]:
    """What the numbers of a report are called."""
    ways = numbers(json.loads(file.read_text(encoding="utf-8")))
    return {next((key for key in reversed(way) if key not in PARTS), way[-1]) for way in ways}


def main() -> int:
    """Print what went; exit code 1 if anything went without a reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    before, after = names(arguments.before), names(arguments.after)
    gone = sorted(before - after)
    print(f"{len(before)} names before, {len(after)} after, {len(gone)} gone:")
    for name in gone:
        print(f"  {name}: {MOVED.get(name, 'NO REASON')}")
    return 1 if set(gone) - set(MOVED) else 0


if __name__ == "__main__":
    sys.exit(main())
