"""Blocks on a fake server whose truth is known: the metrics must find it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tandembench.fake_server import Behaviour
from tandembench.measure import block as block_module
from tandembench.measure.block import Block, Execution, measure_block
from tandembench.metrics import Row, Step, Timing, run_metrics, timing, wall
from tandembench.servers.fake import fake_process
from tandembench.servers.model import Server
from tandembench.study.spec import ANSWER
from tandembench.wire import StreamRecord, open_client

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def shared_spec(small_spec: Make) -> Make:
    """Make the RunSpec of two agents on one server, with so many tokens each."""

    def make(first: int, second: int, prompts: tuple[str, ...] = ("Speak.",)) -> dict[str, Any]:
        spec = small_spec("homo-g80-c512-dual", topology="single_parallel", work_policy="fixed")
        spec["agents"] = [
            {**agent, "prompts": prompts, "max_tokens": tokens}
            for agent, tokens in zip(spec["agents"], (first, second), strict=True)
        ]
        return spec

    return make


def measured(spec: dict[str, Any], behaviour: Behaviour) -> Row:
    """The metrics of one block of ``spec`` on one fake server."""

    async def run(url: str) -> Block:
        server = Server(0, "embedded", url, "fake", {})
        async with open_client() as client:
            return await measure_block(spec, [server], client, 1, lambda _: None)

    with fake_process(behaviour) as url:
        block = asyncio.run(run(url))
    assert [one.error for one in block.executions] == [None] * 4
    by_agent = sorted(block.executions, key=lambda one: one.agent)
    alone, together = (
        [timing_of(one) for one in by_agent if one.mode == mode] for mode in ("solo", "concurrent")
    )
    return run_metrics(together, alone, wall(together), serial=False)


def timing_of(execution: Execution) -> Timing:
    return timing([step_of(record, execution.t0_ns) for record in execution.steps])


def step_of(record: StreamRecord, t0_ns: int) -> Step:
    request, end, *chunks = (
        (at - t0_ns) / 1e9 for at in (record.request_ns, record.end_ns, *record.chunk_ns)
    )
    return Step(
        request_s=request,
        first_s=chunks[0],
        last_s=chunks[-1],
        end_s=end,
        tokens=record.final.answer_tokens or 0,
        chunk_s=tuple(chunks),
        prompt_tokens=record.final.prompt_tokens,
    )


def one_of_three(check: Callable[[], None]) -> None:
    """Others on the machine may disturb one measurement, and perhaps two; an error is in all."""
    for _ in range(2):
        try:
            return check()
        except AssertionError:
            continue
    return check()


@pytest.mark.parametrize("gain", [0.85, 1.0, 1.6, 2.0])
def test_equal_answers_show_the_gain_itself(shared_spec: Make, gain: float) -> None:
    behaviour = Behaviour(first_token_s=0.0, shared_rate=200.0, gain=gain)

    def check() -> None:
        row = measured(shared_spec(121, 121), behaviour)
        assert row["solo_basis"] == "paired"
        assert row["speedup_true"] == pytest.approx(gain, rel=0.02)
        # what TR114's estimator cannot see
        assert row["speedup_estimate"] == pytest.approx(2.0, rel=0.02)

    one_of_three(check)


@pytest.mark.parametrize("gain", [0.85, 1.0, 1.6, 2.0])
def test_unequal_answers_show_the_gain_of_their_overlap(shared_spec: Make, gain: float) -> None:
    rate, first, second = 1000.0, 398, 610
    behaviour = Behaviour(first_token_s=0.0, shared_rate=rate, gain=gain)
    # the first token takes no time here
    t1, t2 = (first - 1) / rate, (second - 1) / rate
    truth = (t1 + t2) / (2 * t1 / gain + t2 - t1)

    def check() -> None:
        row = measured(shared_spec(first, second), behaviour)
        assert row["solo_sum_s"] == pytest.approx(t1 + t2, rel=0.02)
        assert row["speedup_true"] == pytest.approx(truth, rel=0.02)

    one_of_three(check)


def test_a_pause_between_steps_is_orchestration_and_nothing_else(
    shared_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    real = block_module.stream

    async def with_a_pause(client: Any, url: str, body: bytes, *more: Any) -> StreamRecord:
        if b"w0 " in body:  # the second step, which tells the answer of the first
            began = time.monotonic()
            await asyncio.sleep(0.05)
            pauses.append(time.monotonic() - began)
        return await real(client, url, body, *more)

    spec = shared_spec(31, 31, prompts=("One.", f"Two: {ANSWER}"))
    behaviour = Behaviour(first_token_s=0.05, shared_rate=100.0, gain=2.0)

    def outside_s(row: Row) -> float:
        return float(row["orchestration_true"] or 0) * float(row["wall_s"] or 0)

    def check() -> None:
        pauses.clear()
        monkeypatch.setattr(block_module, "stream", real)
        without = measured(spec, behaviour)
        monkeypatch.setattr(block_module, "stream", with_a_pause)
        row = measured(spec, behaviour)
        assert len(pauses) == 4
        # the bar of a millisecond is the benchmark's to check
        assert outside_s(row) - outside_s(without) == pytest.approx(max(pauses), abs=0.01)
        assert abs(float(row["contention"] or 0)) < 0.02
        assert abs(float(row["work_imbalance"] or 0)) < 0.02

    one_of_three(check)
