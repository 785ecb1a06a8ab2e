"""The order of a block: who runs where in which round, who runs twice, and who runs alone."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from run_specs import TOPOLOGIES, an_agent, rounds_of, run_spec, two_agents

from tandembench.measure.plan import Round, Turn, ask_number, measured_alone, twin_of
from tandembench.servers.deployment import deployments
from tandembench.study.spec import RunSpec


def runs_of(one: Round) -> list[Turn]:
    return [turn for turn in one.turns if turn.solo is None]


def slots(spec: RunSpec, repetitions: int) -> list[list[str]]:
    """The runs of every round of the first repetitions; the twin is "twin", whose ever it is."""
    return [
        ["twin" if turn.twin else spec.configs[turn.config].id for turn in runs_of(one)]
        for repetition in range(1, repetitions + 1)
        for one in rounds_of(spec, repetition)
    ]


@pytest.mark.parametrize(
    ("topologies", "rounds", "repetitions"),
    [(TOPOLOGIES, 4, 5), (TOPOLOGIES, 1, 10), (TOPOLOGIES, 5, 2), (TOPOLOGIES[:3], 3, 4)],
)
def test_every_place_falls_to_every_config_equally_often(
    topologies: tuple[str, ...], rounds: int, repetitions: int
) -> None:
    order = slots(run_spec(*topologies, rounds=rounds), repetitions)
    n = len(topologies) + 1
    assert len(order) == rounds * repetitions
    for place in range(n):
        counts = Counter(one[place] for one in order)
        assert counts == dict.fromkeys((*topologies, "twin"), len(order) // n)
    # and who goes before whom is balanced as well
    before = Counter(pair for one in order for pair in pairwise(one))
    if len(order) % (2 * n) == 0:
        assert set(before.values()) == {len(order) // n}
        assert len(before) == n * (n - 1)


def test_no_config_keeps_its_place_or_moves_by_a_pattern() -> None:
    order = slots(run_spec(*TOPOLOGIES, rounds=4), 10)
    for block in range(10):
        for column in zip(*order[4 * block : 4 * block + 4], strict=True):
            assert max(Counter(column).values()) <= 2
    order = slots(run_spec(*TOPOLOGIES, rounds=5), 20)
    moves = {
        (one.index("serial"), other.index("serial"))
        for square in range(20)
        for one, other in pairwise(order[5 * square : 5 * square + 5])
    }
    # the rows of a cyclic square, in its own order, know one move from each place
    assert len(moves) == 5 * 4


def test_one_config_runs_twice_in_every_round_and_each_has_its_repetition() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=3)
    twins = [twin_of(spec, repetition) for repetition in range(1, 9)]
    assert set(twins[:4]) == {0, 1, 2, 3}
    assert twins[:4] == twins[4:]
    for repetition, twin in enumerate(twins, 1):
        for one in rounds_of(spec, repetition):
            assert [turn.config for turn in one.turns if turn.twin] == [twin]
            assert sorted(Counter(turn.config for turn in runs_of(one)).values()) == [1, 1, 1, 2]
    # a comparison of one has no twin
    spec = run_spec("dual", rounds=3)
    assert twin_of(spec, 1) is None
    assert all(not turn.twin for one in rounds_of(spec) for turn in one.turns)


SERIAL, SINGLE = run_spec("serial", "single").configs


@pytest.mark.parametrize(
    ("spec", "alone"),
    [
        # serial is the solo of what shares its server
        (run_spec(*TOPOLOGIES), {"single_parallel", "dual"}),
        (run_spec("single", "dual"), {"single", "dual"}),
        (run_spec("serial", "dual"), {"dual"}),
        # a config that stands alone has solos
        *((run_spec(topology), {topology}) for topology in TOPOLOGIES),
        # one agent is alone anyway
        (run_spec("single", agents=[an_agent("collector")]), set()),
        # other agents, or another server
        *(
            (
                replace(run_spec(), configs=(SERIAL, replace(SINGLE, agents=two_agents(**other)))),
                {"single"},
            )
            for other in ({"temperature": 0.2}, {"num_ctx": 1024})
        ),
    ],
)
def test_who_is_measured_alone(spec: RunSpec, alone: set[str]) -> None:
    keys = [place.key for place in deployments(spec, cores=2)]
    assert {spec.configs[index].id for index in measured_alone(spec, keys)} == alone


def test_solos_stand_once_in_a_block_beside_the_run_of_their_config() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=4)
    places, numbers = set(), set()
    for repetition in range(1, 21):
        rounds = rounds_of(spec, repetition)
        solos = [
            (one.number, turn) for one in rounds for turn in one.turns if turn not in runs_of(one)
        ]
        assert Counter((turn.config, turn.solo) for _, turn in solos) == {
            (config, agent): 1 for config in (2, 3) for agent in (0, 1)
        }
        # both agents in one round, configs in different ones
        assert len({(number, turn.config) for number, turn in solos}) == 2
        assert len({number for number, _ in solos}) == 2
        numbers |= {number for number, turn in solos if turn.config == 2}
        for visit in [visit for one in rounds for visit in one.visits()]:
            assert sum(turn.solo is None for turn in visit) == 1
            if len(visit) > 1:
                assert len(visit) == 3
                places.add([turn.solo for turn in visit].index(None))
    assert places == {0, 1, 2}, "before, between and after"
    assert numbers == {1, 2, 3, 4}


def test_the_order_follows_from_the_seed_and_the_comparison() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=5)
    assert slots(spec, 2) == slots(replace(spec, code="other", retries=3), 2)
    assert slots(spec, 2) != slots(replace(spec, seed=8), 2)
    assert slots(spec, 2) != slots(replace(spec, comparison="other"), 2)
    assert len({twin_of(replace(spec, seed=seed), 1) for seed in range(30)}) == 4


def test_nonces_are_of_a_round_and_an_agent_and_not_of_a_config() -> None:
    spec = run_spec(*TOPOLOGIES)
    number = ask_number(spec, 1, 1, "collector")
    assert number == ask_number(replace(spec, configs=spec.configs[:1]), 1, 1, "collector")
    others = {
        ask_number(spec, 2, 1, "collector"),
        ask_number(spec, 1, 2, "collector"),
        ask_number(spec, 1, 1, "insight"),
        ask_number(spec, 1, 1, "collector", ["dual"]),
        ask_number(replace(spec, seed=8), 1, 1, "collector"),
        ask_number(replace(spec, comparison="other"), 1, 1, "collector"),
    }
    assert len(others | {number}) == 7
