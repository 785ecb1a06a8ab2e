"""One attempt at a block: its rounds, and once more those that others disturbed.

A failed execution voids its run and nothing else; rounds with such a run are for the next attempt.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from tandembench.measure.bench import Bench, Done
from tandembench.measure.machine import no_collection
from tandembench.measure.plan import Round
from tandembench.servers.deployment import ServerFault

# A run that failed so often in a row meets servers that are gone or hang: no round waits for it.
_GIVE_UP = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt measured, and the rounds ``again`` of which something failed.

    ``duration_s``: first warm-up request to last byte; None if nothing was asked.
    """

    done: tuple[Done, ...]
    again: tuple[Round, ...]
    duration_s: float | None


async def measure_block(
    bench: Bench,
    rounds: Sequence[Round],
    spare: Iterator[int],
    tell: Callable[[Done], None] = lambda _: None,
) -> Attempt:
    """Measure ``rounds`` on ``bench``; ``spare`` numbers the rounds that repeat disturbed ones.

    ``tell`` hears of each turn's end. TandemError (exit 4) if the servers are not those of the
    lock, or running ones cannot be reached.
    """
    together = bench.spec.placement == "together"
    everything = {place.key: place for one in rounds for place in map(bench.place, one.turns)}
    queue = list(rounds)
    done: list[Done] = []
    again: list[Round] = []
    failures: Counter[tuple[int, bool]] = Counter()
    with no_collection():
        async with bench.up(list(everything.values()) if together else []):
            for one in queue:  # which grows meanwhile
                of_round = await _measure_round(bench, one, failures, tell)
                done += of_round
                failed = tuple(each.turn for each in of_round if each.failed)
                if failed:
                    again.append(replace(one, blamed=failed))
                elif any(each.disturbed for each in of_round):
                    # in the same places, where a spare number is left
                    queue += [Round(number, one.turns) for number in islice(spare, 1)]
    return Attempt(tuple(done), tuple(again), _duration_s(bench, done))


async def _measure_round(
    bench: Bench, one: Round, failures: Counter[tuple[int, bool]], tell: Callable[[Done], None]
) -> list[Done]:
    """Take the turns of a round once the machine is quiet; ``failures`` counts those in a row.

    Where the servers of all that is to blame are lost once more, the others have their runs
    already, and are not measured for nothing.
    """
    await bench.wait_until_quiet()
    only_blamed = bool(one.blamed) and all(map(bench.lost, one.blamed))
    turns = replace(one, turns=one.blamed) if only_blamed else one
    done: list[Done] = []
    for visit in turns.visits():
        run = visit[0].config, visit[0].twin
        given_up = failures[run] >= _GIVE_UP
        async with bench.up([] if given_up else [bench.place(visit[0])]):
            for turn in visit:
                if given_up:
                    fault = ServerFault("given_up", f"it failed {_GIVE_UP} times in a row before")
                    each = bench.not_taken(one.number, turn, fault)
                else:
                    each = await bench.take(one.number, turn)
                if each.fault and turn.solo is not None:
                    continue  # that its servers are not there is told once, by the run
                done.append(each)
                tell(each)
                if turn.solo is None:
                    failures[run] = failures[run] + 1 if each.failed else 0
    return done


def _duration_s(bench: Bench, done: Sequence[Done]) -> float | None:
    executions = [one for each in done for one in each.executions]
    ends = [step.end_ns for one in executions for step in one.steps]
    return (max(ends) - bench.begun_ns) / 1e9 if bench.begun_ns and ends else None
