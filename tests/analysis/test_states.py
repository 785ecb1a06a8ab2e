"""A machine that had two speeds while it was measured."""

from collections.abc import Sequence

import numpy as np
import pytest
from runs_tables import some_rounds

from tandembench.analysis.rounds import Rounds
from tandembench.analysis.states import states

FAST, SLOW, DUAL = np.log(1.27), np.log(1.47), np.log(1.17)
TRUTHS = [1.27 / 1.17, 1.47 / 1.17]


def machine(
    n: int = 36, *, shift: float = SLOW - FAST, share: float = 0.4, sd: float = 0.01, seed: int = 1
) -> tuple[Rounds, np.ndarray]:
    """Two-thread servers slow down together for a stretch of rounds, one-thread servers do not."""
    random = np.random.default_rng(seed)
    slow = np.roll(np.arange(n) < share * n, 3)

    def logs(level: float, slows: bool) -> np.ndarray:
        return -(level + shift * slow * slows + random.normal(0, sd, n))

    columns = {name: logs(FAST, True) for name in ("serial", "single", "single_parallel")}
    return some_rounds({**columns, "dual": logs(DUAL, False)}), slow


def test_the_intervals_in_each_state_hold_what_is_true_there() -> None:
    held = []
    for seed in range(100):
        found = states(machine(seed=seed)[0], "dual", "serial")
        for ratio, truth in zip(found.ratios, TRUTHS, strict=True):
            held.append(ratio.low < truth < ratio.high)
    assert 0.88 < np.mean(held) <= 0.99


@pytest.mark.parametrize(
    "changes",
    [
        *({"shift": 0.0, "sd": 0.03, "seed": seed} for seed in range(20)),
        {"shift": 0.04, "sd": 0.003},  # close together
        {"n": 100, "share": 0.1},  # rare
        {"n": 11},  # too few
    ],
)
def test_a_machine_without_two_clear_speeds_has_no_states(changes: dict[str, float]) -> None:
    assert states(machine(**changes)[0], "dual", "serial") is None


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_drift_is_no_state(seed: int) -> None:
    table, _ = machine(shift=0.0, seed=seed)
    drifting = table.logs.sub(np.linspace(0, 0.15, len(table.logs)), axis=0)
    assert states(some_rounds(dict(drifting.items())), "dual", "serial") is None


@pytest.mark.parametrize("size", [0.3, 0.7, 1.2])
def test_three_stalls_are_no_state(size: float) -> None:
    table, _ = machine(shift=0.0)
    table.logs.loc[[5, 17, 30], "serial"] -= size
    assert states(table, "dual", "serial") is None


@pytest.mark.parametrize("stalls", [(), ((2, 0.8), (9, 1.3), (20, 1.0), (25, 0.7))])
def test_planted_states_are_told_also_among_stalls(stalls: Sequence[tuple[int, float]]) -> None:
    table, slow = machine()
    for place, size in stalls:
        table.logs.loc[place] -= size
    found = states(table, "dual", "serial")
    assert [one.makespan_s for one in found.modes] == pytest.approx([1.27, 1.47], rel=0.01)
    assert found.modes[1].share == pytest.approx(slow.mean(), abs=0.1 if stalls else 1e-9)
    assert {*found.configs} == {"serial", "single", "single_parallel"}
    assert [one.value for one in found.ratios] == pytest.approx(TRUTHS, rel=0.02)


def test_a_config_of_one_speed_does_not_share_the_others_states() -> None:
    """dual has two modes here as well, at other times."""
    table, slow = machine()
    table.logs["dual"] -= 0.2 * np.roll(slow, 14)
    found = states(table, "dual", "serial")
    assert ("dual" in found.configs) != ("serial" in found.configs)


def test_rounds_without_the_config_count_for_nothing() -> None:
    table, _ = machine()
    table.logs.loc[table.logs.index[:6], "dual"] = np.nan
    assert states(table, "dual", "serial") is not None
    table.logs["dual"] = np.nan
    assert states(table, "dual", "serial") is None
