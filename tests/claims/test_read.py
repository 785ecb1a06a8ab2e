"""A claims file: read whole, or one line that says where it is wrong."""

import re
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML
from study_texts import REPOSITORY
from tandembench.claims.judge import Verdict
from tandembench.claims.model import Claims, Condition, Constant, Operation, Printed, Statistic
from tandembench.claims.read import read_claims
from tandembench.claims.tables import DERIVED, OPTIONS

from tandembench.errors import TandemError

SCHEMA: dict[str, Any] = YAML(typ="safe").load(REPOSITORY / "workflow/schemas/claims.schema.yaml")
HEAD = """\
title: A report
data: {runs: what was run}
sections: {"1": results}
claims:
"""
STATISTIC = "{from: runs, of: wall_s, statistic: mean}"


def read(claims: str) -> Claims:
    return read_claims(HEAD + claims, SCHEMA, "claims.yaml")


def claim(name: str, *values: str, more: str = "") -> str:
    text = f'  - {{id: {name}, section: "1", kind: aggregate, paraphrase: a thing{more}'
    return f"{text}, values: [{', '.join(values)}]}}\n" if values else f"{text}}}\n"


def value(how: str, label: str = "") -> str:
    named = f"label: {label}, " if label else ""
    return f'{{{named}printed: "1.5s", is: {how}}}'


def test_a_claim_is_what_its_file_says() -> None:
    (one,) = read(
        claim(
            "one",
            value(
                "{from: runs, table: executions, where: {agent: a, tokens: {above: 5},"
                " mode: [x, y], phase: {not: [p, q]}}, of: wall_s, by: agent, each: max,"
                " statistic: range}"
            ),
        )
    ).claims
    (found,) = one.values
    assert found.expression == Statistic(
        source="runs",
        table="executions",
        where=(
            Condition("agent", "is", ("a",)),
            Condition("tokens", "above", (5,)),
            Condition("mode", "is", ("x", "y")),
            Condition("phase", "not", ("p", "q")),
        ),
        column="wall_s",
        statistic="range",
        by="agent",
        each="max",
        holds=None,
    )
    assert (one.section, one.kind, found.text, found.where) == (
        "1",
        "aggregate",
        "1.5s",
        "claims.yaml:5",
    )


