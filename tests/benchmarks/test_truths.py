"""The benchmarks of truths and of clients: tables, exit codes, and one truth for real."""

import json
import random

import aiperf_client
import clients
import pytest
import truths
from click.testing import CliRunner

from tandembench.calibrate.clients import Seen
from tandembench.fake_server import Behaviour, StreamLog


def a_truth(*found: float, bar: float = 0.01, relative: bool = False) -> truths.Truth:
    tries = iter(found)
    return truths.Truth("a truth", lambda: (2.0, next(tries)), bar, relative)


def test_the_best_of_three_counts_and_all_are_shown() -> None:
    one = truths.tried(a_truth(2.5, 1.996, 2.1))
    assert (one["expected"], one["measured"], one["n"], one["met"]) == (2.0, 1.996, 3, True)
    assert one["errors"] == pytest.approx([0.5, -0.004, 0.1])
    assert truths.table([one]).splitlines()[2] == (
        "| a truth | 2.0000 | 1.9960 | -0.00400 | 0.01000 | +0.50000, -0.00400, +0.10000 |"
    )


@pytest.mark.parametrize(("found", "code"), [(2.0, 0), (2.1, 1)])
def test_the_exit_code_says_whether_a_bar_was_missed(
    monkeypatch: pytest.MonkeyPatch, found: float, code: int
) -> None:
    monkeypatch.setattr(truths, "TRUTHS", [a_truth(2.0, 2.0, 2.0), a_truth(found, found, found)])
    assert CliRunner().invoke(truths.main, []).exit_code == code


@pytest.mark.alone
def test_a_truth_is_found_for_real() -> None:
    # generous: the bar is the benchmark's to check, on a quiet machine
    known, found = truths.equal_gain(1.6)
    assert known == 1.6
    assert found == pytest.approx(known, rel=0.1)


@pytest.fixture
def two_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what every checkout has, and one that nobody has."""
    own = {name: clients.CLIENTS[name] for name in ("tandembench", "httpx")}
    nobody = {"nobody": ("no-such-package-here", clients.open_aiohttp)}
    monkeypatch.setattr(clients, "CLIENTS", own | nobody)
    monkeypatch.setattr(clients, "program", lambda: None)


def test_clients_that_are_missing_are_named_and_the_others_measured(two_clients: None) -> None:
    done = CliRunner().invoke(clients.main, ["--requests", "5", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert "skipped: nobody is not installed; python -m pip install no-such-package-here" in (
        done.stderr
    )
    found = json.loads(done.stdout)
    assert found["skipped"].keys() == {"nobody", "aiperf"}
    own, plain = found["clients"]
    assert [own["client"], plain["client"]] == ["tandembench", "httpx"]
    for one in (own, plain):
        assert one["requests"] == 8  # whole rounds of two streams with two each
        assert one["ttft_error_us"]["n"] == 8
        assert one["token_stamp_error_us"]["n"] == 8 * Behaviour().tokens
        assert one["gap_error_us"]["n"] == 8 * (Behaviour().tokens - 1)
        assert one["tokens_per_s_sustained"] > 0
    cells = clients.table(found["clients"]).splitlines()
    assert len({line.count("|") for line in cells}) == 1
    assert cells[2].startswith(f"| tandembench | {own['version']} | ")
    assert cells[2].endswith("| 8 |")
    assert f"{plain['ttft_error_us']['median']:,.0f} / -" in cells[3]


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
    times = {"request_start_ns": 1_000_000_000, "request_end_ns": 1_080_000_000}
    first = {"value": 50.5, "unit": "ms"}
    gaps = {"value": [10.0, 9.25], "unit": "ms"}
    metrics = {"time_to_first_token": first, "inter_chunk_latency": gaps}
    seen = aiperf_client._seen({"metadata": times, "metrics": metrics}, -500_000_000)
    assert seen == Seen(500_000_000, (550_500_000, 560_500_000, 569_750_000), 580_000_000)
