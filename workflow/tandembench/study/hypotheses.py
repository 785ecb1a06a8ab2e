"""What is expected before anything is measured: a file's text -> Hypotheses."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from tandembench.study.check import Fault, Keys, Maybe, Name, fault_at, read_keys
from tandembench.study.keys import BASELINE
from tandembench.study.spec import Policy, Scenario, Topology, digest

SELF = "self"
Compare = Literal["ratio", "difference"]
Number = FiniteFloat | int
Line = Annotated[
    str, Field(min_length=1, max_length=160, description="a text of at most 160 characters")
]


class SideKeys(Keys):
    """a mapping of filters, all of which the runs fulfil"""

    topology: Maybe[Topology] = None
    scenario: Maybe[Scenario] = None
    config: Maybe[Name] = None
    phase: Maybe[Name] = None
    work: Maybe[Policy] = None
    dataset: Annotated[
        str,
        Field(
            pattern=f"^(self|{BASELINE})$",
            description="self (the study's own dataset) or a baseline, as name or name@version",
        ),
    ] = SELF


class Expect(Keys):
    """a mapping with direction, or low and high (one may be left out), or margin"""

    direction: Maybe[Literal["more", "less"]] = None
    low: Maybe[Number] = None
    high: Maybe[Number] = None
    margin: Maybe[Annotated[float | int, Field(gt=0, le=10)]] = None


class HypothesisKeys(Keys):
    """a mapping with question, metric, a, b or constant, and expect"""

    question: Line
    note: Maybe[Line] = None
    metric: str
    a: SideKeys
    b: Maybe[SideKeys] = None
    constant: Maybe[Number] = None
    compare: Compare = "ratio"
    expect: Expect


class HypothesesKeys(Keys):
    """A file of hypotheses."""

    hypotheses: Annotated[
        dict[Name, HypothesisKeys],
        Field(max_length=100, description="a mapping of at most 100 hypotheses by id"),
    ]


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


def read_hypotheses(text: str, where: str, metrics: Collection[str]) -> tuple[Hypothesis, ...]:
    """The hypotheses that ``text`` declares, in its order.

    ``metrics`` are the columns that a hypothesis may be about. TandemError names file, line, key
    and fix of the first thing that cannot be tested as it is written.
    """
    keys, lines = read_keys(HypothesesKeys, text, where)
    fault = partial(fault_at, lines=lines, where=where)
    return tuple(_hypothesis(name, body, metrics, fault) for name, body in keys.hypotheses.items())


def _hypothesis(
    name: str, keys: HypothesisKeys, metrics: Collection[str], fault: Fault
) -> Hypothesis:
    at = ("hypotheses", name)
    if keys.metric not in metrics:
        what = f"'{keys.metric}' is no column of runs that holds numbers"
        raise fault((*at, "metric"), what, f"one of {', '.join(metrics)}")
    if (keys.b is None) == (keys.constant is None):
        raise fault(at, "needs either b or constant", "name what a is compared with")
    if keys.compare == "ratio" and keys.constant is not None and keys.constant <= 0:
        fix = "write a number above 0, or compare: difference"
        raise fault((*at, "constant"), "a ratio to 0 or less", fix)
    low, high, expected = _bounds(keys, (*at, "expect"), fault)
    return Hypothesis(
        **keys.model_dump(include={"question", "note", "metric", "compare"}),
        id=name,
        a=_side(keys.a),
        b=_side(keys.b) if keys.b else None,
        constant=None if keys.constant is None else float(keys.constant),
        low=low,
        high=high,
        expected=expected,
        digest=digest({"id": name, **keys.model_dump(exclude_unset=True)}),
    )


def _side(keys: SideKeys) -> Side:
    columns = {"config": "config_id", "work": "work_policy"}
    filters = keys.model_dump(exclude_none=True, exclude={"dataset"})
    return Side(keys.dataset, {columns.get(key, key): value for key, value in filters.items()})


def _bounds(keys: HypothesisKeys, at: tuple[str, ...], fault: Fault) -> tuple[float, float, str]:
    """(low, high, in words). Of a ratio, 1 is no change and 0 the least; of a difference, 0."""
    expect, ratio = keys.expect, keys.compare == "ratio"
    kinds = {"range" if key in ("low", "high") else key for key in expect.model_fields_set}
    if len(kinds) != 1:
        what = "several expectations" if kinds else "no expectation"
        raise fault(at, what, "write direction, or low and high, or margin")
    same, least = (1.0, 0.0) if ratio else (0.0, -math.inf)
    if expect.direction:
        return (same, math.inf, "more") if expect.direction == "more" else (least, same, "less")
    if expect.margin is not None:
        margin = float(expect.margin)
        if ratio:
            return 1 / (1 + margin), 1 + margin, f"no difference beyond {100 * margin:g} %"
        return -margin, margin, f"no difference beyond {margin:g}"
    low = least if expect.low is None else float(expect.low)
    high = math.inf if expect.high is None else float(expect.high)
    if low >= high or (ratio and expect.low is not None and low <= 0):
        what = "low is not below high" if low >= high else "no ratio is 0 or less"
        raise fault(
            (*at, "low" if expect.low is not None else "high"), what, "change one of the two"
        )
    if expect.high is None:
        return low, high, f"{low:g} or more"
    return low, high, f"{high:g} or less" if expect.low is None else f"{low:g} to {high:g}"
