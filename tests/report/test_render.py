"""Dataset -> report: what it names, counts and leaves out, and how it writes numbers and texts."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from raw_blocks import block, failed, no_server, rounds, unsteady, write_dataset
from report_scenes import AGAIN, DUAL, PAIR, SERIAL, changed
from report_sentences import said
from report_tables import table
from reporting import report

from tandembench.report.render import harmless, interval, number, percent
from tandembench.report.write import write_report
from tandembench.stats.intervals import Interval


def test_a_dataset_without_a_block_says_so(tmp_path: Path) -> None:
    text = report(tmp_path, [], phases={"main": ["dual"]})
    assert "\nNothing has been measured.\n" in text
    assert "| dual | 0 | missing |" in text
    assert text.split("## 1.")[0].splitlines()[-2] == (
        "- **How far to trust this**: there is nothing to trust."
    )
    nothing = {"no group", "no serial", "no pairs", "small model", "no option", "one config each"}
    nothing |= {"not calibrated", "no estimator", "no baseline", "controls untested"}
    assert not said(text) - nothing - {"not detectable"}
    assert "How wrong can the instrument be?" not in text
    assert "0 configs" not in text


def test_what_is_not_known_is_missing(tmp_path: Path) -> None:
    text = report(tmp_path, [*rounds(2, SERIAL), no_server(DUAL)])
    cells = {row[1]: row for row in table(text, "| topology | config |")}
    assert cells["dual"] == ["dual", "dual", "0"] + ["missing"] * 6
    assert table(text, "| config | n |")[1] == ["dual", "0"] + ["missing"] * 5
    for header in ("| config | speedup_true |", "| config | imbalance |", "| config | unequal"):
        row = table(text, header)[1]
        assert row == ["dual"] + ["missing"] * (len(row) - 1)
    servers = {row[0]: row for row in table(text, "| topology | agents |")}
    assert servers["dual"] == ["dual", "2"] + ["not reported"] * 4


def test_configs_of_one_topology_are_named(tmp_path: Path) -> None:
    other = block("dual-b", (1.0, 1.0), (1.25, 1.25), content="other servers")
    text = report(tmp_path, [*PAIR, *rounds(3, other)])
    assert "- **One server per agent** (`dual`, `dual`) finishes" in text
    assert "- **One server per agent** (`dual`, `dual-b`) finishes" in text
    assert "**overstates the gain**: `dual` 2.00 for 1.60, `dual-b` 2.00 for 1.60\n" in text


def test_a_topology_is_told_once_in_the_headline(report_of: Callable[[str], str]) -> None:
    screen = report_of("a pair").split("## 1.")[0]
    assert screen.count("- **One server") == 1
    assert "- **One server per agent** (`dual`) finishes" in screen
    assert "`dual-again`" not in screen
    sentences = report_of("a pair").split("\n## 6.")[1].split("\n## 7.")[0]
    assert sentences.count("- One server per agent") == 1


def test_configs_without_a_valid_block_are_named(tmp_path: Path) -> None:
    text = report(tmp_path, [no_server(DUAL), no_server(SERIAL), block("single")])
    assert "\nWithout any valid block: `dual` and `serial`.\n" in text
    assert "answers too unlike those alone): `dual` and `serial`\n" in text


def test_more_comparisons_are_counted(tmp_path: Path) -> None:
    more = [block(f"{t}-{w}", workload=w) for w in ("w2", "w3") for t in ("serial", "dual")]
    assert " 2 more comparisons: [section 6](#6-" in report(tmp_path, [*PAIR, *rounds(3, *more)])


def test_a_ratio_of_fewer_rounds_says_how_many(tmp_path: Path) -> None:
    blocks = [*rounds(2, SERIAL), *rounds(3, DUAL)]
    rows = table(report(tmp_path, blocks), "| topology | config |")
    assert [row[4] for row in rows] == ["reference", "1.60 [1.60, 1.60] (n = 2)"]


def test_sessions_are_counted_in_the_headline(report_of: Callable[[str], str]) -> None:
    assert "n = 9 in 3 sessions." in report_of("three sessions")
    assert "n = 6." in report_of("two sessions")


def test_failures_are_listed(tmp_path: Path) -> None:
    lost = failed(changed(DUAL, repetition=2), "insight", "solo", "oom")
    text = report(tmp_path, [*rounds(1, SERIAL, DUAL), lost])
    assert table(text, "| config | session |") == [["dual", "s1", "2", "1", "insight solo: oom"]]


def test_a_report_is_the_same_every_time(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        blocks = [*PAIR, *rounds(2, AGAIN), no_server(block("single"))]
        write_report(write_dataset(tmp_path / name, blocks), tmp_path / f"{name}.md")
        texts.append((tmp_path / f"{name}.md").read_bytes())
    assert texts[0] == texts[1]


def test_blocks_in_another_order_make_the_same_headline(tmp_path: Path) -> None:
    blocks = [*rounds(3, SERIAL), *unsteady(DUAL, 1.0, 1.1, 1.3), *rounds(3, AGAIN)]
    phases = {"main": ["serial", "dual", "dual-again"]}
    first = report(tmp_path / "a", blocks, phases=phases)
    second = report(tmp_path / "b", blocks[::-1], phases=phases)
    assert first.split("## 1.")[0] == second.split("## 1.")[0]


# Foreign text: test_hostile.py has more


def test_a_title_keeps_its_words(tmp_path: Path) -> None:
    text = report(tmp_path, PAIR, title="50 % & more: a_b, x_, #1 | (50.5) `c`")
    first = text.splitlines()[0]
    assert first == r"# 50 % \& more: a_b, x\_, \#1 \| (50.5) \`c\`"
    assert re.sub(r"\\(.)", r"\1", first) == "# 50 % & more: a_b, x_, #1 | (50.5) `c`"


# The filters


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.005, 2, "1.00"),
        (2.0, 0, "2"),
        (-0.001, 2, "0.00"),
        (-0.006, 2, "-0.01"),
        (None, 2, "missing"),
        (float("nan"), 2, "missing"),
    ],
)
def test_numbers(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.1234, 1, "12.3 %"), (0.05, None, "5 %"), (0.025, None, "2.5 %"), (None, 1, "missing")],
)
def test_percentages(value: float | None, digits: int | None, text: str) -> None:
    assert percent(value, digits) == text


def test_intervals() -> None:
    assert interval(Interval(1.234, 1.1, 1.3, 3)) == "1.23 [1.10, 1.30]"
    assert interval(Interval(1.234, None, None, 1)) == "1.23"
    assert interval(None) == "missing"


def test_harmless_text_is_left_alone() -> None:
    plain = "Linux 6.1.0-x86_64, 3.11.7 (AMD EPYC) + 2/3 = 50 %"
    assert harmless(plain) == plain
    assert harmless(None) == "missing"
    assert harmless(None, "not reported") == "not reported"
    assert harmless(3) == "3"
