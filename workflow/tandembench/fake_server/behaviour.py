"""What a fake server is set to do, and when an answer's tokens are due."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SIMULATED = "tandembench-fake (simulated)"
_RULES: Sequence[tuple[str, Callable[[float], bool], Sequence[str]]] = (
    (
        "0 or more",
        lambda value: 0 <= value < math.inf,
        ("first_token_s", "gap_s", "jitter_s", "load_s", "spin_s", "hang_s", "drift", "noise"),
    ),
    (
        "above 0",
        lambda value: 0 < value < math.inf,
        ("speed", "gain", "drift_turn_s", "shared_rate"),
    ),
    ("1 or more", lambda value: value >= 1, ("tokens", "least_tokens", "slots", "num_ctx")),
    ("from 0 to 1", lambda value: 0 <= value <= 1, ("hang_share",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Settings of a fake server; times in seconds.

    Exact schedule: a request that has its slot at time a gets its first token at a +
    ``first_token_s``, each further one ``gap_s`` +- ``jitter_s`` (uniform, from ``seed`` and the
    prompt) after the one before. The answer ends by itself after ``tokens``, or any number from
    ``least_tokens`` on (by seed and prompt), or at the request's own limit if that is lower, or
    exactly there if the request says ``ignore_eos``. An end by itself is due as one token more
    would be, an end at the limit at once.

    A machine: all times of an exact schedule are divided by ``speed`` and multiplied by ``drift``
    (see ``slowness``) and by exp(N(0, ``noise``)), drawn once for each request from ``seed`` and
    its number. With a chance of ``hang_share`` a request hangs for ``hang_s`` before its first
    token, which neither speed nor drift changes. So the makespan ratio of two servers is that of
    their speeds and slots.

    Shared rate: with ``shared_rate`` R (tokens/s) the tokens after the first follow from the rule
    of ``SharedRate`` with true gain ``gain``, in place of gaps and machine.

    ``slots`` requests run at once, others wait in order. In Ollama's protocol another model or
    ``num_ctx`` than the loaded one waits until the server is idle and then loads for ``load_s``.
    ``spin_s``: how long before a token is due the server stops sleeping and watches the clock; 0
    where the client lives in the same process.
    """

    first_token_s: float = 0.05
    gap_s: float = 0.01
    jitter_s: float = 0.002
    tokens: int = 20
    least_tokens: int | None = None
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
    load_s: float = 0.05
    num_ctx: int = 4096
    models: Sequence[str] = ("fake:latest",)
    spin_s: float = 0.0003

    def __post_init__(self) -> None:
        for words, allowed, names in _RULES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not allowed(value):
                    raise ValueError(f"{name} is {value}, but must be {words}")
        if self.shared_rate and (self.speed != 1 or self.drift or self.noise or self.hang_share):
            raise ValueError("speed, drift, noise and hang_share do not go with shared_rate")

    def natural(self, prompt: str) -> int:
        """After how many tokens the answer to ``prompt`` ends by itself."""
        least = self.tokens if self.least_tokens is None else min(self.least_tokens, self.tokens)
        length = random.Random(f"{self.seed}/{prompt}/length")  # noqa: S311 - no secret
        return length.randint(least, self.tokens)

    def slowness(self, at_ns: float) -> float:
        """By what the machine multiplies times at ``at_ns`` of CLOCK_MONOTONIC: its drift.

        1 + ``drift`` m, where m goes up for ``drift_turn_s`` from 0, a minute each minute, then
        down to 0 for as long, and so on. All servers of a machine drift as one.
        """
        there_s = at_ns / 1e9 % (2 * self.drift_turn_s)
        return 1.0 + self.drift * min(there_s, 2 * self.drift_turn_s - there_s) / 60

    def due_ns(self, prompt: str, n: int, request: int = 0, begun_ns: int = 0) -> list[int]:
        """When the ``n`` parts of an answer are due after its start, by the exact schedule.

        ``request`` is its number, from 0. A part takes as long as the machine's drift at its
        beginning says.
        """
        jitter = random.Random(f"{self.seed}/{prompt}")  # noqa: S311 - a schedule, no secret
        luck = random.Random(f"{self.seed}/{request}/luck")  # noqa: S311 - likewise
        factor = math.exp(self.noise * luck.gauss(0.0, 1.0)) / self.speed
        after_s = self.hang_s if luck.random() < self.hang_share else 0.0
        due = []
        for part in range(n):
            nominal_s = self.first_token_s
            if part:
                nominal_s = max(0.0, self.gap_s + jitter.uniform(-self.jitter_s, self.jitter_s))
            after_s += nominal_s * factor * self.slowness(begun_ns + after_s * 1e9)
            due.append(round(after_s * 1e9))
        return due
