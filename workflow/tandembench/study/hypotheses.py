"""What is expected before anything is measured: a file's text -> Hypotheses."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tandembench.errors import TandemError
from tandembench.study.check import Fault, check, fault_at
from tandembench.study.spec import digest
from tandembench.study.strict_yaml import Lines, Path, parse

SELF = "self"
Compare = Literal["ratio", "difference"]


@dataclass(frozen=True, slots=True)
class Side:
    """The runs of one side. ``filters`` map columns of ``runs`` to the value that they must have.

    ``dataset`` is SELF or a baseline, as name or name@version.
    """

    dataset: str
    filters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A question that numbers can answer: the ratio or difference lies within ``low`` and ``high``.

    ``b`` is None where ``a`` is compared with ``constant``. Bounds are in the metric's unit, or in
    1 for a ratio, and -+infinity where there is none; ``expected`` says them in words. ``digest``
    is of all that the file says of it.
    """

    id: str
    question: str
    note: str | None
    metric: str
    a: Side
    b: Side | None
    constant: float | None
    compare: Compare
    low: float
    high: float
    expected: str
    digest: str


# The keys of a side and the columns that they filter.
_COLUMNS = {
    "topology": "topology",
    "scenario": "scenario",
    "config": "config_id",
    "phase": "phase",
    "work": "work_policy",
}


def read_hypotheses(
    text: str, schema: Mapping[str, Any], where: str, metrics: Collection[str]
) -> tuple[Hypothesis, ...]:
    """The hypotheses that ``text`` declares, in its order.

    ``metrics`` are the columns that a hypothesis may be about. TandemError names file, line, key
    and fix of the first thing that cannot be tested as it is written.
    """
    values, lines = parse(text, where)
    declared = check(values, lines, schema, where)["hypotheses"]
    default = schema["$defs"]["hypothesis"]["properties"]["compare"]["default"]
    return tuple(
        _hypothesis(name, body, {"compare": default} | body, metrics, lines, where)
        for name, body in declared.items()
    )


def _hypothesis(
    name: str,
    written: Mapping[str, Any],
    body: Mapping[str, Any],
    metrics: Collection[str],
    lines: Lines,
    where: str,
) -> Hypothesis:
    def fault(path: Path, what: str, fix: str) -> TandemError:
        return fault_at(("hypotheses", name, *path), what, fix, lines, where)

    if body["metric"] not in metrics:
        what = f"'{body['metric']}' is no column of runs that holds numbers"
        raise fault(("metric",), what, f"one of {', '.join(metrics)}")
    if ("b" in body) == ("constant" in body):
        raise fault((), "needs either b or constant", "name what a is compared with")
    ratio = body["compare"] == "ratio"
    if ratio and body.get("constant", 1) <= 0:
        fix = "write a number above 0, or compare: difference"
        raise fault(("constant",), "a ratio to 0 or less", fix)
    low, high, expected = _bounds(body["expect"], ratio, fault)
    return Hypothesis(
        id=name,
        question=body["question"],
        note=body.get("note"),
        metric=body["metric"],
        a=_side(body["a"]),
        b=_side(body["b"]) if "b" in body else None,
        constant=float(body["constant"]) if "constant" in body else None,
        compare=body["compare"],
        low=low,
        high=high,
        expected=expected,
        digest=digest({"id": name, **written}),
    )


def _side(filters: Mapping[str, str]) -> Side:
    columns = {_COLUMNS[key]: value for key, value in filters.items() if key != "dataset"}
    return Side(filters.get("dataset", SELF), columns)


def _bounds(expect: Mapping[str, Any], ratio: bool, fault: Fault) -> tuple[float, float, str]:
    """(low, high, in words). Of a ratio, 1 is no change and 0 the least; of a difference, 0."""
    kinds = {"range" if key in ("low", "high") else key for key in expect}
    if len(kinds) > 1:
        fix = "keep direction, or low and high, or margin"
        raise fault(("expect",), "several expectations", fix)
    same, least = (1.0, 0.0) if ratio else (0.0, -math.inf)
    if "direction" in expect:
        more = expect["direction"] == "more"
        return (same, math.inf, "more") if more else (least, same, "less")
    if "margin" in expect:
        margin = float(expect["margin"])
        if ratio:
            return 1 / (1 + margin), 1 + margin, f"no difference beyond {100 * margin:g} %"
        return -margin, margin, f"no difference beyond {margin:g}"
    low, high = float(expect.get("low", least)), float(expect.get("high", math.inf))
    if low >= high or (ratio and ("low" in expect) and low <= 0):
        what = "low is not below high" if low >= high else "no ratio is 0 or less"
        raise fault(("expect", "low" if "low" in expect else "high"), what, "change one of the two")
    if "high" not in expect:
        return low, high, f"{low:g} or more"
    return low, high, f"{low:g} to {high:g}" if "low" in expect else f"{high:g} or less"
