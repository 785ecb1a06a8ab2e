"""What a fake server is set to do, and when an answer's tokens are due."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

SIMULATED = "tandembench-fake (simulated)"

# Answers instead of a stream, by fault: status, type, body.
REFUSALS: Mapping[str, tuple[str, str, str]] = {
    "busy": (
        "503 Service Unavailable",
        "application/json",
        '{"error":"server busy, please try again.  maximum pending requests exceeded"}',
    ),
    "not_found": ("404 Not Found", "application/json", '{"error":"model \'x\' not found"}'),
    "unauthorised": ("401 Unauthorized", "application/json", '{"error":"unauthorized"}'),
    "rate_limited": ("429 Too Many Requests", "application/json", '{"error":"too many requests"}'),
    "oom": (
        "500 Internal Server Error",
        "application/json",
        '{"error":"model requires more system memory (9.0 GiB) than is available (1.0 GiB)"}',
    ),
    "html": ("200 OK", "text/html", "<!DOCTYPE html>\n<html><body>Log in</body></html>\n"),
    "html_502": ("502 Bad Gateway", "text/html", "<html><h1>502 Bad Gateway</h1></html>"),
    "redirect": ("307 Temporary Redirect", "text/plain", ""),
    "empty": ("200 OK", "text/plain", ""),
}
# Sent after TOKENS_BEFORE_FAULT tokens, by fault; then the chunked answer ends in good order.
BAD_ENDS: Mapping[str, bytes] = {
    "error_line": b'{"error":"an error was encountered while running the model"}\n',
    "oom_line": b'{"error":"CUDA error: out of memory"}\n',
    "no_end": b"",
    "half_line": b'{"model":"fake","respo',
    "bad_utf8": b'{"response":"\xff\xfe","content":"\xff\xfe","done":false}\n',
    "long_line": b'{"response":"' + b"x" * 5_000_000 + b'","done":false}\n',
}
TOKENS_BEFORE_FAULT = 3
_TIMES = ("first_token_s", "gap_s", "jitter_s", "load_s", "spin_s", "hang_s")
# ``after_end``: a token after the end. After the first tokens: ``reset`` (TCP), ``truncated`` (the
# connection closes inside a chunk), ``stall`` (nothing more), ``drip`` (a blank line every 10 ms,
# for ever). ``close``: no byte; ``no_headers``: no byte, and open; ``not_http``: no HTTP.
FAULTS = (
    *REFUSALS,
    *BAD_ENDS,
    *("after_end", "reset", "truncated", "stall", "drip", "close", "no_headers", "not_http"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Settings of a fake server; times in seconds.

    Exact schedule: a request that has its slot at time a gets its first token at a +
    ``first_token_s``, each further one ``gap_s`` +- ``jitter_s`` (uniform, from ``seed`` and the
    prompt) after the one before. The answer ends by itself after ``tokens``, or at the request's
    own limit if that is lower, or exactly there if the request says ``ignore_eos``. An end by
    itself is due as one token more would be, an end at the limit at once.

    A machine: all times of an exact schedule are divided by ``speed`` and multiplied by ``drift``
    (see ``slowness``) and by exp(N(0, ``noise``)), drawn once for each request from ``seed`` and
    its number. With a chance of ``hang_share`` a request hangs for ``hang_s`` before its first
    token, which neither speed nor drift changes. So the makespan ratio of two servers is that of
    their speeds and slots; what noise makes of it follows from the law above.

    Shared rate: with ``shared_rate`` R (tokens/s) the tokens after the first follow from the rule
    of ``SharedRate`` with true gain ``gain``; ``gap_s`` and ``jitter_s`` do nothing then, and there
    is no machine.

    ``slots`` requests run at once, ``max_queue`` wait in order, more are refused (503). In Ollama's
    protocol another ``num_ctx`` or ``num_gpu`` than the loaded one waits until the server is idle
    and then reloads for ``load_s``; the default context is ``num_ctx``.

    ``fault`` is one of FAULTS; it meets the ``faulty_request``-th request (from 0), or all.
    ``spin_s``: how long before a token is due the server stops sleeping and watches the clock; 0
    where the client lives in the same process.
    """

    first_token_s: float = 0.05
    gap_s: float = 0.01
    jitter_s: float = 0.002
    tokens: int = 20
    seed: int = 1
    speed: float = 1.0
    drift: float = 0.0
    drift_turn_s: float = 300.0
    noise: float = 0.0
    hang_share: float = 0.0
    hang_s: float = 0.5
    shared_rate: float | None = None
    gain: float = 1.0
    slots: int = 4
    max_queue: int = 512
    load_s: float = 0.05
    num_ctx: int = 4096
    models: Sequence[str] = ("fake:latest",)
    fault: str | None = None
    faulty_request: int | None = None
    spin_s: float = 0.0003

    def __post_init__(self) -> None:
        for name in (*_TIMES, "drift", "noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)}")
        for name in ("speed", "gain", "drift_turn_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is above 0, not {getattr(self, name)}")
        for name in ("tokens", "slots", "num_ctx"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 or more, not {getattr(self, name)}")
        if not 0 <= self.hang_share <= 1:
            raise ValueError(f"hang_share lies from 0 to 1, not {self.hang_share}")
        if self.shared_rate is not None:
            if not 0 < self.shared_rate < math.inf:
                raise ValueError(f"shared_rate is above 0 tokens/s, not {self.shared_rate}")
            if self.speed != 1 or self.drift or self.noise or self.hang_share:
                what = "speed, drift, noise and hang_share"
                raise ValueError(f"{what} are of the exact schedule, not of a shared_rate")
        if self.fault is not None and self.fault not in FAULTS:
            raise ValueError(f"fault '{self.fault}' is not one of {', '.join(FAULTS)}")

    def fault_of(self, request: int) -> str | None:
        """The fault that the request of this number (from 0) meets."""
        return self.fault if self.faulty_request in (None, request) else None

    def slowness(self, at_ns: float) -> float:
        """By what the machine multiplies times at ``at_ns`` of CLOCK_MONOTONIC: its drift.

        1 + ``drift`` m, where m goes up for ``drift_turn_s`` from 0, a minute each minute, then
        down to 0 for as long, and so on. Only the clock counts: all servers of a machine drift as
        one, whenever they were started.
        """
        if not self.drift:
            return 1.0
        there = at_ns / 1e9 % (2 * self.drift_turn_s)
        return 1.0 + self.drift * min(there, 2 * self.drift_turn_s - there) / 60

    def luck(self, request: int) -> tuple[float, float]:
        """(factor of the times, s of hanging) that the request of this number (from 0) draws."""
        draw = random.Random(f"{self.seed}/{request}/luck")  # noqa: S311 - a schedule, no secret
        factor = math.exp(self.noise * draw.gauss(0.0, 1.0))
        return factor, self.hang_s if draw.random() < self.hang_share else 0.0

    def due_ns(self, prompt: str, n: int, request: int = 0, begun_ns: int = 0) -> list[int]:
        """When the ``n`` parts of an answer are due after its start, by the exact schedule.

        A part takes as long as the machine's drift at its beginning says.
        """
        draw = random.Random(f"{self.seed}/{prompt}")  # noqa: S311 - a schedule, no secret
        factor, after_s = self.luck(request)
        due = []
        for part in range(n):
            jitter_s = draw.uniform(-self.jitter_s, self.jitter_s) if part else 0.0
            nominal_s = max(0.0, self.gap_s + jitter_s) if part else self.first_token_s
            after_s += nominal_s * factor / self.speed * self.slowness(begun_ns + after_s * 1e9)
            due.append(round(after_s * 1e9))
        return due


def dump(behaviour: Behaviour) -> str:
    """``behaviour`` as JSON, for another process or the head of a log."""
    return json.dumps(asdict(behaviour))


def load(text: str) -> Behaviour:
    """The behaviour that ``dump`` wrote; ValueError if it is none."""
    given = json.loads(text)
    unknown = set(given) - {field.name for field in fields(Behaviour)}
    if unknown:
        raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
    return Behaviour(**given)
