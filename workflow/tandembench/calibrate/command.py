"""The command calibrate: measures while nothing else is, and prints a table for people."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from tandembench.calibrate.record import Figures, Instrument, Spread
from tandembench.calibrate.session import Calibration, Findings, calibrate
from tandembench.measure.exclusive import exclusive
from tandembench.measure.machine import fingerprint
from tandembench.measure.progress import teller

_TITLES = {
    "token_stamp": "token stamp error, us",
    "ttft": "TTFT error, us",
    "gap": "gap error, us",
    "duration": "duration error, us",
}
_ROW = "{:<23}{:<28}{:>11}{:>8}{:>7}{:>13}{:>8}{:>7}"


def measure(
    session: str, seconds: float, log_path: Path | None = None
) -> tuple[Calibration, Instrument]:
    """A calibration of about ``seconds``, and what its file says.

    Keeps other measurements out meanwhile. TandemError (exit 4) if nothing can be measured.
    """
    with ExitStack() as stack:
        log = log_path or Path(os.devnull)
        log.parent.mkdir(parents=True, exist_ok=True)
        tell = teller(stack.enter_context(log.open("a", encoding="utf-8")))
        stack.enter_context(exclusive(f"calibration of {session}", tell))
        tell(f"calibrating the instrument for session {session}: about {seconds:.0f} s")
        machine = fingerprint()
        del machine["load_1min"]  # stated beside it, before and after
        when = datetime.now(UTC).isoformat(timespec="seconds")
        result = calibrate(seconds)
        medians = [
            spread.median
            for findings in (result.client, result.control)
            for spread in (findings.errors["several"].token_stamp, findings.errors["several"].ttft)
        ]
        tell(
            "instrument error: token stamp {:.0f} us, TTFT {:.0f} us (median); "
            "plain httpx {:.0f} and {:.0f} us".format(*medians)
        )
    client = _figures(result.client)
    instrument = Instrument(
        **{field.name: getattr(client, field.name) for field in fields(client)},
        control=_figures(result.control),
        session=session,
        when=when,
        seconds=round(result.seconds, 1),
        load_before=round(result.load_before, 2),
        load_after=round(result.load_after, 2),
        machine=machine,
    )
    return result, instrument


def _figures(findings: Findings) -> Figures:
    def rounded(spread: Spread) -> Spread:
        p99 = None if spread.p99 is None else round(spread.p99, 1)
        return Spread(round(spread.median, 1), p99, spread.n)

    several = findings.errors["several"]
    return Figures(
        token_stamp_error_us=rounded(several.token_stamp),
        ttft_error_us=rounded(several.ttft),
        gap_error_us=rounded(several.gap),
        duration_error_us=rounded(several.duration),
        busy_loop_token_stamp_error_us=rounded(findings.errors["busy"].token_stamp),
        tokens_per_s_sustained=round(findings.tokens_per_s),
        cpu_s_per_10k_tokens=round(findings.cpu_s_per_10k_tokens, 3),
        clock=findings.clock,
    )


def as_table(calibration: Calibration) -> str:
    """All figures of both clients, for people."""
    both = calibration.client, calibration.control
    streams = calibration.streams
    rows: list[Sequence[object]] = [
        ("", "", "this client", "", "", "plain httpx", "", ""),
        ("figure", "condition", "median", "p99", "n", "median", "p99", "n"),
    ]
    for name, title in _TITLES.items():
        rows += [
            (title, "one stream", *_cells(both, "alone", name)),
            ("", f"{streams} streams", *_cells(both, "several", name)),
            ("", f"{streams}, loop busy 5 ms in 20", *_cells(both, "busy", name)),
        ]
    rates = [f"{one.tokens_per_s:,.0f}" for one in both]
    cpu = [f"{one.cpu_s_per_10k_tokens:.2f}" for one in both]
    rows += [
        ("sustained, tokens/s", "two streams", rates[0], "", "", rates[1], "", ""),
        ("CPU, s per 10k tokens", "4,000 tokens/s", cpu[0], "", "", cpu[1], "", ""),
    ]
    return "\n".join(
        [
            "Simulated answers (fake server): 50 ms, then 20 tokens at 10 +- 2 ms; absolute errors",
            "against its log of sends. A percentile needs enough n: 662 for p99.",
            "",
            *(_ROW.format(*row).rstrip() for row in rows),
            "",
            f"clock: {both[0].clock}; control: {both[1].clock}. "
            f"{len(os.sched_getaffinity(0))} cores, load {calibration.load_before:.2f} before and "
            f"{calibration.load_after:.2f} after, {calibration.seconds:.1f} s.",
        ]
    )


def _cells(clients: Sequence[Findings], condition: str, figure: str) -> list[str]:
    cells = []
    for one in clients:
        spread: Spread = getattr(one.errors[condition], figure)
        p99 = "-" if spread.p99 is None else f"{spread.p99:,.0f}"
        cells += [f"{spread.median:,.0f}", p99, str(spread.n)]
    return cells
