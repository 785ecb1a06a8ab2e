"""Fake servers of known speed on a machine of known ways: drift, noise, hangs, slots, two of them.

The server's log says when each token was due: the truth is exact there, whatever the machine that
runs the tests does meanwhile.
"""

import asyncio
import math
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tandembench.cli import main
from tandembench.fake_server import Behaviour, StreamLog, read_log
from tandembench.servers.fake import fake_process

MINUTE_NS = 60_000_000_000
# an answer of 4 tokens takes 0.05 s at speed 1
PLAIN: dict[str, Any] = {"first_token_s": 0.02, "gap_s": 0.01, "jitter_s": 0.0, "tokens": 4}


def lasting_s(behaviour: Behaviour, request: int = 0, begun_ns: int = 0) -> float:
    return behaviour.due_ns("x", 4, request, begun_ns)[-1] / 1e9


def test_all_times_are_divided_by_the_speed() -> None:
    due = Behaviour(**PLAIN, speed=1.25).due_ns("x", 4)
    assert due == [16_000_000, 24_000_000, 32_000_000, 40_000_000]


@given(
    drift=st.floats(0.0, 2.0),
    turn_s=st.floats(1.0, 1000.0),
    at_ns=st.integers(0, 10**15),
)
def test_drift_is_of_the_clock_alone_and_stays_in_bounds(
    drift: float, turn_s: float, at_ns: int
) -> None:
    one, other = (
        Behaviour(speed=speed, seed=seed, drift=drift, drift_turn_s=turn_s)
        for speed, seed in ((1.0, 1), (1.2, 2))
    )
    assert one.slowness(at_ns) == other.slowness(at_ns)
    assert 1 <= one.slowness(at_ns) <= 1 + drift * turn_s / 60 * (1 + 1e-9)
    # nowhere faster than it says, turns and all
    there_s = 1.0
    moved = abs(one.slowness(at_ns + round(there_s * 1e9)) - one.slowness(at_ns))
    assert moved <= drift * there_s / 60 * (1 + 1e-6) + 1e-6


def test_ten_percent_a_minute_there_and_back() -> None:
    behaviour = Behaviour(**PLAIN, drift=0.1, drift_turn_s=120)
    slow = [behaviour.slowness(minute * MINUTE_NS) for minute in range(6)]
    assert slow == pytest.approx([1.0, 1.1, 1.2, 1.1, 1.0, 1.1])
    # inside an answer too: it ends later than it would at the pace of its start
    assert lasting_s(behaviour, begun_ns=MINUTE_NS) == pytest.approx(0.05 * 1.1, rel=1e-3)
    assert lasting_s(behaviour, begun_ns=MINUTE_NS) > 0.05 * 1.1


def test_drift_cancels_between_servers_at_the_same_time() -> None:
    shared = PLAIN | {"drift": 0.3, "drift_turn_s": 20}
    for begun_ns in (0, 17 * 10**9, 10**12):
        walls = [lasting_s(Behaviour(**shared, speed=v), begun_ns=begun_ns) for v in (1.0, 1.2)]
        assert walls[0] / walls[1] == pytest.approx(1.2, rel=1e-3)


def test_noise_is_log_normal_and_of_the_request_not_of_its_prompt() -> None:
    behaviour = Behaviour(**PLAIN, noise=0.05)
    logs = [math.log(lasting_s(behaviour, request) / 0.05) for request in range(4000)]
    # 4 standard errors
    assert statistics.mean(logs) == pytest.approx(0, abs=4 * 0.05 / math.sqrt(4000))
    assert statistics.stdev(logs) == pytest.approx(0.05, rel=4 / math.sqrt(2 * 4000))
    again, other = Behaviour(**PLAIN, noise=0.05), Behaviour(**PLAIN, noise=0.05, seed=2)
    assert lasting_s(again, 7) == lasting_s(behaviour, 7) != lasting_s(other, 7)
    # one draw for all of an answer
    due = behaviour.due_ns("x", 4, request=7)
    assert due[3] - due[2] == pytest.approx(due[0] / 2, abs=2)


