"""Text of a claims file -> Claims: strict YAML, the schema, then what only the whole can tell."""

from collections.abc import Mapping
from typing import Any, NoReturn

from tandembench.claims.figures import Figure, read_figure
from tandembench.claims.model import (
    Claim,
    Claims,
    Condition,
    Constant,
    Expression,
    Operation,
    Printed,
    Statistic,
    Test,
    Value,
)
from tandembench.study.check import fault_at
from tandembench.study.json_schema import check
from tandembench.study.strict_yaml import Lines, Path, parse

OPERATIONS = ("sum", "difference", "product", "ratio", "change", "mean", "smallest", "largest")
_OF_STATISTIC = ("from", "table", "where", "of", "by", "each", "statistic", "holds")


def read_claims(text: str, schema: Mapping[str, Any], where: str) -> Claims:
    """The claims in ``text``; ``where`` names its file. TandemError names file, line and fix."""
    values, lines = parse(text, where)
    content = check(values, lines, schema, where)
    return _Reader(content, lines, where).read()


class _Reader:
    """What every part of the file needs for its errors, and to know the others."""

    def __init__(self, content: Mapping[str, Any], lines: Lines, where: str) -> None:
        self.content = content
        self.lines = lines
        self.where = where
        self.labels: dict[str, list[str]] = {}

    def read(self) -> Claims:
        """All claims; first which there are, since values refer to one another's."""
        for index, raw in enumerate(self.content["claims"]):
            path: Path = ("claims", index)
            if raw["id"] in self.labels:
                self.fail((*path, "id"), f"a second claim '{raw['id']}'", "give it its own id")
            labels = [str(value.get("label", "")) for value in raw.get("values", ())]
            for number, label in enumerate(labels):
                if label in labels[:number]:
                    fix = "give each value of a claim its own label"
                    self.fail((*path, "values", number), f"a second value '{label}'", fix)
            self.labels[raw["id"]] = labels
        claims = tuple(
            self.claim(raw, ("claims", index)) for index, raw in enumerate(self.content["claims"])
        )
        title, data, sections = (self.content[key] for key in ("title", "data", "sections"))
        return Claims(title, data, sections, claims)

    def claim(self, raw: Mapping[str, Any], path: Path) -> Claim:
        """One claim."""
        if raw["section"] not in self.content["sections"]:
            fix = "name one of those under sections, or add it there"
            self.fail((*path, "section"), f"no section '{raw['section']}'", fix)
        if ("values" in raw) is ("unsupported" in raw):
            self.fail(path, "neither or both of values and unsupported", "write one of them")
        values = tuple(
            self.value(one, (*path, "values", number))
            for number, one in enumerate(raw.get("values", ()))
        )
        texts = (raw["id"], raw["section"], raw["paraphrase"], raw["kind"])
        return Claim(*texts, values, raw.get("unsupported"), raw.get("note"))

    def value(self, raw: Mapping[str, Any], path: Path) -> Value:
        """One value of a claim."""
        if ("printed" in raw) is ("expected" in raw):
            self.fail(path, "neither or both of printed and expected", "write one of them")
        figure = self.figure(raw["printed"], (*path, "printed")) if "printed" in raw else None
        expected = raw.get("expected")
        relation = raw.get("relation") or (figure.relation if figure else "equal")
        if relation != "equal" and isinstance(expected, str):
            self.fail((*path, "relation"), "a name is equal or not", "leave the relation out")
        return Value(
            label=raw.get("label", ""),
            figure=figure,
            expected=float(expected) if isinstance(expected, int | float) else expected,
            relation=relation,
            expression=self.expression(raw["is"], (*path, "is")),
            where=f"{self.where}:{self.lines[path]}",
        )

    def figure(self, text: str, path: Path) -> Figure:
        """A printed figure."""
        found = read_figure(text)
        if found is None:
            fix = "write it as printed, such as 1.785x, +17.3pp, 9/150, 15-18pp or 30 configs"
            self.fail(path, f"'{text}' is no figure that is known", fix)
        return found

    def expression(self, raw: Any, path: Path) -> Expression:  # noqa: ANN401 - YAML
        """How a value is recomputed."""
        if not isinstance(raw, dict):
            return Constant(float(raw))
        operations = [name for name in OPERATIONS if name in raw]
        known: tuple[str, ...] = _OF_STATISTIC if "from" in raw else ("claim", "value")
        if operations:
            known = (operations[0],)
        odd = [key for key in raw if key not in known]
        if odd:
            fix = f"beside '{known[0]}' only: {', '.join(known[1:]) or 'nothing'}"
            self.fail((*path, odd[0]), "does not belong here", fix)
        if operations:
            name = operations[0]
            operands = enumerate(raw[name])
            found = [self.expression(one, (*path, name, number)) for number, one in operands]
            return Operation(name, tuple(found))
        return self.statistic(raw, path) if "from" in raw else self.printed(raw, path)

    def printed(self, raw: Mapping[str, Any], path: Path) -> Printed:
        """A reference to what another claim prints."""
        if "claim" not in raw:
            self.fail(path, "key 'claim' is missing", "add it: the id of a claim")
        labels = self.labels.get(raw["claim"])
        if labels is None:
            self.fail((*path, "claim"), f"no claim '{raw['claim']}'", "name one of this file")
        label = raw.get("value")
        if label is None and len(labels) != 1:
            fix = f"add value: {', '.join(labels) or 'it has none'}"
            self.fail(path, f"claim '{raw['claim']}' has {len(labels)} values", fix)
        if label is not None and label not in labels:
            fix = f"its values: {', '.join(labels)}"
            self.fail((*path, "value"), f"no value '{label}' in claim '{raw['claim']}'", fix)
        return Printed(raw["claim"], label)

    def statistic(self, raw: Mapping[str, Any], path: Path) -> Statistic:
        """A statistic of a table."""
        if raw["from"] not in self.content["data"]:
            fix = "name one of those under data, or add it there"
            self.fail((*path, "from"), f"no data '{raw['from']}'", fix)
        statistic, by = raw.get("statistic"), raw.get("by")
        if statistic is None:
            self.fail(path, "key 'statistic' is missing", "add it: mean, max, count ...")
        if statistic in ("highest", "lowest") and by is None:
            self.fail(path, f"{statistic} of what?", "add by: a column")
        if "of" not in raw and statistic != "rows":
            self.fail(path, "key 'of' is missing", "add it: a column")
        holds = raw.get("holds")
        if holds is not None and statistic not in ("count", "share"):
            self.fail((*path, "holds"), "only count and share look at it", "leave it out")
        column = raw.get("of", "")
        return Statistic(
            source=raw["from"],
            table=raw.get("table", "runs"),
            where=tuple(_condition(name, rule) for name, rule in raw.get("where", {}).items()),
            column=column,
            statistic=statistic,
            by=by,
            each=raw.get("each", "mean"),
            holds=None if holds is None else _condition(column, holds),
        )

    def fail(self, path: Path, what: str, fix: str) -> NoReturn:
        """Raise the one line that names the place."""
        raise fault_at(path, what, fix, self.lines, self.where)


def _condition(column: str, rule: Any) -> Condition:  # noqa: ANN401 - YAML
    test: Test = "is"
    if isinstance(rule, dict):
        ((test, rule),) = rule.items()
    return Condition(column, test, tuple(rule) if isinstance(rule, list) else (rule,))
