"""The arithmetic room: every metric as a pure function, times in seconds since t0.

Symbols: N agents; d_i duration of agent i while sharing; s_i the same alone; W wall time from the
barrier release (t0) to the last chunk; S = sum d_i. "1" is the unit of plain ratios and fractions.
"Ours" is defined here. Sums are `math.fsum`: only the signed deltas depend on the agents' order.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, pairwise
from typing import Literal

from tandembench.steps import FIRST_CHUNKS, Step, wait_in_line

SoloBasis = Literal["paired", "token_normalised", "none"]
Row = dict[str, float | bool | str | None]
Floats = Sequence[float]
Timings = Sequence["Timing"]
Solos = Sequence["Timing | None"]

BASES_WEAKEST_FIRST: tuple[SoloBasis, ...] = ("none", "token_normalised", "paired")
IMBALANCE_PARTS = tuple(f"imbalance_{part}" for part in ("token", "rate", "first_token", "rest"))
TRUE_PARTS = (
    *("work_imbalance", "sequencing_loss", "contention"),
    *("reloading", "queueing", "orchestration_true"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One execution, summed over its steps; importers, who have only the sums, leave `steps` empty.

    first_token_s: waits for first tokens; ttft_s: that of the first step only; intervals: t, the
    tokens that were decoded after another, tokens - 1 where each is seen; decode_s: seconds that
    those took. None where it is not known, since chunks are no tokens (`Step`).
    """

    duration_s: float
    first_token_s: float | None
    decode_s: float | None
    intervals: int
    answer_tokens: int
    ttft_s: float | None
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        times = self.duration_s, self.first_token_s or 0.0, self.decode_s or 0.0
        counted = 0 <= self.intervals <= self.answer_tokens and self.duration_s
        if not counted or not all(0 <= t < math.inf for t in times):
            raise ValueError(f"no duration, or a time or count out of range: {self}")

    @property
    def decode_rate(self) -> float | None:
        """(n - 1)/(t_last - t_first), tokens/s, above 0, steps pooled; None without one. Ours."""
        return self.intervals / self.decode_s if self.intervals and self.decode_s else None


def timing(steps: Sequence[Step]) -> Timing:
    """Sum the steps of one execution: d = sum(end - request); time between steps is in no part."""
    decoding = [step.decoding for step in steps]
    known = [one for one in decoding if one]
    waits = [step.first_s - step.request_s for step in steps]
    seen = [step.first_chunk == "token" for step in steps]
    return Timing(
        duration_s=math.fsum(step.end_s - step.request_s for step in steps),
        first_token_s=math.fsum(waits) if all(seen) else None,
        decode_s=math.fsum(one.seconds for one in known) if all(decoding) else None,
        intervals=sum(one.tokens for one in known) if all(decoding) else 0,
        answer_tokens=sum(step.tokens for step in steps),
        ttft_s=waits[0] if seen[0] else None,
        steps=tuple(steps),
    )


def wall(executions: Timings) -> float:
    """W = max end - t0 (t0 = 0), in s, above 0; importers keep their source's. TR114 2.2."""
    return max(step.end_s for execution in executions for step in execution.steps)


def imbalance_split(executions: Timings, wall_s: float) -> dict[str, float | None]:
    """Split `imbalance_loss` by cause, in 1, each in (-1, 1); their sum is never negative.

    With d = first_token + t u + rest, u = decode_s/t and m = argmax d: token = 1/(N W) sum_j
    (t_m - t_j)(u_m + u_j)/2, rate = 1/(N W) sum_j (u_m - u_j)(t_m + t_j)/2 (the two-player shares
    of t u by Shapley 1953, hence no order of explanation), and (x_m - mean x)/W for the other two.
    Tied longest agents are averaged. None where first tokens or decoding are not known.
    """
    if any(e.first_token_s is None or e.decode_s is None for e in executions):
        return dict.fromkeys(IMBALANCE_PARTS)
    longest_s = max(e.duration_s for e in executions)
    tied = [e for e in executions if e.duration_s == longest_s]
    shares = zip(*(_pair_shares(m, j) for m in tied for j in executions), strict=True)
    scale = len(tied) * len(executions) * wall_s
    return {k: math.fsum(share) / scale for k, share in zip(IMBALANCE_PARTS, shares, strict=True)}


