"""What a claims file says: claims, their values, and how each value is recomputed. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tandembench.analysis.rounding import Relation
from tandembench.claims.figures import Figure

Kind = Literal["aggregate", "config_row", "comparison", "arithmetic", "causal"]
KINDS: tuple[Kind, ...] = ("aggregate", "config_row", "comparison", "arithmetic", "causal")
Table = Literal["runs", "executions", "printed"]
Test = Literal["is", "not", "above", "below", "at_least", "at_most"]
Scalar = str | float | bool


@dataclass(frozen=True, slots=True)
class Condition:
    """``column`` holds one of ``values`` ("is"), none of them ("not"), or is beyond the one."""

    column: str
    test: Test
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that stands for itself."""

    value: float


@dataclass(frozen=True, slots=True)
class Printed:
    """What another value of the file prints; ``label`` None: the only one of ``claim``."""

    claim: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic of ``column`` over the rows of a source's table that meet ``where``.

    With ``by``, of that column's groups, each of which counts with ``each`` (mean, max, ...) of
    its rows. ``holds`` is what the statistic "count" counts.
    """

    source: str
    table: Table
    where: tuple[Condition, ...]
    column: str
    statistic: str
    by: str | None
    each: str
    holds: Condition | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One of a fixed set of operations on further expressions."""

    name: str
    operands: tuple["Expression", ...]


Expression = Constant | Printed | Statistic | Operation


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a claim: what is printed, or what its words amount to, and its recomputation.

    ``figure`` is None where the claim only says it in words: then ``expected`` is the number or
    the name that must come out.
    """

    label: str
    figure: Figure | None
    expected: float | str | None
    relation: Relation
    expression: Expression
    where: str

    @property
    def text(self) -> str:
        """What is printed, or the words' meaning."""
        if self.figure is not None:
            return self.figure.text
        number = f"{self.expected:g}" if isinstance(self.expected, float) else str(self.expected)
        return number if self.relation == "equal" else f"{self.relation.replace('_', ' ')} {number}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A published statement; without values it is ``unsupported``, for the reason given."""

    id: str
    section: str
    paraphrase: str
    kind: Kind
    values: tuple[Value, ...]
    unsupported: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Claims:
    """A claims file: ``sources`` and ``sections`` say by name what each is."""

    title: str
    sources: Mapping[str, str]
    sections: Mapping[str, str]
    claims: tuple[Claim, ...]


def expressions(expression: Expression) -> Iterator[Expression]:
    """``expression`` and all that it is made of."""
    yield expression
    if isinstance(expression, Operation):
        for operand in expression.operands:
            yield from expressions(operand)
