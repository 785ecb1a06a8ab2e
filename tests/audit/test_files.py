"""A claims file: read whole, or one line that says where it is wrong and what to write."""

from contextlib import suppress

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandembench.audit.claims import Claims, read_claims
from tandembench.audit.expressions import (
    Condition,
    Operation,
    Printed,
    Statistic,
    Unreadable,
    read_expression,
)
from tandembench.audit.figures import Figure, in_print, read_figure, shown
from tandembench.audit.judge import audit
from tandembench.audit.tables import Source
from tandembench.errors import TandemError

GOOD = """\
title: A report
data:
  runs: what was run
sections:
  "1": results
claims:
  - id: one
    section: "1"
    kind: aggregate
    paraphrase: a thing
    values:
      - {label: a, printed: "1.5s", is: mean(runs.wall_s)}
      - {label: b, printed: "9/150", is: "count(runs.cold, phase == 'core')"}
  - id: two
    section: "1"
    kind: comparison
    paraphrase: another
    expected: 1
    relation: below
    is: claim('one', 'a') / 2
  - id: three
    section: "1"
    kind: causal
    paraphrase: a third
    unsupported: "no column has it"
    needs: "a column that has it"
"""


def read(text: str) -> Claims:
    return read_claims(text, "claims.yaml")


def test_a_file_is_what_it_says() -> None:
    one, two, three = read(GOOD).claims
    assert [(value.label, value.text, value.where) for value in one.values] == [
        ("a", "1.5s", "claims.yaml:12"),
        ("b", "9/150", "claims.yaml:13"),
    ]
    assert two.values[0].text == "below 1"
    assert two.values[0].expression == Operation("/", (Printed("one", "a"), 2.0))
    assert (three.values, three.said.unsupported, three.said.needs) == (
        (),
        "no column has it",
        "a column that has it",
    )


def test_an_expression_is_read_and_never_run() -> None:
    text = (
        "range(runs.executions.wall_s, agent == 'a', tokens > 5, mode in ['x', 'y'],"
        " phase not in ['p'], cold == True, by=agent, each=max, within=[num_gpu, phase], pick=max)"
    )
    where = (
        Condition("agent", "==", ("a",)),
        Condition("tokens", ">", (5,)),
        Condition("mode", "==", ("x", "y")),
        Condition("phase", "!=", ("p",)),
        Condition("cold", "==", (True,)),
    )
    more = {"by": "agent", "each": "max", "within": ("num_gpu", "phase"), "pick": "max"}
    names = {"name": "range", "source": "runs", "column": "wall_s", "table": "executions"}
    assert read_expression(text) == Statistic(**names, where=where, **more)
    assert read_expression("-2") == -2.0
    assert read_expression("-mean(a.b)") == Operation("*", (-1.0, Statistic("mean", "a", "b")))


_PARTS = "mean count runs wall_s claim by= within= 'one' 1 True . ( ) [ ] , + - * / == > not **"


@given(
    st.lists(st.sampled_from([*_PARTS.split(), " in "]), max_size=12).map("".join)
    | st.text(max_size=30)
)
@settings(max_examples=400, deadline=None)
def test_any_text_is_an_expression_or_unreadable(text: str) -> None:
    with suppress(Unreadable):
        read_expression(text)


RUNS = pd.DataFrame({"wall_s": [1.5] * 150, "cold": [True] * 9 + [False] * 141, "phase": "core"})


def test_the_good_file_is_good() -> None:
    judged = audit(read(GOOD), {"runs": Source(RUNS)})
    assert [one.verdict for one in judged] == ["reproduced", "reproduced", "unsupported"]


