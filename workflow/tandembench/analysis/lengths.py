"""What answer lengths alone predict of TR114's estimator, beside what it read. Pure.

Symbols: t_min, t_max answer tokens of the two agents of a run; r the decode rate of one agent
alone; g the gain of two at once, which then decode g r together (1: they share what one has; 2:
each has its own). "1" is the unit of plain ratios and fractions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.stats import pearsonr

from tandembench.analysis.intervals import (
    MIN_SESSIONS,
    Interval,
    critical,
    mean_interval,
    ratio_interval,
    ratio_verdict,
)
from tandembench.analysis.numbers import RUN

Floats = NDArray[np.float64]
Values = Sequence[float] | Floats
# A pair of lengths for each run.
Tokens = Sequence[tuple[int, int]] | NDArray[np.int_]
# "agrees": in the mean and from run to run; "level": in the mean, and the prediction is the same
# for every run; "mean_only": in the mean, but not from run to run; "differs", "inconclusive": not
# even in the mean, or not known.
Outcome = Literal["agrees", "level", "mean_only", "differs", "inconclusive"]
# What lengths show of the estimator: see `Predictions`.
Finding = Literal["lengths", "turns", "blind", "unexplained"]
# A prediction follows the runs if it surely explains more than half of their variance.
MIN_CORRELATION = math.sqrt(0.5)
# No server is known to make more than 4 of 1, nor less than a twentieth.
GAINS = (0.05, 4.0)


@dataclass(frozen=True, slots=True)
class Agreement:
    """A prediction beside what was measured, over ``n`` runs; means and difference in 1.

    ``ratio`` is predicted over measured, ``correlation`` Pearson's over the runs, None where one
    of the two does not vary or there are under four runs.
    """

    predicted: float
    measured: float
    difference: Interval
    ratio: Interval
    correlation: Interval | None
    outcome: Outcome
    n: int


@dataclass(frozen=True, slots=True)
class Predictions:
    """What token counts alone say of the estimator over ``n`` runs, by how two might be served.

    ``rows``: "share_one" (g = 1), "own_each" (g = 2), "fitted" (``gain``) and "turns". ``finding``
    is what the estimator has measured, ``by`` the prediction that shows it. "lengths": it follows
    the estimator from run to run, of several the nearest in the mean. With answers of one length
    there is nothing to follow: "turns" if only one-at-a-time service gives its mean, else
    "blind", since then no gain at all reads like a full one.
    """

    n: int
    tokens: tuple[float, float]
    gain: Interval | None
    rows: Mapping[str, Agreement]
    finding: Finding
    by: str | None


def predict_sharing(tokens: Tokens, gain: float) -> Floats:
    """efficiency_estimate of two that decode at once with gain g, from their answer lengths.

    0.5 + t_min/(2 t_min + g (t_max - t_min)), in 1, [0.5, 1]: both decode for 2 t_min/(g r), the
    longer one then alone for (t_max - t_min)/r, and the estimator adds up (d_min + W)/(2 W). Equal
    answers give 1 whatever g is. ValueError without tokens.
    """
    lengths = _lengths(tokens)
    short, rest = lengths.min(axis=1), np.abs(lengths[:, 0] - lengths[:, 1])
    return np.asarray(0.5 + short / (2 * short + gain * rest), dtype=np.float64)


def predict_turns(tokens: Tokens, first: Sequence[int]) -> Floats:
    """The same for one-at-a-time service: 0.5 + 0.5 t_first/(t_1 + t_2), in 1.

    ``first`` is the index (0 or 1) of the agent that was served first: its d is its own, that of
    the other one is W.
    """
    lengths = _lengths(tokens)
    served = lengths[np.arange(len(lengths)), np.asarray(first, int)]
    return np.asarray(0.5 + 0.5 * served / lengths.sum(axis=1), dtype=np.float64)


def _lengths(tokens: Tokens) -> Floats:
    lengths = np.asarray(tokens, float).reshape(-1, 2)
    if not len(lengths) or (lengths < 0).any() or not lengths.any(axis=1).all():
        raise ValueError("a prediction needs runs of two agents with answers")
    return lengths


def fitted_gain(tokens: Tokens, measured: Values, sessions: Sequence[str]) -> Interval | None:
    """The g with which ``predict_sharing`` comes nearest to ``measured``, by least squares.

    In 1. Its interval is that of nonlinear least squares over the runs, t with n - 1 degrees of
    freedom, or from three sessions on that of the fits of each session. None with under three
    runs, with answers of equal length (which say nothing of g), or where no g in GAINS is best.
    """
    lengths, values, labels = np.asarray(tokens), np.asarray(measured), np.asarray(sessions)
    whole, names = _fit(lengths, values), dict.fromkeys(sessions)
    if whole is None or len(names) < MIN_SESSIONS:
        return whole
    fits = [_fit(lengths[labels == name], values[labels == name]) for name in names]
    known = [fit.mean for fit in fits if fit is not None]
    return mean_interval(known, list(names)) if len(known) == len(fits) else None


def _fit(tokens: Tokens, measured: Values) -> Interval | None:
    n = len(measured)
    if n < 3 or not any(min(pair) and pair[0] != pair[1] for pair in tokens):
        return None
    # A grid first: the sum of squares may have more than one valley.
    grid = np.linspace(*GAINS, 80)
    squares = [((predict_sharing(tokens, gain) - measured) ** 2).sum() for gain in grid]
    best = int(np.argmin(squares))
    if best in (0, len(grid) - 1):
        return None
    (gain,), ((variance,),) = curve_fit(
        lambda _, gain: predict_sharing(tokens, gain), measured, measured, p0=[grid[best]]
    )
    half = critical(n - 1) * math.sqrt(variance)
    return Interval(float(gain), float(gain - half), float(gain + half), n)


def agreement(
    predicted: Values, measured: Values, sessions: Sequence[str], margin: float
) -> Agreement:
    """Whether a prediction is what was measured.

    In the mean: predicted over measured is equivalent to 1 within ``margin``. From run to run: the
    lower 95 % bound of the correlation (Fisher 1921) is above MIN_CORRELATION.
    """
    x, y = np.asarray(predicted, float), np.asarray(measured, float)
    ratio, correlation = ratio_interval((x / y).tolist(), sessions), _correlation(x, y)
    verdict = ratio_verdict(ratio, margin)
    outcome: Outcome = "differs" if verdict in ("better", "worse") else "inconclusive"
    if verdict == "equivalent":
        follows = correlation is not None and (correlation.low or 0) > MIN_CORRELATION
        outcome = "level" if np.ptp(x) == 0 else "agrees" if follows else "mean_only"
    return Agreement(
        predicted=float(x.mean()),
        measured=float(y.mean()),
        difference=mean_interval((x - y).tolist(), sessions),
        ratio=ratio,
        correlation=correlation,
        outcome=outcome,
        n=len(x),
    )


def _correlation(x: Floats, y: Floats) -> Interval | None:
    # Below this spread both are constant but for the rounding of floats.
    if len(x) < 4 or min(np.ptp(x), np.ptp(y)) < 1e-9:
        return None
    result = pearsonr(x, y)
    bounds = result.confidence_interval(0.95)
    return Interval(float(result.statistic), float(bounds.low), float(bounds.high), len(x))


def pairs(valid: pd.DataFrame, shared: pd.DataFrame) -> pd.DataFrame:
    """Runs of two agents at once, with the lengths of their answers.

    ``first`` is the index of the agent that was done first: of two that start together and are
    served in turn, the one that was served first.
    """
    both = valid[(valid["n_agents"] == 2) & (valid["topology"] != "serial")]
    group = shared.merge(both[RUN], on=RUN).dropna(subset=["answer_tokens"])
    if group.empty:
        return both.iloc[:0].assign(tokens_0=0, tokens_1=0, first=0)
    agents = group.pivot(index=RUN, columns="agent_index", values=["answer_tokens", "duration_s"])
    agents = agents.dropna()
    tokens, duration_s = agents["answer_tokens"], agents["duration_s"]
    first = (duration_s[1] < duration_s[0]).astype(int)
    flat = pd.DataFrame({"tokens_0": tokens[0], "tokens_1": tokens[1], "first": first})
    return both.merge(flat[flat["tokens_0"] + flat["tokens_1"] > 0], on=RUN)


def predictions(known: pd.DataFrame, margin: float) -> Predictions:
    """What token counts alone say of the estimator, over ``known`` rows of `pairs`."""
    tokens = known[["tokens_0", "tokens_1"]].to_numpy(dtype=int)
    measured, sessions = known["efficiency_estimate"].to_list(), known["session"].to_list()
    gain = fitted_gain(tokens, measured, sessions)
    predicted = {
        "share_one": predict_sharing(tokens, 1.0),
        "own_each": predict_sharing(tokens, 2.0),
        **({"fitted": predict_sharing(tokens, gain.mean)} if gain else {}),
        "turns": predict_turns(tokens, known["first"].to_list()),
    }
    rows = {
        name: agreement(values, measured, sessions, margin) for name, values in predicted.items()
    }
    means = float(tokens[:, 0].mean()), float(tokens[:, 1].mean())
    return Predictions(len(known), means, gain, rows, *_finding(rows))


def _finding(rows: Mapping[str, Agreement]) -> tuple[Finding, str | None]:
    following = {
        name: abs(row.difference.mean) for name, row in rows.items() if row.outcome == "agrees"
    }
    if following:
        return "lengths", min(following, key=lambda name: following[name])
    level = [name for name, row in rows.items() if row.outcome == "level"]
    if not level:
        return "unexplained", None
    return ("turns" if level == ["turns"] else "blind"), level[0]
