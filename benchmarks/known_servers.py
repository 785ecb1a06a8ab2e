"""Whole studies on servers of known makespan ratios: what is true of them, and one measured.

The servers are fake ones, each in a process of its own; all the rest is the project's real path:
YAML -> RunSpec -> run command -> run files -> aggregates -> dataset -> answer. README.md says what
is known, and from what it follows.
"""

import contextlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tandembench.analysis.answer import answers
from tandembench.analysis.findings import Answer
from tandembench.dataset.aggregate import aggregate_phase
from tandembench.dataset.build import build_dataset
from tandembench.dataset.load import load_dataset
from tandembench.dataset.manifest import write_texts
from tandembench.fake_server import Behaviour, fake_process
from tandembench.measure import run as run_command
from tandembench.project import open_plan
from tandembench.study.plan import Plan
from tandembench.study.spec import TABLES, digest

REPOSITORY = Path(__file__).parents[1]
STUDY = "config/truths.yaml"
PHASE = "topologies"
MARGIN = 0.05
# How many times faster all goes than on a real server, where two agents in turn take 1.3 s.
FASTER = 6.5
TOKENS = 8
ANSWER = Behaviour(first_token_s=0.03, gap_s=0.01, jitter_s=0.0, tokens=TOKENS, load_s=0.0)
ALONE_S = 0.65 / FASTER
NOISY = replace(
    ANSWER,
    drift=0.10 * FASTER,
    drift_turn_s=120 / FASTER,
    noise=0.05,
    hang_share=0.03,
    hang_s=0.5 / FASTER,
)
_DRAWS = 400_000

