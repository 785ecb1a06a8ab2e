"""Controls: serial must show no gain, and two configs of equal content no difference."""

from collections.abc import Mapping
from itertools import pairwise

import pandas as pd

from tandembench.report.numbers import Values, by_config, ratio
from tandembench.stats.comparison import paired_ratio
from tandembench.stats.family import ratio_family
from tandembench.stats.intervals import Interval
from tandembench.stats.observations import observations

# What should be 1.00 is about that: outside this the instrument or the machine is at fault.
LOW, HIGH = 0.9, 1.1


def controls(runs: pd.DataFrame, margin: float) -> Values:
    """Each control with its verdict; ``passed`` is None where it could not be tested.

    Then ``noisy`` says whether it was measured, but too noisily: outside 0.9 to 1.1, while
    nothing shows that it is. The A/A pairs are one family: that any of them fails by chance alone
    is at most 5 % likely.
    """
    listed = runs["topology"] == "serial"
    gain = ratio(runs[listed & runs["valid"]], "speedup_true")
    serial = {
        "listed": bool(listed.any()),
        "gain": gain,
        "passed": _no_gain(gain),
        "noisy": gain is not None and _no_gain(gain) is None,
    }
    pairs = [
        _pair(configs, first, second)
        for configs in _replicates(runs)
        for first, second in pairwise(sorted(configs))
    ]
    family = ratio_family([pair["ratio"] for pair in pairs], margin)
    for pair, judged in zip(pairs, family, strict=True):
        pair |= {"verdict": judged.verdict, "p": judged.p, "adjusted_p": judged.adjusted_p}
        if judged.p is not None:
            differs = judged.verdict in ("better", "worse")
            pair["passed"] = False if differs else _about_one(pair["ratio"]) or None
            pair["noisy"] = pair["passed"] is None
    failed = [one["passed"] for one in (serial, *pairs)].count(False)
    return {"serial": serial, "pairs": pairs, "failed": failed}


def _no_gain(gain: Interval | None) -> bool | None:
    """Whether ``gain`` is about 1; None if it was not measured, or too noisily to tell."""
    if gain is None or _about_one(gain):
        return None if gain is None else True
    if gain.low is None or gain.high is None:
        return False
    return None if gain.low <= HIGH and gain.high >= LOW else False


def _about_one(found: Interval) -> bool:
    return LOW <= found.mean <= HIGH


def _replicates(runs: pd.DataFrame) -> list[dict[str, pd.DataFrame]]:
    """The attempts of each config, for every content that two configs or more share."""
    several = runs.groupby("content")["config_id"].nunique() > 1
    shared = runs[runs["content"].isin(several.index[several])]
    return [by_config(same) for _, same in shared.groupby("content", sort=False)]


def _pair(configs: Mapping[str, pd.DataFrame], first: str, second: str) -> Values:
    """Two configs of equal content: their wall times, compared as any two configs are."""
    sides = (configs[config] for config in (first, second))
    found = paired_ratio(*(observations(own[own["valid"]], "wall_s") for own in sides))
    return {
        "first": first,
        "second": second,
        "pairs": found.pairs,
        "sessions": found.sessions,
        "basis": found.basis,
        "reason": found.reason,
        "ratio": found.interval,
        "detectable": found.detectable,
        "passed": None,
        "noisy": False,
    }
