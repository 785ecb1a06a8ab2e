"""The reports' own runs, imported from the shared folder that holds their authors' results."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandembench.dataset.baseline import import_runs, verify
from tandembench.dataset.load import Dataset, load_dataset

LAYOUTS = {
    "tr110": "chimeraforge-python",
    "tr113": "chimeraforge-rust",
    "tr114": "chimeraforge-rust",
}

_AGENTS = ("collector", "insight")


def shared(*names: str) -> Path:
    """A path in the shared folder; the test is skipped where none is named."""
    folder = os.environ.get("TANDEMBENCH_SHARED_DATA")
    if not folder:
        pytest.skip("TANDEMBENCH_SHARED_DATA names no folder with chimeraforge/")
    return Path(folder, *names)


def imported(folder: Path, report: str) -> Dataset:
    """The runs of ``report`` as a baseline under ``folder``."""
    ((made, _),) = import_runs(
        LAYOUTS[report], shared("chimeraforge", report), report, None, folder
    )
    assert verify(made) == 5
    return load_dataset(made.folder)


def rewritten(
    folder: Path, place: str, change: Callable[[Any, int], None], runs: int = 150
) -> None:
    """TR114's runs under ``folder``, each in a ``place`` made of its own and changed.

    ``place`` holds the {path} to its config or its {scenario}, {config} and {run}.
    """
    root = shared("chimeraforge", "tr114")
    for number, file in enumerate(sorted(root.rglob("metrics.json"))[:runs]):
        content = json.loads(file.read_text(encoding="utf-8"))
        change(content, number)
        *path, config, run = file.relative_to(root).parent.parts
        where = place.format(path="/".join(path), config=config, scenario=path[-1], run=run)
        target = folder / where / "metrics.json"
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(content), encoding="utf-8")


def on_one_server(content: Any, _: int) -> None:
    """Both agents ask the same server."""
    for agent in _AGENTS:
        content[agent]["config"]["base_url"] = "http://127.0.0.1:11434"


def in_turn(content: Any, _: int) -> None:
    """A process for each run, whose agents wait for a lock that no duration of theirs contains."""
    content["run_number"] = 1
    first, second = content["collector"], content["insight"]
    wait_s = first["execution_time_s"]
    second["result"]["timestamp"] = _later(first["result"]["timestamp"], second["execution_time_s"])
    content["summary"]["concurrent_wall_time_s"] = wait_s + second["execution_time_s"]


def reloading() -> Callable[[Any, int], None]:
    """One server that loads its model for each agent's num_gpu, and serves one at a time.

    An agent alone makes 106 tokens/s, as TR114's did, and a load takes about 5 s.
    """
    rng, loaded = np.random.default_rng(7), [0]

    def change(content: Any, number: int) -> None:
        on_one_server(content, number)
        layers = {one: content[one]["config"]["options"].get("num_gpu") for one in _AGENTS}
        end_s = 0.0
        for name in sorted(_AGENTS, key=lambda one: (layers[one] != loaded[0], rng.random())):
            call = content[name]["result"]["individual_runs"][0]
            load_s = 0.2 if layers[name] == loaded[0] else end_s + rng.uniform(4.5, 5.5)
            loaded[0], first_s = layers[name], max(end_s, load_s) + 0.03
            end_s = first_s + call["tokens_generated"] / 106
            content[name]["result"]["timestamp"] = _later("2025-11-13T01:00:00.000000", end_s)
            content[name]["execution_time_s"] = end_s
            call |= {"load_duration_ms": 1e3 * load_s, "ttft_ms": 1e3 * first_s}
            call["eval_duration_ms"] = 1e3 * (end_s - first_s)
        content["summary"]["concurrent_wall_time_s"] = end_s

    return change


def _later(stamp: str, seconds: float) -> str:
    moment = datetime.fromisoformat(stamp[:26] + "+00:00") + timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")
