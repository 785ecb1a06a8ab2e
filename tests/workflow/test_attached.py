"""Studies on running servers, from the lock to the report, on fake ones."""

import json
from base64 import b64encode
from itertools import count
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from checkouts import (
    attached_study,
    calibrated,
    copy_checkout,
    simulated_checkout,
    snakemake,
    tandembench,
)
from raw_servers import (
    CLOSING,
    Reader,
    Request,
    Writer,
    digest_of,
    faked_thread,
    listening,
    play,
    read_request,
    whole,
)

from tandembench.fake_server import Behaviour

pytestmark = pytest.mark.usefixtures("simulated")
FILE = "config/attached.yaml"
QUICK = Behaviour(first_token_s=0.005, gap_s=0.001, jitter_s=0.0)
# Put together here, since the checkout under test has this file too.
KEY = "-".join(("sk", "not", "to", "be", "written", "anywhere"))
# As servers may give it back; of Base64 what stands before it makes three forms.
CODED = [b64encode(f"{before}{KEY}zz".encode()).decode() for before in ("", "a", "ab")]
SPELT = [KEY, "".join(f"%{ord(letter):02X}" for letter in KEY), *CODED]
# No letter of these is of what stands beside the key.
TRACES = [KEY, SPELT[1][3:-3], *(one[4:-8] for one in CODED)]
STREAMS = count()
# Two of them are more than Linux takes as one argument, 128 KiB.
LONG = "word " * 14_200


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    folder = copy_checkout(repository, tmp_path / "checkout")
    calibrated(folder, "attached")
    return folder


def test_ollama_from_the_lock_to_the_report(checkout: Path) -> None:
    with faked_thread() as shared, faked_thread() as one, faked_thread() as other:
        entry = (
            "axes: {topology: [serial, single, dual]}, options: {num_ctx: 512, temperature: 0.8}"
        )
        study = attached_study("attached", [shared, one, other], entry, threads_total=4)
        (checkout / FILE).write_text(study, encoding="utf-8")
        unlocked = snakemake(checkout, FILE, "--dry-run", ok=False).splitlines()[-1]
        assert "run: tandembench servers lock config/attached.yaml --write" in unlocked
        assert tandembench(checkout, "servers", "lock", FILE, "--write").returncode == 0
        lock = (checkout / "config/servers.lock.yaml").read_text(encoding="utf-8")
        assert digest_of("tiny:latest") in lock
        assert "# of the xllamacpp package" in lock  # comments stay
        snakemake(checkout, FILE)
    executions = pd.read_parquet(checkout / "results/attached/dataset/executions.parquet")
    assert executions["valid"].all(), executions["reason"].unique()
    assert set(executions["model_digest"]) == {digest_of("tiny:latest")}
    assert set(executions["engine"]) == {"ollama"}
    # the fake server, like Ollama, raises a small context
    assert set(executions["num_ctx_effective"]) == {2048}
    # dual's two servers have half of the threads each
    threads = executions.groupby("topology")["threads"].agg(set)
    assert threads.to_dict() == {"serial": {4}, "single": {4}, "dual": {2}}
    dual = executions[executions["topology"] == "dual"]
    assert set(dual["endpoint"]) == {one, other}
    runs = pd.read_parquet(checkout / "results/attached/dataset/runs.parquet")
    # every answer reached its cap, so the work was equal and topologies can be compared
    assert set(runs["work_effective"]) == {"fixed"}
    assert runs["makespan_ratio"].notna().all()
    report = (checkout / "reports/attached/technical_report.md").read_text(encoding="utf-8")
    assert "ollama" in report
    assert "512" in report
    assert "2048" in report


def openai_study(*urls: str) -> str:
    entry = "axes: {topology: [serial, dual]}, options: {temperature: 0.8}"
    return attached_study("attached", urls, entry, engine="openai", model="fake")


