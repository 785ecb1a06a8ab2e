"""Claims -> verdicts, each with the numbers that gave it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tandembench.analysis.family import ALPHA
from tandembench.analysis.rounding import agrees
from tandembench.claims.evaluate import Context, Found, Undecided, evaluate
from tandembench.claims.figures import Figure, in_print, shown
from tandembench.claims.model import KINDS, Claim, Claims, Value
from tandembench.claims.tables import Source
from tandembench.errors import TandemError

Verdict = Literal["reproduced", "within_one_unit", "contradicted", "unsupported", "not_checkable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
# A claim of several values has the first of these that one of them has.
_GRAVEST_FIRST: tuple[Verdict, ...] = (
    "contradicted",
    "unsupported",
    "not_checkable",
    "within_one_unit",
    "reproduced",
)
Recomputed = float | str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim with its verdict; ``published`` and ``recomputed`` go value by value.

    A recomputed number is in the unit of the print, ``shown`` says it with that unit; None and ""
    where nothing comes out.
    """

    claim: Claim
    verdict: Verdict
    published: tuple[str, ...]
    recomputed: tuple[Recomputed, ...]
    shown: tuple[str, ...]
    how: str


def audit(claims: Claims, sources: Mapping[str, Source]) -> list[Judged]:
    """Every claim judged against ``sources``, in the file's order."""
    figures: dict[tuple[str, str | None], Figure] = {}
    for claim in claims.claims:
        for value in claim.values:
            if value.figure is not None:
                figures[claim.id, value.label] = value.figure
                if len(claim.values) == 1:
                    figures[claim.id, None] = value.figure
    context = Context(sources, figures)
    return [_judge(claim, context) for claim in claims.claims]


def counts(judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """How many claims of each kind, and of all, have each verdict."""
    found = Counter((one.claim.kind, one.verdict) for one in judged)
    table = {
        str(kind): {str(verdict): found[kind, verdict] for verdict in VERDICTS} for kind in KINDS
    }
    table["all"] = {
        str(verdict): sum(table[kind][verdict] for kind in KINDS) for verdict in VERDICTS
    }
    return table


def _judge(claim: Claim, context: Context) -> Judged:
    note = f" [{claim.note}]" if claim.note else ""
    if claim.unsupported is not None:
        return Judged(claim, "unsupported", (), (), (), claim.unsupported + note)
    results = [_judge_value(value, context) for value in claim.values]
    hows = [
        f"{value.label}: {one.how}" if value.label else one.how
        for value, one in zip(claim.values, results, strict=True)
    ]
    return Judged(
        claim,
        min((one.verdict for one in results), key=_GRAVEST_FIRST.index),
        tuple(value.text for value in claim.values),
        tuple(one.recomputed for one in results),
        tuple(one.shown for one in results),
        "; ".join(hows) + note,
    )


@dataclass(frozen=True, slots=True)
class _Result:
    """One value judged."""

    verdict: Verdict
    recomputed: Recomputed
    shown: str
    how: str


def _judge_value(value: Value, context: Context) -> _Result:
    try:
        found = evaluate(value.expression, context, value.where)
    except Undecided as why:
        return _Result(why.verdict, None, "", why.how)
    if found.names:
        names = " or ".join(found.names)
        return _Result(_name_verdict(value, found), names, names, found.how)
    if isinstance(value.expected, str):
        fix = "highest, lowest and only give a name"
        raise TandemError(f"a number is no '{value.text}'", where=value.where, fix=fix)
    figure = value.figure
    if figure is None:
        number: Recomputed = float(f"{found.value:.8g}")
        text = f"{found.value:.6g}"
    elif figure.of is not None:
        number = text = f"{found.value:g}/{'?' if found.of is None else found.of}"
    else:
        number, text = in_print(found.value, figure), shown(found.value, figure)
    return _Result(_number_verdict(value, found), number, text, f"{text} from {found.how}")


def _name_verdict(value: Value, found: Found) -> Verdict:
    """A level that is said to be on top: where no level differs, neither it nor another one is."""
    if found.p is not None and found.p >= ALPHA and value.text in found.levels:
        return "unsupported"
    return "reproduced" if value.text in found.names else "contradicted"


def _number_verdict(value: Value, found: Found) -> Verdict:
    """Reproduced within the print's own rounding, which is half a unit of its last digit.

    What was counted has no rounding. A range and a bound have theirs only, no further unit: a
    loss of 1.8 points is not "under 1". A number that rests on printed ones is only known between
    bounds: it agrees where these reach the print.
    """
    figure = value.figure
    if figure is None:
        expected = float(value.expected or 0.0)
        figure = Figure(value.text, expected, expected, 0.0, 1.0)
    if figure.of is not None and found.of not in (None, figure.of):
        return "contradicted"
    bound, half = value.relation != "equal", figure.unit / 2
    ends = (found.low, found.high)
    if agrees(ends, figure.ends, 0.0 if bound else half, value.relation):
        return "reproduced"
    further = half if bound else 0.0 if figure.is_range else figure.unit
    within = further > 0 and agrees(ends, figure.ends, further, value.relation)
    return "within_one_unit" if within else "contradicted"
