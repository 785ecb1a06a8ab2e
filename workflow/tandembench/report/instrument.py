"""What the report says of its own instrument: calibrations, the client's CPU, start skew."""

from typing import Any

import pandas as pd

from tandembench.analysis.numbers import Values
from tandembench.metrics import percentile

# On shared cores a smaller factor between two clients is a tie.
TIE = 1.5
_SPREADS = {
    "token_stamp_error_us": "arrival of a token",
    "ttft_error_us": "time to first token",
    "gap_error_us": "gap between tokens",
    "duration_error_us": "duration of an answer",
    "busy_loop_token_stamp_error_us": "arrival of a token, client busy 5 ms in 20",
}


def instrument(descriptor: dict[str, Any], runs: pd.DataFrame) -> Values:
    """The calibration of each measured session, and what the runs say of the client.

    ``worst`` is the session with the largest token-stamp error, None if none is calibrated;
    ``missing`` are the sessions without a calibration, ``foreign`` those that were calibrated on
    none of the machines that measured.
    """
    calibrated: dict[str, Values] = descriptor["instrument"] or {}
    machines = descriptor["fingerprints"]["machines"]
    measured = sorted(runs["session"].unique())
    known = [calibrated[session] for session in measured if session in calibrated]
    valid = runs[runs["valid"]]
    return {
        "sessions": [_session(one) for one in known],
        "worst": max(known, key=lambda one: one["token_stamp_error_us"]["median"], default=None),
        "missing": [session for session in measured if session not in calibrated],
        "foreign": [one["session"] for one in known if one["machine"] not in machines],
        "client_share": _client_share(valid, machines),
        "start_skew": _start_skew(valid["start_skew_s"].dropna()),
    }


def _session(one: Values) -> Values:
    control = one["control"]
    own_us, plain_us = (each["ttft_error_us"]["median"] for each in (one, control))
    return {
        **one,
        "when": one["when"][:16].replace("T", " ") + " UTC",
        "spreads": [
            {"title": title, "own": one[key], "control": control[key]}
            for key, title in _SPREADS.items()
        ],
        "ttft_gain": plain_us / own_us if own_us > 0 else None,
    }


def _client_share(valid: pd.DataFrame, machines: list[Values]) -> Values | None:
    """The client's part of the CPU time that the cores had during a run.

    Where machines differ in cores, the fewest count: the share is never too small.
    """
    known = valid.dropna(subset=["client_cpu_s", "wall_s"])
    if known.empty or not machines:
        return None
    cores = min(machine["cores"] for machine in machines)
    share = known["client_cpu_s"] / (cores * known["wall_s"])
    return {"median": float(share.median()), "max": float(share.max()), "n": len(share)}


def _start_skew(skews: "pd.Series[Any]") -> Values | None:
    """How far apart agents that start together started; s."""
    if skews.empty:
        return None
    return {
        "median": float(skews.median()),
        "p99": percentile(skews.to_list(), 0.99),
        "max": float(skews.max()),
        "n": len(skews),
    }