async def repeats_the_key(reader: Reader, writer: Writer) -> None:
    """A server of OpenAI's protocol that writes the key into all that it says, and fails once."""
    all_ = " ".join(SPELT)
    models = [{"id": "fake", "digest": all_}, {"id": KEY}]
    routes = {"/version": {"version": f"0.0.0-fake {all_}"}, "/v1/models": {"data": models}}
    while request := await read_request(reader):
        if request.method == "GET":
            place = request.path.removeprefix("/llm")
            known = place in routes
            content = whole(routes[place]) if known else whole({"error": all_}, "404 No")
            await play([content], reader, writer)
            continue
        tokens = request.json["max_tokens"]
        pieces = [*all_.partition("be"), *["w"] * tokens][:tokens]  # it comes in two pieces
        said = [{"choices": [{"delta": {"content": one}}]} for one in pieces]
        said.append({"choices": [{"delta": {}, "finish_reason": KEY}]})
        said.append({"choices": [], "usage": {"prompt_tokens": 999, "completion_tokens": tokens}})
        parts: list[bytes | float] = [CLOSING]
        for one in said:
            parts += [b"data: " + json.dumps(one).encode() + b"\n\n", 0.002]
        broken = whole({"error": all_}, "500 No")
        await play([broken] if next(STREAMS) == 8 else parts, reader, writer)
        return


def test_openai_from_the_lock_to_the_report_and_the_key_is_in_no_file(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEMBENCH_API_KEY", KEY)
    canary = {"open_server": listening, "handle": repeats_the_key}
    with faked_thread(**canary) as one, faked_thread(**canary) as other:
        study = openai_study(f"{one}/llm/v1/", f"{other}/llm")
        (checkout / FILE).write_text(study, encoding="utf-8")
        locked = tandembench(checkout, "servers", "lock", FILE, "--write")
        assert locked.returncode == 0, locked.stderr
        said = locked.stdout + snakemake(checkout, FILE)
    dataset = checkout / "results/attached/dataset"
    executions = pd.read_parquet(dataset / "executions.parquet")
    assert set(executions["error"].dropna()) == {"server_error"}
    executions = executions[executions["valid"]]
    assert set(executions["engine"]) == {"openai"}
    assert all(version.startswith("0.0.0-fake (key)") for version in executions["engine_version"])
    assert set(executions["answer_tokens"]) == {5}
    runs = pd.read_parquet(dataset / "runs.parquet")
    assert set(runs.loc[runs["valid"], "work_effective"]) == {"fixed"}
    assert all("(key)" in digest for digest in executions["model_digest"])
    # no server of this protocol tells what it samples with
    assert not any("temperature" in options for options in executions["options_effective"])
    details = (checkout / "reports/attached/details.md").read_text(encoding="utf-8")
    assert "0.0.0-fake" in details
    files = [file for file in checkout.rglob("*") if file.is_file()]
    assert len(files) > 50
    tables = [pq.read_table(file) for file in files if file.suffix == ".parquet"]
    assert len(tables) >= 4  # two run files and two tables, which are compressed
    texts = [said, *(f"{table.schema.metadata}{table.to_pylist()}" for table in tables)]
    texts += [file.read_bytes().decode("latin-1") for file in files]
    assert [trace for trace in TRACES if any(trace in text for text in texts)] == []
    assert sum("(key)" in text for text in texts) > 4


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
def test_a_key_that_is_none_is_told_without_showing_it(
    debug: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text(openai_study("http://h:1", "http://h:2"), encoding="utf-8")
    monkeypatch.setenv("TANDEMBENCH_API_KEY", f"{KEY}\nX-Injected: yes")
    done = tandembench(tmp_path, *debug, "servers", "lock", "mine.yaml")
    assert "TANDEMBENCH_API_KEY: not a key" in done.stderr
    assert ("Traceback" in done.stderr) is bool(debug)
    assert KEY not in done.stdout + done.stderr


def test_two_agents_with_long_prompts_are_measured(repository: Path, tmp_path: Path) -> None:
    requests: list[Request] = []
    with faked_thread(requests=requests) as url:
        study = attached_study("attached", [url], "axes: {topology: [serial, single]}")
        study = study.replace("collector.j2", "long.j2").replace("insight.j2", "long.j2")
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        (folder / "config/agents/long.j2").write_text(LONG, encoding="utf-8")
        snakemake(folder, FILE, "--until", "run_block")
    assert len(list(folder.glob("results/attached/runs/s1/*.parquet"))) == 1
    (spec,) = folder.glob("results/attached/specs/*.json")
    assert spec.stat().st_size > 128 * 1024
    asked = [one for one in requests if LONG.strip() in one.json["prompt"]]
    assert len(asked) >= 4
