"""Two sides -> their difference, as findings: of runs, of prints, or of a print against runs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tandembench.analysis.apart import Between, between
from tandembench.analysis.intervals import moments, welch_from_moments
from tandembench.audit.publications import Both, differences
from tandembench.audit.published import AgainstRuns, against_runs
from tandembench.audit.sides import Side
from tandembench.dataset.load import Dataset, column_names, definitions, load_table, read_part
from tandembench.diff.runs import ESTIMATOR, Change, Changes, changes, frames, match, metric_changes

# Answers that are so many times as long on one side are another work, whoever writes them.
_OTHER_WORK = 1.25


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the sides were measured with; ``same`` is None where one of them is not known."""

    name: str
    a: str
    b: str
    same: bool | None


@dataclass(frozen=True, slots=True)
class Measurements:
    """What differs between runs that were compared: rows by key, columns, and metrics."""

    margin: float
    rows: Changes
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    metrics: tuple[Change, ...]

    @property
    def ranked(self) -> tuple[Change, ...]:
        """The metrics that verdicts rest on: all but the estimator."""
        return tuple(one for one in self.metrics if one.metric != ESTIMATOR)

    @property
    def same(self) -> bool:
        """Whether both hold the same runs, equal in every column."""
        counts = self.rows.added, self.rows.removed, self.rows.changed
        return not any(counts) and not self.only_a and not self.only_b


@dataclass(frozen=True, slots=True)
class OfRuns:
    """Two datasets. ``obstacles`` say why they may not be compared.

    ``measured`` is None where they were not compared for that. ``between`` is of answers that end
    by themselves: as wholes, which no session that both hold is needed for.
    """

    obstacles: tuple[str, ...]
    fingerprints: tuple[Fingerprint, ...]
    measured: Measurements | None
    between: Between | None = None
    kind: str = "runs"

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.obstacles and self.measured is not None and self.measured.same

    @property
    def worse(self) -> int:
        """How many verdicts are against B."""
        verdicts = [one.verdict for one in self.measured.ranked] if self.measured else []
        whole = self.between.pair.verdict if self.between else None
        return verdicts.count("worse") + (whole == "worse")


@dataclass(frozen=True, slots=True)
class OfPrints:
    """Two publications: every number that both print; by an estimator none is ``worse``."""

    same: bool
    rows: tuple[Both, ...]
    obstacles: tuple[str, ...] = ()
    worse: int = 0
    kind: str = "prints"


@dataclass(frozen=True, slots=True)
class OfPrintAndRuns:
    """A publication against runs: which printed values follow from them."""

    checked: AgainstRuns
    obstacles: tuple[str, ...] = ()
    worse: int = 0
    kind: str = "print and runs"

    @property
    def same(self) -> bool:
        """Whether every value that runs can give follows from them."""
        return all(row["agrees"] for row in self.checked["rows"])


Difference = OfRuns | OfPrints | OfPrintAndRuns


def compare(a: Side, b: Side, margin: float | None = None, force: bool = False) -> Difference:
    """A against B; ``margin`` is that of A's study unless given."""
    if a.dataset is not None and b.dataset is not None:
        return compare_runs(a.dataset, b.dataset, margin, force)
    if a.dataset is not None:
        return _printed_and_runs(b, a.dataset)
    if b.dataset is not None:
        return _printed_and_runs(a, b.dataset)
    return OfPrints(a.printed == b.printed, tuple(differences(a.printed, b.printed)))


def _printed_and_runs(printed: Side, opened: Dataset) -> OfPrintAndRuns:
    runs, executions = (load_table(opened, table) for table in ("runs", "executions"))
    return OfPrintAndRuns(against_runs(printed.printed, runs, executions))


def compare_runs(
    a: Dataset, b: Dataset, margin: float | None = None, force: bool = False
) -> OfRuns:
    """Two datasets; only what they were measured with if they are not comparable."""
    result, fingerprints = obstacles(a, b), _fingerprints(a, b)
    if result and not force:
        return OfRuns(result, fingerprints, None)
    limit = margin if margin is not None else float(a.descriptor["study"]["margin"])
    matched = match(a, b)
    names = [set(column_names(side, "runs")) for side in (a, b)]
    measured = Measurements(
        margin=limit,
        rows=changes(a, b, matched),
        only_a=tuple(sorted(names[0] - names[1])),
        only_b=tuple(sorted(names[1] - names[0])),
        metrics=metric_changes(a, b, matched, limit),
    )
    whole = None
    if (
        not measured.same
        and not frames(a, b, ["work_effective"])[0]["work_effective"].eq("fixed").any()
    ):
        whole = between((a.runs, a.executions), (b.runs, b.executions), limit)
    return OfRuns(result, (*fingerprints, _topologies(a, b)), measured, whole)


