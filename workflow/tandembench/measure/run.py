"""The run command: one block of one RunSpec, from servers up to a run file on disk."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

from tandembench.errors import TandemError
from tandembench.measure.bench import Bench, Done
from tandembench.measure.block import Attempt, measure_block
from tandembench.measure.exclusive import exclusive
from tandembench.measure.machine import Sample, fingerprint
from tandembench.measure.plan import Round, planned_rounds
from tandembench.measure.progress import execution_line, teller, time_left
from tandembench.measure.rows import Row, turn_rows
from tandembench.measure.telemetry import by_position, telemetry
from tandembench.servers.deployment import Deployment, deployments
from tandembench.servers.open import open_servers
from tandembench.study.spec import RunSpec
from tandembench.wire import open_client


def run(
    spec: RunSpec, repetition: int, session: str, output: Path, models: Path, log_path: Path
) -> None:
    """Measure one block, the ``repetition``-th of ``spec``, and write its run file to ``output``.

    A failed run is a result: its rows say why, and its round is measured again up to ``retries``
    times. TandemError (exit 4) if nothing could be measured at all; then nothing is written.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    label = f"{spec.comparison} r{repetition}"
    with log_path.open("a", encoding="utf-8") as log, exclusive(label, teller(log)):
        machine = fingerprint()
        block = _Block(spec, repetition, label, models, log)
        rows = [{"session": session, **row} for row in block.measured_rows()]
        # Not needed while measuring, and a quarter of a second to import.
        from tandembench.tables.columns import RUN_FILE  # noqa: PLC0415
        from tandembench.tables.parquet import write_table  # noqa: PLC0415

        note = {"spec": asdict(spec) | {"repetition": repetition}, "machine": machine}
        write_table(output, "raw executions of one block", RUN_FILE, rows, note)
        teller(log)(f"{label}: {time_left(output) or 'done'}")


@dataclass(frozen=True, slots=True)
class _Block:
    """What is to be measured, and where the servers and the words about it go."""

    spec: RunSpec
    repetition: int
    label: str
    models: Path
    log: IO[str]

    def measured_rows(self) -> list[Row]:
        """The rows of all attempts."""
        places = deployments(self.spec, len(os.sched_getaffinity(0)))
        keys = [place.key for place in places]
        rounds: Sequence[Round] = planned_rounds(self.spec, self.repetition, keys)
        # As many disturbed rounds are repeated as were planned, at most.
        spare = iter(range(self.spec.rounds + 1, 2 * self.spec.rounds + 1))
        rows: list[Row] = []
        position = 0
        for attempt in range(1, self.spec.retries + 2):
            try:
                measured, samples = asyncio.run(
                    self._attempt(attempt, places, rounds, spare, position)
                )
            except TandemError as error:
                if attempt == 1:
                    raise
                # What was measured before stays a result.
                teller(self.log)(f"{self.label}: not measured again: {error}")
                break
            telemetry_of = by_position(samples, measured.done)
            for done in measured.done:
                of_turn = turn_rows(self.spec, self.repetition, attempt, measured.duration_s, done)
                if done.position is not None:  # the agents of a run share it: the first's
                    of_turn[0]["telemetry"] = telemetry_of[done.position]
                    position = done.position + 1
                rows += of_turn
            rounds = measured.again
            if not rounds:
                break
        return rows

    async def _attempt(
        self,
        attempt: int,
        places: Sequence[Deployment],
        rounds: Sequence[Round],
        spare: Iterator[int],
        position: int,
    ) -> tuple[Attempt, list[Sample]]:
        """One attempt at ``rounds``, and what the telemetry saw meanwhile."""
        with ExitStack() as stack:
            # Started first: it is ready when the servers are.
            sampler = stack.enter_context(telemetry(self.log)) if self.spec.telemetry else None
            async with open_client(keyed=self.spec.engine == "openai") as client:
                bench = Bench(
                    spec=self.spec,
                    repetition=self.repetition,
                    attempt=attempt,
                    places=places,
                    client=client,
                    open_servers=partial(open_servers, self.spec, self.models, client, self.log),
                    position=position,
                )
                if sampler:
                    bench.watch, bench.helpers = sampler.watch, [sampler.pid]
                measured = await measure_block(bench, rounds, spare, self._note)
            return measured, sampler.stop() if sampler else []

    def _note(self, done: Done) -> None:
        """Put a turn into the log; what failed, the person hears too."""
        twin = " twin" if done.turn.twin else ""
        name = f"{self.label}.{done.round} {self.spec.configs[done.turn.config].id}{twin}"
        if done.fault:
            teller(self.log)(f"{name}: failed ({done.fault.reason}) {done.fault.detail}")
        for one in done.executions:
            line = execution_line(name, one)
            if one.error:
                teller(self.log)(line)
            else:
                print(line, file=self.log, flush=True)
