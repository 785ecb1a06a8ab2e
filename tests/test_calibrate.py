"""Calibration: its arithmetic, its words, and that it finds a fault that was planted."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tandembench.calibrate import Calibration, as_json, as_table, calibrate
from tandembench.calibrate.clients import SUBJECTS, Subject, open_own
from tandembench.calibrate.errors import Seen, errors_of
from tandembench.errors import TandemError
from tandembench.fake_server import StreamLog

US = 1000
KEYS = {
    "token_stamp_error_us",
    "ttft_error_us",
    "gap_error_us",
    "duration_error_us",
    "busy_loop_token_stamp_error_us",
    "tokens_per_s_sustained",
    "cpu_s_per_10k_tokens",
    "clock",
}


def sent(*at_us: int, arrived_us: int = 0) -> StreamLog:
    return StreamLog(
        request=0,
        path="/api/generate",
        prompt="",
        arrived_ns=arrived_us * US,
        read_ns=arrived_us * US + 70 * US,
        sent_ns=[at * US for at in at_us],
        end_ns=at_us[-1] * US,
        complete=True,
    )


def seen(*at_us: int, request_us: int = 0, end_us: int) -> Seen:
    return Seen(request_us * US, tuple(at * US for at in at_us), end_us * US)


def test_errors_are_sizes_against_the_log_of_sends() -> None:
    log = sent(1000, 2000, 4000)
    errors = errors_of([(seen(1010, 2030, 3980, request_us=-5, end_us=4100), log)])
    assert errors.token_stamp.median == 20
    assert errors.ttft.median == 15
    assert errors.gap.median == 35  # of 20 and 50
    assert errors.duration.median == 105
    assert [errors.token_stamp.n, errors.ttft.n, errors.gap.n] == [3, 1, 2]


def test_a_request_counts_from_its_arrival_in_the_kernel_if_that_is_known() -> None:
    known = sent(1000, arrived_us=100)
    unknown = sent(1000, arrived_us=100)
    unknown.arrived_ns = None
    own = seen(1000, request_us=100, end_us=1000)
    assert errors_of([(own, known)]).ttft.median == 0
    assert errors_of([(own, unknown)]).ttft.median == 70


def test_a_p99_needs_662_values() -> None:
    few = errors_of([(seen(*range(661), end_us=660), sent(*range(661)))])
    enough = errors_of([(seen(*range(662), end_us=661), sent(*range(662)))])
    assert few.token_stamp.p99 is None
    assert enough.token_stamp.p99 == 0


def test_a_client_that_loses_a_token_is_no_client() -> None:
    with pytest.raises(ValueError, match="2 tokens seen of 3 sent"):
        errors_of([(seen(1, 2, end_us=3), sent(1, 2, 3))])


@pytest.fixture(scope="module")
def short() -> Calibration:
    """A calibration as short as can be, with a client that stamps everything 3 ms late."""

    @asynccontextmanager
    async def open_late() -> AsyncIterator[Subject]:
        async with open_own() as own:

            async def ask(url: str, body: bytes) -> Seen:
                one = await own.ask(url, body)
                late = tuple(at + 3_000_000 for at in one.chunk_ns)
                return Seen(one.request_ns, late, one.end_ns + 3_000_000)

            yield Subject(ask, own.clock)

    return calibrate(1.0, {"own": open_own, "control": open_late})


def test_a_planted_delay_is_found_as_error(short: Calibration) -> None:
    for condition in ("alone", "two", "busy"):
        own, late = getattr(short.own, condition), getattr(short.control, condition)
        for figure in ("token_stamp", "ttft", "duration"):
            exact, off = getattr(own, figure).median, getattr(late, figure).median
            assert 2000 <= off - exact <= 4500, (condition, figure)
        # a delay of everything is none of the gaps
        assert late.gap.median < 1000


def test_the_json_has_the_agreed_keys(short: Calibration) -> None:
    told = json.loads(json.dumps(as_json(short)))
    assert set(told) == KEYS | {"control"}
    assert set(told["control"]) == KEYS
    for one in (told, told["control"]):
        for key in KEYS:
            if key.endswith("_us"):
                assert set(one[key]) == {"median", "p99", "n"}
                assert one[key]["p99"] is None or one[key]["n"] >= 662
        assert one["tokens_per_s_sustained"] > 0
        assert one["cpu_s_per_10k_tokens"] > 0
        assert one["clock"]
    assert told["token_stamp_error_us"]["n"] == 20 * told["ttft_error_us"]["n"]


def test_the_table_says_that_it_is_simulated_and_on_what(short: Calibration) -> None:
    table = as_table(short)
    assert "Simulated" in table
    assert "load" in table
    assert max(map(len, table.splitlines())) <= 120
    for title in ("token stamp", "TTFT", "gap", "duration", "sustained", "CPU"):
        assert title in table


def test_the_command_is_better_than_plain_httpx() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tandembench", "calibrate", "--seconds", "4", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = json.loads(done.stdout)
    control = told["control"]
    # Ratios to the control of the same minute, with room for a machine that is busy otherwise.
    for key in ("token_stamp_error_us", "ttft_error_us"):
        assert told[key]["median"] < control[key]["median"] / 2
    busy = "busy_loop_token_stamp_error_us"
    assert told[busy]["median"] < control[busy]["median"]
    assert told["cpu_s_per_10k_tokens"] < 2 * control["cpu_s_per_10k_tokens"]


def test_a_client_that_fails_ends_the_calibration_in_one_line() -> None:
    @asynccontextmanager
    async def open_blind() -> AsyncIterator[Subject]:
        async def ask(url: str, body: bytes) -> Seen:
            await asyncio.sleep(0)
            return Seen(0, (0,) * 3, 0)

        yield Subject(ask, lambda: "none")

    with pytest.raises(TandemError, match=r"lost count: 12 tokens of 80 \(two/control/0"):
        calibrate(1.0, {**SUBJECTS, "control": open_blind})