def _pair_shares(m: Timing, j: Timing) -> tuple[float, float, float, float]:
    # without intervals an agent has no rate: the other's makes the rate share zero
    rates = [(e.decode_s or 0.0) / e.intervals for e in (m, j) if e.intervals] or [0.0]
    t_m, u_m, t_j, u_j = m.intervals, rates[0], j.intervals, rates[-1]
    first_token = (m.first_token_s or 0.0) - (j.first_token_s or 0.0)
    return (
        (t_m - t_j) * (u_m + u_j) / 2,
        (u_m - u_j) * (t_m + t_j) / 2,
        first_token,
        m.duration_s - j.duration_s - first_token - (t_m * u_m - t_j * u_j),
    )


def solo_reference(run: Timing, solo: Timing | None) -> tuple[SoloBasis, float | None]:
    """s of one execution, in s, above 0, and what it rests on. Ours.

    "paired": prompt and answer tokens agree in every step (unknown ones do not), s = the solo's d;
    "token_normalised": else, sum over steps of ttft_solo + (n_run - 1) u_solo + rest_solo, that is
    d_solo + (n_run - n_solo) u_solo; "none": no solo, n_solo < 2, no u_solo, or n_run/n_solo
    outside 0.5-2.
    """
    if solo is None or not run.steps or len(run.steps) != len(solo.steps):
        return "none", None
    both = list(zip(run.steps, solo.steps, strict=True))
    if all(
        r.tokens == s.tokens and r.prompt_tokens == s.prompt_tokens is not None for r, s in both
    ):
        return "paired", solo.duration_s
    changes = []
    for r, s in both:
        if s.tokens < 2 or not 0.5 <= r.tokens / s.tokens <= 2 or not s.decoding:
            return "none", None
        changes.append((r.tokens - s.tokens) * s.decoding.seconds / s.decoding.tokens)
    total = math.fsum((solo.duration_s, *changes))
    return ("token_normalised", total) if total > 0 else ("none", None)


def queue_waits(executions: Timings, solo: Solos, slots: int | None) -> list[float]:
    """Seconds, 0 or more, by agent, that requests waited for one of the ``slots`` of one server.

    With as many slots as agents nobody waits. From the server's own durations, summed over steps:
    ttft - prompt_s - load_s, less the same of the agent's solo, which is the client's and the
    wire's. Where a server states none, by order of service: a request waited until no more than
    slots - 1 of those whose first content came before its own were unfinished. Where neither is
    known, 0: that wait counts as contention. Ours, after queueing networks.
    """
    stated = [_unexplained(execution) for execution in executions]
    if (slots is None or slots < len(executions)) and None not in stated:
        alone = [(_unexplained(one) if one else None) or 0.0 for one in solo]
        return [max(wait or 0.0, least) - least for wait, least in zip(stated, alone, strict=True)]
    if slots is None or slots >= len(executions):
        return [0.0] * len(executions)
    steps = [step for execution in executions for step in execution.steps]
    return [math.fsum(wait_in_line(step, steps, slots) for step in e.steps) for e in executions]


def _unexplained(execution: Timing) -> float | None:  # by the server's durations; in s
    if not execution.steps or execution.first_token_s is None:
        return None
    if any(step.prompt_s is None for step in execution.steps):
        return None
    return math.fsum(
        max(0.0, step.first_s - step.request_s - (step.prompt_s or 0.0) - (step.load_s or 0.0))
        for step in execution.steps
    )


