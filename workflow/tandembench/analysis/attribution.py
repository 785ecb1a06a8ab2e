"""Where the loss of running at once goes, and what answer lengths alone predict of it. Pure.

Symbols: t_min, t_max answer tokens of the two agents of a run; r the decode rate of one agent
alone; g the gain of two at once, which then decode g r together (1: they share what one has; 2:
each has its own). "1" is the unit of plain ratios and fractions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import pearsonr

from tandembench.analysis.intervals import (
    MIN_SESSIONS,
    Interval,
    critical,
    mean_interval,
    ratio_interval,
    session_means,
)
from tandembench.analysis.verdicts import ratio_verdict

Tokens = Sequence[tuple[int, int]]
# "agrees": in the mean and from run to run; "level": in the mean, and the prediction is the same
# for every run; "mean_only": in the mean, but not from run to run; "differs", "inconclusive": not
# even in the mean, or not known.
Outcome = Literal["agrees", "level", "mean_only", "differs", "inconclusive"]
# A prediction follows the runs if it surely explains more than half of their variance.
MIN_CORRELATION = math.sqrt(0.5)
# No server is known to make more than 4 of 1, nor less than a twentieth.
GAINS = (0.05, 4.0)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a loss: its ``mean`` (in 1) and its ``share`` of the mean loss (in 1)."""

    name: str
    mean: Interval
    share: Interval | None


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


def split(
    loss: Sequence[float], parts: Mapping[str, Sequence[float]], sessions: Sequence[str]
) -> list[Part]:
    """Mean and share of each part of ``loss``, which holds a value for each run, as they do.

    The share is the ratio of the means, so that the shares of all parts add up to 1, with the
    interval of the ratio estimator: its linearised values R + (y - R x)/mean x (Cochran 1977,
    section 6.4). None where there is no loss in the mean.
    """
    whole = session_means(loss, sessions)
    total = math.fsum(whole) / len(whole)
    found = []
    for name, values in parts.items():
        own = session_means(values, sessions)
        share = None
        if total > 0:
            ratio = math.fsum(own) / math.fsum(whole)
            share = mean_interval(
                [ratio + (y - ratio * x) / total for x, y in zip(whole, own, strict=True)]
            )
        found.append(Part(name, mean_interval(values, sessions), share))
    return found


def predict_sharing(tokens: Tokens, gain: float) -> list[float]:
    """efficiency_estimate of two that decode at once with gain g, from their answer lengths.

    0.5 + t_min/(2 t_min + g (t_max - t_min)), in 1, [0.5, 1]: both decode for 2 t_min/(g r), the
    longer one then alone for (t_max - t_min)/r, and the estimator adds up (d_min + W)/(2 W). Equal
    answers give 1 whatever g is. ValueError without tokens.
    """
    lengths = _lengths(tokens)
    short, rest = lengths.min(axis=1), np.abs(lengths[:, 0] - lengths[:, 1])
    return [float(value) for value in 0.5 + short / (2 * short + gain * rest)]


def predict_turns(tokens: Tokens, first: Sequence[int]) -> list[float]:
    """The same for one-at-a-time service: 0.5 + 0.5 t_first/(t_1 + t_2), in 1.

    ``first`` is the index (0 or 1) of the agent that was served first: its d is its own, that of
    the other one is W.
    """
    lengths = _lengths(tokens)
    served = lengths[np.arange(len(lengths)), np.asarray(first, int)]
    return [float(value) for value in 0.5 + 0.5 * served / lengths.sum(axis=1)]


def _lengths(tokens: Tokens) -> NDArray[np.float64]:
    lengths = np.asarray(tokens, float).reshape(-1, 2)
    if not len(lengths) or (lengths < 0).any() or not lengths.any(axis=1).all():
        raise ValueError("a prediction needs runs of two agents with answers")
    return lengths


def fitted_gain(
    tokens: Tokens, measured: Sequence[float], sessions: Sequence[str]
) -> Interval | None:
    """The g with which ``predict_sharing`` comes nearest to ``measured``, by least squares.

    In 1. Its interval is that of nonlinear least squares over the runs, t with n - 1 degrees of
    freedom, or from three sessions on that of the fits of each session. None with under three
    runs, with answers of equal length (which say nothing of g), or where no g in GAINS is best.
    """
    by_session: dict[str, list[int]] = {}
    for index, session in enumerate(sessions):
        by_session.setdefault(session, []).append(index)
    whole = _fit(tokens, measured)
    if whole is None or len(by_session) < MIN_SESSIONS:
        return whole
    fits = [
        _fit([tokens[i] for i in own], [measured[i] for i in own]) for own in by_session.values()
    ]
    known = [fit.mean for fit in fits if fit is not None]
    return replace(mean_interval(known), basis="sessions") if len(known) == len(fits) else None


def _fit(tokens: Tokens, measured: Sequence[float]) -> Interval | None:
    n, target = len(measured), np.asarray(measured, float)
    lengths = _lengths(tokens)
    short, rest = lengths.min(axis=1), np.abs(lengths[:, 0] - lengths[:, 1])
    if n < 3 or not (short * rest).any():
        return None

    def squares(gain: float) -> float:
        return float(((np.asarray(predict_sharing(tokens, gain)) - target) ** 2).sum())

    # A grid first: the sum of squares may have more than one valley.
    grid = np.linspace(*GAINS, 80)
    best = int(np.argmin([squares(gain) for gain in grid]))
    if best in (0, len(grid) - 1):
        return None
    gain = float(
        minimize_scalar(squares, bounds=(grid[best - 1], grid[best + 1]), method="bounded").x
    )
    slope = -short * rest / (2 * short + gain * rest) ** 2
    error = math.sqrt(squares(gain) / (n - 1) / float(slope @ slope))
    half = critical(n - 1, 0.95) * error
    return Interval(gain, gain - half, gain + half, n)


def agreement(
    predicted: Sequence[float], measured: Sequence[float], sessions: Sequence[str], margin: float
) -> Agreement:
    """Whether a prediction is what was measured.

    In the mean: predicted over measured is equivalent to 1 within ``margin``. From run to run: the
    lower 95 % bound of the correlation (Fisher 1921) is above MIN_CORRELATION.
    """
    ratio = ratio_interval(
        [p / m for p, m in zip(predicted, measured, strict=True)], sessions, level=0.95
    )
    correlation = _correlation(predicted, measured)
    verdict = ratio_verdict(ratio, margin)
    outcome: Outcome = "differs" if verdict in ("better", "worse") else "inconclusive"
    if verdict == "equivalent":
        follows = correlation is not None and (correlation.low or 0) > MIN_CORRELATION
        outcome = "agrees" if follows else "mean_only"
        if np.ptp(predicted) == 0:
            outcome = "level"
    return Agreement(
        predicted=math.fsum(predicted) / len(predicted),
        measured=math.fsum(measured) / len(measured),
        difference=mean_interval(
            [p - m for p, m in zip(predicted, measured, strict=True)], sessions
        ),
        ratio=ratio,
        correlation=correlation,
        outcome=outcome,
        n=len(predicted),
    )


def _correlation(x: Sequence[float], y: Sequence[float]) -> Interval | None:
    # Below this spread both are constant but for the rounding of floats.
    if len(x) < 4 or min(np.ptp(x), np.ptp(y)) < 1e-9:
        return None
    found = pearsonr(x, y)
    bounds = found.confidence_interval(0.95)
    return Interval(float(found.statistic), float(bounds.low), float(bounds.high), len(x))