_YAML = """\
name: truths
seed: {seed}
repetitions: {blocks}
margin: {margin}
engine: openai
model: fake
servers:
  single: ["{one}"]
  single_parallel: ["{slots}"]
  dual: ["{first}", "{second}"]
work: {{policy: fixed, tokens: {tokens}}}
agents:
  collector: {{task: inventory, steps: [collector.j2]}}
  insight: {{task: figures, steps: [insight.j2]}}
phases:
  {phase}:
    configs:
      - scenario: chimera_homo
        axes: {{topology: [serial, single, single_parallel, dual]}}
        compare: [topology]
        rounds: {rounds}
        options: {{temperature: 0.8}}
"""
_LOCK = """\
openai:
  version: 0.0.0-fake
  models: {{fake: null}}
  request: {{ignore_eos: {}}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """How much sooner than ``serial`` two slots and two servers finish: makespan ratios."""

    single_parallel: float
    dual: float

    @property
    def intended(self) -> dict[str, float]:
        """The ratio of every topology, the noise of its servers included."""
        return {
            "serial": 1.0,
            "single": 1.0,
            "single_parallel": self.single_parallel,
            "dual": self.dual,
        }


@dataclass(frozen=True, slots=True)
class Size:
    """How much one study measures."""

    blocks: int
    rounds: int


def speed(ratio: float) -> float:
    """The speed of two slots, or of each of two servers, that makes ``ratio`` on NOISY servers."""
    return ratio / (2 * _later_of_two(round(ratio, 6)))


def free_of_noise(ratio: float) -> float:
    """The ratio that the same servers show without noise and hangs."""
    return 2 * speed(ratio)


@cache
def _later_of_two(ratio: float) -> float:
    """What noise and hangs make of a ratio: the typical one with them, over that without.

    Two answers at once are done with the later one, of two in turn the sum counts, so that noise
    is no matter of chance alone. Typical is the pseudo-median of a round's ratio, the median of
    the means of two rounds' logarithms: what Hodges and Lehmann's estimate tends to.
    """
    random = np.random.default_rng(114)
    pace = ratio / 2  # the hangs' share of an answer depends on it, and hardly

    def answer_s(speed_: float) -> np.ndarray:
        factor = np.exp(NOISY.noise * random.standard_normal(_DRAWS))
        hang_s = NOISY.hang_s * (random.random(_DRAWS) < NOISY.hang_share)
        return ALONE_S / speed_ * factor + hang_s

    in_turn = answer_s(1.0) + answer_s(1.0)
    at_once = np.maximum(answer_s(pace), answer_s(pace))
    logs = np.log(in_turn / at_once)
    return math.exp(np.median(logs + random.permutation(logs)) / 2) / ratio


def measured_case(
    case: Case,
    size: Size,
    seed: int,
    folder: Path,
    noisy: bool = True,
    least_tokens: int | None = None,
) -> Answer:
    """The answer of one whole study on servers of ``case``, measured in ``folder``.

    With ``least_tokens`` answers end by themselves, anywhere between these and TOKENS.
    RuntimeError if a run failed: the servers have no faults.
    """
    with _servers(case, seed, noisy, least_tokens) as urls:
        _write_study(folder, urls, size, seed, forced=least_tokens is None)
        with contextlib.chdir(folder):
            plan = open_plan(STUDY, root=Path())
            _measure(plan)
            result = _answer(plan)
    if result.failed:
        raise RuntimeError(f"{result.failed} runs failed on servers without faults")
    return result


@contextmanager
def _servers(
    case: Case, seed: int, noisy: bool, least_tokens: int | None
) -> Iterator[Mapping[str, str]]:
    one = replace(NOISY if noisy else ANSWER, least_tokens=least_tokens)
    fast = replace(one, speed=speed(case.dual))
    behaviours = {
        "one": replace(one, slots=1),
        "slots": replace(one, slots=2, speed=speed(case.single_parallel)),
        "first": replace(fast, slots=1),
        "second": replace(fast, slots=1),
    }
    with ExitStack() as running:
        yield {
            name: running.enter_context(fake_process(replace(behaviour, seed=seed * 10 + number)))
            for number, (name, behaviour) in enumerate(behaviours.items())
        }


def _write_study(
    folder: Path, urls: Mapping[str, str], size: Size, seed: int, forced: bool
) -> None:
    config = folder / "config"
    shutil.copytree(REPOSITORY / "config/agents", config / "agents", dirs_exist_ok=True)
    text = _YAML.format(
        **{"seed": seed, "blocks": size.blocks, "rounds": size.rounds, "margin": MARGIN},
        **{"tokens": TOKENS, "phase": PHASE},
        **urls,
    )
    (folder / STUDY).write_text(text, encoding="utf-8")
    lock = (REPOSITORY / "config/servers.lock.yaml").read_text(encoding="utf-8")
    (config / "servers.lock.yaml").write_text(
        lock + _LOCK.format(str(forced).lower()), encoding="utf-8"
    )


def _measure(plan: Plan) -> None:
    """All blocks in their order, as the workflow's jobs measure them, with their words in a log."""
    (spec,) = plan.specs.values()
    models, words = Path("resources/models"), Path("measuring.log")
    # This benchmark keeps others out as a whole, and may measure two studies at once.
    alone = patch.object(run_command, "exclusive", lambda *_: nullcontext())
    with words.open("w", encoding="utf-8") as log, redirect_stderr(log), alone:
        for comparison, repetition in plan.order():
            output = Path(plan.run_file(comparison, repetition))
            output.parent.mkdir(parents=True, exist_ok=True)
            run_command.run(spec, repetition, plan.session, output, models, words)


def _answer(plan: Plan) -> Answer:
    """From the run files to what the study says, as the workflow's rules go."""
    # How far the client is off is measured by other benchmarks.
    content = {**plan.study_manifest, "calibrations": []}
    manifest = f"{plan.results}/manifest.{digest(content)}.json"
    write_texts(plan.texts() | {manifest: json.dumps(content)})
    tables = [Path(plan.tables(PHASE) + end) for end in TABLES]
    aggregate_phase(Path(plan.phase_manifest_file(PHASE)), *tables)
    folder = Path(plan.results) / "dataset"
    folder.mkdir()
    build_dataset(Path(manifest), folder)
    dataset = load_dataset(folder)
    study = plan.study
    (result,) = answers(dataset.runs, dataset.executions, study.margin, study.reference)
    return result