def true_loss_split(
    solo_s: Floats,
    durations_s: Floats,
    wall_s: float,
    serial: bool,
    waits_s: Floats | None = None,
    reloads_s: Floats | None = None,
) -> Row:
    """Split 1 - efficiency_true by cause, exactly, each in 1, keyed as `TRUE_PARTS`. Ours.

    At once, with w_i the waits for a slot and r_i the reloads (none unless given), v = d - w - r:
    1 - sum s/(N max s), in [0, 1 - 1/N]; 0; (sum s/N)(1/max s - 1/max v), negative if sharing
    helps; (sum s/N)(1/max v - 1/max(d - w)), 0 or more; (sum s/N)(1/max(d - w) - 1/max d), 0 or
    more; (sum s/N)(1/max d - 1/W), 0 or more. serial, whose turns would read as imbalance: 0;
    (N-1)/N; (sum d - sum r - sum s)/(N W); sum r/(N W); 0; (W - sum d)/(N W).
    """
    n, total, longest_s = len(solo_s), math.fsum(solo_s), max(durations_s)
    waits_s, reloads_s = waits_s or [0.0] * n, reloads_s or [0.0] * n
    parts: Floats
    if serial:
        busy_s, loading_s, span_s = math.fsum(durations_s), math.fsum(reloads_s), n * wall_s
        slower = (busy_s - loading_s - total) / span_s
        idle = (wall_s - busy_s) / span_s
        parts = 0.0, (n - 1) / n, slower, loading_s / span_s, 0.0, idle
    else:
        there_s = [d - w for d, w in zip(durations_s, waits_s, strict=True)]
        served_s = [there - r for there, r in zip(there_s, reloads_s, strict=True)]
        # A wait that is all of every duration leaves no service to speak of.
        with_loads_s = max(there_s) if max(there_s) > 0 else longest_s
        alone_s = max(served_s) if max(served_s) > 0 else with_loads_s
        times = max(solo_s), alone_s, with_loads_s, longest_s, wall_s
        steps = [total / n / time for time in times]
        parts = (1 - steps[0], 0.0, *(before - after for before, after in pairwise(steps)))
    return dict(zip(TRUE_PARTS, parts, strict=True))


