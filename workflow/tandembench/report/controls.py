"""Controls: serial must show no gain, and two configs of equal content no difference."""

from itertools import pairwise

import pandas as pd

from tandembench.report.numbers import Values, ratio, verdict
from tandembench.stats.intervals import Interval

# speedup_true of serial is about 1.00: outside this the instrument or the machine is at fault.
SERIAL_LOW, SERIAL_HIGH = 0.9, 1.1


def controls(runs: pd.DataFrame, margin: float) -> Values:
    """Each control with its verdict; ``passed`` is None where it could not be tested."""
    listed = runs["topology"] == "serial"
    gain = ratio(runs[listed & runs["valid"]], "speedup_true")
    serial = {
        "listed": bool(listed.any()),
        "gain": gain,
        "passed": _no_gain(gain),
    }
    pairs = [
        _pair(same, first, second, margin)
        for _, same in runs.groupby("content", sort=False)
        for first, second in pairwise(sorted(same["config_id"].unique()))
    ]
    failed = [one["passed"] for one in (serial, *pairs)].count(False)
    return {"serial": serial, "pairs": pairs, "failed": failed}


def _no_gain(gain: Interval | None) -> bool | None:
    """Whether ``gain`` is about 1; None if it was not measured, or too noisily to tell."""
    if gain is None or SERIAL_LOW <= gain.mean <= SERIAL_HIGH:
        return None if gain is None else True
    if gain.low is None or gain.high is None:
        return False
    return None if gain.low <= SERIAL_HIGH and gain.high >= SERIAL_LOW else False


def _pair(same: pd.DataFrame, first: str, second: str, margin: float) -> Values:
    """Two configs of equal content: their wall times, paired by session and round."""
    valid = same[same["valid"]]
    both = valid[valid["config_id"] == first].merge(
        valid[valid["config_id"] == second], on=["session", "repetition"]
    )
    found = ratio(both.assign(walls=both["wall_s_x"] / both["wall_s_y"]), "walls")
    outcome = verdict(found, margin)
    testable = found is not None and found.low is not None
    passed = outcome in ("equivalent", "inconclusive") if testable else None
    return {
        "first": first,
        "second": second,
        "pairs": len(both),
        "ratio": found,
        "verdict": outcome,
        "passed": passed,
    }
