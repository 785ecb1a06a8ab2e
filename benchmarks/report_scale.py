"""How long does a report take? A dataset of many runs, made up by a rule, rendered to Markdown.

No run is measured: durations are drawn from a fixed seed, and every derived column follows from
them by the formulas of the design. README.md says what it means.
"""

import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from tandembench.analysis.answer import answers
from tandembench.dataset.load import Dataset
from tandembench.report.details import details
from tandembench.report.figures.draw import draw
from tandembench.report.front import front
from tandembench.report.write import page_one, page_two
from tandembench.tables.columns import (
    EXECUTIONS,
    RATES,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
    arrow_schema,
)
from tandembench.text import as_json

TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
SCENARIOS = ("baseline_vs_chimera", "chimera_hetero", "chimera_homo")
# What sharing makes of a duration, by topology.
STRETCH = {"serial": 1.0, "single": 1.5, "single_parallel": 1.9, "dual": 1.1}
AGENTS = ("collector", "insight")
Columns = dict[str, Any]


def dataset(configs: int, repetitions: int, seed: int = 1) -> Dataset:
    """``configs`` configs of four topologies and 2 agents, each with so many valid blocks."""
    rng = np.random.default_rng(seed)
    shared = _blocks(configs, repetitions)
    n = len(shared["config_id"])
    solo_s = 1.0 + 0.05 * rng.standard_normal((n, 2))
    stretch = np.array([STRETCH[topology] for topology in shared["topology"]])[:, None]
    run_s = solo_s * stretch * (1 + 0.05 * rng.standard_normal((n, 2)))
    runs = _runs(shared, solo_s, run_s)
    executions = pd.concat(
        [
            _executions(shared, mode, index, group[:, index], solo_s[:, index])
            for mode, group in (("solo", solo_s), ("concurrent", run_s))
            for index in (0, 1)
        ],
        ignore_index=True,
    )
    phases = [{"name": "main", "title": "Main", "configs": list(dict.fromkeys(runs["config_id"]))}]
    study = {"margin": 0.05, "reference": "serial", "engine": "embedded", "order": "random"}
    about = {"baselines": [], "repetitions": repetitions, "phases": phases}
    fingerprints: Columns = {"machines": [], "models": [], "servers": [], "measuring_code": []}
    descriptor: dict[str, Any] = {
        "name": "scale",
        "title": "Made up",
        "study": study | about,
        "fingerprints": fingerprints | {"analysing_code": None},
        "instrument": None,
        "resources": [],
    }
    dataset = Dataset(Path(), descriptor)
    vars(dataset).update(  # as if they had been read
        runs=_whole(runs, STUDY_RUNS),
        executions=_whole(executions, EXECUTIONS),
        telemetry=_empty(TELEMETRY),
        tokens=_empty(TOKENS),
        rates=_empty(RATES),
    )
    return dataset


def _blocks(configs: int, repetitions: int) -> Columns:
    """Columns that a block's rows share; workloads of four configs, one for each topology."""
    number = np.repeat(np.arange(configs), repetitions)
    workload = number // len(TOPOLOGIES)
    topology = np.array(TOPOLOGIES, dtype=object)[number % len(TOPOLOGIES)]
    scenario = np.array(SCENARIOS, dtype=object)[workload % len(SCENARIOS)]
    repetition = np.tile(np.arange(1, repetitions + 1), configs)
    start = pd.Timestamp("2026-01-01", tz="UTC")
    return {
        "session": "s1",
        "comparison": np.array([f"w{one:05}" for one in workload], dtype=object),
        "round": 1,
        "twin": False,
        "placement": "together",
        "deployment": np.where(topology == "dual", "two", "one"),
        "config_id": np.array([f"c{one:05}" for one in number], dtype=object),
        "repetition": repetition,
        "attempt": 1,
        "phase": "main",
        "scenario": scenario,
        "topology": topology,
        "n_agents": 2,
        "work_policy": "fixed",
        "engine": "embedded",
        "workload": np.array([f"w{one:05}" for one in workload], dtype=object),
        "content": np.array([f"x{one:05}" for one in number], dtype=object),
        "started_at": start + pd.to_timedelta(repetition * configs + number, unit="s"),
        "block_s": 6.0,
        "invocation": "i1",
        "valid": True,
        "reason": None,
    }