def _difference(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


@lru_cache
def percentile_floor(p: float) -> int:
    """Smallest n with P(Bin(n, 1-p) >= 2) >= 0.99: 64 for p = 0.9, 662 for 0.99; p in [0.5, 1)."""
    if not 0.5 <= p < 1:
        raise ValueError(f"p is a fraction in [0.5, 1), not {p}")
    return next(n for n in count(2) if p**n + n * (1 - p) * p ** (n - 1) <= 0.01)


def percentile(values: Floats, p: float) -> float | None:
    """Quantile at the fraction p, linear (Hyndman & Fan 1996, type 7); None under its floor."""
    if len(values) < percentile_floor(p):
        return None
    low, weight = divmod((len(values) - 1) * p, 1)
    below, above = sorted(values)[int(low) : int(low) + 2]
    return below + weight * (above - below)


RUN_METRICS: Mapping[str, tuple[str, str]] = {
    "wall_s": ("s", "barrier release to the last chunk of the last agent, W"),
    "sequential_estimate_s": ("s", "sum of durations measured while sharing, TR114's S"),
    "speedup_estimate": ("1", "S/W, TR114's estimator, blind to contention"),
    "efficiency_estimate": ("1", "S/(N W), TR114's estimator"),
    "imbalance_loss": ("1", "part of 1 - efficiency_estimate: agents end apart; 0 if serial"),
    "sequencing_loss": ("1", "part of both losses: taking turns, (N-1)/N; 0 unless serial"),
    "orchestration_loss": ("1", "part of 1 - efficiency_estimate: time outside the agents"),
    "imbalance_token": ("1", "part of imbalance_loss from unequal answer lengths"),
    "imbalance_rate": ("1", "part of imbalance_loss from unequal decode rates"),
    "imbalance_first_token": ("1", "part of imbalance_loss from unequal first-token waits"),
    "imbalance_rest": ("1", "part of imbalance_loss from all other time"),
    "solo_sum_s": ("s", "sum of solo references, the measured sequential time"),
    "speedup_true": ("1", "solo_sum_s over wall_s"),
    "efficiency_true": ("1", "speedup_true over N"),
    "work_imbalance": ("1", "part of 1 - efficiency_true: unequal work; 0 if serial"),
    "contention": ("1", "part of 1 - efficiency_true: sharing stretches the longest service"),
    "queueing": ("1", "part of 1 - efficiency_true: waiting for a slot of the server"),
    "reloading": ("1", "part of 1 - efficiency_true: a server loads what agents unload in turn"),
    "orchestration_true": ("1", "part of 1 - efficiency_true: time outside the agents"),
    "slowdown_max": ("1", "largest slowdown of an agent"),
    "slowdown_log_mean": ("1", "mean natural log of the slowdowns"),
    "stp": ("1", "system throughput, sum of 1/slowdown"),
    "antt": ("1", "average normalised turnaround time, mean slowdown"),
    "jain": ("1", "Jain fairness of 1/slowdown"),
    "aggregate_tokens_per_s": ("tokens/s", "answer tokens of all agents over wall_s"),
    "makespan_per_token_s": ("s/token", "wall_s over answer tokens of all agents"),
    "ttft_delta_s": ("s", "first agent's ttft minus the second's; N = 2"),
    "throughput_delta_tokens_per_s": ("tokens/s", "second's decode rate minus first's; N = 2"),
    "contention_ttft_rule": ("boolean", "first token > 3 s later than solo in any agent"),
    "contention_speedup_rule": ("boolean", "speedup_estimate < 1.5; N = 2"),
    "solo_basis": ("string", "weakest basis of the agents: paired, token_normalised or none"),
}


def execution_metrics(
    execution: Timing, solo: Timing | None = None, wait_s: float | None = None
) -> Row:
    """One execution's row; `solo` is its solo counterpart, if it belongs to a run.

    first_token_start_s: t0 to the first token, in s, above 0, what a user waits (ours).
    first_chunk, rate_basis: the worst of its steps', as `Step` has them; server before arrival.
    ``wait_s`` is its wait for a slot (`queue_waits`); None in solos, and where it is not known.
    Gaps are between chunks, which may hold several tokens; the wait for the next step is no gap.
    """
    steps, first_s, decode_s = execution.steps, execution.first_token_s, execution.decode_s
    gaps = [b - a for step in steps for a, b in pairwise(step.chunk_s)]
    basis, solo_s = solo_reference(execution, solo)
    first_chunks = {step.first_chunk for step in steps}
    rate_bases = {step.decoding.basis for step in steps if step.decoding}
    rest_s = None
    if first_s is not None and decode_s is not None:
        rest_s = execution.duration_s - first_s - decode_s
    return {
        "duration_s": execution.duration_s,
        "ttft_s": execution.ttft_s,
        "first_token_s": first_s,
        "first_token_start_s": steps[0].first_s if steps and execution.ttft_s is not None else None,
        "decode_s": decode_s,
        "rest_s": rest_s,
        "coalesced": sum(step.coalesced for step in steps) if steps else None,
        "first_chunk": max(first_chunks, key=FIRST_CHUNKS.index, default=None),
        "rate_basis": max(rate_bases) if execution.decode_rate and rate_bases else None,
        "answer_tokens": execution.answer_tokens,
        "decode_rate_tokens_per_s": execution.decode_rate,
        "gap_p50_s": percentile(gaps, 0.5),
        "gap_p90_s": percentile(gaps, 0.9),
        "gap_max_s": max(gaps, default=None),
        "queue_s": wait_s,
        "solo_s": solo_s,
        "slowdown": None if solo_s is None else execution.duration_s / solo_s,
        "solo_basis": basis,
    }


def run_metrics(
    concurrent: Timings,
    solo: Solos,
    wall_s: float,
    serial: bool,
    waits_s: Floats | None = None,
    reloads_s: Floats | None = None,
) -> Row:
    """One run's row, keyed as `RUN_METRICS`: agents in study order, each with its solo or None.

    TR114 2.2, blind to contention, which is in every d_i already: speedup_estimate S/W, in (0, N];
    efficiency_estimate S/(N W), in (0, 1]. What the latter lacks to 1 is, exactly (ours):
    imbalance_loss (max d - mean d)/W, in [0, (N-1)/N], and orchestration_loss (W - max d)/W, in
    [0, 1); serial: 0, sequencing_loss (N-1)/N, and (W - S)/(N W). Deltas have TR114's signs.
    ``waits_s`` are waits for a slot, as `queue_waits` gives them, ``reloads_s`` what each agent's
    reloads took. None where undefined: true
    metrics without every solo or for N = 1, pairwise ones unless N = 2.
    """
    if not concurrent or not 0 < wall_s < math.inf:
        raise ValueError(f"a run needs an agent and a positive wall time, not {wall_s} s")
    n = len(concurrent)
    durations = [e.duration_s for e in concurrent]
    total, longest = math.fsum(durations), max(durations)
    tokens = sum(e.answer_tokens for e in concurrent)
    row: Row = {
        **dict.fromkeys(RUN_METRICS),
        "wall_s": wall_s,
        "sequential_estimate_s": total,
        "speedup_estimate": total / wall_s,
        "efficiency_estimate": total / wall_s / n,
        "sequencing_loss": (n - 1) / n if serial else 0.0,
        "aggregate_tokens_per_s": tokens / wall_s,
        "makespan_per_token_s": wall_s / tokens if tokens else None,
        "solo_basis": "none",
    }
    if serial:
        row |= dict.fromkeys(("imbalance_loss", *IMBALANCE_PARTS), 0.0)
        row["orchestration_loss"] = (wall_s - total) / (n * wall_s)
    else:
        row |= imbalance_split(concurrent, wall_s)
        row["imbalance_loss"] = math.fsum(longest - d for d in durations) / (n * wall_s)
        row["orchestration_loss"] = (wall_s - longest) / wall_s
    if n == 2:
        first, second = concurrent
        row |= {
            "ttft_delta_s": _difference(first.ttft_s, second.ttft_s),
            "throughput_delta_tokens_per_s": _difference(second.decode_rate, first.decode_rate),
            "contention_speedup_rule": total / wall_s < 1.5,
        }
    if n == 1:
        return row
    return row | _true_metrics(concurrent, solo, wall_s, serial, waits_s, reloads_s)


def _true_metrics(
    concurrent: Timings,
    solo: Solos,
    wall_s: float,
    serial: bool,
    waits_s: Floats | None,
    reloads_s: Floats | None,
) -> Row:
    """What a run's solos say of it; without all of them only the flag and the weakest basis.

    slowdown_i = d_i/s_i, above 0, 1 at no cost; stp = sum of 1/slowdown, about N at best; antt =
    mean slowdown (Eyerman & Eeckhout 2008). jain = (sum x)^2/(N sum x^2) of x = 1/slowdown, in
    [1/N, 1] (Jain et al. 1984). speedup_true = sum s/W = speedup_estimate * sum s / sum d;
    efficiency_true = sum s/(N W), above 1 only where the run beat its solos (ours).
    contention_ttft_rule: TR114's text; None while undecided.
    """
    both = list(zip(concurrent, solo, strict=True))
    rises = [_difference(run.ttft_s, alone.ttft_s if alone else None) for run, alone in both]
    late = any(rise is not None and rise > 3.0 for rise in rises)
    references = [solo_reference(run, alone) for run, alone in both]
    solo_s = [s for _, s in references if s is not None]
    row: Row = {
        "contention_ttft_rule": late or (None if None in rises else False),
        "solo_basis": min((basis for basis, _ in references), key=BASES_WEAKEST_FIRST.index),
    }
    if len(solo_s) < len(references):
        return row
    n, total = len(solo_s), math.fsum(solo_s)
    durations = [execution.duration_s for execution in concurrent]
    slowdowns = [d / s for d, s in zip(durations, solo_s, strict=True)]
    speeds = [1 / slowdown for slowdown in slowdowns]
    row |= true_loss_split(solo_s, durations, wall_s, serial, waits_s, reloads_s)
    return row | {
        "solo_sum_s": total,
        "speedup_true": total / wall_s,
        "efficiency_true": total / wall_s / n,
        "slowdown_max": max(slowdowns),
        "slowdown_log_mean": math.fsum(map(math.log, slowdowns)) / n,
        "stp": math.fsum(speeds),
        "antt": math.fsum(slowdowns) / n,
        "jain": math.fsum(speeds) ** 2 / (n * math.fsum(x * x for x in speeds)),
    }
