"""A claims file: text -> claims, or the one line that says what is wrong with it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NoReturn, get_args

from pydantic import Field, FiniteFloat

from tandembench.audit.expressions import (
    Expression,
    Printed,
    Statistic,
    Unreadable,
    near,
    parts,
    read_expression,
)
from tandembench.audit.figures import Figure, Relation, read_figure
from tandembench.audit.tables import columns
from tandembench.errors import TandemError
from tandembench.files import read_text
from tandembench.study.check import Keys, List, Maybe, Name, fault_at, read_keys
from tandembench.study.strict_yaml import Lines, parse
from tandembench.study.strict_yaml import Path as Place

Kind = Literal["aggregate", "config_row", "comparison", "arithmetic", "causal"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_TEXT = "a text of at most 300 characters, in quotes if it is a number"
_Text = Annotated[str, Field(min_length=1, max_length=300, description=_TEXT)]
_TITLE = "the report that makes the claims, a text of at most 120 characters"
_SOURCES = "the datasets that claims are recomputed from: a name for each, and what it is"
_SECTIONS = "the report's sections by number, with what each is about"
_PRINTED = 'the figure as it is printed, in quotes, such as "+17.3pp" or "9/150"'
_EXPECTED = "the number or name that the report's words amount to"
_HOW = "how it is recomputed, such as mean(data.wall_s, topology == 'dual')"
_EMPTY: Mapping[str | int, str] = {
    "kind": f"one of {', '.join(KINDS)}",
    "paraphrase": "what is claimed, in your own words",
    "is": _HOW,
}
_LABEL = "what the value is of, 60 characters at most"


class _Way(Keys):
    printed: Maybe[Annotated[str, Field(max_length=60, description=_PRINTED)]] = None
    expected: Maybe[Annotated[str | int | FiniteFloat, Field(description=_EXPECTED)]] = None
    relation: Maybe[Relation] = None


class ValueKeys(_Way):
    """a value: printed or expected, and is"""

    label: Annotated[str, Field(max_length=60, description=_LABEL)] = ""
    how: Annotated[str | int | FiniteFloat, Field(alias="is", description=_HOW)]


class ClaimKeys(_Way):
    """a claim: id, section, kind, paraphrase, and is, values or unsupported"""

    id: Name
    section: Annotated[str, Field(description="one of the names under sections")]
    kind: Kind
    paraphrase: _Text
    how: Annotated[Maybe[str | int | FiniteFloat], Field(alias="is", description=_HOW)] = None
    values: Annotated[List[ValueKeys], Field(description="a list of values")] = ()
    unsupported: Maybe[_Text] = None
    needs: Maybe[_Text] = None
    note: Maybe[_Text] = None

    @property
    def listed(self) -> tuple[ValueKeys, ...]:
        """The values that are listed, or the one that stands in the claim itself."""
        if self.how is None:
            return self.values
        group = ValueKeys.model_construct(
            how=self.how, printed=self.printed, expected=self.expected, relation=self.relation
        )
        return (group,)


class ClaimsKeys(Keys):
    """A claims file: ``data`` and ``sections`` say by name what each is."""

    title: Annotated[str, Field(min_length=1, max_length=120, description=_TITLE)]
    data: Annotated[dict[str, _Text], Field(min_length=1, description=_SOURCES)]
    sections: Annotated[dict[str, _Text], Field(min_length=1, description=_SECTIONS)]
    claims: Annotated[List[ClaimKeys], Field(min_length=1, description="a list of claims")]


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
    how: str
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
    """A published statement as it is ``said``; without values no data at hand can show it."""

    said: ClaimKeys
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """A claims file, read."""

    keys: ClaimsKeys
    claims: tuple[Claim, ...]


def open_claims(path: Path) -> Claims:
    """The claims file at ``path``; TandemError names file and line of a fault."""
    text = read_text(path, "name a claims file; resources/claims/README.md says what it holds")
    return read_claims(text, str(path))


def read_claims(text: str, where: str) -> Claims:
    """The claims in ``text``; ``where`` names its file. TandemError names file, line and fix."""
    try:
        keys, lines = read_keys(ClaimsKeys, text, where)
    except TandemError:
        _check_filled(text, where)
        raise
    return _Reader(keys, lines, where).read()


def _check_filled(text: str, where: str) -> None:
    """TandemError at the first thing that a draft leaves empty, with how many claims do so."""
    values, lines = parse(text, where)
    empty = [path for path in _empty(values) if path[-1] != "label"]
    if empty:
        first = min(empty, key=lambda path: lines[path])
        fix = f"write {_EMPTY.get(first[-1], 'what it is')}"
        if first[0] == "claims" and not str(first[-1]).isidentifier():
            fix = 'put what has commas in quotes, such as is: "mean(data.wall_s, cold == False)"'
            raise fault_at(first[:-1], "a value ends at its first comma", fix, lines, where)
        if first[0] == "claims":
            n = len({path[1] for path in empty if path[0] == "claims"})
            fix += f", or delete the claim ({n} are not filled in)"
        raise fault_at(first, "not filled in yet", fix, lines, where)


def _empty(value: object, path: Place = ()) -> Iterator[Place]:
    """The paths of all that has no value, or an empty one."""
    if value is None or value == "":
        yield path
    entries = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else entries:
        yield from _empty(one, (*path, key))


class _Reader:
    """What every part of the file needs for its errors, and to know the others."""

    def __init__(self, keys: ClaimsKeys, lines: Lines, where: str) -> None:
        self.keys = keys
        self.lines = lines
        self.where = where
        self.labels: dict[str, list[str]] = {}

    def read(self) -> Claims:
        """All claims; first which there are, since values refer to one another's."""
        for name in self.keys.data:
            if not name.isidentifier():
                fix = "write letters, digits and '_', a letter first"
                self.fail(("data", name), f"'{name}' is no name", fix)
        for index, said in enumerate(self.keys.claims):
            place: Place = ("claims", index)
            if said.id in self.labels:
                self.fail((*place, "id"), f"a second claim '{said.id}'", "give it its own id")
            labels = [value.label for value in said.listed]
            if len(set(labels)) < len(labels):
                self.fail(place, "two values of one label", "give each value its own label")
            self.labels[said.id] = labels
        claims = (self.claim(said, ("claims", n)) for n, said in enumerate(self.keys.claims))
        return Claims(self.keys, tuple(claims))

    def claim(self, said: ClaimKeys, place: Place) -> Claim:
        """One claim."""
        if said.section not in self.keys.sections:
            fix = f"{near(said.section, self.keys.sections)}; or add it under sections"
            self.fail((*place, "section"), f"no section '{said.section}'", fix)
        ways = bool(said.values) + (said.how is not None) + (said.unsupported is not None)
        if ways != 1 or (said.needs is None) is not (said.unsupported is None):
            fix = "give values, or one value's is, or unsupported with what it needs"
            self.fail(place, "no way, or two, to judge it", fix)
        if said.how is None and {said.printed, said.expected, said.relation} != {None}:
            fix = "write is beside it, or have it in a value"
            self.fail(place, "printed, expected or relation of no value", fix)
        values = (
            self.value(value, (*place, "values", n) if said.values else place)
            for n, value in enumerate(said.listed)
        )
        return Claim(said, tuple(values))

    def value(self, keys: ValueKeys, place: Place) -> Value:
        """One value of a claim."""
        if (keys.printed in (None, "")) is (keys.expected in (None, "")):
            self.fail(place, "neither or both of printed and expected", "write one of them")
        figure = None if keys.printed is None else read_figure(keys.printed)
        if keys.printed is not None and figure is None:
            fix = "write it as printed, such as 1.785x, +17.3pp, 9/150, 15-18pp or 30 configs"
            self.fail((*place, "printed"), f"'{keys.printed}' is no figure that is known", fix)
        expected = float(keys.expected) if isinstance(keys.expected, int) else keys.expected
        relation = keys.relation or (figure.relation if figure else "equal")
        if relation != "equal" and isinstance(expected, str):
            fix = "leave the relation out, or write a number, without quotes, for expected"
            self.fail((*place, "relation"), "a name is equal or not", fix)
        where = f"{self.where}:{self.lines[*place, 'is']}"
        how = str(keys.how)
        expression = self.expression(how, (*place, "is"), keys.label)
        return Value(keys.label, figure, expected, relation, expression, how, where)

    def expression(self, text: str, place: Place, label: str) -> Expression:
        """How the value of that label is recomputed, from data and claims that there are."""
        try:
            result = read_expression(text)
        except Unreadable as error:
            self.fail(place, str(error), error.fix)
        for one in parts(result):
            if isinstance(one, Statistic) and one.source not in self.keys.data:
                fix = f"{near(one.source, self.keys.data)}; or add it under data"
                self.fail(place, f"no data '{one.source}'", fix)
            if isinstance(one, Statistic):
                self.columns(one, place)
            if isinstance(one, Printed):
                labels = self.labels.get(one.claim)
                if labels is None:
                    self.fail(place, f"no claim '{one.claim}'", near(one.claim, self.labels))
                if one.label not in labels and (one.label is not None or len(labels) != 1):
                    fix = f"write one of its labels too: {', '.join(labels)}"
                    fix = fix if labels else "refer to a claim that prints a figure"
                    self.fail(place, f"no such value in claim '{one.claim}'", fix)
                said = self.keys.claims[int(place[1])]
                if (said.id, label) == (one.claim, labels[0] if one.label is None else one.label):
                    fix = "recompute it from other values or from data"
                    self.fail(place, "a value recomputed from itself", fix)
        return result

    def columns(self, wanted: Statistic, place: Place) -> None:
        """Fail at a column that no table of that name has, whatever its dataset."""
        units = columns(wanted.table)
        for name in wanted.columns:
            if name not in units:
                what = f"no column '{name}' in the {wanted.table} of {wanted.source}"
                fix = f"{near(name, units)}; baseline show NAME --columns lists them"
                self.fail(place, what, fix)
        is_flag = wanted.holds is not None or units.get(wanted.column) == "flag"
        if wanted.name in ("count", "share") and not is_flag:
            fix = f"compare it, such as {wanted.name}(data.{wanted.column} > 3), or take a flag"
            self.fail(place, f"{wanted.name} of {wanted.column}, which is no flag", fix)

    def fail(self, place: Place, what: str, fix: str) -> NoReturn:
        """Raise the one line that names the place."""
        raise fault_at(place, what, fix, self.lines, self.where)
