"""Runs as Chimeraforge's two runners write them, small and with known sums."""

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def agent(port: int, seconds: float, **options: Any) -> Json:
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
    return {
        "collector": agent(11434, 4.0, num_gpu=80, num_ctx=512),
        "insight": agent(11435, 5.0, num_gpu=80, num_ctx=512),
        "scenario": "chimera_homo",
        "run_number": 1,
        "summary": {"concurrent_wall_time_s": 5.0, "resource_contention_detected": False},
    } | changes


def write(root: Path, *names: str, content: Json | None = None) -> Path:
    path = root.joinpath(*names, "metrics.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content or metrics()))
    return path


def python_run(root: Path, *names: str, **changes: Any) -> Path:
    """A run of the Python runner, two calls an agent."""
    sums = {"total_requests": 2, "average_ttft_ms": 250.0, "total_tokens_generated": 300}
    content: Json = {
        name: {"model": "m:latest", "configuration": options, "aggregate_metrics": sums}
        for name, options in (("collector", {}), ("insight", {"num_gpu": 60, "num_ctx": 512}))
    }
    content["collector_execution_time"], content["insight_execution_time"] = 4.0, 5.0
    content["summary"] = {
        "concurrent_wall_time": 5.5,
        "resource_contention_detected": False,
        "collector_ollama_url": "http://localhost:11434",
        "insight_ollama_url": "http://localhost:11435",
        # of TR110's, these are the collector's and the insight agent's in every scenario
        "baseline_duration": 4.0,
        "chimera_duration": 5.0,
    }
    return write(root, *names, content=content | changes)


def python_log(root: Path, *tests: tuple[int, str]) -> Path:
    path = root / "test_execution_log.json"
    results = [
        {"test_id": test, "scenario": scenario, "start_time": f"2025-10-09T22:11:{test:02}.5"}
        for test, scenario in tests
    ]
    path.write_text(json.dumps({"test_results": results}))
    return path
