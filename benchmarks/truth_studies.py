"""Do whole studies find what is known? Servers of known makespan ratios, noisy and drifting.

Every study is measured, aggregated and answered by the project's own path, and what it says is
held against what is true. A promise is kept if the 99 % binomial interval of the count includes
or beats it. README.md says what is counted.
"""

import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
from known_servers import MARGIN, Case, Size, free_of_noise, measured_case
from scipy.stats import binomtest

from tandembench.analysis.findings import Answer, Estimate, Verdict
from tandembench.errors import TandemError
from tandembench.measure.exclusive import exclusive

CASES = (
    Case(single_parallel=1.05, dual=1.20),
    Case(single_parallel=0.90, dual=1.20),
    Case(single_parallel=1.00, dual=1.05),
    Case(single_parallel=1.00, dual=0.90),
    Case(single_parallel=1.00, dual=1.00),
)
STUDIES = 200
SEED = 12
SIZE = Size(blocks=5, rounds=4)
FREE_SIZE = Size(blocks=2, rounds=10)
# How well the truth of a server is known, as a logarithm; a smaller difference is none.
SURE = 0.005
# How far servers may be off without noise, as a logarithm, before they are no truth at all.
OFF = 0.02
COVERS, WRONG, DECIDED = (0.93, 0.97), 0.05, 0.95
DECIDED_RATIO = 1.20


