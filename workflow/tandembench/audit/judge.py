"""Claims -> verdicts, each with the numbers that gave it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tandembench.analysis.intervals import ALPHA
from tandembench.audit.claims import KINDS, Claim, Claims, Value
from tandembench.audit.evaluate import Context, Found, evaluate, interval, sampled
from tandembench.audit.expressions import Expression, Statistic, Unreadable
from tandembench.audit.figures import COUNTED, Figure, Relation, Span, agrees, in_print, shown
from tandembench.audit.rows import COUNTS, Undecided
from tandembench.audit.tables import Source
from tandembench.errors import TandemError

# A claim of several values has the first of these that one of them has.
Verdict = Literal[
    "contradicted",
    "not_distinguishable",
    "unsupported",
    "not_checkable",
    "within_one_unit",
    "reproduced",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
# What people read.
WORDS: Mapping[Verdict, str] = {
    "contradicted": "does not follow",
    "not_distinguishable": "not distinguishable",
    "unsupported": "unsupported by this data",
    "not_checkable": "not checkable",
    "within_one_unit": "follows within one unit",
    "reproduced": "follows",
}
# What a count of rows, or of different values of a column, may be called.
_COUNTED = {
    ("runs", ""): ("runs", "benchmarks", "tests"),
    ("runs", "config_id"): ("configs", "tests"),
    ("runs", "scenario"): ("scenarios",),
    ("runs", "phase"): ("phases",),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A value judged.

    ``recomputed`` is in the unit of the print, ``shown`` says it with that unit; None and "" where
    nothing comes out.
    """

    verdict: Verdict
    how: str
    recomputed: float | str | None = None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim with its verdict, the worst of its values', and what they are."""

    claim: Claim
    verdict: Verdict
    values: tuple[Outcome, ...]

    @property
    def how(self) -> str:
        """How the verdict came about, in one line; of several values, which of them hold."""
        how = f"{self.claim.said.unsupported}; it would take {self.claim.said.needs}"
        if self.values:
            differ = len({one.verdict for one in self.values}) > 1
            how = "; ".join(
                f"{value.label}{': ' * bool(value.label)}"
                f"{f'{WORDS[one.verdict]}, ' if differ else ''}{one.how}"
                for value, one in zip(self.claim.values, self.values, strict=True)
            )
        return f"{how} [{self.claim.said.note}]" if self.claim.said.note else how


def audit(claims: Claims, sources: Mapping[str, Source]) -> list[Judged]:
    """Every claim judged against ``sources``, in the file's order."""
    figures: dict[tuple[str, str | None], Figure] = {}
    for claim in claims.claims:
        for value in claim.values:
            if value.figure is not None:
                figures[claim.said.id, value.label] = value.figure
                if len(claim.values) == 1:
                    figures[claim.said.id, None] = value.figure
    context = Context(sources, figures)
    judged = []
    for claim in claims.claims:
        about_runs = claim.said.kind in ("aggregate", "config_row", "arithmetic")
        outcomes: list[Outcome] = []
        for value in claim.values:
            try:
                outcomes.append(judge(value, context, about_runs))
            except Unreadable as error:
                raise TandemError(str(error), where=value.where, fix=error.fix) from None
        verdicts = [one.verdict for one in outcomes] or ["unsupported"]
        judged.append(Judged(claim, min(verdicts, key=VERDICTS.index), tuple(outcomes)))
    return judged