def _runs(shared: Columns, solo_s: np.ndarray, run_s: np.ndarray) -> pd.DataFrame:
    serial = shared["topology"] == "serial"
    wall_s = np.where(serial, run_s.sum(axis=1), run_s.max(axis=1))
    slowdowns = run_s / solo_s
    alone = solo_s.sum(axis=1)
    walls = pd.DataFrame({**shared, "wall_s": wall_s})
    reference = walls[serial].set_index(["workload", "repetition"])["wall_s"]
    against = reference.reindex(pd.MultiIndex.from_frame(walls[["workload", "repetition"]]))
    imbalance = np.where(serial, 0.0, (run_s.max(axis=1) - run_s.mean(axis=1)) / wall_s)
    ideal = alone / 2 / np.where(serial, alone, solo_s.max(axis=1))
    true = alone / wall_s / 2
    return walls.assign(
        cold=False,
        work_effective="fixed",
        prompt_tokens=200,
        answer_tokens=64,
        foreign_cores=0.01,
        disturbed=False,
        server_memory_bytes=2**28,
        queueing=0.0,
        reloading=0.0,
        sequential_estimate_s=run_s.sum(axis=1),
        speedup_estimate=run_s.sum(axis=1) / wall_s,
        efficiency_estimate=run_s.sum(axis=1) / wall_s / 2,
        imbalance_loss=imbalance,
        sequencing_loss=np.where(serial, 0.5, 0.0),
        orchestration_loss=0.0,
        imbalance_token=0.0,
        imbalance_rate=imbalance,
        imbalance_first_token=0.0,
        imbalance_rest=0.0,
        solo_sum_s=alone,
        speedup_true=alone / wall_s,
        efficiency_true=true,
        work_imbalance=np.where(serial, 0.0, 1 - ideal),
        contention=np.where(serial, 0.5 - true, ideal - true),
        orchestration_true=0.0,
        slowdown_max=slowdowns.max(axis=1),
        slowdown_log_mean=np.log(slowdowns).mean(axis=1),
        stp=(1 / slowdowns).sum(axis=1),
        antt=slowdowns.mean(axis=1),
        jain=(1 / slowdowns).sum(axis=1) ** 2 / (2 * (1 / slowdowns**2).sum(axis=1)),
        aggregate_tokens_per_s=64 / wall_s,
        makespan_per_token_s=wall_s / 64,
        contention_ttft_rule=False,
        contention_speedup_rule=run_s.sum(axis=1) / wall_s < 1.5,
        solo_basis="paired",
        reference_config_id=[f"c{4 * (int(one[1:]) // 4):05}" for one in shared["config_id"]],
        makespan_ratio=against.to_numpy() / wall_s,
    )


def _executions(
    shared: Columns, mode: str, index: int, own_s: np.ndarray, solo_s: np.ndarray
) -> pd.DataFrame:
    together = mode == "concurrent"
    layers = [60 + 20 * (int(one[1:]) // 12 % 4) for one in shared["config_id"]]
    asked = [json.dumps({"num_gpu": one, "temperature": 0.8}) for one in layers]
    dual = shared["topology"] == "dual"
    return pd.DataFrame(shared).assign(
        agent=AGENTS[index],
        agent_index=index,
        mode=mode,
        endpoint=np.where(dual, f"http://127.0.0.1:{8000 + index}", "http://127.0.0.1:8000"),
        server=np.where(dual, index, 0),
        engine_version="1",
        model="m",
        model_digest="d",
        options_asked=asked,
        options_effective=asked,
        slots=np.where(shared["topology"] == "single_parallel", 2, 1),
        threads=np.where(dual, 1, 2),
        max_tokens=32,
        work_effective="fixed",
        clock="kernel",
        answer_tokens=32,
        prompt_tokens=100,
        duration_s=own_s,
        ttft_s=0.2 * own_s,
        first_token_start_s=0.2 * own_s,
        service_order=index + 1 if together else None,
        first_token_s=0.2 * own_s,
        decode_s=0.7 * own_s,
        rest_s=0.1 * own_s,
        overlap_s=0.5 * own_s if together else np.nan,
        alone_s=0.2 * own_s if together else np.nan,
        decode_rate_tokens_per_s=31 / (0.7 * own_s),
        solo_s=solo_s if together else np.nan,
        slowdown=own_s / solo_s if together else np.nan,
        solo_basis="paired",
    )


def _empty(columns: Sequence[Column]) -> pd.DataFrame:
    table: pd.DataFrame = arrow_schema(columns, "").empty_table().to_pandas()
    return table


def _whole(table: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """``table`` with all columns that are declared, in their order."""
    missing = {one.name: None for one in columns if one.name not in table}
    return table.assign(**missing)[[one.name for one in columns]]


def timed(name: str, work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """What ``work`` returns, and how long it took."""
    start = time.perf_counter()
    result = work()
    return result, {"part": name, "seconds": time.perf_counter() - start}


@click.command(help=__doc__)
@click.option("--configs", default=3000, show_default=True)
@click.option("--repetitions", default=34, show_default=True)
@click.option("--format", "style", type=click.Choice(["markdown", "json"]), default="markdown")
def main(configs: int, repetitions: int, style: str) -> None:
    """Time the answers, the details, page one, the figures, the Markdown of both and the JSON."""
    rows: list[dict[str, Any]] = []

    def part(name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it makes
        result, row = timed(name, work)
        rows.append(row)
        return result

    made = part("making the dataset", lambda: dataset(configs, repetitions))
    every = part("answers", lambda: answers(made.runs, made.executions, 0.05, "serial"))
    second = part("details", lambda: details(made))
    first = part("page one", lambda: front(made, every, second, ()))
    part("figures", lambda: draw(made, every[0], second.stability))
    text = part("Markdown", lambda: page_one(first) + page_two(second))
    values = part("JSON", lambda: as_json({"page": first, "details": second}))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sizes = {"runs": len(made.runs), "markdown_bytes": len(text), "json_bytes": len(values)}
    if style == "json":
        click.echo(json.dumps({"parts": rows, **sizes, "peak_mib": peak}, indent=1))
        return
    click.echo(f"{sizes['runs']} runs of {configs} configs; peak {peak:.0f} MiB")
    click.echo("\n| part | seconds |\n|---|---|")
    for row in rows:
        click.echo(f"| {row['part']} | {row['seconds']:.2f} |")
    click.echo(f"\nMarkdown {len(text) / 1024:.0f} KiB, JSON {len(values) / 1024:.0f} KiB.")


if __name__ == "__main__":
    main()