def test_values_refer_to_one_another_in_either_direction() -> None:
    text = claim("one", value("{difference: [{claim: two, value: b}, 2]}"))
    text += claim("two", value("{claim: one}", "a"), value(STATISTIC, "b"))
    one, two = read(text).claims
    assert one.values[0].expression == Operation("difference", (Printed("two", "b"), Constant(2.0)))
    assert two.values[0].expression == Printed("one", None)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (claim("one"), ":5: claims: neither or both of values and unsupported; write one of them"),
        (
            claim("one", value(STATISTIC), more=", unsupported: no data"),
            ":5: claims: neither or both of values and unsupported; write one of them",
        ),
        (
            claim("one", value(STATISTIC)) * 2,
            ":6: claims.id: a second claim 'one'; give it its own id",
        ),
        (
            claim("one", value(STATISTIC), value(STATISTIC)),
            ":5: claims.values: a second value ''; give each value of a claim its own label",
        ),
        (
            claim("one", value("{claim: two}")),
            ":5: claims.values.is.claim: no claim 'two'; name one of this file",
        ),
        (
            claim("one", value("{claim: two}")) + claim("two", more=", unsupported: no"),
            ":5: claims.values.is: claim 'two' has 0 values; add value: it has none",
        ),
        (
            claim("one", value("{claim: one, value: b}", "a")),
            ":5: claims.values.is.value: no value 'b' in claim 'one'; its values: a",
        ),
        (
            claim("one", value("{from: other, of: wall_s, statistic: mean}")),
            ":5: claims.values.is.from: no data 'other'; name one of those under data, or add it"
            " there",
        ),
        (
            claim("one", value("{from: runs, of: wall_s}")),
            ":5: claims.values.is: key 'statistic' is missing; add it: mean, max, count ...",
        ),
        (
            claim("one", value("{from: runs, statistic: mean}")),
            ":5: claims.values.is: key 'of' is missing; add it: a column",
        ),
        (
            claim("one", value("{from: runs, of: wall_s, statistic: highest}")),
            ":5: claims.values.is: highest of what?; add by: a column",
        ),
        (
            claim("one", value("{from: runs, of: wall_s, statistic: mean, holds: {above: 1}}")),
            ":5: claims.values.is.holds: only count and share look at it; leave it out",
        ),
        (
            claim("one", value("{from: runs, of: wall_s, statistic: mean, sum: [1]}")),
            ":5: claims.values.is.from: does not belong here; beside 'sum' only: nothing",
        ),
        (
            claim("one", value("{of: wall_s}")),
            ":5: claims.values.is.of: does not belong here; beside 'claim' only: value",
        ),
        (
            claim("one", '{printed: "lots", is: 1}'),
            ":5: claims.values.printed: 'lots' is no figure that is known; write it as printed,"
            " such as 1.785x, +17.3pp, 9/150, 15-18pp or 30 configs",
        ),
        (
            claim("one", "{is: 1}"),
            ":5: claims.values: neither or both of printed and expected; write one of them",
        ),
        (
            claim("one", "{expected: best, relation: above, is: 1}"),
            ":5: claims.values.relation: a name is equal or not; leave the relation out",
        ),
        (
            claim("one", value("{difference: [1, 2, 3]}")),
            ":5: claims.values.is.difference: [1, 2, 3] is not allowed; expected two expressions",
        ),
        (
            claim("one", value('"1 + 1"')),
            ':5: claims.values.is: "1 + 1" is not allowed; expected a number, a'
            " statistic (from, of, statistic), {claim: id}, or an operation (sum, difference,"
            " product, ratio, change, mean, smallest, largest)",
        ),
        (
            claim("one", value("{from: runs, of: wall_s, statistic: eval}")),
            ':5: claims.values.is.statistic: "eval" is not allowed; expected mean, median, sd,'
            " min, max, range, sum, count, share, rows, distinct, only, highest, lowest, or p50"
            " to p99",
        ),
        (
            '  - {id: one, section: "2", kind: aggregate, paraphrase: a, unsupported: no}\n',
            ":5: claims.section: no section '2'; name one of those under sections, or add it there",
        ),
        (
            '  - {id: one, section: "1", kind: opinion, paraphrase: a, unsupported: no}\n',
            ':5: claims.kind: "opinion" is not allowed; expected aggregate, config_row,'
            " comparison, arithmetic or causal",
        ),
        ("  - *one\n", ":5: an alias (*one); write the value out"),
        ("  - {id: one, id: two}\n", ':5: duplicate key "id"; remove one of the two'),
    ],
)
def test_a_fault_is_one_line_with_its_place(text: str, wanted: str) -> None:
    with pytest.raises(TandemError) as error:
        read(text)
    assert str(error.value) == f"claims.yaml{wanted}"
    assert error.value.exit_code == 2


def test_the_schema_has_a_description_for_every_key() -> None:
    """Error messages print them."""
    for name in ("claim", "value", "expression"):
        for key, rule in SCHEMA["$defs"][name]["properties"].items():
            target = SCHEMA["$defs"].get(rule.get("$ref", "").rpartition("/")[2], {})
            assert "description" in rule or "description" in target, (name, key)


MANUAL = (REPOSITORY / "resources/claims/README.md").read_text(encoding="utf-8")


def test_the_manual_has_every_key_and_statistic() -> None:
    names = {
        key
        for name in ("claim", "value", "expression")
        for key in SCHEMA["$defs"][name]["properties"]
    }
    names |= set(
        re.findall(
            r"[a-z_]{3,}", SCHEMA["$defs"]["expression"]["properties"]["statistic"]["pattern"]
        )
    )
    names |= {*get_args(Verdict), *SCHEMA["$defs"]["test"]["properties"], *DERIVED}
    names -= {f"{option}_max" for option in OPTIONS}
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", MANUAL))))
    words |= set(re.findall(r"(\w+):", MANUAL))
    assert names - words == set()


def test_the_example_of_the_manual_is_a_claims_file() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", MANUAL, flags=re.DOTALL)
    found = read_claims(example, SCHEMA, "README.md")
    assert [one.id for one in found.claims] == ["mean-speedup", "best-context", "half", "latency"]
