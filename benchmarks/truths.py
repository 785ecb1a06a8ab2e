"""Does the project find a truth that is known? Real blocks, streams and metrics; a fake server.

The server shares its rate between two streams by a stated rule, so that what sharing gains is
known beforehand. Prints expected, measured and error. README.md says what it means.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import click

from tandembench.dataset.blocks import Raw, Row, block_rows
from tandembench.errors import TandemError
from tandembench.fake_server import Behaviour, fake_process
from tandembench.measure import execution
from tandembench.measure.block import Attempt, Bench, measure_block
from tandembench.measure.exclusive import exclusive
from tandembench.measure.plan import planned_rounds
from tandembench.measure.rows import turn_rows
from tandembench.project import open_plan
from tandembench.servers.deployment import Deployment, Server, Standing, deployments
from tandembench.study.spec import ANSWER, RunSpec
from tandembench.wire import Call, StreamRecord, open_client, stream

REPOSITORY = Path(__file__).parents[1]
TRIES = 3
GAINS = (0.85, 1.0, 1.6, 2.0)
PAUSE_S = 0.05
# The last of a pause is watched, not slept: sleeps end late.
SPIN_S = 0.002


def two_agents(first: int, second: int, prompts: tuple[str, ...] = ("Speak.",)) -> RunSpec:
    """The RunSpec of two agents on one server with so many tokens each; fixed work."""
    spec = next(iter(open_plan("config/quick.yaml", root=REPOSITORY).specs.values()))
    config = next(one for one in spec.configs if len(one.agents) == 2)
    agents = tuple(
        replace(agent, prompts=prompts, max_tokens=tokens)
        for agent, tokens in zip(config.agents, (first, second), strict=True)
    )
    alone = replace(config, topology="single_parallel", work_policy="fixed", agents=agents)
    return replace(spec, configs=(alone,), rounds=1)


def measured(spec: RunSpec, behaviour: Behaviour) -> Row:
    """The metrics of one block of ``spec`` on one fake server; RuntimeError if a stream failed."""
    places = deployments(spec, cores=2)

    async def run(url: str) -> Attempt:
        @asynccontextmanager
        async def there(wanted: Sequence[Deployment]) -> AsyncIterator[Mapping[str, Standing]]:
            yield {place.key: [Server(0, "embedded", url, "fake", {})] for place in wanted}

        async with open_client() as client:
            bench = Bench(
                spec=spec,
                repetition=1,
                attempt=1,
                places=places,
                client=client,
                open_servers=there,
            )
            rounds = planned_rounds(spec, 1, [place.key for place in places])
            return await measure_block(bench, rounds, iter(()))

    with fake_process(behaviour) as url:
        attempt = asyncio.run(run(url))
    if errors := [one.error for done in attempt.done for one in done.executions if one.error]:
        raise RuntimeError(f"streams failed: {errors}")
    raw = [
        {"session": "s1", **row}
        for done in attempt.done
        for row in turn_rows(spec, 1, 1, attempt.duration_s, done)
    ]
    ((row,), _) = block_rows(cast("list[Raw]", raw), "truths")
    return row


def equal_gain(gain: float) -> tuple[float, float]:
    """(expected, measured) speedup_true of two equal answers: the gain itself."""
    row = measured(two_agents(121, 121), Behaviour(first_token_s=0, shared_rate=200, gain=gain))
    return gain, _value(row, "speedup_true")


def unequal_gain(gain: float) -> tuple[float, float]:
    """(expected, measured) speedup_true of 398 and 610 tokens: the gain of their overlap."""
    rate, first, second = 1000.0, 398, 610
    t1, t2 = (first - 1) / rate, (second - 1) / rate  # the first token takes no time here
    behaviour = Behaviour(first_token_s=0, shared_rate=rate, gain=gain)
    row = measured(two_agents(first, second), behaviour)
    return (t1 + t2) / (2 * t1 / gain + t2 - t1), _value(row, "speedup_true")


def lost_outside() -> tuple[float, float]:
    """(0, measured) orchestration_loss of two equal agents that take 1 s; a fraction of wall."""
    row = measured(two_agents(101, 101), Behaviour(first_token_s=0, shared_rate=100, gain=2.0))
    return 0.0, _value(row, "orchestration_loss")


def planted_pause() -> tuple[float, float]:
    """(planted, found) s that both agents pause between their two steps.

    Found is orchestration_true in seconds, less that of the same block without a pause.
    """
    without, paused = blocks_without_and_with_pause()
    return PAUSE_S, outside_s(paused) - outside_s(without)


def blocks_without_and_with_pause() -> tuple[Row, Row]:
    """The same block twice; in the second all agents pause for PAUSE_S before their second step."""

    async def with_a_pause(call: Call, *more: Any) -> StreamRecord:  # noqa: ANN401 - handed on
        if b"w0 " in call.body:  # the second step, which tells the answer of the first
            end = time.monotonic() + PAUSE_S
            await asyncio.sleep(PAUSE_S - SPIN_S)
            while time.monotonic() < end:
                pass
        return await stream(call, *more)

    spec = two_agents(31, 31, prompts=("One.", f"Two: {ANSWER}"))
    behaviour = Behaviour(first_token_s=0.05, shared_rate=100.0, gain=2.0)
    without = measured(spec, behaviour)
    with patch.object(execution, "stream", with_a_pause):
        return without, measured(spec, behaviour)


def outside_s(row: Row) -> float:
    """orchestration_true in seconds."""
    return _value(row, "orchestration_true") * _value(row, "wall_s")


def _value(row: Row, name: str) -> float:
    value = row[name]
    if not isinstance(value, float):
        raise RuntimeError(f"no {name}")
    return value


@dataclass(frozen=True)
class Truth:
    """Something that is known. ``bar`` is the error allowed, relative if ``relative``."""

    name: str
    find: Callable[[], tuple[float, float]]
    bar: float
    relative: bool = False


TRUTHS = [
    *(
        Truth(f"speedup_true, {work}, gain {gain}", partial(find, gain), 0.02, relative=True)
        for work, find in (("equal answers", equal_gain), ("398 and 610 tokens", unequal_gain))
        for gain in GAINS
    ),
    Truth("orchestration_loss of two equal 1 s agents", lost_outside, 0.002),
    Truth("a pause of 50 ms in both agents, s", planted_pause, 0.001),
]


def tried(truth: Truth) -> dict[str, Any]:
    """``truth`` measured three times: the best try, and the errors of all."""
    tries = [truth.find() for _ in range(TRIES)]
    errors = [result - known for known, result in tries]
    if truth.relative:
        errors = [error / known for error, (known, _) in zip(errors, tries, strict=True)]
    best = min(range(TRIES), key=lambda i: abs(errors[i]))
    return {
        "truth": truth.name,
        "expected": tries[best][0],
        "measured": tries[best][1],
        "error": errors[best],
        "errors": errors,
        "relative": truth.relative,
        "bar": truth.bar,
        "met": abs(errors[best]) <= truth.bar,
        "n": TRIES,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    head = ["truth", "expected", f"measured, best of {TRIES}", "its error", "bar", "all errors"]
    lines = [head, ["---"] * len(head)]
    for one in rows:

        def said(error: float, relative: bool = one["relative"]) -> str:
            return f"{100 * error:+.2f} %" if relative else f"{error:+.5f}"

        figures = f"{one['expected']:.4f}", f"{one['measured']:.4f}", said(one["error"])
        bar = said(one["bar"]).lstrip("+") + ("" if one["met"] else " **missed**")
        lines.append([one["truth"], *figures, bar, ", ".join(map(said, one["errors"]))])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@click.command()
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def main(style: str) -> None:
    """Measure what is known already; exit code 1 if a bar is missed in all tries."""

    def tell(line: str) -> None:
        click.echo(line, err=True)

    rows = []
    try:
        with exclusive("benchmarks/truths.py", tell):
            for number, truth in enumerate(TRUTHS, start=1):
                tell(f"{number} of {len(TRUTHS)}: {truth.name}")
                rows.append(tried(truth))
    except (TandemError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(rows, indent=2) if style == "json" else table(rows))
    if not all(one["met"] for one in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
