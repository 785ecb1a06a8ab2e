"""What real servers and proxies send, on a known schedule: right numbers, or what it was."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_servers import CLOSING, FINISH, OPENAI_DONE
from recorded import play, step_of

from tandembench.wire import DRIVERS, Driver, StreamRecord

LLAMA, OLLAMA = DRIVERS["embedded", None], DRIVERS["ollama", "generate"]
CHAT, COMPLETIONS = DRIVERS["openai", "chat"], DRIVERS["openai", "completions"]
# An answer of N tokens, the first after FIRST_S, then one every GAP_S.
N, FIRST_S, GAP_S = 20, 0.1, 0.01
LAST_S = FIRST_S + (N - 1) * GAP_S
Timed = list[tuple[float, bytes]]


def event(**message: Any) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def counted(n: int) -> dict[str, int]:
    return {"prompt_tokens": 9, "completion_tokens": n}


def said(content: Any, **more: Any) -> bytes:
    return event(
        choices=[{"index": 0, "delta": {"content": content}, "finish_reason": None}], **more
    )


def in_delta(**more: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": more, "finish_reason": "length"}])


def tokens(each: Callable[[int], bytes] = lambda n: said(f"w{n} "), every: int = 1) -> Timed:
    """A piece for every so many tokens, when the last of them is there; n counts from 1."""
    return [(FIRST_S + (n - 1) * GAP_S, each(n)) for n in range(every, N + 1, every)]


def held_back(every: int) -> Timed:
    """The same, a proxy sending so many pieces at once."""
    all_ = tokens()
    return [
        (all_[at + every - 1][0], b"".join(data for _, data in all_[at : at + every]))
        for at in range(0, N, every)
    ]


USAGE = counted(N)
COUNTS = event(choices=[], usage=USAGE)
END = FINISH + COUNTS + OPENAI_DONE


def ndjson(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


OLLAMA_END = {
    "done": True,
    "done_reason": "length",
    "total_duration": 291_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_duration": 99_000_000,
    "eval_count": N,
    "eval_duration": 190_000_000,
}
IN_CHOICE = event(choices=[{"delta": {}, "finish_reason": "stop", "usage": USAGE}])


OLLAMA_SAID = tokens(lambda n: ndjson({"response": "w", "done": False}))


def swapped(old: bytes, new: bytes, last: bytes = END) -> Timed:
    return [(at, data.replace(old, new)) for at, data in [*tokens(), (LAST_S, last)]]


# Right numbers, whatever stands around them.
GOOD: dict[str, tuple[Driver, Timed]] = {
    "plain": (CHAT, [*tokens(), (LAST_S, END)]),
    "heartbeats": (CHAT, swapped(b"data", b"data:\n\n: ping\n\nevent: ping\ndata: now\n\ndata")),
    "other fields": (CHAT, swapped(b"data", b"retry: 1\nfoo: x\nevent: message\ndata")),
    "lines in two": (CHAT, swapped(b'"delta": ', b'"delta":\ndata: ')),
    "mark and CR": (CHAT, [(0.05, b"\xef\xbb\xbf"), *swapped(b"\n", b"\r")]),
    "twice the end": (CHAT, [*tokens(), (LAST_S, END + OPENAI_DONE)]),
    "counts late": (CHAT, [*tokens(), (LAST_S, FINISH + OPENAI_DONE), (LAST_S, COUNTS)]),
    "counts in the choice": (CHAT, [*tokens(), (LAST_S, IN_CHOICE + OPENAI_DONE)]),
    "no [DONE]": (CHAT, [*tokens(), (LAST_S, FINISH + COUNTS)]),
    "reasons with content": (
        CHAT,
        [
            (at, data.replace(b"null", b'"length"' if n == N else b'"null"'))
            for n, (at, data) in enumerate(tokens(lambda n: said("w", usage=counted(n))), 1)
        ],
    ),
    "counts in the delta": (CHAT, [*tokens(), (LAST_S, in_delta(usage=USAGE) + OPENAI_DONE)]),
    "counts beside it": (
        CHAT,
        [*tokens(), (LAST_S, in_delta() + event(x_groq={"usage": USAGE}) + OPENAI_DONE)],
    ),
    "counts of llama.cpp": (
        CHAT,
        [*tokens(), (LAST_S, in_delta() + event(timings={"predicted_n": N}) + OPENAI_DONE)],
    ),
    "words after the end": (CHAT, [*tokens(), (LAST_S, END + b"data: bye\n\ndata: \xff\n\n")]),
    "odd reason": (CHAT, swapped(b'"length"', b'"<|eot_id|>"')),
    "no errors": (CHAT, swapped(b'{"choices"', b'{"error": null, "choices"')),
    "empty errors": (CHAT, swapped(b'{"choices"', b'{"error": "", "choices"')),
    "halves of a pair": (
        CHAT,
        [
            *tokens(lambda n: said("\U0001f600").replace(b"\\ude00" if n % 2 else b"\\ud83d", b"")),
            (LAST_S, END),
        ],
    ),
    "hidden, but counted": (
        CHAT,
        [
            *tokens(lambda n: said(f"w{n}" if n > 5 else "", usage=counted(n))),
            (LAST_S, END),
        ],
    ),
    "one more that ends it": (CHAT, swapped(b'_tokens": 20', b'_tokens": 21')),
    "bundled, but counted": (
        LLAMA,
        [
            *tokens(lambda n: event(content="w", stop=False, tokens_predicted=n), every=2),
            (LAST_S, event(content="", stop=True, stop_type="limit", tokens_predicted=N)),
        ],
    ),
    "Ollama, no errors": (
        OLLAMA,
        [
            *tokens(
                lambda n: ndjson({"response": "w", "done": False, "error": "" if n % 2 else None})
            ),
            (LAST_S, ndjson(OLLAMA_END)),
        ],
    ),
    "Ollama, at once": (OLLAMA, [(LAST_S, ndjson(OLLAMA_END | {"response": "all"}))]),
    "Ollama, held back": (
        OLLAMA,
        [
            *((max(at, 0.19 + n / 2000), data) for n, (at, data) in enumerate(OLLAMA_SAID)),
            (LAST_S, ndjson(OLLAMA_END)),
        ],
    ),
    "llama.cpp behind a proxy": (
        LLAMA,
        [
            *tokens(lambda n: event(content="w", stop=False)),
            (LAST_S, event(stop=True, tokens_predicted=N) + OPENAI_DONE),
        ],
    ),
    "Ollama, bundled": (
        OLLAMA,
        [
            *tokens(lambda n: ndjson({"response": "w w ", "done": False}), every=4),
            (LAST_S, ndjson(OLLAMA_END)),
        ],
    ),
    "a proxy": (CHAT, [*held_back(5), (LAST_S, END)]),
}
BURST, BUNDLE = {"a proxy", "Ollama, held back"}, {"hidden, but counted", "bundled, but counted"}
BUNDLE |= {"Ollama, at once", "Ollama, bundled"}


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("name", GOOD)
def test_what_real_servers_send_gives_right_numbers(name: str, held: bool) -> None:
    driver, pieces = GOOD[name]
    # Held open, and with heartbeats that come for as long: over is over all the same.
    late = [(LAST_S + 2, b": ping\n\n" if driver is not OLLAMA else b"\n")] if held else []

    record = play(driver, [(0.01, CLOSING), *pieces, *late], 2 * N, held)

    assert (record.error, record.detail) == (None, "")
    assert record.final.answer_tokens == N + (name == "one more that ends it")
    step = step_of(record)
    assert step.end_s == pytest.approx(LAST_S)
    unknown = "burst" if name in BURST else "bundle" if name in BUNDLE else "token"
    assert step.first_chunk == unknown
    assert unknown != "token" or step.first_s == pytest.approx(FIRST_S)
    assert step.decoding is not None
    assert step.decoding.tokens / step.decoding.seconds == pytest.approx(1 / GAP_S)
    assert record.text.isprintable()


@pytest.mark.parametrize(
    "pieces",
    [
        tokens(lambda n: said("w w "), every=2),
        [(FIRST_S + 9 * GAP_S, said("w" * 10)), (LAST_S, said("w" * 10))],
        tokens(
            lambda n: said("w", hidden="hm") if n > 10 else event(choices=[{"delta": {"x": 1}}])
        ),
        [(LAST_S, said("all of it"))],
        held_back(N),
    ],
    ids=["two each", "halves", "half hidden", "one chunk", "one burst"],
)
def test_where_chunks_are_no_tokens_neither_rate_nor_first_token_is_known(pieces: Timed) -> None:
    record = play(CHAT, [(0.01, CLOSING), *pieces, (LAST_S, END)], N)
    step = step_of(record)
    assert (record.error, step.decoding, step.first_chunk != "token") == (None, None, True)
    assert step.coalesced == (N - 1 if pieces == held_back(N) else 0)


GZIPPED = b"\x1f\x8b\x08\x00" + b"x" * 100
JSON_HEAD = CLOSING.replace(b"text/plain", b"application/json")
WHOLE = {"choices": [{"message": {"content": "all"}, "finish_reason": "stop"}], "usage": USAGE}


@pytest.mark.parametrize(
    ("driver", "head", "pieces", "reason", "detail"),
    [
        (CHAT, CLOSING, [b"event: error\ndata: it broke\n\n", END], "server_error", "it broke"),
        (
            CHAT,
            CLOSING,
            [event(message="it broke", code=1), COUNTS, OPENAI_DONE],
            "server_error",
            "it",
        ),
        *(
            (
                CHAT,
                CLOSING,
                [said("a"), event(**{"choices": [], **fault}), COUNTS, OPENAI_DONE],
                "server_error",
                "it broke",
            )
            for fault in (
                {"msg": "it broke"},
                {"choices": None, "error_msg": "it broke"},
                {"choices": [{"delta": {}, "error": "it broke"}]},
            )
        ),
        *(
            (CHAT, CLOSING, [said("a"), event(choices=choices), END], "bad_shape", "one choice")
            for choices in ([{"index": 1}], [{"index": 0}, {"index": 0}])
        ),
        *(
            (CHAT, CLOSING, [FINISH.replace(b'"length"', why), END], "server_error", "reason")
            for why in (b'"ABORT"', b'{"type": "abort"}')
        ),
        (OLLAMA, CLOSING, [ndjson({"error": {"code": 7}})], "server_error", "7"),
        (CHAT, JSON_HEAD, [ndjson(WHOLE)], "not_streamed", "application/json"),
        (CHAT, JSON_HEAD, [ndjson({"error": "CUDA out of memory"})], "oom", "CUDA"),
        (OLLAMA, JSON_HEAD, [b'{\n "response": "all"\n}\n'], "not_streamed", "application/json"),
        (CHAT, CLOSING, [b"Not today\n"], "not_streamed", "text/plain"),
        *((one, CLOSING, [GZIPPED], "compressed", "gzip") for one in (CHAT, OLLAMA, LLAMA)),
        (
            CHAT,
            CLOSING.replace(b"\r\n\r\n", b"\r\nContent-Encoding: br\r\n\r\n"),
            [END],
            "compressed",
            "br",
        ),
        (
            CHAT,
            CLOSING,
            [said([{"type": "text", "text": "a"}]), END],
            "bad_shape",
            "content is no text",
        ),
        (CHAT, CLOSING, [said("\ud83d"), END], "bad_utf8", "half"),
        (
            COMPLETIONS,
            CLOSING,
            [event(choices=[{"text": {}}]), END],
            "bad_shape",
            "text is no text",
        ),
        (CHAT, CLOSING, [said("a"), FINISH + OPENAI_DONE], "no_token_count", "how many"),
        (
            CHAT,
            CLOSING,
            [*[said("a")] * N, END.replace(b": 20", b": 19")],
            "count_contradicts",
            "19",
        ),
        (CHAT, CLOSING, [said("a"), END.replace(b": 20", b": 99")], "count_contradicts", "99"),
        (CHAT, CLOSING, [said("a") * 99], "flood", "tokens asked for"),
        (CHAT, CLOSING, [said("a" * 99_999)], "flood", "99999 characters"),
    ],
)
def test_what_is_no_answer_is_named(
    driver: Driver, head: bytes, pieces: Sequence[bytes], reason: str, detail: str
) -> None:
    timed = [(FIRST_S + n / 100, piece) for n, piece in enumerate(pieces)]
    record = play(driver, [(0.01, head), *timed], 2 * N)
    assert record.error == reason
    assert detail in record.detail


def test_a_count_that_nobody_can_decode_in_the_time_is_none() -> None:
    pieces = [(0.01, CLOSING), (0.05, said("a")), (0.06, END.replace(b": 20", b": 999"))]
    assert play(CHAT, pieces, 1000).error == "count_contradicts"


# The shared cases: what each comes to, as (reason, what its first chunk is, its rate in tokens/s).
RIGHT: dict[str, tuple[str | None, str | None, float | None]] = {
    **dict.fromkeys(("error-event", "error-then-usage"), ("server_error", None, None)),
    "no-eval-count_1b": ("no_token_count", None, None),
    **dict.fromkeys(
        ("usage-no-thoughts", "usage-one", "usage-zero"), ("count_contradicts", None, None)
    ),
    "hidden-half": (None, "bundle", 100),
    **dict.fromkeys(("spec-4", "two-chunks", "one-chunk"), (None, "bundle", None)),
    **dict.fromkeys(("all-in-done_1b", "one-line_1b"), (None, "bundle", 96.9)),
    "buffered-1": (None, "burst", None),
    "content-list": ("bad_shape", None, None),
    "nonstream": ("not_streamed", None, None),
}


def shared_cases() -> list[Path]:
    """The recorded answers beside the shared data; none where nobody names it."""
    data = os.environ.get("TANDEMBENCH_SHARED_DATA")
    paths = sorted((Path(data) / "../cases").glob("*/*.jsonl")) if data else []
    assert paths or not data, "no cases beside TANDEMBENCH_SHARED_DATA"
    return paths


@pytest.mark.parametrize("path", shared_cases(), ids=lambda path: path.stem)
def test_shared_cases(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    driver = OLLAMA if path.stem.endswith("_1b") else CHAT
    pieces = [(0.001, CLOSING), *((at, text.encode("latin-1")) for at, text in lines)]
    reason, first_chunk, rate = RIGHT.get(path.stem, (None, "token", 100))

    record: StreamRecord = play(driver, pieces, 32)

    assert record.error == reason
    if not reason:
        step = step_of(record)
        assert step.first_chunk == first_chunk
        assert first_chunk != "token" or step.first_s == pytest.approx(0.1)
        assert step.end_s == pytest.approx(0.41, abs=0.011)
        assert rate == (
            step.decoding and pytest.approx(step.decoding.tokens / step.decoding.seconds, rel=0.01)
        )
