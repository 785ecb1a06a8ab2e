"""The run command: one block of one RunSpec, from servers up to a run file on disk."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO

from tandembench.errors import TandemError
from tandembench.measure.block import Attempt, Bench, Done, measure_block
from tandembench.measure.exclusive import exclusive
from tandembench.measure.machine import Sample, fingerprint
from tandembench.measure.plan import Round, planned_rounds
from tandembench.measure.progress import execution_line, open_log, teller, time_left
from tandembench.measure.rows import Row, turn_rows
from tandembench.measure.siblings import Siblings, planned_specs, siblings
from tandembench.measure.telemetry import by_position, telemetry, throttled
from tandembench.servers.deployment import Deployment, deployments
from tandembench.servers.open import confirm, open_servers, preflight
from tandembench.study.spec import RunSpec
from tandembench.system import cores
from tandembench.wire import Client, NoAnswer, open_client

# How long a second attempt waits for servers that are gone, at most: systemd starts Ollama anew
# after 3 s.
_RESTART_S, _PAUSE_S = 10.0, 0.2


def run(
    spec: RunSpec, repetition: int, session: str, output: Path, models: Path, log_path: Path
) -> None:
    """Measure one block, the ``repetition``-th of ``spec``, and write its run file to ``output``.

    A failed run is a result: its rows say why, and its round is measured again up to ``retries``
    times. TandemError (exit 4) if nothing could be measured at all; then nothing is written.
    """
    label = f"{spec.comparison} r{repetition}"
    # The lock's holder is named by its file, which also says the study and the session.
    with open_log(log_path) as log, exclusive(str(output), teller(log)):
        if repetition == 1 and spec.engine != "embedded" and (proxies := ignored_proxies()):
            teller(log)(
                f"{label}: {proxies} in the environment is ignored: servers are asked directly"
            )
        machine = fingerprint()
        earlier = siblings(output)
        if not earlier.under_way:
            asyncio.run(_preflight(spec, output, models, log))
        rows = _measured_rows(spec, repetition, label, models, log, earlier)
        # Not needed while measuring, and a quarter of a second to import.
        from tandembench.tables.columns import RUN_FILE  # noqa: PLC0415 - as the next
        from tandembench.tables.parquet import write_table  # noqa: PLC0415 - pyarrow, after measuring

        rows = [{"session": session, **row} for row in rows]
        note = {"spec": asdict(spec) | {"repetition": repetition}, "machine": machine}
        write_table(output, "raw executions of one block", RUN_FILE, rows, note)
        teller(log)(f"{label}: {time_left(output) or 'done'}")


def ignored_proxies() -> str:
    """The variables of the environment that name a proxy; servers are asked without it."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    return ", ".join(sorted(name for name in os.environ if name.lower() in names))


async def _wait_for_servers(spec: RunSpec, client: Client, places: Sequence[Deployment]) -> None:
    """Wait until all running servers answer, or for some seconds; TandemError if others do."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_RESTART_S):
            for place in dict.fromkeys(one for one in places if one.urls):
                while True:
                    with suppress(NoAnswer):
                        await confirm(spec, client, place)
                        break
                    await asyncio.sleep(_PAUSE_S)


async def _preflight(spec: RunSpec, output: Path, models: Path, log: IO[str]) -> None:
    """TandemError unless all servers of the study can be had, not only this block's."""
    if spec.engine != "embedded":
        async with open_client(keyed=spec.engine == "openai") as client:
            await preflight([spec, *planned_specs(output)], models, client, log)


def _measured_rows(
    spec: RunSpec, repetition: int, label: str, models: Path, log: IO[str], earlier: Siblings
) -> list[Row]:
    """The rows of all attempts."""
    tell = teller(log)
    places = deployments(spec, cores())
    rounds: Sequence[Round] = planned_rounds(spec, repetition, [place.key for place in places])
    # As many disturbed rounds are repeated as were planned, at most.
    spare = iter(range(spec.rounds + 1, 2 * spec.rounds + 1))
    rows: list[Row] = []
    position = 0

    def note(done: Done) -> None:
        """Put a turn into the log; what failed, the person hears too."""
        twin = " twin" if done.turn.twin else ""
        name = f"{label}.{done.round} {spec.configs[done.turn.config].id}{twin}"
        if done.fault:
            tell(f"{name}: failed ({done.fault.reason}) {done.fault.detail}")
        for one in done.executions:
            line = execution_line(name, one)
            code, detail = done.invalid.get(one.agent, (None, ""))
            line += f", invalid ({code}) {detail}" if code else ""
            if one.error or code:
                tell(line)
            else:
                print(line, file=log, flush=True)

    async def attempt_at(rounds: Sequence[Round], number: int) -> tuple[Attempt, list[Sample]]:
        """The attempt of this ``number``, and what the telemetry saw meanwhile."""
        with ExitStack() as stack:
            # Started first: it is ready when the servers are.
            sampler = stack.enter_context(telemetry(log)) if spec.telemetry else None
            async with open_client(keyed=spec.engine == "openai") as client:
                bench = Bench(
                    spec=spec,
                    repetition=repetition,
                    attempt=number,
                    places=places,
                    client=client,
                    open_servers=partial(open_servers, spec, models, client, log),
                    position=position,
                    ooms=earlier.ooms,
                    contexts=earlier.contexts,
                )
                if number > 1:
                    await _wait_for_servers(spec, client, places)
                if sampler:
                    bench.watch, bench.helpers = sampler.watch, [sampler.pid]
                measured = await measure_block(bench, rounds, spare, note)
            return measured, sampler.stop() if sampler else []

    for number in range(1, spec.retries + 2):
        try:
            measured, samples = asyncio.run(attempt_at(rounds, number))
        except TandemError as error:
            if number == 1:
                raise
            # What was measured before stays a result.
            tell(f"{label}: not measured again: {error}")
            break
        telemetry_of = by_position(samples, measured.done)
        for done in measured.done:
            of_turn = turn_rows(spec, repetition, number, measured.duration_s, done)
            if done.position is not None:  # the agents of a run share it: the first's
                of_turn[0]["telemetry"] = telemetry_of[done.position]
                position = done.position + 1
                slowed = throttled(telemetry_of[done.position])
                for row in of_turn if slowed else ():
                    if not (row["error"] or row["invalid"]):
                        row |= {"invalid": "throttled", "detail": slowed}
            rows += of_turn
        rounds = measured.again
        if not rounds:
            break
    return rows
