"""Result folders as Chimeraforge's runners write them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tandembench.dataset.baseline import import_runs
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.errors import TandemError

Json = dict[str, Any]
RUST, PYTHON = "chimeraforge-rust", "chimeraforge-python"
CALLS = ("collector", "result", "individual_runs")


def agent(port: int, seconds: float, **options: Any) -> Json:
    """An agent as the Rust runner writes it, with one call."""
    call = {
        "ttft_ms": 250.0,
        "total_duration_ms": 1000 * seconds,
        "eval_duration_ms": 1000 * seconds - 300,
        "prompt_eval_duration_ms": 20.0,
        "load_duration_ms": 100.0,
        "tokens_generated": 100,
    }
    return {
        "config": {"base_url": f"http://localhost:{port}", "model": "m:latest", "options": options},
        "execution_time_s": seconds,
        "result": {"individual_runs": [call], "timestamp": "2025-11-13T02:00:17.960590100Z"},
    }


def metrics(**changes: Any) -> Json:
    """A run of the Rust runner."""
    return {
        "collector": agent(11434, 4.0, num_gpu=80, num_ctx=512),
        "insight": agent(11435, 5.0, num_gpu=80, num_ctx=512),
        "scenario": "chimera_homo",
        "run_number": 1,
        "summary": {"concurrent_wall_time_s": 5.0, "resource_contention_detected": False},
    } | changes


def python_metrics(**changes: Any) -> Json:
    """A run of the Python runner, two calls an agent."""
    sums = {"total_requests": 2, "average_ttft_ms": 250.0, "total_tokens_generated": 300}
    agents = {
        name: {"model": "m:latest", "configuration": options, "aggregate_metrics": sums}
        for name, options in (("collector", {}), ("insight", {"num_gpu": 60, "num_ctx": 512}))
    }
    summary = {
        "concurrent_wall_time": 5.5,
        "resource_contention_detected": False,
        "collector_ollama_url": "http://localhost:11434",
        "insight_ollama_url": "http://localhost:11435",
        # of TR110's, these are the collector's and the insight agent's in every scenario
        "baseline_duration": 4.0,
        "chimera_duration": 5.0,
    }
    times = {"collector_execution_time": 4.0, "insight_execution_time": 5.0}
    return {**agents, **times, "summary": summary} | changes


def write(root: Path, place: str, content: Json | None = None) -> Path:
    path = root / place / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(metrics() if content is None else content))
    return path


def write_log(root: Path, *tests: tuple[int, str]) -> None:
    results = [
        {"test_id": test, "scenario": scenario, "start_time": f"2025-10-09T22:11:{test:02}.5"}
        for test, scenario in tests
    ]
    (root / "test_execution_log.json").write_text(json.dumps({"test_results": results}))


def imported(tmp_path: Path, layout: str = RUST) -> Dataset:
    ((made, _),) = import_runs(layout, tmp_path / "in", "x", None, tmp_path / "b")
    return load_dataset(made.folder)


def one_run(tmp_path: Path, content: Json) -> Dataset:
    write(tmp_path / "in", "homo/run_1", content)
    return imported(tmp_path)


def refused(source: Path, root: Path, layout: str = RUST) -> str:
    with pytest.raises(TandemError) as caught:
        import_runs(layout, source, "x", None, root)
    assert not root.exists(), "something was written"
    assert "\n" not in str(caught.value)
    return str(caught.value)
