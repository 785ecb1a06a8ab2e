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


def runs(spec: RunSpec, repetitions: int) -> list[list[Turn]]:
    """The runs of every round of the first repetitions."""
    return [
        runs_of(one)
        for repetition in range(1, repetitions + 1)
        for one in rounds_of(spec, repetition)
    ]


def slots(spec: RunSpec, repetitions: int) -> list[list[str]]:
    """The same, by name; the twin is "twin", whose ever it is."""
    return [
        ["twin" if turn.twin else spec.configs[turn.config].id for turn in turns]
        for turns in runs(spec, repetitions)
    ]


def test_where_a_config_runs_next_cannot_be_told_from_where_it_ran() -> None:
    order = slots(run_spec(*TOPOLOGIES, rounds=5), 20)
    moves = {
        (one.index("serial"), other.index("serial"))
        for square in range(20)
        for one, other in pairwise(order[5 * square : 5 * square + 5])
    }
    # the rows of a cyclic square, in its own order, know one move from each place
    assert len(moves) == 5 * 4


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
        assert set(counts) == {*topologies, "twin"}
        assert set(counts.values()) == {len(order) // n}
    # and who goes before whom is balanced as well
    before = Counter(pair for one in order for pair in pairwise(one))
    if len(order) % (2 * n) == 0:
        assert set(before.values()) == {len(order) // n}
        assert len(before) == n * (n - 1)


def test_within_a_few_rounds_no_config_keeps_its_place() -> None:
    order = slots(run_spec(*TOPOLOGIES, rounds=4), 10)
    for block in range(10):
        for column in zip(*order[4 * block : 4 * block + 4], strict=True):
            assert max(Counter(column).values()) <= 2


def test_one_config_runs_twice_in_every_round_and_each_has_its_repetition() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=3)
    twins: list[int] = []
    for repetition in range(1, 9):
        of_block = {
            turn.config for one in rounds_of(spec, repetition) for turn in one.turns if turn.twin
        }
        twins += of_block
        assert of_block == {twin_of(spec, repetition)}
        for one in rounds_of(spec, repetition):
            counts = Counter(turn.config for turn in runs_of(one))
            assert sorted(counts.values()) == [1, 1, 1, 2]
    assert sorted(twins[:4]) == [0, 1, 2, 3]
    assert twins[:4] == twins[4:]


def test_a_comparison_of_one_has_no_twin() -> None:
    spec = run_spec("dual", rounds=3)
    assert twin_of(spec, 1) is None
    assert all(not turn.twin for one in rounds_of(spec) for turn in one.turns)


def alone(spec: RunSpec) -> set[str]:
    """The ids of the configs that have solos."""
    keys = [place.key for place in deployments(spec, cores=2)]
    return {spec.configs[index].id for index in measured_alone(spec, keys)}


def test_serial_is_the_solo_of_what_shares_its_server() -> None:
    spec = run_spec(*TOPOLOGIES)
    assert alone(spec) == {"single_parallel", "dual"}
    assert alone(run_spec("single", "dual")) == {"single", "dual"}
    assert alone(run_spec("serial", "dual")) == {"dual"}


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_config_that_stands_alone_has_solos(topology: str) -> None:
    assert alone(run_spec(topology)) == {topology}


def test_serial_with_other_agents_or_another_server_is_no_solo() -> None:
    spec = run_spec("serial", "single")
    serial, single = spec.configs
    other = replace(single, agents=two_agents(temperature=0.2))
    assert alone(replace(spec, configs=(serial, other))) == {"single"}
    larger = replace(single, agents=two_agents(num_ctx=1024))
    assert alone(replace(spec, configs=(serial, larger))) == {"single"}


def test_one_agent_is_alone_anyway() -> None:
    assert alone(run_spec("single", agents=[an_agent("collector")])) == set()


def test_solos_stand_once_in_a_block_beside_the_run_of_their_config() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=4)
    places, numbers = set(), set()
    for repetition in range(1, 21):
        rounds = rounds_of(spec, repetition)
        solos = [
            (one.number, turn) for one in rounds for turn in one.turns if turn.solo is not None
        ]
        assert Counter((turn.config, turn.solo) for _, turn in solos) == {
            (config, agent): 1 for config in (2, 3) for agent in (0, 1)
        }
        # both agents in one round, configs in different ones
        assert len({(number, turn.config) for number, turn in solos}) == 2
        assert len({number for number, _ in solos}) == 2
        numbers |= {number for number, turn in solos if turn.config == 2}
        for one in rounds:
            for visit in one.visits():
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