# (what is written in GOOD, what in its place, line, what the error says)
MUTATIONS = [
    ("title: A report", "titel: A report", 1, "titel: unknown key; did you mean 'title'?"),
    ("title: A report\n", "", 1, "key 'title' is missing; add it: the report that makes the"),
    ('  "1": results', "  1: results", 5, "the key 1 is not text; write a name there"),
    ("data:\n  runs: what was run", "data: {}", 2, "expected the datasets that claims are"),
    ("runs: what", "Runs-1: what", 3, "write letters, digits and '_', a letter first"),
    ("  - id: one", "  - id: One", 7, "expected small letters and digits, joined by"),
    ("  - id: two", "  - id: one", 14, "a second claim 'one'; give it its own id"),
    ("    kind: aggregate", "    kind: opinion", 9, "aggregate, config_row, comparison"),
    ('id: two\n    section: "1"', 'id: two\n    section: "2"', 15, "no section '2'; known: 1"),
    ("paraphrase: a third", f"paraphrase: {'long ' * 70}", 24, "a text of at most 300"),
    ("label: b", "label: a", 7, "two values of one label; give each value its own label"),
    ('printed: "1.5s", ', "", 12, "neither or both of printed and expected; write one"),
    ('"1.5s"', '"lots"', 12, "'lots' is no figure that is known; write it as printed"),
    ('"1.5s"', "1.5", 12, 'expected the figure as it is printed, in quotes, such as "+17.3pp"'),
    ("    expected: 1\n", "    expected: best\n", 19, "a name is equal or not; leave the relation"),
    ("relation: below", "relation: less", 19, "equal, above, below, at_least or at_most"),
    ('    needs: "a column that has it"\n', "", 21, "give values, or one value's is, or unsupport"),
    ('    unsupported: "no column has it"\n', "", 21, "no way, or two, to judge it"),
    ("mean(runs.wall_s)", "meen(runs.wall_s)", 12, "no statistic 'meen'; did you mean 'mean'?"),
    ("mean(runs.wall_s)", "mean(run.wall_s)", 12, "no data 'run'; did you mean 'runs'?; or add"),
    ("mean(runs.wall_s)", "mean('wall_s')", 12, "is no column; write its name, without quotes"),
    ("mean(runs.wall_s)", "'mean(runs.wall_s'", 12, "cannot be read"),
    ("mean(runs.wall_s)", '"__import__(\'os\')"', 12, "no statistic '__import__'"),
    ("mean(runs.wall_s)", "'mean(runs.wall_s > 3)'", 12, "only count and share take one"),
    ("mean(runs.wall_s)", "highest(runs.wall_s)", 12, "highest of what?; add by=, the column"),
    ("mean(runs.wall_s)", "'mean(runs.wall_s, by=phase, each=sd)'", 12, "write mean or max"),
    ("mean(runs.wall_s)", "'change(1, 2, 3)'", 12, "change takes two; write change(new, old)"),
    ("mean(runs.wall_s)", "'mean(runs.wall_s, by=[cold, phase])'", 12, "by= of several columns"),
    ("mean(runs.wall_s)", "'mean(runs.wall_s, by=cold, pick=max)'", 12, "pick= without within="),
    ("mean(runs.wall_s)", "'mean(runs.wall_s, wall_s > 9)'", 12, "; it is from 1.5 to 1.5"),
    ("mean(runs.wall_s)", "only(runs.phase)", 12, "'1.5s' is no name; write the name alone"),
    ("mean(runs.wall_s)", "'mean(runs.wall_s, by=[])'", 12, "by=[]; write a column"),
    ("phase == 'core'", "phase = 'core'", 13, "'phase=' is not known"),
    ("phase == 'core'", "phase > 'core'", 13, "is no condition; write conditions, such as"),
    ("phase == 'core'", "phas == 'core'", 13, "no column 'phas' in the runs of runs; did you mean"),
    ("phase == 'core'", "phase == 'cor'", 13, "no row of runs has phase 'cor'; did you mean"),
    ("phase == 'core'", "phase == 3", 13, "no row of runs has phase 3; write a text, in quotes"),
    ("mean(runs.wall_s)", "mean(runs.wal_s)", 12, "did you mean 'wall_s'?; baseline show NAME"),
    ("mean(runs.wall_s)", "mean(runs.executions.s)", 12, "no column 's' in the executions of runs"),
    ("mean(runs.wall_s)", "count(runs.wall_s)", 12, "count of wall_s, which is no flag; compare"),
    ("mean(runs.wall_s)", "mean(runs.wall_s) / 0", 12, "division by 0; divide by something else"),
    ("mean(runs.wall_s)", "mean(runs.wall_s, cold == False)", 12, "ends at its first comma; put"),
    ('"1.5s"', '"12.5 GB"', 12, "'12.5 GB' is printed, and s is what is recomputed; name a column"),
    ('"1.5s"', '"1.5%"', 12, "'1.5%' is printed, and s is what is recomputed; name a column"),
    ('"9/150"', '"9 layers"', 13, "'9 layers' is printed, and runs are what is counted"),
    ('"9/150"', "true", 13, "true is not allowed; expected the figure as it is printed"),
    ("{label: b", "{lable: b", 13, "lable: unknown key; did you mean 'label'?"),
    ("    values:\n", "    value:\n", 11, "value: unknown key; did you mean 'values'?"),
    ("    expected: 1\n", '    expected: "1"\n', 19, "or write a number, without quotes"),
    ("claim('one', 'a')", "claim('three')", 20, "no such value in claim 'three'; refer to a claim"),
    ("claim('one', 'a')", "claim('two')", 20, "a value recomputed from itself; recompute it from"),
    ("    unsupported: ", "    printed: '3'\n    unsupported: ", 21, "relation of no value"),
    ("    needs: ", "    need: ", 26, "need: unknown key; did you mean 'needs'?"),
    ("    kind: causal", "    kind:", 23, "not filled in yet; write one of aggregate, config_row"),
    ("claim('one', 'a')", "claim('on', 'a')", 20, "no claim 'on'; did you mean 'one'?"),
    ("claim('one', 'a')", "claim('one', 'c')", 20, "no such value in claim 'one'; write"),
    ("claim('one', 'a')", "claim('one')", 20, "write one of its labels too: a, b"),
    ("claim('one', 'a')", f"{'(' * 400}1{')' * 400}", 20, "cannot be read"),
    ("  - id: one\n", "  - *one\n", 7, "an alias (*one); write the value out"),
    ("  - id: one\n", "  - id: one\n    id: two\n", 8, 'duplicate key "id"; remove one'),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "line", "wanted"), MUTATIONS)
