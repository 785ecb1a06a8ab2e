"""aiperf's records against the server's log: matched by gaps, whatever their order."""

import random

import aiperf_client
import pytest

from tandembench.calibrate.clients import Seen
from tandembench.fake_server import StreamLog


def a_stream(number: int) -> StreamLog:
    draw = random.Random(number)  # noqa: S311 - an example, no secret
    sent = [0]
    for _ in range(19):
        sent.append(sent[-1] + draw.randrange(8_000_000, 12_000_000))
    return StreamLog(number, "/v1/chat/completions", "", 0, 0, sent_ns=sent, end_ns=sent[-1])


def late(log: StreamLog, by_ns: int) -> Seen:
    draw = random.Random(log.request)  # noqa: S311 - an example, no secret
    stamps = tuple(at + by_ns + draw.randrange(300_000) for at in log.sent_ns)
    return Seen(by_ns - 50_000_000, stamps, stamps[-1])


def test_requests_are_matched_by_their_gaps() -> None:
    logs = [a_stream(number) for number in range(30)]
    seen = [late(log, 2_000_000) for log in logs]
    pairs = aiperf_client.matched(reversed(seen), logs)
    assert [log.request for _, log in pairs] == list(range(29, -1, -1))


def test_records_that_fit_no_log_are_refused() -> None:
    log = a_stream(1)
    with pytest.raises(ValueError, match="more requests than were sent"):
        aiperf_client.matched([late(log, 0)] * 2, [log])
    short = Seen(0, (0, 1, 2), 2)
    with pytest.raises(ValueError, match="3 tokens seen of 20 sent"):
        aiperf_client.matched([short], [log])


def test_a_record_becomes_stamps() -> None:
    record = {
        "metadata": {"request_start_ns": 1_000_000_000, "request_end_ns": 1_080_000_000},
        "metrics": {
            "time_to_first_token": {"value": 50.5, "unit": "ms"},
            "inter_chunk_latency": {"value": [10.0, 9.25], "unit": "ms"},
        },
    }
    seen = aiperf_client._seen(record, -500_000_000)
    assert seen == Seen(500_000_000, (550_500_000, 560_500_000, 569_750_000), 580_000_000)
