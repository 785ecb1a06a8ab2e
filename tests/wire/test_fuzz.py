"""Streams cut and changed anywhere: right numbers by the known schedule, or a reason."""

import asyncio
import json
import random

import pytest
from raw_servers import CHUNKED, CLOSING, TOKENS, chunk
from recorded import played, step_of

from tandembench.wire import DRIVERS, Driver, StreamRecord, open_client

GAP_S, FIRST_S, N = 0.01, 0.1, 24
USAGE = {"prompt_tokens": 3, "completion_tokens": N}
DELTA = '{"index":0,"delta":{},"text":"","finish_reason":"length"}'
ENDS = {
    "/completion": f'data: {{"content":"","stop":true,"stop_type":"limit","tokens_predicted":{N},'
    '"timings":{"prompt_ms":99.5,"predicted_ms":230}}\n\n',
    "/api": f'{{"done":true,"done_reason":"length","total_duration":331000000,"eval_count":{N},'
    '"prompt_eval_duration":99500000,"eval_duration":230000000}\n',
    "/v1": f'data: {{"choices":[{DELTA}]}}\n\n'
    f'data: {{"choices":[],"usage":{json.dumps(USAGE)}}}\n\ndata: [DONE]\n\n',
}


def pieces_of(driver: Driver, luck: random.Random) -> list[tuple[float, bytes]]:
    """A good answer of N tokens; some servers bundle tokens, some proxies hold chunks back."""
    before, after, _ = TOKENS[driver]
    last = next(text for path, text in ENDS.items() if driver.path.startswith(path))
    bundle, held = luck.choice([1, 1, 1, 2, 4, N]), luck.choice([1, 1, 1, 4, N])
    words = [luck.choice(["w ", "ü", "\U0001f600", "\\ud83d\\ude00"]) for _ in range(N)]
    # HTTP notices most changes of a chunked body, and none of one that ends with its connection
    head, framed, close = luck.choice([(CHUNKED, chunk, b"0\r\n\r\n"), (CLOSING, bytes, b"")])
    pieces, waiting = [(FIRST_S - GAP_S, head)], b""
    for n in range(bundle, N + 1, bundle):
        waiting += framed(before + "".join(words[n - bundle : n]).encode() + after)
        if n // bundle % held == 0 or n == N:
            pieces.append((FIRST_S + (n - 1) * GAP_S, waiting))
            waiting = b""
    end = FIRST_S + N * GAP_S
    return [*pieces, (end, framed(last.encode()) + close)]


def changed(data: bytes, luck: random.Random) -> bytes:
    """``data`` with one change, which makes no digit of another: that no one could notice."""
    at = luck.randrange(len(data) + 1)
    to = min(len(data), at + luck.choice([1, 1, 2, 8, 60]))
    some = bytes(luck.choice([*b'{}[]",: \r\n\\x\xff\x00\x1bn', 0x80]) for _ in range(to - at))
    kind = luck.choice(["cut", "without", "twice", "other", "more"])
    if kind == "without" and any(c in b"0123456789" for c in data[at:to]):
        kind = "other"
    return {
        "cut": data[:at],
        "without": data[:at] + data[to:],
        "twice": data[:to] + data[at:],
        "other": data[:at] + some + data[to:],
        "more": data[:at] + some + data[at:],
    }[kind]


def check(record: StreamRecord) -> None:
    """Right to one token, which may be the one that ends an answer, or a reason."""
    if record.error:
        assert record.error.replace("_", "").isalnum()
        return
    assert record.final.answer_tokens == N
    step = step_of(record)
    assert step.end_s == pytest.approx(FIRST_S + N * GAP_S, abs=1.01 * GAP_S)
    if step.first_chunk == "token":
        assert step.first_s == pytest.approx(FIRST_S, abs=1.01 * GAP_S)
    if step.decoding and (step.decoding.basis == "arrival" or record.final.decode_s == 0.23):
        rate = step.decoding.tokens / step.decoding.seconds
        assert rate == pytest.approx(1 / GAP_S, rel=1.2 / (N - 4))


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=lambda driver: driver.path)
@pytest.mark.parametrize("streams", [60, pytest.param(2000, marks=pytest.mark.full)])
def test_changed_streams_give_right_numbers_or_a_reason(driver: Driver, streams: int) -> None:
    luck = random.Random(f"{driver.path}{streams}")  # noqa: S311 - a choice, no secret
    reasons: list[str | None] = []

    async def play() -> None:
        async with open_client() as client:
            for number in range(streams):
                pieces = pieces_of(driver, luck)
                for _ in range(min(number, luck.choice([1, 1, 2, 3]))):  # the first is as it is
                    place = luck.randrange(len(pieces))
                    at, data = pieces[place]
                    pieces[place] = (at, changed(data, luck))
                    if luck.random() < 0.1:
                        del pieces[place + 1 :]
                record = await played(client, driver, pieces, max_tokens=N)
                check(record)
                reasons.append(record.error)

    asyncio.run(play())
    # neither all good nor all refused
    assert reasons[0] is None
    assert {"bad_json", "truncated_chunked", None} < set(reasons)
