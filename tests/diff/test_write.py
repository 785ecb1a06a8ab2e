"""What a reader of a difference sees first, and what is left to JSON."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, scaled, write_dataset

from tandembench.analysis.intervals import Interval
from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.diff.compare import Difference
from tandembench.diff.write import as_html, as_json, as_markdown, style_of

HOSTILE = "a | b\n# Verdict: <script>alert(1)</script> [x](http://evil)"


def checked(n: int, *, agrees: bool, scope: str = "config", **more: Any) -> dict[str, Any]:
    row = {
        "report": "TR1",
        "section": "3",
        "scope": scope,
        "subject": f"c{n}",
        "metric": "efficiency_estimate",
        "statistic": "mean",
        "value": 0.9,
        "unit": "1",
        "printed": "90.0%",
        "note": "",
        "computed": 0.9 if agrees else 0.8,
        "agrees": agrees,
    }
    return row | more


def values(rows: list[dict[str, Any]], same: bool = False) -> Difference:
    scopes = [
        {
            "scope": scope,
            "checked": len(own),
            "agree": sum(row["agrees"] for row in own),
            "contradicted": sum(not row["agrees"] and row["computed"] is not None for row in own),
            "absent": sum(row["computed"] is None for row in own),
            "subjects": len(own),
            "subjects_agree": sum(row["agrees"] for row in own),
        }
        for scope in ("overall", "config")
        if (own := [row for row in rows if row["scope"] == scope])
    ]
    sections = [{"section": "TR1 3", **scopes[0]}]
    unchecked = [{"scope": "hardware", "metric": "servers", "values": 2}]
    content = {"scopes": scopes, "sections": sections, "unchecked": unchecked, "rows": rows}
    return Difference("values", same, (), 0, content)


def test_counts_come_first_then_what_is_contradicted() -> None:
    rows = [checked(n, agrees=n % 2 == 0) for n in range(6)]
    rows.append(checked(6, agrees=False, computed=None))
    rows.append(checked(7, agrees=False, scope="overall", subject=""))
    lines = as_markdown("a", "b", values(rows)).splitlines()
    assert lines[2] == (
        "**4 of 8 printed values are contradicted by the runs**, 3 agree, and 1 are of configs that"
        " were never run."
    )
    assert lines[4:8] == [
        "| printed of | values | contradicted | agree | never run | subjects | agree in all |",
        "|---|---|---|---|---|---|---|",
        "| overall | 1 | 1 | 0 | 0 | 1 | 0 |",
        "| config | 7 | 3 | 3 | 1 | 7 | 3 |",
    ]
    assert lines[9].endswith("Left out, since runs tell nothing of them: 2 of hardware.")
    table = [line for line in lines if line.startswith("| TR1 3 | ") and "mean" in line]
    assert [line.split(" | ")[1] for line in table] == ["all runs", "c1", "c3", "c5", "c6"]
    assert table[1] == "| TR1 3 | c1 | efficiency_estimate | mean | 90.0% | 80.00 % |  |"
    assert table[-1].endswith("| no such runs |  |")


def test_a_long_table_is_cut_with_a_pointer_to_all_of_it() -> None:
    found = values([checked(n, agrees=False) for n in range(500)])
    text = as_markdown("a", "b", found)
    assert text.count("| efficiency_estimate |") == 40
    assert "460 more rows are in the JSON of this comparison (`--format json`)." in text
    assert len(json.loads(as_json("a", "b", found))["content"]["rows"]) == 500


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ({"printed": "1.838x, 91.9%", "value": 0.919}, "1.838x, 91.9% (91.90 %) | 80.00 %"),
        (
            {"printed": "1.838x, 91.9%", "value": 1.838, "metric": "speedup_estimate"},
            "1.838x, 91.9% (1.8380) | 0.8000",
        ),
        (
            {"printed": "3/30 runs", "value": 3.0, "unit": "runs", "computed": 2.0},
            "3/30 runs (3) | 2",
        ),
        (
            {"printed": "+19,235", "value": 19.235, "unit": "s", "computed": 16.4052},
            "+19,235 (19.2350 s) | 16.4052 s",
        ),
        ({"printed": "5.5pp", "value": 0.055}, "5.5pp | 80.00 %"),
    ],
)
def test_what_the_runs_give_stands_in_the_unit_of_the_print(
    row: dict[str, Any], cells: str
) -> None:
    text = as_markdown("a", "b", values([checked(1, agrees=False, **row)]))
    assert f"| {cells} |" in text


def runs(verdicts: list[str], **content: Any) -> Difference:
    rows = [
        {
            "config_id": f"c{n}",
            "metric": "wall_s",
            "ratio": Interval(1.1, 1.0, 1.2, 5),
            "verdict": verdict,
            "detectable": 1.1,
        }
        for n, verdict in enumerate(verdicts)
    ]
    found = {
        "margin": 0.05,
        "fingerprints": [
            {"name": "models", "a": "m1", "b": "m2", "same": False},
            {"name": "servers", "a": "s", "b": "s", "same": True},
            {"name": "machines", "a": "not known", "b": "x", "same": None},
        ],
        "columns": {"only_a": [], "only_b": []},
        "rows": {"added": 0, "removed": 1, "changed": 2, "equal": 3, "changed_columns": {"x": 2}},
        "configs": rows,
        "scenarios": [],
    }
    return Difference("runs", False, (), verdicts.count("worse"), found | content)


def test_verdicts_are_counted_and_the_worse_come_first() -> None:
    found = runs(["equivalent", "better", "worse", "inconclusive", "worse"])
    lines = as_markdown("a", "b", found).splitlines()
    assert lines[2] == (
        "**B is worse in 2 of 5 comparisons, better in 1**, equivalent in 1; 1 are inconclusive."
    )
    assert "| configs | 5 | 2 | 1 | 1 | 1 |" in lines[:9]
    assert any(
        line.startswith("Runs by key: 2 changed, 0 only in B, 1 only in A, 3 equal.")
        for line in lines[:12]
    )
    table = [line for line in lines if "| wall_s |" in line]
    assert [line.split(" | ")[0] for line in table] == ["| c2", "| c4", "| c1", "| c3", "| c0"]
    assert table[0] == "| c2 | wall_s | 1.100 [1.000, 1.200] | 5 | worse | 1.100 |"
    assert "| models | m1 | **differs**: m2 |" in lines
    assert "| servers | s | the same |" in lines
    assert "Not known of both, so that nothing can be told: machines." in lines


def test_text_of_others_stays_text() -> None:
    row = checked(1, agrees=False, subject=HOSTILE, note=HOSTILE, printed=HOSTILE, section=HOSTILE)
    found = values([row])
    found.content["sections"][0]["section"] = HOSTILE
    one = as_markdown(HOSTILE, HOSTILE, found)
    other = runs(
        ["worse"], fingerprints=[{"name": "models", "a": HOSTILE, "b": HOSTILE, "same": False}]
    )
    for text in (one, as_markdown(HOSTILE, HOSTILE, other)):
        assert "\n# Verdict" not in text
        assert not re.search(r"(?<!\\)(<script|\[x\])", text)
        assert not re.search(r"(?<!\\):(?=//evil)", text)


def test_a_files_name_says_what_it_becomes() -> None:
    assert style_of(None) == "markdown"
    assert style_of(Path("a..b.md")) == "markdown"
    assert style_of(Path("a..b.json")) == "json"
    assert style_of(Path("a..b.html")) == "html"


def test_html_is_one_page_with_longer_tables() -> None:
    found = values([checked(n, agrees=False, note=HOSTILE) for n in range(100)])
    text = as_html("tr<1>", "b", found)
    assert text.startswith("<!")
    assert "<title>tr&lt;1&gt; against b</title>" in text
    assert "<script>alert" not in text
    assert text.count("80.00 %") == 100


def dataset(folder: Path, factor: float = 1.0, **changes: Any) -> str:
    blocks = [
        scaled(rows, factor * (1 + 0.002 * (rows[0]["repetition"] % 3)))
        for rows in rounds(4, block("serial"), block("dual"), **changes)
    ]
    return str(write_dataset(folder, blocks))


def test_exit_codes_and_files(tmp_path: Path) -> None:
    one, slower = dataset(tmp_path / "one"), dataset(tmp_path / "slower", 1.2)
    other = dataset(tmp_path / "other", model_digest="cd" * 32)

    def code(*arguments: str) -> int:
        return CliRunner().invoke(main, ["diff", *arguments]).exit_code

    assert code(one, one) == 0
    assert code(one, slower) == 1
    assert code(one, slower, "--fail-on", "worse") == 1
    assert code(slower, one, "--fail-on", "worse") == 0
    assert code(one, slower, "--exit-zero") == 0
    assert code(one, other) == 2
    assert code(one, other, "--exit-zero") == 2
    assert code(one, other, "--force") == 1
    assert code(one, str(tmp_path / "gone")) == 2
    made = freeze(Path(one), "mine", None, tmp_path / "baselines")
    runs_file = made.folder / "runs.parquet"
    runs_file.write_bytes(runs_file.read_bytes()[:-9])
    assert code(one, str(made.folder)) == 3
    out = tmp_path / "d/a..b.json"
    assert code(one, slower, "--output", str(out)) == 1
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["kind"], found["same"]) == ("runs", False)
    assert code(one, slower, "--output", str(out), "--format", "markdown") == 1
    assert out.read_text(encoding="utf-8").startswith("# ")
    # forced, and marked so
    text = CliRunner().invoke(main, ["diff", one, other, "--force"]).stdout
    assert text.splitlines()[2].startswith("**Not comparable**, shown because it was forced: ")
    assert json.loads(
        CliRunner().invoke(main, ["diff", one, other, "--force", "--format", "json"]).stdout
    )["obstacles"]
