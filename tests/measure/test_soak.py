"""Blocks for as long as ``SOAK_S`` says, in one process, one request in twenty going wrong."""

import os
import random
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from raw_servers import (
    CHUNKED,
    CLOSING,
    RESET_AFTER_THREE,
    TOKEN,
    WAIT,
    Parts,
    Request,
    chunk,
    digest_of,
    faked_thread,
    whole,
)
from run_specs import run_spec, two_agents

from tandembench.fake_server.server import VERSION
from tandembench.tables.parquet import read_table

SOAK_S = float(os.environ.get("SOAK_S", "30"))
SHARE = 0.05
FAULTS: dict[str, Parts] = {
    "reset": RESET_AFTER_THREE,
    "busy": [whole(b"", "503 Busy")],
    "no_terminal_event": [CLOSING, TOKEN],
    "bad_json": [CLOSING, TOKEN, TOKEN[:9]],
    "truncated_chunked": [CHUNKED, chunk(TOKEN)],
    "disconnect_before_first_byte": [b""],
    "not_ndjson": [CLOSING, b"<html>\n"],
    "stalled": [CLOSING, TOKEN, WAIT],
    "no_first_byte": [WAIT],
}
# Long enough for a healthy answer on a machine that does much else.
PATIENCE_S = 3.0
GROWTH_BYTES = 10_000_000
# Of these many blocks at either end the median counts; what is imported late comes before.
MANY, WARM = 10, 5
PROGRAM = """
import sys, time
from pathlib import Path
import psutil
from tandembench.dataset.manifest import read_spec
from tandembench.measure.run import run
folder, deadline, number = Path(sys.argv[1]), time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < deadline or number < 40:
    number += 1
    block = folder / str(number)
    run(read_spec(folder / "spec.json"), number, "s1", block / "b.parquet", folder, block / "log")
    print(psutil.Process().memory_info().rss, flush=True)
"""


@pytest.mark.timeout(SOAK_S * 2 + 200)
def test_every_request_is_accounted_for_and_memory_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(1)  # noqa: S311 - an example, no secret
    sent: dict[str, str | None] = {}

    def script(_: int, request: Request) -> Parts | None:
        nonce = request.json["prompt"].split("\n")[0]
        if not nonce.isdigit():
            return None  # to warm up
        sent[nonce] = draw.choice([*FAULTS]) if draw.random() < SHARE else None
        return FAULTS.get(sent[nonce] or "")

    with faked_thread(script=script) as url:
        spec = run_spec(
            *("serial", "single"),
            agents=two_agents(model="tiny"),
            servers=[url],
            engine="ollama",
            protocol="generate",
            rounds=3,
            idle_s=PATIENCE_S,
            lock={"version": VERSION, "models": {"tiny": digest_of("tiny:latest")}},
        )
        (tmp_path / "spec.json").write_text(spec.to_json(), encoding="utf-8")
        words = [sys.executable, "-c", PROGRAM, str(tmp_path), str(SOAK_S)]
        lock = {name: str(tmp_path / name) for name in ("TMPDIR", "TANDEMBENCH_LOCK")}
        (tmp_path / "TMPDIR").mkdir()
        done = subprocess.run(
            words, env=os.environ | lock, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    memory = [int(line) for line in done.stdout.split()]
    rows: list[dict[str, Any]] = []
    for number in range(1, len(memory) + 1):
        block = read_table(tmp_path / f"{number}/b.parquet").to_pylist()
        # whatever failed, the first attempt at every run stands there
        runs = {
            (one["round"], one["config_id"], one["twin"]) for one in block if one["attempt"] == 1
        }
        assert len(runs) == spec.rounds * 3
        assert {one["repetition"] for one in block} == {number}
        rows += block
    asked = [one for one in rows if one["steps"]]
    assert {one["nonce"]: one["error"] for one in asked} == sent
    assert len(asked) == len(sent)
    assert all(one["error"] == "given_up" for one in rows if not one["steps"])
    grown = statistics.median(memory[-MANY:]) - statistics.median(memory[WARM:][:MANY])
    reasons = Counter(reason for reason in sent.values() if reason)
    with capsys.disabled():
        print(f"\nsoak: {len(memory)} blocks in {SOAK_S:.0f} s, {len(asked)} executions, of which")
        print(f"{sum(reasons.values())} failed as they had to: {dict(reasons.most_common())};")
        print(f"{len(rows) - len(asked)} given up; memory {grown / 1e6:+.1f} MB")
    assert set(reasons) == set(FAULTS)
    assert grown < GROWTH_BYTES
