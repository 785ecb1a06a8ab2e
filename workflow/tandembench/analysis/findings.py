"""What an analysis says: frozen values with neutral verdicts, from which sentences are chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tandembench.analysis.hardware import Hardware

# Of a subject against what it is compared with, whatever the direction of the metric.
Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
# What a comparison comes to. "fastest": one config finishes sooner than all others; "among": it
# finishes sooner than the reference, but some others may be as fast; "equivalent": all within the
# margin of the reference; "inconclusive": nothing of that; "not_measured": no two can be compared.
Outcome = Literal["fastest", "among", "equivalent", "inconclusive", "not_measured"]
# Why a table ranks by what it ranks by: walls of equal work; where answers ended early, times until
# the work was done that all of a round have; or rates of unlike answers.
Basis = Literal["makespan", "capped", "rate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio (or mean) with its 95 % interval; bounds are None where nothing gives them."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Versus:
    """One config against another, as a ratio above 1 where the ``subject`` is better.

    For wall times that is the other's over the subject's. ``p``: two-sided, of no difference.
    ``detectable``: the smallest ratio above 1 that such data would show with a chance of 80 %.
    ``rounds`` hold both, in ``blocks`` blocks of ``sessions`` sessions. ``spread`` is the standard
    error of the logarithm. ``ratio`` and what follows from it are None where no two rounds pair.
    """

    subject: str
    other: str
    ratio: Estimate | None
    verdict: Verdict
    p: float | None
    detectable: float | None
    spread: float | None
    rounds: int
    blocks: int
    sessions: int


@dataclass(frozen=True, slots=True)
class Row:
    """A config of a comparison. ``against`` is None for the reference, and where nothing pairs.

    ``first_token_s``: from the start of the run to the first content of the first agent served,
    the second and so on (medians). ``options``: what tells this config from the others where it
    is not the topology, such as "num_ctx 512".
    """

    config_id: str
    topology: str
    options: str
    is_reference: bool
    makespan_s: float | None
    tokens_per_s: float | None
    first_token_s: tuple[float, ...]
    memory_gib: float | None
    stalled: float
    runs: int
    failed: int
    against: Versus | None


@dataclass(frozen=True, slots=True)
class Mode:
    """One of the speeds that a machine showed: seconds, and the share of rounds in it."""

    makespan_s: float
    share: float


@dataclass(frozen=True, slots=True)
class States:
    """Two modes of the wall times that configs share, with the best config's ratio in each.

    ``configs`` show them together; ``ratios`` is parallel to ``modes``, of the best (or the first
    compared) config against the reference.
    """

    modes: tuple[Mode, Mode]
    configs: tuple[str, ...]
    ratios: tuple[Estimate, Estimate]


@dataclass(frozen=True, slots=True)
class Next:
    """How many more minutes of measuring decide what is open, and to what precision they lead.

    Either ``repetitions``, the number to ask for in all in a session that goes on, or so many more
    ``sessions`` of as many blocks each; the other is None. ``precision``: the half width of the
    widest open interval then, a ratio less 1. ``config_id`` is what is open.
    """

    minutes: float
    repetitions: int | None
    sessions: int | None
    precision: float
    config_id: str


@dataclass(frozen=True, slots=True)
class Reloads:
    """Loads of the model in ``runs`` valid runs of a config, whose agents want different things
    loaded by one server: ``loads`` in all, of ``each_s`` (median over runs), and ``run_s`` of the
    ``wall_s`` of a run (means).
    """

    config_id: str
    runs: int
    loads: int
    each_s: float
    run_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Validity:
    """``left_out``: runs in no number, by reason code; ``incomplete``: of ``rounds`` so many lack
    a run for that. Of valid runs: ``late`` were sent by a client that was held up, for ``lag_s`` at
    most; ``cached`` had a part of a prompt from a prefix cache, ``cached_share`` at most.
    ``unseen`` of ``executions`` began with a burst or a bundle, so that nobody knows when their
    first token was there. ``restarts`` of running servers, ``split`` blocks with one inside;
    ``shared``: configs that claim servers which are one; ``reloads``: of configs that have any.
    """

    left_out: Mapping[str, int] = field(default_factory=dict)
    rounds: int = 0
    incomplete: int = 0
    late: int = 0
    lag_s: float = 0.0
    cached: int = 0
    cached_share: float = 0.0
    unseen: int = 0
    executions: int = 0
    restarts: int = 0
    split: int = 0
    shared: tuple[str, ...] = ()
    reloads: tuple[Reloads, ...] = ()


@dataclass(frozen=True, slots=True)
class Early:
    """Answers that ended before all tokens were there that were asked for.

    So many of ``of`` runs had one; ``median`` and ``least`` are the parts of the tokens by which
    rounds are compared, above 0 to 1.
    """

    runs: int
    of: int
    median: float
    least: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a comparison says: does any config finish sooner, and which?

    ``best`` is a config id, ``rivals`` those not shown to be slower than it. ``adjusted_p`` is the
    smallest p against the reference, Holm over the comparisons with it. ``twin`` is the same
    config twice, pooled over all that were. ``disturbed`` rounds were, of ``rounds``; ``used`` are
    what the ratios rest on. ``measuring_s``: from the first warm-up to the last byte of its blocks.
    ``early`` is there on the basis "capped".
    """

    comparison: str
    phase: str
    outcome: Outcome
    basis: Basis
    best: str | None
    rivals: tuple[str, ...]
    reference: str
    adjusted_p: float | None
    margin: float
    rows: tuple[Row, ...]
    twin: Versus | None
    states: States | None
    hardware: Hardware
    rounds: int
    used: int
    disturbed: int
    failed: int
    blocks: int
    sessions: int
    measuring_s: float
    next: Next | None
    early: Early | None = None
    validity: Validity = field(default_factory=Validity)

    @property
    def unequal(self) -> bool:
        """Whether its configs had different hardware: what it ranks are not only they."""
        return self.hardware.verdict == "unequal" and self.outcome != "not_measured"

    @property
    def busy(self) -> bool:
        """Whether most of the rounds that count were disturbed: it describes a busy machine."""
        return self.used == self.rounds and 2 * self.disturbed > self.rounds

    def row(self, config_id: str) -> Row:
        """The row of a config; KeyError if it has none."""
        for row in self.rows:
            if row.config_id == config_id:
                return row
        raise KeyError(config_id)
