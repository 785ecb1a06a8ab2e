"""Section "What an overlap estimator would have said": TR114's reading beside what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tandembench.analysis.numbers import Values
from tandembench.report.attribution import AttributionSection
from tandembench.report.formats import counted, interval, interval_mean, percent
from tandembench.report.words import say

# Configs of the decision that a table lists.
_MOST = 8
_READS = ("overstates", "understates", "right", "cannot_tell")


@dataclass(frozen=True, slots=True)
class Reading:
    """A row as text: what the estimator reads, and the gain over each agent alone."""

    name: str
    estimate: str
    measured: str


@dataclass(frozen=True, slots=True)
class Estimated:
    """``sentences`` say what the estimator does here; ``rows`` are configs of the decision."""

    sentences: tuple[str, ...]
    rows: tuple[Reading, ...]


def estimated(
    estimator: Values,
    attribution: AttributionSection | None,
    rates: Sequence[Values],
    names: Mapping[str, str],
) -> Estimated | None:
    """What TR114's estimator says of a dataset; None where no run has two agents.

    ``names`` are what the configs of the decision are called, by id.
    """
    by_config = {
        row["config_id"]: (finding, row) for finding in _READS for row in estimator[finding]
    }
    rows = [(name, by_config[one][1]) for one, name in names.items() if one in by_config]
    known = sum(len(estimator[finding]) for finding in _READS)
    sentences = [
        say(
            "estimator",
            finding,
            n=str(len(estimator[finding])),
            of=counted(known, "config"),
        )
        for finding in _READS
        if estimator[finding]
    ]
    if not known:
        sentences = [*_lengths(attribution), *_overlap(rates)]
    if not sentences:
        return None
    return Estimated(
        sentences=tuple(sentences),
        rows=tuple(
            Reading(name, interval_mean(row["estimate"]), interval_mean(row["measured"]))
            for name, row in rows[:_MOST]
        ),
    )


def _lengths(attribution: AttributionSection | None) -> list[str]:
    """What token counts alone say of what the estimator read, by topology."""
    sentences = []
    for row in attribution.found.groups if attribution else ():
        told = row.predictions
        if told is None or row.scenario:
            continue
        places = {"topology": str(row.topology)}
        if told.by:
            predicted = told.rows[told.by]
            places["predicted"] = percent(predicted.predicted)
            places["measured"] = percent(predicted.measured)
        sentences.append(say("estimator_blind", told.finding, **places))
    return sentences


def _overlap(rates: Sequence[Values]) -> list[str]:
    """What two that decode at once make of what one alone makes, where no agent ran alone."""
    return [
        say("overlap", row["verdict"], topology=str(row["topology"]), gain=interval(row["gain"]))
        for row in rates
        if not row["scenario"]
    ]
