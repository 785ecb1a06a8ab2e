"""Dataset -> report: what it names, counts and leaves out, and how it writes texts."""

import re
from pathlib import Path

from raw_blocks import block, failed, no_server, rounds, write_dataset
from report_scenes import AGAIN, DUAL, PAIR, SERIAL, changed
from report_tables import table
from reporting import pages

from tandembench.report.render import harmless
from tandembench.report.write import write_report


def test_a_dataset_without_a_block_says_so(tmp_path: Path) -> None:
    first, second = pages(tmp_path, [], phases={"main": ["dual"]})
    assert first.splitlines()[2] == "**Nothing has been measured.**"
    assert "| dual | 0 | - |" in second
    assert "0 configs" not in first + second
    assert "## Why" not in first


def test_what_is_not_known_is_a_dash(tmp_path: Path) -> None:
    first, second = pages(tmp_path, [*rounds(2, SERIAL), no_server(DUAL)])
    assert [cell.strip("*") for cell in table(first, "| | both done")[-1][:5]] == [
        "two servers",
        "-",
        "not compared",
        "",
        "-",
    ]
    assert table(second, "| config | n |")[1] == ["dual", "0"] + ["-"] * 5
    for header in ("| config | speedup_true |", "| config | imbalance |", "| config | unequal"):
        row = table(second, header)[1]
        assert row == ["dual"] + ["-"] * (len(row) - 1)


def test_configs_of_one_topology_are_told_apart_by_their_options(tmp_path: Path) -> None:
    other = block(
        "dual-b", (1.0, 1.0), (1.25, 1.25), content="other", options_asked='{"num_ctx": 1024}'
    )
    first, _ = pages(tmp_path, [*PAIR, *rounds(3, other)])
    names = [row[0].strip("*") for row in table(first, "| | both done")]
    assert len(set(names)) == 3
    assert any("num_ctx 1024" in name for name in names)


def test_configs_without_a_valid_run_are_named_and_nothing_is_decided(tmp_path: Path) -> None:
    first, second = pages(tmp_path, [no_server(DUAL), no_server(SERIAL), block("single")])
    assert "Without any valid run: dual and serial." in second
    rows = table(first, "| | both done")
    assert [row[1] for row in rows] == ["-", "-", "1.00"]
    assert not any(word in str(rows) for word in ("faster", "slower", "equal"))


def test_every_comparison_has_its_answer(tmp_path: Path) -> None:
    more = [block(f"{t}-{w}", workload=w) for w in ("w2", "w3") for t in ("serial", "dual")]
    first, second = pages(tmp_path, [*PAIR, *rounds(3, *more)])
    for name in ("w2", "w3"):
        assert re.search(rf"^- {name}: .", first, re.MULTILINE)
        assert f"### {name}" in second


def test_failures_are_listed_with_their_round(tmp_path: Path) -> None:
    lost = failed(changed(DUAL, repetition=2), "insight", "concurrent", "oom")
    first, second = pages(tmp_path, [*rounds(1, SERIAL, DUAL), lost])
    assert table(second, "| config | session |") == [
        ["dual", "s1", "2", "1", "1", "insight concurrent: oom", "it broke"]
    ]
    (row,) = table(first, "| config | where |")
    assert (row[0], *row[2:]) == ("dual", "insight concurrent: oom", "it broke")


def test_a_report_is_the_same_every_time(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        blocks = [*PAIR, *rounds(2, AGAIN), no_server(block("single"))]
        write_report(write_dataset(tmp_path / name, blocks), tmp_path / f"{name}/out/report.md")
        out = tmp_path / name / "out"
        texts.append([(out / file).read_bytes() for file in ("report.md", "details.md")])
    assert texts[0] == texts[1]


# Foreign text: test_hostile.py has more


def test_a_title_keeps_its_words(tmp_path: Path) -> None:
    first, _ = pages(tmp_path, PAIR, title="50 % & more: a_b, x_, #1 | (50.5) `c`")
    line = first.splitlines()[0]
    assert line == r"# 50 % \& more: a_b, x\_, \#1 \| (50.5) \`c\`"
    assert re.sub(r"\\(.)", r"\1", line) == "# 50 % & more: a_b, x_, #1 | (50.5) `c`"


def test_harmless_text_is_left_alone() -> None:
    plain = "Linux 6.1.0-x86_64, 3.11.7 (AMD EPYC) + 2/3 = 50 %"
    assert harmless(plain) == plain
    assert harmless(None) == "-"
    assert harmless(None, "not reported") == "not reported"
    assert harmless(3) == "3"