def test_hangs_come_as_often_as_asked_and_before_the_first_token() -> None:
    behaviour = Behaviour(**PLAIN, hang_share=0.03, hang_s=0.5, speed=2.0)
    dues = [behaviour.due_ns("x", 4, request) for request in range(4000)]
    hung = [due for due in dues if due[0] > 100_000_000]
    assert len(hung) / 4000 == pytest.approx(0.03, abs=4 * math.sqrt(0.03 * 0.97 / 4000))
    # neither shorter on a faster server, nor part of any gap
    assert {due[0] for due in hung} == {510_000_000}
    assert {due[1] - due[0] for due in hung} == {5_000_000}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("speed", 0.0), ("drift", -0.1), ("drift_turn_s", 0.0), ("noise", math.nan)),
        *(("hang_share", 1.1), ("hang_s", -1.0)),
    ],
)
def test_machines_that_cannot_be_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        Behaviour(**{setting: value})


@pytest.mark.parametrize("setting", ["speed", "drift", "noise", "hang_share"])
def test_a_shared_rate_knows_no_machine(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        Behaviour(shared_rate=100.0, **{setting: 0.5})


def together(folder: Path, *servers: Behaviour, at: Sequence[int]) -> list[list[StreamLog]]:
    """The logs of ``servers`` after one request at a time to each of ``at``, all at once."""

    async def ask_all(urls: Sequence[str]) -> None:
        # no load in llama-server's protocol: a free slot's schedule starts when the request comes
        body = {"prompt": "x", "stream": True}
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501 - http
            asking = (client.post(f"{urls[index]}/completion", json=body) for index in at)
            answers = await asyncio.gather(*asking)
        assert all('"stop":true' in answer.text for answer in answers)

    logs = [folder / f"{index}.ndjson" for index in range(len(servers))]
    with ExitStack() as running:
        started = [fake_process(*one) for one in zip(servers, logs, strict=True)]
        asyncio.run(ask_all([running.enter_context(one) for one in started]))
    return [read_log(log) for log in logs]


def due_s(stream: StreamLog) -> float:
    """From the first token's due time to the last's: free of when the request came."""
    return (stream.due_ns[-1] - stream.due_ns[0]) / 1e9


def test_one_slot_takes_turns(tmp_path: Path) -> None:
    first, second = together(tmp_path, Behaviour(**PLAIN, slots=1), at=(0, 0))[0]
    assert first.end_ns is not None
    # the second's schedule starts where the first ended: both are done after the sum
    assert second.due_ns[0] >= first.end_ns + 20_000_000
    assert due_s(first) == due_s(second) == pytest.approx(0.03)


def test_two_slots_run_at_once(tmp_path: Path) -> None:
    behaviour = Behaviour(**PLAIN | {"first_token_s": 0.3}, slots=2, speed=0.6)
    first, second = together(tmp_path, behaviour, at=(0, 0))[0]
    assert due_s(first) == due_s(second) == pytest.approx(0.03 / 0.6)
    # each schedule starts when its request comes, while the other has not begun to answer
    for stream in (first, second):
        assert stream.due_ns[0] - stream.begun_ns == pytest.approx(0.5e9, abs=2)
    assert second.begun_ns < first.due_ns[0]


def test_two_servers_of_a_known_speed_each_keep_it(tmp_path: Path) -> None:
    pair = [Behaviour(**PLAIN, slots=1, speed=0.6, seed=seed) for seed in (1, 2)]
    (first,), (second,) = together(tmp_path, *pair, at=(0, 1))
    # against one slot of speed 1, which needs the sum: 2 * 0.6 = 1.20 times as fast
    assert due_s(first) == due_s(second) == pytest.approx(0.03 / 0.6)


def test_a_log_says_what_the_machine_did(tmp_path: Path) -> None:
    behaviour = Behaviour(**PLAIN, drift=60.0, drift_turn_s=1.0, noise=0.2, hang_share=0.5)
    for stream in together(tmp_path, behaviour, at=(0, 0, 0, 0))[0]:
        expected = behaviour.due_ns("x", 4, stream.request, stream.begun_ns)
        due = [at - stream.begun_ns for at in stream.due_ns]
        assert due == pytest.approx(expected, abs=2)


@pytest.mark.parametrize(
    ("option", "value"), [("--speed", "0"), ("--hang-share", "2"), ("--noise", "-1")]
)
def test_the_command_refuses_in_one_line(option: str, value: str) -> None:
    done = CliRunner().invoke(main, ["fake-server", option, value])
    assert done.exit_code == 2
    assert option[2:].replace("-", "_") in done.output
    assert len(done.output.strip().splitlines()) == 1
