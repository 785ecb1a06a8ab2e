"""The block protocol on real servers and on the Ollama stand-in."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ollama_standin import TOKENS_BEFORE_FAULT, standin

from tandembench.fake_server import Behaviour, serving
from tandembench.measure.block import Block, Execution, _hash, measure_block
from tandembench.servers.attach import attach, lock_entry
from tandembench.servers.open import open_servers
from tandembench.wire import DRIVERS, open_client

Make = Callable[..., dict[str, Any]]
PREFIX = "homo-g80-c512-"


def measured(spec: dict[str, Any], models: Path, tmp_path: Path) -> Block:
    async def block() -> Block:
        async with open_client() as client:
            with (tmp_path / "log").open("w") as log:
                async with open_servers(spec, models, client, log) as servers:
                    return await measure_block(spec, servers, client, 1, lambda _: None)

    return asyncio.run(block())


def by_mode(block: Block, mode: str) -> dict[str, Execution]:
    return {one.agent: one for one in block.executions if one.mode == mode}


def test_a_block_measures_each_agent_alone_and_all_at_once(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    block = measured(small_spec(PREFIX + "dual"), model_file.parent, tmp_path)
    assert sorted(block.order) == ["concurrent", "solo:collector", "solo:insight"]
    assert len(block.executions) == 4
    assert not any(one.error for one in block.executions)
    solo, run = by_mode(block, "solo"), by_mode(block, "concurrent")
    for agent in ("collector", "insight"):
        # the very same work: nonce, seed, prompt, answer
        assert solo[agent].nonce == run[agent].nonce
        assert len(run[agent].nonce) == 12
        assert run[agent].nonce.isdigit()
        (alone,), (shared,) = solo[agent].steps, run[agent].steps
        assert alone.text == shared.text
        assert alone.final.answer_tokens == shared.final.answer_tokens == 6
        assert alone.final.prompt_tokens == shared.final.prompt_tokens
        assert alone.final.cached_tokens == 0
        assert shared.request_ns < shared.chunk_ns[0] <= shared.chunk_ns[-1] <= shared.end_ns
    assert solo["collector"].nonce != solo["insight"].nonce
    # both streams were open at once, and neither solo overlaps anything
    spans = {
        (one.agent, one.mode): (one.steps[0].request_ns, one.steps[-1].end_ns)
        for one in block.executions
    }
    collector, insight = spans["collector", "concurrent"], spans["insight", "concurrent"]
    assert max(collector[0], insight[0]) < min(collector[1], insight[1])
    for agent in ("collector", "insight"):
        begin, end = spans[agent, "solo"]
        others = [span for key, span in spans.items() if key != (agent, "solo")]
        assert all(end <= other[0] or other[1] <= begin for other in others)


def test_serial_takes_turns(small_spec: Make, model_file: Path, tmp_path: Path) -> None:
    block = measured(small_spec(PREFIX + "serial"), model_file.parent, tmp_path)
    run = [one for one in block.executions if one.mode == "concurrent"]
    assert [one.agent for one in run] == ["collector", "insight"]
    assert run[0].steps[-1].end_ns <= run[1].steps[0].request_ns
    assert run[0].t0_ns == run[1].t0_ns


def test_a_second_step_reads_the_answer_of_the_first(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    spec = small_spec(PREFIX + "serial")
    spec["agents"] = [
        {**agent, "prompts": ["Name a colour.", 'Repeat: "[[answer]]"']} for agent in spec["agents"]
    ]
    block = measured(spec, model_file.parent, tmp_path)
    for execution in block.executions:
        first, second = execution.steps
        assert first.end_ns <= second.request_ns
        assert second.final.prompt_tokens is not None
        assert first.final.prompt_tokens is not None
        # six tokens of answer came in, whatever they are; the placeholder is gone
        assert "[[" not in second.text


def test_order_and_nonces_follow_from_the_seed_and_differ_between_repetitions(
    small_spec: Make,
) -> None:
    spec = small_spec(PREFIX + "dual")
    again = _hash({**spec}, "nonce", "collector")
    assert _hash(spec, "nonce", "collector") == again
    assert _hash({**spec, "repetition": 2}, "nonce", "collector") != again
    assert _hash({**spec, "config_id": "other"}, "nonce", "collector") != again
    assert _hash({**spec, "seed": 1}, "nonce", "collector") != again


def on_standin(spec: dict[str, Any], **behaviour: Any) -> Block:
    async def block() -> Block:
        async with standin(**behaviour) as url, open_client() as client:
            models = [agent["model"] for agent in spec["agents"]]
            entry = await lock_entry("ollama", client, [url], models)
            running = {"engine": "ollama", "protocol": "generate", "servers": [url]}
            asked = {**spec, **running, "lock": entry}
            servers = await attach(asked, client)
            return await measure_block(asked, servers, client, 1, lambda _: None)

    return asyncio.run(block())


@pytest.fixture
def ollama_spec(small_spec: Make) -> dict[str, Any]:
    spec = small_spec(PREFIX + "single")
    spec["agents"] = [{**agent, "model": "tiny"} for agent in spec["agents"]]
    return spec


def test_where_a_prompt_cache_cannot_be_off_solo_and_run_ask_different_things(
    ollama_spec: dict[str, Any],
) -> None:
    block = on_standin(ollama_spec)
    assert not any(one.error for one in block.executions)
    solo, run = by_mode(block, "solo"), by_mode(block, "concurrent")
    for agent in ("collector", "insight"):
        assert solo[agent].nonce != run[agent].nonce
        assert block.effective[agent].num_ctx is not None
    # whose processes the servers are is not known, and so not what others used
    assert all(one.foreign_cores is None for one in block.executions)


@pytest.mark.parametrize(
    ("engine", "protocol"), [one for one in DRIVERS if one[1]], ids=lambda name: name
)
def test_a_block_is_asked_for_in_the_protocol_of_its_spec(
    ollama_spec: dict[str, Any], engine: str, protocol: str
) -> None:
    behaviour = Behaviour(first_token_s=0.002, gap_s=0.001, jitter_s=0.0, spin_s=0.0)

    async def measure() -> tuple[Block, set[str]]:
        async with serving(behaviour) as server, open_client() as client:
            running = {"engine": engine, "protocol": protocol, "servers": [server.url]}
            asked = {**ollama_spec, **running}
            asked["agents"] = [{**agent, "model": "fake"} for agent in asked["agents"]]
            asked["lock"] = await lock_entry(engine, client, [server.url], ["fake"])
            servers = await attach(asked, client)
            block = await measure_block(asked, servers, client, 1, lambda _: None)
            return block, {one.path for one in server.streams}

    block, paths = asyncio.run(measure())

    assert paths == {DRIVERS[engine, protocol].PATH}
    assert [one.error for one in block.executions] == [None] * 4
    assert all(step.final.answer_tokens == 6 for one in block.executions for step in one.steps)
    assert block.effective["insight"].num_ctx


def test_a_failed_stream_ends_the_block_and_keeps_what_came(ollama_spec: dict[str, Any]) -> None:
    # the first two requests are the warm-up
    block = on_standin(ollama_spec, fault=lambda n: "error_line" if n == 3 else None)
    (failed,) = [one for one in block.executions if one.error]
    assert failed.error == "server_error"
    assert len(failed.steps[-1].chunk_ns) == TOKENS_BEFORE_FAULT
    assert len(block.executions) < 4
    last = max(one.position for one in block.executions)
    assert failed.position == last


def test_measuring_imports_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys, tandembench.measure.run\n"
        "print(*(name for name in ('pandas', 'pyarrow', 'jinja2', 'scipy', 'jsonschema',"
        " 'ruamel', 'numpy', 'snakemake') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
