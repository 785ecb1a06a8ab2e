"""Executions whose stream is whole and whose number is none, and what else is to be known of one.

Every check rests on what client, server or hardware said of the execution, none on how long it
took: to leave out what is slow would be a bias. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tandembench.measure.execution import Execution
from tandembench.servers.deployment import Effective
from tandembench.wire import StreamRecord
from tandembench.wire.clocks import KERNEL

# Clocks are read one after the other, and this process may wait in between.
SLEPT_S = 0.1
CLOCK_SET_S = 0.01
# A timer waits for less where nothing blocks the event loop, even on a busy machine.
LAG_S = 0.1
# What measuring once more would only show again, and for as long.
LASTING = frozenset({"context_truncated", "cpu_spill", "shared_server", "unsafe"})


# Why a server loaded the model inside of an execution: it should have been loaded, or another agent
# of the turn had the same server load it with other options.
Load = Literal["cold", "reload"]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Of one agent in one turn: what its server ``said`` after it, and who it was.

    ``load``: what it loaded the model for inside of it, if it did; ``restarted``: the server is
    another one than when the turn began; ``on_gpu``: it has had the model on a GPU before;
    ``may_spill``: the study says that part of it need not be there.
    """

    said: Effective
    load: Load | None = None
    restarted: bool = False
    on_gpu: bool = False
    may_spill: bool = False


def invalid(one: Execution, around: Circumstances) -> tuple[str, str] | None:
    """The reason code and a detail, if ``one`` did not do what is to be measured."""
    return next(_faults(one, around), None)


def _faults(one: Execution, around: Circumstances) -> Iterator[tuple[str, str]]:
    if (one.slept_s or 0.0) > SLEPT_S:
        yield "suspended", f"the machine slept for {one.slept_s:.1f} s"
    if around.restarted:
        yield "server_restarted", "the server was started anew meanwhile"
    if around.load == "cold":
        yield "cold", f"the server loaded the model for {one.load_s:.2f} s"
    for step, words in zip(one.steps, one.words, strict=False):
        detail = _cut(step, words, around.said.num_ctx, one.max_tokens)
        if detail:
            yield "context_truncated", detail
    size, there = around.said.size_bytes or 0, around.said.size_vram_bytes
    # A server that never uses a GPU is measured as it is.
    spilt = there is not None and there < size and (there > 0 or around.on_gpu)
    if spilt and not around.may_spill:
        yield "cpu_spill", f"{there} of {size} bytes of the model are on the GPU"
    if one.loop_lag_s > LAG_S and one.steps[-1].clock != KERNEL:
        yield "loop_lag", f"the client stamped arrivals up to {one.loop_lag_s:.1f} s late"


def _cut(step: StreamRecord, words: int, num_ctx: int | None, max_tokens: int) -> str | None:
    """What shows that the context cut prompt or answer; None if nothing does."""
    prompt, answer = step.final.prompt_tokens, step.final.answer_tokens
    if prompt is not None and prompt < words:
        return f"{prompt} tokens of a prompt of {words} words were evaluated"
    if step.final.stop_reason == "length" and answer is not None and answer < max_tokens - 1:
        return f"the server cut the answer after {answer} of {max_tokens} tokens"
    if prompt is None or answer is None or num_ctx is None:
        return None
    # The last token of an answer need not fit. llama.cpp ends an answer one token before the end.
    full = prompt + answer > num_ctx + 1
    if full or (answer < max_tokens and prompt + answer >= num_ctx - 1):
        return f"{prompt} tokens of prompt and {answer} of answer in a context of {num_ctx}"
    return None


def flags(one: Execution, load: Load | None) -> tuple[str, ...]:
    """Codes of what was noticed and takes no number away."""
    noticed = {
        "reload": load == "reload",
        "loop_lag": one.loop_lag_s > LAG_S,
        "prefix_cache": any(step.final.cached_tokens for step in one.steps),
        "clock_set": abs(one.clock_set_s) > CLOCK_SET_S,
    }
    return tuple(code for code, holds in noticed.items() if holds)
