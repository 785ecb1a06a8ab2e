"""One comparison on three kinds of servers: llama.cpp's, Ollama's started and Ollama's running.

At equal threads they are one machine to two agents, and the study says the same of all three.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_connection, socket

import pytest
from checkouts import attached_study, calibrated, copy_checkout, snakemake, tandembench
from processes import until

BLOCKS = 6


@contextmanager
def running(models: Path, log: Path) -> Iterator[str]:
    """An Ollama that somebody else started."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(models)}
    environment |= {"GOMP_SPINCOUNT": "1000", "OLLAMA_NOPRUNE": "1"}

    def listens() -> bool:
        try:
            create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    with (
        log.open("w") as file,
        subprocess.Popen(
            [os.environ["TANDEMBENCH_OLLAMA"], "serve"], env=environment, stderr=file
        ) as server,
    ):
        try:
            assert until(listens)
            yield f"http://127.0.0.1:{port}"
            assert server.poll() is None, "it was ended by somebody else"
        finally:
            server.terminate()  # which ends its runner too


@pytest.mark.timeout(900)
def test_the_same_comparison_says_the_same_on_all_three(
    repository: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert model_file.exists()
    folder = copy_checkout(repository, tmp_path / "checkout")
    with ExitStack() as stack:
        store = (folder / "resources/models/ollama").resolve()
        urls = [stack.enter_context(running(store, tmp_path / f"{n}.log")) for n in range(3)]
        engines: dict[str, tuple[str, list[str]]] = {
            "embedded": ("embedded", []),
            "started": ("ollama", []),
            "running": ("ollama", urls),
        }
        for name, (engine, places) in engines.items():
            text = attached_study(
                name,
                places,
                "axes: {topology: [serial, dual]}, options: {num_ctx: 512}",
                **{"engine": engine, "model": "smollm2-135m-instruct-q4_1", "baselines": "[]"},
                **{"repetitions": BLOCKS, "rounds": 2, "threads_total": 2, "telemetry": "false"},
                work="{policy: fixed, tokens: 16}",
            )
            (folder / f"config/{name}.yaml").write_text(text)
            calibrated(folder, name)
        locked = tandembench(folder, "servers", "lock", "config/started.yaml", "--write")
        assert locked.returncode == 0, locked.stderr
        # in turn, so that what changes on the machine meanwhile changes for all three
        for blocks in range(1, BLOCKS + 1):
            for name in engines:
                study = f"config/{name}.yaml"
                target = f"results/{name}/dataset/datapackage.json"
                snakemake(folder, study, "--config", f"repetitions={blocks}", "--", target)
    answers = {
        name: json.loads(tandembench(folder, "show", f"results/{name}", "--format", "json").stdout)
        for name in engines
    }
    with capsys.disabled():
        print(f"\n{'servers':10}{'serial':>9}{'dual':>9}   dual against serial")
        for name, answer in answers.items():
            serial, dual = (row_of(answer, topology) for topology in ("serial", "dual"))
            print(
                f"{name:10}{serial['makespan_s']:7.2f} s{dual['makespan_s']:7.2f} s"
                f"   {dual['ratio']:.2f} [{dual['low']:.2f}, {dual['high']:.2f}]  {dual['verdict']}"
            )
    rows = {name: row_of(answer, "dual") for name, answer in answers.items()}
    assert all(answer["hardware"]["verdict"] == "equal" for answer in answers.values())
    assert not {"better", "worse"} <= {row["verdict"] for row in rows.values()}
    for one in rows.values():
        assert one["high"] / one["low"] < 4  # else it could not fail
        assert all(one["low"] <= other["high"] for other in rows.values())


def row_of(answer: dict[str, object], topology: str) -> dict[str, float]:
    """The row of a topology in the answer of a study."""
    rows: list[dict[str, float]] = answer["rows"]  # type: ignore[assignment]
    (row,) = (one for one in rows if one["topology"] == topology)
    return row
