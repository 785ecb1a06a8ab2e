"""The command calibrate: measures while nothing else is, and prints a table for people."""

import os
from contextlib import ExitStack
from pathlib import Path

from tandembench.calibrate.record import Figures, Instrument, Spread
from tandembench.calibrate.session import calibrate
from tandembench.measure.exclusive import exclusive
from tandembench.measure.progress import open_log, teller

_TITLES = {
    "token_stamp_error_us": "token stamp error, us",
    "busy_loop_token_stamp_error_us": "the same, loop busy 5 ms in 20",
    "ttft_error_us": "TTFT error, us",
    "gap_error_us": "gap error, us",
    "duration_error_us": "duration error, us",
    "tokens_per_s_sustained": "sustained, tokens/s",
    "cpu_s_per_10k_tokens": "CPU at 4,000 tokens/s, s per 10k",
}
_ROW = "{:<33}{:>11}{:>8}{:>7}{:>13}{:>8}{:>7}"


def measure(session: str, seconds: float, log_path: Path | None = None) -> Instrument:
    """A calibration of about ``seconds``; keeps other measurements out meanwhile.

    TandemError (exit 4) if nothing can be measured.
    """
    with ExitStack() as stack:
        tell = teller(stack.enter_context(open_log(log_path or Path(os.devnull))))
        stack.enter_context(exclusive(f"calibration of {session}", tell))
        tell(f"calibrating the instrument for session {session}: about {seconds:.0f} s")
        result = calibrate(seconds, session)
        errors_us = [
            spread.median
            for one in (result, result.control)
            for spread in (one.token_stamp_error_us, one.ttft_error_us)
        ]
        tell(
            "instrument error: token stamp {:.0f} us, TTFT {:.0f} us (median); "
            "plain httpx {:.0f} and {:.0f} us".format(*errors_us)
        )
    return result


def as_table(instrument: Instrument) -> str:
    """All figures of both clients, for people."""
    rows = [
        _ROW.format("", "this client", "", "", "plain httpx", "", ""),
        _ROW.format("figure", "median", "p99", "n", "median", "p99", "n"),
        *(
            _ROW.format(title, *_cells(instrument, name), *_cells(instrument.control, name))
            for name, title in _TITLES.items()
        ),
    ]
    return "\n".join(
        [
            "Simulated answers (fake server): 50 ms, then 20 tokens at 10 +- 2 ms; absolute errors",
            "against its log of sends. A percentile needs enough n: 662 for p99.",
            "",
            *(row.rstrip() for row in rows),
            "",
            f"clock: {instrument.clock}; control: {instrument.control.clock}. "
            f"{instrument.machine['cores']} cores, load {instrument.load_before} before and "
            f"{instrument.load_after} after, {instrument.seconds} s.",
        ]
    )


def _cells(figures: Figures, name: str) -> tuple[str, str, str]:
    value: Spread | float = getattr(figures, name)
    if not isinstance(value, Spread):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}", "", ""
    return f"{value.median:,.0f}", "-" if value.p99 is None else f"{value.p99:,.0f}", str(value.n)
