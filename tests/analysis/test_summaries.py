"""Summaries: what they hold, what they rest on, and what is possible."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tandembench.analysis.intervals import mean_interval, ratio_interval
from tandembench.analysis.summaries import Summary, bounds_of, summary


def some_runs(sessions: int = 1, blocks: int = 4, rounds: int = 1, **columns: Any) -> pd.DataFrame:
    """Runs of one config; a column is a list of values, or one for all."""
    places = [
        (f"s{s}", f"i{s}", "c", "dual", block, round_, 1)
        for s in range(sessions)
        for block in range(blocks)
        for round_ in range(rounds)
    ]
    names = ["session", "invocation", "comparison", "config_id", "repetition", "round", "attempt"]
    return pd.DataFrame(places, columns=names).assign(**columns)


def summed(runs: pd.DataFrame, metric: str) -> Summary:
    found = summary(runs, metric)
    return found


def test_the_numbers_of_some_runs() -> None:
    runs = some_runs(blocks=4, ttft_s=[1.0, 2.0, None, 6.0], speedup_true=[1.2, 1.5, 1.8, 1.2])
    first = summed(runs, "ttft_s")
    assert (first.metric, first.n) == ("ttft_s", 3)
    assert (first.mean.mean, first.sd) == (3.0, pytest.approx(math.sqrt(7)))
    assert (first.minimum, first.p50, first.p90, first.maximum) == (1.0, 2.0, None, 6.0)
    assert summed(runs, "speedup_true").mean == ratio_interval([1.2, 1.5, 1.8, 1.2])
    # One value has no spread; what is not known of any run has no summary.
    alone = summed(runs[:1], "ttft_s")
    assert (alone.sd, alone.mean.low) == (None, None)
    assert summary(runs[2:3], "ttft_s") is None


def test_an_interval_rests_on_sessions_else_on_blocks() -> None:
    values = np.random.default_rng(1).normal(5, 1, 24)
    by_sessions = some_runs(4, 2, 3, decode_s=values)
    found = summed(by_sessions, "decode_s")
    assert found.mean == mean_interval(values.tolist(), by_sessions["session"].tolist())
    assert (found.mean.basis, found.mean.n, found.n) == ("sessions", 4, 24)
    found = summed(some_runs(1, 8, 3, decode_s=values), "decode_s")
    means = values.reshape(8, 3).mean(axis=1)
    assert (found.mean.basis, found.mean.n) == ("within", 8)
    assert found.mean.low == pytest.approx(stats.ttest_1samp(means, 0).confidence_interval().low)
    # Two blocks show no spread worth the name: then rounds are all there is.
    found = summed(some_runs(1, 2, 12, decode_s=values), "decode_s")
    assert found.mean.n == 24


def test_the_slowest_tenth_needs_64_values() -> None:
    values = np.arange(64.0)
    few = summed(some_runs(blocks=63, ttft_s=values[:63]), "ttft_s")
    enough = summed(some_runs(blocks=64, ttft_s=values), "ttft_s")
    assert (few.p90, enough.p90) == (None, pytest.approx(56.7))


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("jain", [1.0, 0.999, 0.95]),
        ("efficiency_estimate", [0.99, 0.93, 0.999]),
        ("efficiency_true", [0.999, 0.9, 0.99]),
        ("orchestration_loss", [0.0, 0.001, 0.01]),
        ("ttft_s", [0.1, 0.1, 4.0]),
    ],
)
def test_no_interval_holds_what_is_impossible(metric: str, values: list[float]) -> None:
    """No Jain index of 1.006, no efficiency of 100.3 %, no wait of less than nothing."""
    free = mean_interval(values)
    bounds = bounds_of(metric)
    found = summed(some_runs(blocks=3, **{metric: values}), metric)
    assert found.mean.low == max(free.low, bounds[0])
    assert found.mean.high == min(free.high, bounds[1])
    assert (found.mean.low, found.mean.high) != (free.low, free.high)


def test_what_may_be_negative_has_no_bounds() -> None:
    for metric in ("ttft_delta_s", "throughput_delta_tokens_per_s", "contention", "antt"):
        assert bounds_of(metric) is None
