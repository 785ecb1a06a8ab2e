"""A calibration in words: one JSON object, or one table."""

from dataclasses import asdict
from typing import Any

from tandembench.calibrate.errors import Spread
from tandembench.calibrate.session import Calibration, Figures

_FIGURES = {
    "token_stamp": "token stamp error, us",
    "ttft": "TTFT error, us",
    "gap": "gap error, us",
    "duration": "duration error, us",
}


def as_json(calibration: Calibration) -> dict[str, Any]:
    """The errors with several streams; with ``control`` the same of plain httpx."""
    return _keys(calibration.own) | {"control": _keys(calibration.control)}


def _keys(figures: Figures) -> dict[str, Any]:
    def as_object(spread: Spread) -> dict[str, Any]:
        return {k: None if v is None else round(v, 1) for k, v in asdict(spread).items()}

    errors = {f"{name}_error_us": as_object(getattr(figures.several, name)) for name in _FIGURES}
    return {
        **errors,
        "busy_loop_token_stamp_error_us": as_object(figures.busy.token_stamp),
        "tokens_per_s_sustained": round(figures.tokens_per_s),
        "cpu_s_per_10k_tokens": round(figures.cpu_s_per_10k_tokens, 3),
        "clock": figures.clock,
    }


def in_short(calibration: Calibration) -> str:
    """The two figures that matter most, in one line; microseconds."""
    stamp, ttft = calibration.own.several.token_stamp, calibration.own.several.ttft
    plain = calibration.control.several
    return (
        f"instrument error: token stamp {stamp.median:.0f} us, TTFT {ttft.median:.0f} us (median); "
        f"plain httpx {plain.token_stamp.median:.0f} and {plain.ttft.median:.0f} us"
    )


def as_table(calibration: Calibration) -> str:
    """All figures of both clients, for people."""
    own, control = calibration.own, calibration.control
    conditions = {
        "alone": "one stream",
        "several": f"{calibration.streams} streams",
        "busy": f"{calibration.streams}, loop busy 5 ms in 20",
    }
    rows = [
        ("", "", "this client", "", "", "plain httpx", "", ""),
        ("figure", "condition", "median", "p99", "n", "median", "p99", "n"),
    ]
    for name, title in _FIGURES.items():
        for condition, where in conditions.items():
            both = [getattr(getattr(one, condition), name) for one in (own, control)]
            rows.append((title, where, *_cells(both[0]), *_cells(both[1])))
            title = ""  # noqa: PLW2901 - said once
    both_rates = [f"{one.tokens_per_s:,.0f}" for one in (own, control)]
    both_cpu = [f"{one.cpu_s_per_10k_tokens:.2f}" for one in (own, control)]
    rows += [
        ("sustained, tokens/s", "two streams", both_rates[0], "", "", both_rates[1], "", ""),
        ("CPU, s per 10k tokens", "4,000 tokens/s", both_cpu[0], "", "", both_cpu[1], "", ""),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            "Simulated answers (fake server): 50 ms, then 20 tokens at 10 +- 2 ms; absolute errors",
            "against its log of sends. A percentile needs enough n: 662 for p99.",
            "",
            *lines,
            "",
            f"clock: {own.clock}; control: {control.clock}. {calibration.cores} cores, "
            f"load {calibration.load_before:.2f} before and {calibration.load_after:.2f} after, "
            f"{calibration.seconds:.1f} s.",
        ]
    )


def _cells(spread: Spread) -> tuple[str, str, str]:
    values = [spread.median, spread.p99]
    median, p99 = ("-" if value is None else f"{value:,.0f}" for value in values)
    return median, p99, str(spread.n)
