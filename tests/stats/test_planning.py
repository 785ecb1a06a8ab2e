"""How many sessions: Stein by hand and by what it promises, power against statsmodels."""

import math
from statistics import stdev

import numpy as np
import pingouin
import pytest
from scipy import stats

from tandembench.stats.planning import detectable_with, sessions_needed


def test_stein_by_hand() -> None:
    pilot = [0.00, 0.04, -0.03, 0.02, 0.01]
    # t(4, 97.5 %) = 2.776445, s = 0.025884, d = ln 1.03 = 0.029559: 5.91
    assert stdev(pilot) == pytest.approx(0.0258844, rel=1e-5)
    assert sessions_needed(pilot, 0.03) == math.ceil((2.776445 * 0.0258844 / 0.0295588) ** 2) == 6
    assert sessions_needed(pilot, 0.01) == 53
    assert sessions_needed(pilot, 0.03, level=0.99) == 17


def test_never_fewer_than_there_are_and_three() -> None:
    assert sessions_needed([0.0, 0.0], 0.03) == 3
    assert sessions_needed([0.0] * 8, 0.03) == 8
    assert sessions_needed([0.0, 1e-6, -1e-6, 0.0], 0.03) == 4


def test_a_small_pilot_asks_for_many() -> None:
    half = 0.03 / math.sqrt(2)
    assert sessions_needed([-half, half], 0.03) == 167
    assert sessions_needed([-0.03, 0.0, 0.03], 0.03) == 20


def test_one_session_says_nothing_of_the_spread() -> None:
    with pytest.raises(ValueError, match="one session"):
        sessions_needed([0.0], 0.03)


def test_the_planned_number_keeps_its_promise_and_stopping_early_does_not() -> None:
    random = np.random.default_rng(119)
    room, studies, sd = math.log1p(0.03), 1500, 0.05
    limits = stats.t.ppf(0.975, np.arange(400) - 1.0)
    kept = stopped = 0
    for _ in range(studies):
        draws = random.normal(0, sd, 400)
        kept += abs(draws[: sessions_needed(draws[:5].tolist(), 0.03)].mean()) <= room
        n = 3
        while n < 400 and limits[n] * draws[:n].std(ddof=1) / math.sqrt(n) > room:
            n += 1
        stopped += abs(draws[:n].mean()) <= room
    assert kept >= stats.binom.ppf(0.005, studies, 0.95)
    assert stopped < kept


# From the project's facts: what a known cv shows, n sessions in each of two arms, in %.
@pytest.mark.parametrize(
    ("cv", "percent"),
    [
        (0.01, [3.1, 2.0, 1.3, 0.9]),
        (0.02, [6.3, 4.1, 2.7, 1.8]),
        (0.05, [16.6, 10.7, 6.8, 4.7]),
        (0.10, [35.9, 22.4, 14.2, 9.5]),
    ],
)
def test_what_a_known_spread_shows(cv: float, percent: list[float]) -> None:
    found = [100 * (detectable_with(cv, n, arms=2) - 1) for n in (3, 5, 10, 20)]
    assert found == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_power_agrees_with_statsmodels_and_pingouin(n: int) -> None:
    from statsmodels.stats.power import TTestPower  # noqa: PLC0415 - slow to import

    sd = 0.04
    effect = math.log(detectable_with(sd, n)) / sd
    # theirs count the wrong direction too, which has next to no share
    assert TTestPower().power(effect, n, 0.05) == pytest.approx(0.8, abs=1e-4)
    assert pingouin.power_ttest(d=effect, n=n, contrast="paired") == pytest.approx(0.8, abs=1e-4)
    both = math.log(detectable_with(sd, n, arms=2)) / sd
    assert pingouin.power_ttest(d=both, n=n, contrast="two-samples") == pytest.approx(0.8, abs=1e-4)
