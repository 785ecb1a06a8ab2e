"""The interval of a ratio from rounds, blocks and sessions, and the robust mean below it."""

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from timings import unhurried

from tandembench.analysis.levels import Allowance, Fit, Side, Variance, allowance, behaves_like, fit
from tandembench.analysis.location import hodges_lehmann, pseudo_values, scale

NOTHING = Allowance(0.0, 0.0)
# As two started deployments with unlike threads have it.
UNLIKE = Allowance(0.028, 0.042, 100.0)


def rounds(
    sessions: int,
    blocks: int,
    per_block: int,
    *,
    seed: int = 1,
    sd: float = 0.03,
    start: float = 0.0,
    session: float = 0.0,
    stalls: float = 0.0,
) -> tuple[list[float], list[int], list[str], list[float]]:
    """Log ratios about 0, with their blocks, sessions and seconds."""
    random = np.random.default_rng(seed)
    shape = (sessions, blocks, per_block)
    logs = random.normal(0, sd, shape) + random.normal(0, start, shape[:2])[..., None]
    logs = logs + random.normal(0, session, (sessions, 1, 1))
    logs = logs + (random.random(shape) < stalls) * random.choice([-1, 1], shape)
    place = np.arange(logs.size)
    return (
        logs.ravel().tolist(),
        ((place // per_block) % blocks).tolist(),
        [f"s{number}" for number in place // (blocks * per_block)],
        (7.0 * place + 8.0 * (place // per_block)).tolist(),
    )


def fitted(*shape: int, allowance: Allowance = UNLIKE, **noise: float) -> Fit:
    one = fit(*rounds(*shape, **noise), allowance)
    return one


def half_width(one: Fit) -> float:
    ratio = one.estimate()
    return math.log(ratio.high / ratio.low) / 2


def mean_half_width(*shape: int, **noise: float) -> float:
    return float(np.mean([half_width(fitted(*shape, seed=seed, **noise)) for seed in range(400)]))


def holds(one: Fit) -> bool:
    ratio = one.estimate()
    return bool(ratio.low <= 1 <= ratio.high)


def coverage(*shape: int, **noise: Any) -> float:
    """In how many of 1,000 studies the interval holds the truth of 1."""
    return float(np.mean([holds(fitted(*shape, seed=seed, **noise)) for seed in range(1000)]))


@pytest.mark.parametrize("logs", [[], [0.1]])
def test_one_round_gives_no_interval(logs: Sequence[float]) -> None:
    assert fit(logs, [1] * len(logs), ["s"] * len(logs), [0.0] * len(logs), UNLIKE) is None


def test_one_block_gives_an_interval_as_wide_as_what_is_known_beforehand() -> None:
    one = fitted(1, 1, 4)
    start_and_state = math.hypot(UNLIKE.start, UNLIKE.sitting)
    assert start_and_state < one.error < 1.2 * math.hypot(start_and_state, 0.03 / 2)
    assert (one.rounds, one.blocks, one.sessions) == (4, 1, 1)


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 6, 2), (1, 6, 3), (1, 6, 4), (1, 6, 6)],
        [(1, 1, 4), (1, 2, 4), (1, 3, 4), (1, 6, 4), (1, 12, 4)],
        [(1, 6, 4), (2, 6, 4), (3, 6, 4), (5, 6, 4), (10, 6, 4)],
    ],
    ids=["rounds", "blocks", "sessions"],
)
def test_more_data_narrows_the_expected_interval(shapes: Sequence[tuple[int, ...]]) -> None:
    for stalls in (0.0, 0.1):
        widths = [mean_half_width(*shape, start=0.028, stalls=stalls) for shape in shapes]
        assert widths == sorted(widths, reverse=True)
        assert len(set(widths)) == len(widths)


@unhurried
@given(st.integers(0, 50), st.floats(-2, 2))
def test_a_ratio_times_a_constant_is_that_ratio_times_the_constant(seed: int, shift: float) -> None:
    logs, blocks, sessions, seconds = rounds(2, 3, 4, seed=seed)
    one = fit(logs, blocks, sessions, seconds, UNLIKE)
    moved = fit([log + shift for log in logs], blocks, sessions, seconds, UNLIKE)
    assert moved.log == pytest.approx(one.log + shift, abs=1e-6)
    assert moved.error == pytest.approx(one.error, rel=1e-4)


@unhurried
@given(st.integers(0, 50), st.randoms(use_true_random=False))
def test_the_order_of_rounds_says_nothing(seed: int, random: st.DataObject) -> None:
    rows = [*zip(*rounds(2, 3, 4, seed=seed, stalls=0.1), strict=True)]
    one = fit(*map(list, zip(*rows, strict=True)), UNLIKE)
    random.shuffle(rows)
    other = fit(*map(list, zip(*rows, strict=True)), UNLIKE)
    assert other.log == pytest.approx(one.log, abs=1e-9)
    assert other.error == pytest.approx(one.error, rel=1e-6)


def test_equal_names_of_blocks_in_two_sessions_are_two_blocks() -> None:
    assert fitted(2, 3, 4).blocks == 6


def test_sessions_count_alike_however_many_rounds_they_have() -> None:
    """One session of 12 rounds at +5 % and one of 4 at -5 %: the middle is 0."""
    few, many = rounds(1, 1, 4, seed=2, sd=0.001), rounds(1, 3, 4, seed=3, sd=0.001)
    one = fit(
        [log + 0.05 for log in many[0]] + [log - 0.05 for log in few[0]],
        [*many[1], *few[1]],
        ["a"] * 12 + ["b"] * 4,
        [*many[3], *few[3]],
        UNLIKE,
    )
    assert one.log == pytest.approx(0, abs=0.002)


def test_a_long_sitting_sees_more_of_the_machine_than_a_short_one() -> None:
    *rest, seconds = rounds(1, 6, 4)
    wide, long = (fit(*rest, [factor * one for one in seconds], UNLIKE) for factor in (1, 10))
    assert long.error < 0.8 * wide.error
    assert UNLIKE.of_sitting(1000) == pytest.approx(UNLIKE.of_sitting(10) / 10)
    # starts that differ more than expected widen it
    assert mean_half_width(1, 6, 4, start=0.15) > 1.5 * mean_half_width(1, 6, 4, start=0.0)


def test_what_is_known_of_pairs_that_behave_alike_steadies_the_interval() -> None:
    def spread(alike: Variance | None) -> float:
        fits = [fit(*rounds(1, 3, 4, seed=seed), NOTHING, alike) for seed in range(300)]
        return float(np.std([half_width(one) for one in fits if one]))

    known = Variance(0.03**2 / 4, 10.0)
    assert spread(known) < 0.8 * spread(None)


KNOWN = {"allowance": Allowance(0.028, 0.0), "start": 0.028, "stalls": 0.1}


@pytest.mark.parametrize(
    ("shape", "known"),
    [(shape, {"allowance": NOTHING}) for shape in ((1, 2, 1), (3, 1, 1), (3, 3, 1), (1, 3, 4))]
    + [(shape, KNOWN) for shape in ((1, 1, 4), (1, 3, 4), (3, 6, 4))],
)
def test_the_truth_is_covered(shape: tuple[int, ...], known: Any) -> None:
    """Also from one round a block, where nothing beforehand says how noisy a round is."""
    # 95 %, less what so few studies may be off
    bar = 0.94 if (shape, known) == ((1, 3, 4), {"allowance": NOTHING}) else 0.93
    assert coverage(*shape, **known) > bar


def test_values_that_do_not_vary_have_a_p() -> None:
    """A server on an exact schedule: nothing varies, and nothing may be divided by it."""
    same, apart = (
        fit([log] * 6, [1, 1, 1, 2, 2, 2], ["s"] * 6, [0.0] * 6, NOTHING) for log in (0.0, 0.1)
    )
    assert (same.p, apart.p, same.detectable) == (1.0, pytest.approx(0.0), 1.0)


def test_p_agrees_with_the_interval() -> None:
    for seed in range(50):
        one = fitted(1, 3, 4, seed=seed, sd=0.2)
        assert (one.p < 0.05) is not holds(one)


def test_the_detectable_ratio_is_found_in_four_of_five() -> None:
    # The spread is known beforehand here, so that "such data" is well defined.
    known = Allowance(0.1, 0.0)
    effect = math.log(fitted(1, 1, 50, sd=0.001, allowance=known).detectable)
    random = np.random.default_rng(4)
    seen = 0
    for _ in range(2000):
        logs = effect + random.normal(0, 0.1) + random.normal(0, 0.001, 50)
        one = fit(logs.tolist(), [1] * 50, ["s"] * 50, [0.0] * 50, known)
        seen += one.p < 0.05 and one.log > 0
    assert 0.76 < seen / 2000 < 0.84


ONE_SLOT, TWO_SLOTS = Side("a", (2,), started=True), Side("b", (2,), started=True)
TWO_SERVERS = Side("c", (1, 1), started=True)
RUNNING = [Side(url, (), started=False) for url in ("http://a", "http://b", "http://c")]


def test_what_is_known_beforehand_is_what_two_sides_do_not_share() -> None:
    """A deployment is one start and one set of states; running servers have no start."""
    for pair in ((ONE_SLOT, ONE_SLOT), (RUNNING[0], RUNNING[1])):
        assert (allowance(*pair).start, allowance(*pair).sitting) == (0.0, 0.0)
    both = allowance(ONE_SLOT, TWO_SLOTS)
    one = allowance(ONE_SLOT, Side("d", (2,), started=False))
    assert 0 < one.start < both.start
    assert math.isclose(both.start, math.sqrt(2) * one.start)
    # unlike threads have states of their own
    assert allowance(ONE_SLOT, TWO_SERVERS).sitting > 4 * both.sitting > 0


def test_pairs_behave_alike_by_their_threads_and_by_sharing_a_deployment() -> None:
    assert behaves_like(ONE_SLOT, TWO_SERVERS) == behaves_like(TWO_SERVERS, TWO_SLOTS)
    assert behaves_like(ONE_SLOT, TWO_SLOTS) != behaves_like(ONE_SLOT, TWO_SERVERS)
    assert behaves_like(ONE_SLOT, TWO_SLOTS) != behaves_like(ONE_SLOT, ONE_SLOT)
    # of servers whose threads are not known nothing is expected
    kinds = {behaves_like(RUNNING[0], other) for other in (*RUNNING[1:], TWO_SLOTS)}
    assert len(kinds) == 3


values = arrays(
    np.float64,
    st.integers(1, 40),
    elements=st.floats(-1, 1, allow_nan=False).map(lambda one: round(one, 4)),
)


def noise(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.03, n)


def test_hodges_lehmann_is_the_median_of_pairwise_means() -> None:
    # 0, 0.5, 1, 2, 2.5, 4
    assert hodges_lehmann(np.array([0.0, 1.0, 4.0])) == pytest.approx(1.5)
    assert hodges_lehmann(np.array([7.0])) == 7.0
    with pytest.raises(ValueError, match="no values"):
        hodges_lehmann(np.array([]))
    # A quarter of stalls moves it by less than the noise.
    stalled = np.concatenate([noise(15), np.full(5, -1.2)])
    assert abs(hodges_lehmann(stalled) - hodges_lehmann(noise(15))) < 0.03


@unhurried
@given(values, st.floats(-5, 5), st.randoms(use_true_random=False))
def test_both_move_with_their_values_turn_with_the_sign_and_ignore_the_order(
    logs: np.ndarray, shift: float, random: Random
) -> None:
    middle, pseudo = hodges_lehmann(logs), pseudo_values(logs)
    order = list(range(len(logs)))
    random.shuffle(order)
    assert hodges_lehmann(shift - logs[order]) == pytest.approx(shift - middle, abs=1e-9)
    assert pseudo_values(shift - logs[order]) == pytest.approx(shift - pseudo[order], abs=1e-6)


@pytest.mark.parametrize("n", [4, 12, 48])
def test_the_mean_of_pseudo_values_is_the_m_estimate(n: int) -> None:
    """It solves mean psi = 0, so that each round's weight times its distance adds up to nothing."""
    logs = np.concatenate([noise(n), [0.9, -1.1]])
    mean = float(pseudo_values(logs).mean())
    reach = 4.685 * scale(logs - hodges_lehmann(logs))
    u = np.clip((logs - mean) / reach, -1, 1)
    assert float(((logs - mean) * (1 - u**2) ** 2).sum()) == pytest.approx(0, abs=1e-6)


def test_a_far_stall_weighs_nothing_however_far_it_is() -> None:
    steady = noise(23)
    near, far = (pseudo_values(np.append(steady, [stall])) for stall in (0.7, 1.4))
    assert near == pytest.approx(far, abs=1e-9)
    assert near[-1] == pytest.approx(near.mean(), abs=1e-6)
    assert abs(near.mean() - steady.mean()) < 0.01


def test_without_stalls_the_spread_is_that_of_the_rounds() -> None:
    """95 % as efficient as the mean: the error of pseudo-values is what the estimate's really is"""
    random = np.random.default_rng(3)
    drawn = [pseudo_values(random.normal(0, 0.2, 24)) for _ in range(2000)]
    really = np.std([one.mean() for one in drawn])
    said = np.mean([one.std(ddof=1) for one in drawn]) / np.sqrt(24)
    assert said == pytest.approx(really, rel=0.05)
    assert really == pytest.approx(0.2 / np.sqrt(24), rel=0.08)


@pytest.mark.parametrize("minority", [0.11, -0.11])
def test_a_rarer_state_of_the_machine_is_no_stall(minority: float) -> None:
    """However quiet the machine is: three rounds in four in one state, the fourth in the other."""
    logs = np.where(np.arange(24) % 4 == 0, minority, 0.0) + 0.1 * noise(24)
    assert float(pseudo_values(logs).mean()) == pytest.approx(logs.mean(), abs=0.005)


def test_few_values_quiet_machines_and_two_clusters() -> None:
    three = np.array([0.0, 0.1, 1.5])
    assert pseudo_values(three) == pytest.approx(three)
    stalled = np.append(0.1 * noise(11), [np.log(2)])
    assert float(pseudo_values(stalled).mean()) == pytest.approx(0, abs=0.005)
    assert np.isfinite(pseudo_values(np.repeat([0.0, 1.0], 10) + noise(20))).all()