def counts(judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """How many claims of each kind, and of all, have each verdict."""
    result = Counter((one.claim.said.kind, one.verdict) for one in judged)
    table = {str(k): {str(v): result[k, v] for v in VERDICTS} for k in KINDS}
    return table | {"all": {v: sum(table[k][v] for k in KINDS) for v in VERDICTS}}


def judge(value: Value, context: Context, of_runs: bool = True) -> Outcome:
    """The verdict on one value; Unreadable if it asks for what is not.

    A relation in words is told of what was measured, not of these runs, and needs an interval; so
    does a printed bound that holds, unless it is a number ``of_runs`` that were made.
    """
    try:
        result = evaluate(value.expression, context)
    except Undecided as why:
        return Outcome(why.verdict, str(why))
    if value.figure and value.figure.suffix:
        _check_counted(value.figure, value.expression, result)
    if result.names:
        names = " or ".join(result.names)
        return Outcome(_of_name(value, result), f"{names} from {result.rests[0]}", names, names)
    if isinstance(value.expected, str):
        raise Unreadable(f"a number is no '{value.text}'", "highest, lowest and only give a name")
    words = float(value.expected or 0.0)
    figure = value.figure or Figure(value.text, words, words, 0.0, in_words=True)
    ends = _in_unit(figure, result)
    middle = sum(ends) / 2
    number: float | str = float(f"{middle:.8g}")
    text = f"{middle:.6g}"
    verdict = _of_number(figure, ends, value.relation)
    if figure.of is not None:
        number = text = f"{middle:g}/{result.of}"
        verdict = verdict if result.of == figure.of else "contradicted"
    elif value.figure:
        number, text = in_print(middle, figure), shown(middle, figure)
    how = f"{text} from {', '.join(result.rests) or value.how}"
    if result.other and verdict != (other := _of_number(figure, result.other, value.relation)):
        how += f", which {WORDS[other].replace('follows', 'would follow')}"
    bound = value.relation != "equal" and bool(sampled(value.expression))
    if bound and not (value.figure and (of_runs or verdict == "contradicted")):
        span = interval(value.expression, context, (result.low + result.high) / 2)
        verdict = _of_interval(figure, span, value.relation)
        shows = [shown(end, figure) if value.figure else f"{end:.6g}" for end in span or ()]
        how += f"; 95 % interval {' to '.join(shows)}" if span else "; no interval: one block"
    return Outcome(verdict, how, number, text)


def _check_counted(figure: Figure, expression: Expression, result: Found) -> None:
    """Unreadable if what is printed is no name, or counts something else than is counted."""
    if result.names:
        raise Unreadable(f"'{figure.text}' is no name", "write the name alone, as expected")
    if isinstance(expression, Statistic) and expression.name in COUNTS:
        counted = expression.by or (expression.column if expression.name == "distinct" else "")
        words = _COUNTED.get((expression.table, counted), COUNTED)
        if figure.suffix in COUNTED and figure.suffix not in words:
            what = f"'{figure.text}' is printed, and {words[0]} are what is counted"
            raise Unreadable(what, "count what is printed, or print what is counted")


def _of_name(value: Value, result: Found) -> Verdict:
    """A level that is said to be on top: where no level differs, neither it nor another one is."""
    unknown = result.p is None or result.p >= ALPHA
    if result.tested and unknown and value.text in result.levels:
        return "not_distinguishable"
    return "reproduced" if value.text in result.names else "contradicted"


def _of_number(figure: Figure, ends: Span, relation: Relation) -> Verdict:
    """Reproduced within the print's own rounding, which is half a unit of its last digit.

    What was counted has no rounding. A range and a bound have theirs only, no further unit: a
    loss of 1.8 points is not "under 1". A number that rests on printed ones is only known between
    bounds: it agrees where these reach the print.
    """
    bound, half, printed = relation != "equal", figure.unit / 2, (figure.low, figure.high)
    if agrees(ends, printed, 0.0 if bound else half, relation):
        return "reproduced"
    further = half if bound else 0.0 if figure.low < figure.high else figure.unit
    within = further > 0 and agrees(ends, printed, further, relation)
    return "within_one_unit" if within else "contradicted"


def _of_interval(figure: Figure, span: Span | None, relation: Relation) -> Verdict:
    """A relation holds, or does not, if it does so for all of the interval."""
    held = [agrees((end, end), (figure.low, figure.high), 0.0, relation) for end in span or ()]
    if not held or len(set(held)) > 1:
        return "not_distinguishable"
    return "reproduced" if held[0] else "contradicted"


def _in_unit(figure: Figure, result: Found) -> Span:
    """What was found: of a share the count, or of a count the share, if that is what is printed.

    Unreadable if what is printed is in another unit.
    """
    unit, printed, counted = result.unit, figure.measured_in, figure.suffix in COUNTED
    if result.of and unit == "count" and printed == "1":
        return result.low / result.of, result.high / result.of
    if result.of and unit == "1" and (figure.of is not None or counted):
        return float(round(result.low * result.of)), float(round(result.high * result.of))
    if figure.of is not None and result.of is None:
        raise Unreadable(f"'{figure.text}' is a part of a whole", "recompute it by count(...)")
    # Seconds and bytes are printed in many units, a print without one says nothing.
    bare = not figure.suffix and unit in ("s", "bytes") and not figure.in_words
    fits = unit in (None, printed) or (printed is None and not counted and not bare)
    if not fits and not (counted and unit in ("", "count", figure.suffix)):
        gives = {"1": "a ratio", "count": "a count", "": "a plain number"}.get(unit or "", unit)
        what = f"'{figure.text}' is printed, and {gives} is what is recomputed"
        fix = f"add the unit that its table's head has, such as {figure.text} ms"
        raise Unreadable(what, fix if bare else "name a column of the printed unit")
    return result.low, result.high
