"""Summaries by any grouping: what they hold, what they rest on, and what is possible."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tandembench.analysis.intervals import mean_interval, ratio_interval
from tandembench.analysis.summaries import bounds_of, summaries


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


def test_a_group_has_the_numbers_of_its_runs() -> None:
    runs = some_runs(blocks=5, scenario=[*"abaaa"], ttft_s=[1.0, 9.0, 2.0, None, 6.0])
    runs["speedup_true"] = [1.2, None, 1.5, 1.8, 1.2]
    first, ratio, other = summaries(runs, ["scenario"], ["ttft_s", "speedup_true"])
    assert (first.group, first.metric, first.n) == (("a",), "ttft_s", 3)
    assert (first.mean.mean, first.sd) == (3.0, pytest.approx(math.sqrt(7)))
    assert (first.minimum, first.p50, first.p90, first.maximum) == (1.0, 2.0, None, 6.0)
    assert ratio.mean == ratio_interval([1.2, 1.5, 1.8, 1.2])
    # One value has no spread; a metric that is not known of a group has no summary.
    assert (other.group, other.metric, other.sd, other.mean.low) == (("b",), "ttft_s", None, None)
    (everything,) = summaries(runs, [], ["ttft_s"])
    assert (everything.group, everything.n, everything.maximum) == ((), 4, 9.0)
    assert [one.group for one in summaries(runs, ["scenario", "config_id"], ["ttft_s"])] == [
        ("a", "dual"),
        ("b", "dual"),
    ]


def test_an_interval_rests_on_sessions_else_on_blocks() -> None:
    values = np.random.default_rng(1).normal(5, 1, 24)
    by_sessions = some_runs(4, 2, 3, decode_s=values)
    (found,) = summaries(by_sessions, [], ["decode_s"])
    assert found.mean == mean_interval(values.tolist(), by_sessions["session"].tolist())
    assert (found.mean.basis, found.mean.n, found.n) == ("sessions", 4, 24)
    (found,) = summaries(some_runs(1, 8, 3, decode_s=values), [], ["decode_s"])
    means = values.reshape(8, 3).mean(axis=1)
    assert (found.mean.basis, found.mean.n) == ("within", 8)
    assert found.mean.low == pytest.approx(stats.ttest_1samp(means, 0).confidence_interval().low)
    # Two blocks show no spread worth the name: then rounds are all there is.
    (found,) = summaries(some_runs(1, 2, 12, decode_s=values), [], ["decode_s"])
    assert found.mean.n == 24


def test_the_slowest_tenth_needs_64_values() -> None:
    values = np.arange(64.0)
    (few,) = summaries(some_runs(blocks=63, ttft_s=values[:63]), [], ["ttft_s"])
    (enough,) = summaries(some_runs(blocks=64, ttft_s=values), [], ["ttft_s"])
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
    assert bounds is not None
    (found,) = summaries(some_runs(blocks=3, **{metric: values}), [], [metric])
    assert free.low is not None
    assert free.high is not None
    assert found.mean.low == max(free.low, bounds[0])
    assert found.mean.high == min(free.high, bounds[1])
    assert (found.mean.low, found.mean.high) != (free.low, free.high)


def test_what_may_be_negative_has_no_bounds() -> None:
    for metric in ("ttft_delta_s", "throughput_delta_tokens_per_s", "contention", "antt"):
        assert bounds_of(metric) is None