def obstacles(a: Dataset, b: Dataset) -> tuple[str, ...]:
    """Why the two must not be compared: another model, other work, other definitions."""
    models = [side.descriptor["fingerprints"]["models"] for side in (a, b)]
    digests = [
        {one["model"]: one["model_digest"] for one in group if one["model_digest"]}
        for group in models
    ]
    reasons = [
        f"{model} is not the same model: its digests differ"
        for model in sorted(digests[0].keys() & digests[1].keys())
        if digests[0][model] != digests[1][model]
    ]
    # By name too: few sources have a digest.
    names = [sorted(one["model"] for one in group) for group in models]
    if all(names) and not set(names[0]) & set(names[1]):
        reasons.append(f"other models: {', '.join(names[0])} and {', '.join(names[1])}")
    if other := _other_work(a, b):
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        reasons.append(f"another work policy in {other[0]}{more}")
    reasons += _other_amounts(a, b)
    meanings = [definitions(side, "runs") for side in (a, b)]
    both = sorted(meanings[0].keys() & meanings[1].keys())
    if redefined := [name for name in both if meanings[0][name] != meanings[1][name]]:
        reasons.append(f"columns that mean something else now: {', '.join(redefined)}")
    return tuple(reasons)


def _other_work(a: Dataset, b: Dataset) -> list[str]:
    """The configs of both whose work policy is another in each."""
    runs, n = frames(a, b, ["config_id", "work_policy"])
    policies = [
        group.groupby("config_id", observed=True)["work_policy"].agg(frozenset)
        for group in (runs[:n], runs[n:])
    ]
    both = policies[0].index.intersection(policies[1].index)
    return [str(name) for name in sorted(both) if policies[0][name] != policies[1][name]]


def _other_amounts(a: Dataset, b: Dataset) -> Iterator[str]:
    """Other numbers of calls or of tokens, in the configs of both, or in all if they share none."""
    names = ["config_id", "agent", "mode", "valid", "n_steps", "answer_tokens"]
    sides = [read_part(side, "executions", names).to_pandas() for side in (a, b)]
    sides = [one[one["valid"] & (one["mode"] == "concurrent")] for one in sides]
    both = set(sides[0]["config_id"]) & set(sides[1]["config_id"])
    if both:
        sides = [one[one["config_id"].isin(both)] for one in sides]
    calls = [sorted({int(n) for n in one["n_steps"].dropna()}) for one in sides]
    if all(calls) and not set(calls[0]) & set(calls[1]):
        said = " and ".join(", ".join(map(str, one)) for one in calls)
        yield f"other work: {said} LLM calls an agent"
    known = [one[one["answer_tokens"] > 0].groupby("config_id")["answer_tokens"] for one in sides]
    tokens = [one.mean() for one in known]
    if not all(map(len, tokens)):
        return
    logs = [moments([math.log(one) for one in group]) for group in tokens]
    ratio = welch_from_moments(logs[1], logs[0])
    far = math.log(_OTHER_WORK)
    # One config of each has no interval; then its mean has to do.
    low, high = (ratio.mean if one is None else one for one in (ratio.low, ratio.high))
    if low > far or high < -far:
        means = " and ".join(f"{one.mean():.0f}" for one in tokens)
        yield f"other work: {means} answer tokens an agent in the mean"


def _fingerprints(a: Dataset, b: Dataset) -> tuple[Fingerprint, ...]:
    ours, theirs = (side.descriptor["fingerprints"] for side in (a, b))
    return tuple(
        _fingerprint(name, ours.get(name), theirs.get(name))
        for name in sorted({*ours, *theirs} - {"boots"})
    )


def _fingerprint(name: str, a: object, b: object) -> Fingerprint:
    return Fingerprint(name, _text(a), _text(b), a == b if a and b else None)


def _topologies(a: Dataset, b: Dataset) -> Fingerprint:
    """Which topologies the sides hold: a scenario of one side may be of another than the other."""
    runs, n = frames(a, b, ["topology"])
    texts = [", ".join(sorted(group["topology"].unique())) for group in (runs[:n], runs[n:])]
    return Fingerprint("topologies", texts[0], texts[1], texts[0] == texts[1])


def _text(value: object) -> str:
    """A fingerprint, which is JSON, in a line."""
    if isinstance(value, list):
        return "; ".join(map(_text, value)) or "not known"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items() if one is not None)
    return "not known" if value is None else str(value)