def test_a_fault_is_one_line_with_its_place_and_the_fix(
    good: str, bad: str, line: int, wanted: str
) -> None:
    assert good in GOOD
    text = GOOD.replace(good, bad, 1)
    with pytest.raises(TandemError) as error:
        audit(read(text), {"runs": Source(RUNS)})
    said = str(error.value)
    assert said.startswith(f"claims.yaml:{line}: ")
    assert wanted in said
    assert ("\n" in said, "; " in said, error.value.exit_code) == (False, True, 2)


# Figures

EQUAL = ("equal", None)


def figure(text: str) -> Figure:
    found = read_figure(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    ("text", "low", "high", "unit", "rest"),
    [
        (">87%", 0.87, 0.87, 0.01, ("above", None)),
        ("<0.5%", 0.005, 0.005, 0.001, ("below", None)),
        ("\u2265 3 %", 0.03, 0.03, 0.01, ("at_least", None)),
        ("±0.4pp", 0.004, 0.004, 0.001, ("at_most", None)),
        ("85%+", 0.85, 0.85, 0.01, ("at_least", None)),
        ("9/150", 9, 9, 0, ("equal", 150)),
        ("1.785x", 1.785, 1.785, 0.001, EQUAL),
        ("89.3%", 0.893, 0.893, 0.001, EQUAL),
        ("+17.3pp", 0.173, 0.173, 0.001, EQUAL),
        ("~92.7%", 0.927, 0.927, 0.001, EQUAL),
        ("900ms", 0.9, 0.9, 0.001, EQUAL),
        ("0.89μs", 0.89e-6, 0.89e-6, 0.01e-6, EQUAL),
        ("2.5 min", 150, 150, 6, EQUAL),
        ("0.5 GiB", 2**29, 2**29, 2**30 / 10, EQUAL),
        ("54 tokens/s", 54, 54, 1, EQUAL),
        ("~24", 24, 24, 1, EQUAL),
        ("150", 150, 150, 0, EQUAL),
        ("+15-18pp", 0.15, 0.18, 0.01, EQUAL),
        ("88.2-88.4%", 0.882, 0.884, 0.001, EQUAL),
        ("-5pp to -7pp", -0.07, -0.05, 0.01, EQUAL),
        ("65.5% - 95.7%", 0.655, 0.957, 0.001, EQUAL),
        ("5,000-7,000", 5000, 7000, 0, EQUAL),
        ("6 hours 15 minutes", 22500, 22500, 60, EQUAL),
        ("1970-01-02 00:01 UTC", 86460, 86460, 60, EQUAL),
    ],
)
def test_a_figure_is_its_value_its_precision_and_its_bound(
    text: str, low: float, high: float, unit: float, rest: tuple[str, int | None]
) -> None:
    found = figure(text)
    assert (found.low, found.high, found.unit) == pytest.approx((low, high, unit))
    assert (found.relation, found.of) == rest


@pytest.mark.parametrize(
    "text", ["", "x", "89,3%", "1.5 apples", "3%-4x", "1e5", "nan", "9/", "2025-13-01 00:00 UTC"]
)
def test_what_is_no_figure_is_none(text: str) -> None:
    assert read_figure(text) is None


@pytest.mark.parametrize(
    ("text", "value", "number", "wanted"),
    [
        ("89.3%", 0.8926261, 89.26261, "89.263%"),
        ("+17.3pp", -0.0000558, -0.00558, "-0.006pp"),
        ("1.785x", 1.78525, 1.78525, "1.78525x"),
        ("900ms", 0.000698, 0.698, "0.70 ms"),
        ("150", 26.0, 26.0, "26"),
        ("6 hours 15 minutes", 1955.5, 0.54319444, "0.5432 hours"),
        ("1970-01-02 00:01 UTC", 90061, "1970-01-02 01:01:01 UTC", "1970-01-02 01:01:01 UTC"),
    ],
)
def test_a_recomputed_value_is_in_the_unit_of_the_print(
    text: str, value: float, number: object, wanted: str
) -> None:
    assert in_print(value, figure(text)) == pytest.approx(number)
    assert shown(value, figure(text)) == wanted