@dataclass(frozen=True, slots=True)
class Claim:
    """What one study says of one topology against ``serial``, and what is true."""

    study: int
    topology: str
    intended: float
    known: float
    ratio: float
    low: float
    high: float
    verdict: Verdict

    @property
    def covers(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.known <= self.high

    @property
    def half_width(self) -> float:
        """Of the interval, as a share of the ratio."""
        return math.sqrt(self.high / self.low) - 1

    @property
    def wrong(self) -> bool:
        """Whether the verdict is untrue; "inconclusive" never is.

        A ratio on the bound of the margin is not equivalent.
        """
        log = math.log(self.known)
        return {
            "better": log < SURE,
            "worse": log > -SURE,
            "equivalent": abs(log) > math.log1p(MARGIN) - SURE,
            "inconclusive": False,
        }[self.verdict]


@dataclass(frozen=True, slots=True)
class Study:
    """One study: its claims, and whether its answer as a whole is untrue or open."""

    number: int
    claims: tuple[Claim, ...]
    outcome: str
    best: str | None
    wrong: bool
    decided: bool
    seconds: float


def judged(
    number: int, intended: Mapping[str, float], realised: Mapping[str, float], answer: Answer
) -> Study:
    """What the ``answer`` of a study is worth.

    ``realised`` is by how much the ratios of these servers are off without noise: x 1.001.
    """
    known = {name: intended[name] * realised[name] for name in intended}
    claims = tuple(
        _claim(number, name, intended[name], known[name], *said)
        for name, said in against_reference(answer).items()
    )
    topologies = {row.config_id: row.topology for row in answer.rows}
    best = None if answer.best is None else topologies[answer.best]
    rivals = [topologies[config_id] for config_id in answer.rivals]
    return Study(
        number,
        claims,
        answer.outcome,
        best,
        _answer_is_wrong(answer.outcome, best, rivals, known),
        answer.outcome not in ("inconclusive", "not_measured"),
        answer.measuring_s,
    )


def against_reference(answer: Answer) -> dict[str, tuple[Estimate, Verdict]]:
    """By topology, all but the reference; RuntimeError if one could not be compared."""
    result = {
        row.topology: (row.against.ratio, row.against.verdict)
        for row in answer.rows
        if row.against is not None and row.against.ratio is not None
    }
    if len(result) != 3:
        raise RuntimeError(f"compared with serial: {', '.join(result) or 'nothing'}")
    return result


def _claim(
    study: int, topology: str, intended: float, known: float, said: Estimate, verdict: Verdict
) -> Claim:
    # Without bounds nothing is ruled out: such an interval covers, and decides nothing.
    low = 1e-9 if said.low is None else said.low
    high = 1e9 if said.high is None else said.high
    return Claim(study, topology, intended, known, said.value, low, high, verdict)


def _answer_is_wrong(
    outcome: str,
    best: str | None,
    rivals: Sequence[str],
    known: Mapping[str, float],
) -> bool:
    """Whether it is untrue, by what an Outcome means."""
    logs = {name: math.log(ratio) for name, ratio in known.items()}
    if outcome == "equivalent":
        return any(abs(log) > math.log1p(MARGIN) - SURE for log in logs.values())
    if best is None:
        return False
    if outcome == "fastest":
        return any(log > logs[best] - SURE for name, log in logs.items() if name != best)
    # Where the reference itself is among the fastest, some others are slower: that is all it says.
    no_sooner = best != "serial" and logs[best] < SURE
    return no_sooner or max(logs[name] for name in (best, *rivals)) < max(logs.values()) - SURE


def counts(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """A row for each truth, and one for all: how often intervals cover and verdicts are wrong."""
    claims = [claim for study in studies for claim in study.claims]
    truths: list[float | None] = [*sorted({claim.intended for claim in claims}), None]
    rows = []
    for truth in truths:
        those = [claim for claim in claims if truth in (None, claim.intended)]
        rows.append(
            {
                "truth": truth,
                "intervals": len(those),
                "covers": _share([claim.covers for claim in those], *COVERS),
                "wrong": _share([claim.wrong for claim in those], None, WRONG),
                "decided": _share(
                    [claim.verdict != "inconclusive" and not claim.wrong for claim in those],
                    DECIDED if truth == DECIDED_RATIO else None,
                    None,
                ),
                "half_width": statistics.median(claim.half_width for claim in those),
            }
        )
    return rows


def answers_row(studies: Sequence[Study]) -> dict[str, Any]:
    """How often the answer of a study as a whole is wrong, and how often it has one."""
    return {
        "studies": len(studies),
        "wrong": _share([study.wrong for study in studies], None, WRONG),
        "decided": _share([study.decided and not study.wrong for study in studies], None, None),
    }


def _share(happened: Sequence[bool], low: float | None, high: float | None) -> dict[str, Any]:
    """How often it happened, with 99 % bounds; ``kept`` is None where nothing is promised."""
    bounds = binomtest(sum(happened), len(happened)).proportion_ci(0.99, method="exact")
    above, below = low is None or bounds.high >= low, high is None or bounds.low <= high
    return {
        "share": sum(happened) / len(happened),
        "low": float(bounds.low),
        "high": float(bounds.high),
        "promise": [low, high],
        "kept": None if low is None and high is None else above and below,
    }


def broken(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any share in ``rows`` breaks its promise."""
    shares = [value for row in rows for value in row.values() if isinstance(value, dict)]
    return any(share["kept"] is False for share in shares)


def table(rows: Sequence[Mapping[str, Any]], whole: Mapping[str, Any]) -> str:
    """The counts as a Markdown table, and the answers as a sentence."""
    head = ["truth", "intervals", "95 % interval covers", "wrong verdict", "right verdict"]
    lines = [[*head, "median half width"], ["---"] * (len(head) + 1)]
    for row in rows:
        truth = "all" if row["truth"] is None else f"{row['truth']:.2f}"
        shares = [_said(row[name]) for name in ("covers", "wrong", "decided")]
        width = f"{100 * row['half_width']:.1f} %"
        lines.append([truth, str(row["intervals"]), *shares, width])
    answered = f"wrong {_said(whole['wrong'])}, right and decided {_said(whole['decided'])}"
    printed = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{printed}\n\nAnswers of {whole['studies']} studies: {answered}."


def _said(share: Mapping[str, Any]) -> str:
    text = f"{100 * share['share']:.1f} % [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"
    return text + (" **broken**" if share["kept"] is False else "")


def realised(case: Case, answer: Answer) -> dict[str, float]:
    """By how much the ratios of noise-free servers are off, by topology: 1.001.

    RuntimeError if it is more than the machine can be excused for.
    """
    off = {"serial": 1.0}
    for name, (ratio, _) in against_reference(answer).items():
        expected = 1.0 if name == "single" else free_of_noise(case.intended[name])
        off[name] = ratio.value / expected
    for name, factor in off.items():
        if abs(math.log(factor)) > OFF:
            off_by = f"{name} of {case} is off by {100 * (factor - 1):+.2f} %"
            raise RuntimeError(f"{off_by} without noise: run it again on a quiet machine")
    return off


def one_study(seed: int, size: Size, noisy: bool, work: tuple[int, Case]) -> tuple[int, Answer]:
    """The number of a study and its answer; called in a process of its own."""
    number, case = work
    with tempfile.TemporaryDirectory() as folder:
        return number, measured_case(case, size, seed + number, Path(folder), noisy)


def studied(studies: int, seed: int, size: Size, jobs: int) -> Iterator[Study]:
    """The studies as they end, in the order of their numbers.

    First the servers of each case are measured without noise, one case at a time.
    """
    cases = dict(list(enumerate(CASES))[:studies])
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        free = dict(pool.map(partial(one_study, seed, FREE_SIZE, False), cases.items()))
    offs = {number: realised(cases[number], answer) for number, answer in free.items()}
    for number, off in offs.items():
        said = ", ".join(f"{name} {100 * (factor - 1):+.2f} %" for name, factor in off.items())
        click.echo(f"without noise, {cases[number]}: {said}", err=True)
    work = [(number, CASES[number % len(CASES)]) for number in range(studies)]
    started = time.monotonic()
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for number, answer in pool.map(partial(one_study, seed + 1000, size, True), work):
            which = number % len(CASES)
            study = judged(number, CASES[which].intended, offs[which], answer)
            left = (time.monotonic() - started) / (number + 1) * (studies - number - 1)
            verdicts = ", ".join(
                f"{one.topology} {one.known:.3f}: {one.ratio:.3f} [{one.low:.3f}, {one.high:.3f}]"
                f" {one.verdict}{' WRONG' if one.wrong else ''}"
                for one in study.claims
            )
            click.echo(
                f"{number + 1} of {studies}, {study.seconds:.0f} s, {left / 60:.0f} min left:"
                f" {study.outcome} {study.best or ''}{' WRONG' if study.wrong else ''}; {verdicts}",
                err=True,
            )
            yield study


@click.command()
@click.option("--studies", default=STUDIES, show_default=True, help="Studies, over all cases.")
@click.option("--seed", default=SEED, show_default=True, help="Of noise, order and nonces.")
@click.option("--blocks", default=SIZE.blocks, show_default=True, help="Blocks a study.")
@click.option("--rounds", default=SIZE.rounds, show_default=True, help="Rounds a block.")
@click.option("--jobs", default=1, show_default=True, help="Studies at a time.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def main(studies: int, seed: int, blocks: int, rounds: int, jobs: int, style: str) -> None:
    """Measure studies of known truth; exit code 1 if a promise is broken."""

    def tell(line: str) -> None:
        click.echo(line, err=True)

    try:
        with exclusive("benchmarks/truth_studies.py", tell):
            done = list(studied(studies, seed, Size(blocks, rounds), jobs))
    except (TandemError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    rows, whole = counts(done), answers_row(done)
    if style == "json":
        everything = {"truths": rows, "answers": whole, "studies": [asdict(one) for one in done]}
        click.echo(json.dumps(everything, indent=2))
    else:
        click.echo(table(rows, whole))
    if broken([*rows, whole]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
