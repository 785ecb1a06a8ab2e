"""What else simulations.py counts: verdicts on hypotheses, the slope of a drift, steadiness."""

import math

import numpy as np
import pandas as pd

from tandembench.analysis.hypotheses import Source, judge
from tandembench.analysis.stability import drift_slope, steadiness
from tandembench.study.hypotheses import SELF, Hypothesis, Side

Random = np.random.Generator
# The noise of one config's ratio to another, by session and by round; of a whole session.
BETWEEN, WITHIN, SESSION = 0.03, 0.04, 0.10
ROUNDS = 5
CONFIGS = 7
ASKED = 3


def runs(random: Random, ratios: tuple[float, ...], sessions: int) -> pd.DataFrame:
    """A study's runs: configs c0, c1 and so on, whose metric is ``ratios`` times noise."""
    shape = (sessions, ROUNDS, len(ratios))
    logs = np.log(ratios) + random.normal(0, SESSION, (sessions, 1, 1))
    logs = logs + random.normal(0, BETWEEN / math.sqrt(2), (sessions, 1, len(ratios)))
    logs = logs + random.normal(0, WITHIN / math.sqrt(2), shape)
    session, number, config = (axis.ravel() for axis in np.indices(shape))
    return pd.DataFrame(
        {
            "config_id": [f"c{place}" for place in config],
            "session": session,
            "repetition": number,
            "round": number,
            "attempt": 1,
            "antt": np.exp(logs).ravel(),
            "invocation": None,
            "workload": "same",
            "comparison": "same",
            "twin": False,
            "valid": True,
            "cold": False,
        }
    )


def hypothesis_is_misjudged(
    random: Random, sessions: int, *, expected: tuple[float, float]
) -> bool:
    """Hypotheses of which the truth is a bound of what is ``expected``: whether any is settled.

    Each is of another config against the first. Just outside of the bound "confirmed" is false,
    just inside of it "contradicted" is, and neither is as likely anywhere else where it is false.
    """
    truth = max(bound for bound in expected if math.isfinite(bound))
    made = runs(random, (1.0, *[truth] * ASKED), sessions)
    asked = [_hypothesis(f"c{config}", *expected) for config in range(1, ASKED + 1)]
    result = judge(asked, {SELF: Source(made)}, {one.id: "before" for one in asked})
    return any(one.verdict in ("confirmed", "contradicted") for one in result)


def _hypothesis(config: str, low: float, high: float) -> Hypothesis:
    return Hypothesis(
        id=config,
        question="Is it?",
        note=None,
        metric="antt",
        a=Side(SELF, {"config_id": config}),
        b=Side(SELF, {"config_id": "c0"}),
        constant=None,
        compare="ratio",
        low=low,
        high=high,
        expected="so",
        digest="",
    )


def slope_is_covered(random: Random) -> bool:
    """The slope's interval holds a drift of 10 % among seven configs in shuffled rounds."""
    slope = math.log1p(0.10)
    order = random.permuted(np.tile(np.arange(CONFIGS), (ROUNDS, 1)), axis=1)
    places = (np.arange(ROUNDS)[:, None] * CONFIGS + order) / (ROUNDS * CONFIGS - 1)
    logs = random.normal(0, 0.2, CONFIGS) + slope * places + random.normal(0, WITHIN, places.shape)
    groups = np.tile(np.arange(CONFIGS), ROUNDS).tolist()
    interval = drift_slope(logs.ravel().tolist(), places.ravel().tolist(), groups)
    if interval is None or interval.low is None or interval.high is None:
        raise ValueError("no interval")
    return interval.low <= slope <= interval.high


def steady_is_called_unsteady(random: Random) -> bool:
    """35 equal blocks, without a margin: whether they are called anything but flat."""
    return steadiness(random.normal(0, WITHIN, ROUNDS * CONFIGS).tolist(), 0.0).state != "flat"
