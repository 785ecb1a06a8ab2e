"""Blocks that go through the run command on simulated servers, and become runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raw_servers import digest_of
from run_specs import run_spec, two_agents

from tandembench.dataset.blocks import block_rows
from tandembench.measure.run import run
from tandembench.study.spec import RunSpec
from tandembench.tables.parquet import read_table

Row = dict[str, Any]
LOCKS: Mapping[str, Mapping[str, Any]] = {
    "ollama": {"version": "0.0.0-fake", "models": {"fake": digest_of("fake:latest")}},
    "openai": {"version": "0.0.0-fake", "models": {"fake": None}},
}
PROTOCOLS = {"ollama": "generate", "openai": "chat"}
WORDS = "one two three four five six seven eight nine ten " * 3


def spec_on(*urls: str, topologies: tuple[str, ...] = ("single",), **changes: Any) -> RunSpec:
    """Thirty words are asked at the first of ``urls``: by one agent, or for dual by two at both."""
    engine = changes.setdefault("engine", "ollama")
    agents = two_agents(model="fake", num_ctx=4096)[: len(urls)]
    agents = tuple(replace(one, prompts=(WORDS,)) for one in agents)
    values = {"agents": agents, "protocol": PROTOCOLS[engine], "lock": LOCKS[engine]}
    return run_spec(*topologies, servers=urls, **(values | changes))


def measured(spec: RunSpec, folder: Path, repetition: int = 1) -> tuple[list[Row], list[Row]]:
    """(runs, raw rows) of one block, as the workflow would name its file."""
    output = folder / "s1" / f"{spec.comparison}.r{repetition}.{spec.digest}.parquet"
    run(spec, repetition, "s1", output, folder, folder / "log")
    rows = read_table(output).to_pylist()
    runs, _ = block_rows(rows, "only")
    return runs, rows


def codes(runs: list[Row]) -> list[str | None]:
    return [run["reason"] and run["reason"].rpartition(": ")[2] for run in runs]
