"""The commands of claims: what --data may name, both formats, exit codes, hostile texts."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt
from raw_blocks import block, rounds, write_dataset

from tandembench.audit.check import check_claims
from tandembench.audit.claims import KINDS
from tandembench.audit.expressions import STATISTICS
from tandembench.audit.figures import Relation, read_figure
from tandembench.audit.judge import VERDICTS
from tandembench.audit.tables import run_tables
from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.dataset.descriptor import read_descriptor, seal
from tandembench.dataset.load import load_dataset

HEAD = """\
title: A report
data: {test: this project's test study, other: something else}
sections: {"1": results}
claims:
"""
MEAN = "\"mean(test.wall_s, config_id == 'dual')\""
RIGHT = f'printed: "1.0s", is: {MEAN}'
WRONG = f'printed: "3.0s", is: {MEAN}'
OTHER = 'printed: "3.0s", is: mean(other.wall_s)'


def claims_file(folder: Path, *values: str, paraphrase: str = "a thing", head: str = HEAD) -> Path:
    text = head + "".join(
        f'  - {{id: c{n}, section: "1", kind: aggregate, paraphrase: "{paraphrase}", {value}}}\n'
        for n, value in enumerate(values)
    )
    path = folder / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "results/test", rounds(3, block("dual"), block("serial")))


def told(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["claims", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def as_json(*arguments: object) -> dict[str, Any]:
    code, text, error = told("check", *arguments, "--format", "json")
    assert code == 0, error
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_json_holds_every_value(tmp_path: Path, dataset: Path) -> None:
    found = as_json(claims_file(tmp_path, RIGHT, WRONG, OTHER), "--data", dataset)
    verdicts = ["reproduced", "contradicted", "not_checkable"]
    assert [one["verdict"] for one in found["claims"]] == verdicts
    how = "1.000 s from mean(test.wall_s, config_id == 'dual') = 1 (n = 3)"
    one = {"id": "c0", "section": "1", "kind": "aggregate", "verdict": "reproduced", "how": how}
    lists = {"verdicts": ["reproduced"], "published": ["1.0s"], "recomputed": [1.0]}
    assert found["claims"][0] == one | lists
    assert found["counts"]["aggregate"] == found["counts"]["all"]
    assert sum(found["counts"]["all"].values()) == 3


@pytest.mark.parametrize("form", ["folder", "study", "alias", "spaces", "baseline"])
def test_what_data_may_name(
    form: str, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = claims_file(tmp_path, RIGHT, OTHER)
    frozen = freeze(dataset, "test-runs", None)
    freeze(dataset, "other", None)
    arguments: dict[str, list[str]] = {
        "folder": ["--data", str(dataset)],
        "study": ["--data", "results/test"],
        "alias": ["--data", f"test={frozen.folder}"],
        "spaces": ["--data", "other", "test-runs"],
        "baseline": ["--data", "test-runs@1.0.0", "--data", "other"],
    }
    first, second = as_json(path, *arguments[form])["claims"]
    assert first["verdict"] == "reproduced"
    assert second["verdict"] == ("contradicted" if len(arguments[form]) > 2 else "not_checkable")


def test_the_newest_published_table_is_found_by_itself(tmp_path: Path, repository: Path) -> None:
    how = "mean(tr113.printed.efficiency_estimate, section == '9.4', statistic == 'mean')"
    path = claims_file(
        tmp_path, f'printed: "72.0%", is: "{how}"', head=HEAD.replace("test:", "tr113:")
    )
    for version in ("1.0.0", "1.2.0", "1.10.0"):
        folder = tmp_path / "baselines/tr113" / version
        first = repository / "resources/baselines/tr113/1.0.0"
        shutil.copytree(first, folder)
        seal(folder, read_descriptor(first) | {"version": version})
    (_, (found,)) = check_claims(path, (), tmp_path / "baselines")
    assert (found.verdict, found.values[0].recomputed) == ("reproduced", 72.0)
    (_, (found,)) = check_claims(path, (), tmp_path / "nothing")
    assert found.verdict == "not_checkable"


def test_a_dataset_is_of_the_longest_name_that_fits(tmp_path: Path) -> None:
    more = write_dataset(tmp_path / "more", rounds(3, block("dual")), study="test-more-runs")
    head = HEAD.replace("other:", "test_more:")
    values = RIGHT, RIGHT.replace("test.", "test_more.")
    found = as_json(claims_file(tmp_path, *values, head=head), "--data", more)["claims"]
    assert [one["verdict"] for one in found] == ["not_checkable", "reproduced"]


def test_exit_codes(tmp_path: Path, dataset: Path) -> None:
    wrong, flag = claims_file(tmp_path, WRONG), ("--fail-on", "contradicted")
    assert told("check", wrong, "--data", dataset, *flag)[0] == 1
    assert told("check", wrong, "--data", dataset)[0] == 0
    assert told("check", wrong, *flag)[0] == 0


def test_what_is_wrong_is_one_line(tmp_path: Path, dataset: Path) -> None:
    path = claims_file(tmp_path, RIGHT)
    renamed = write_dataset(tmp_path / "mine", rounds(1, block("dual")), study="mine")
    for arguments, what in (
        ((tmp_path / "no.yaml",), "no such file"),
        ((path, "--data", renamed), "no claim is about 'mine'; say which it is, NAME="),
        ((path, "--data", f"tests={dataset}"), "no claim is about 'tests'; names: test, other"),
        ((path, "--data", dataset, dataset), "a second dataset for 'test'; name one of each"),
        ((path, "--data", "nothing"), "nothing"),
        ((claims_file(tmp_path / "mine", RIGHT.replace("dual", "duel")), "--data", dataset),
         "claims.yaml:5: no row of test has config_id 'duel'; did you mean 'dual'?"),
    ):  # fmt: skip
        code, text, error = told("check", *arguments)
        assert (code, text, error.count("\n")) == (2, "", 1)
        assert what in error
    (dataset / "runs.parquet").write_bytes(b"PAR1")
    out = tmp_path / "out.md"
    code, text, error = told("check", path, "--data", dataset, "--output", out)
    assert (code, text, error.count("\n"), out.exists()) == (3, "", 1, False)


REPORT = """\
# A report of 2026
Measured 150 runs in v0.1.17 on 2025-11-12, GPU=80, TR114: 1 - 2 agents.
```
not 77 this
```
## 3.1 Results
1. Mean **97.9%** (9 runs), \u22123.6pp, 1.985\u00d7
| 5-7pp | p<87% | 6 hours 15 minutes | 2025-11-12 18:30 UTC |
"""


def test_a_draft_lists_numbers_and_places_and_loads_once_it_is_filled(tmp_path: Path) -> None:
    report, draft = tmp_path / "report.md", tmp_path / "claims.yaml"
    report.write_text(REPORT, encoding="utf-8")
    assert told("new", report, "--output", draft)[0] == 0
    text = draft.read_text(encoding="utf-8")
    assert re.findall(r'id: line-(.*)|printed: "(.*?)"', text) == [
        *(("2", ""), ("", "150 runs"), ("", "1 - 2 agents"), ("7", "")),
        *(("", one) for one in ("97.9%", "9 runs", "\u22123.6pp", "1.985\u00d7")),
        *(("8", ""), ("", "5-7pp"), ("", "<87%"), ("", "6 hours 15 minutes")),
        ("", "2025-11-12 18:30 UTC"),
    ]
    assert '"3.1": "lines 6 to 8"' in text
    for empty, line, filled in (
        ('ours: ""', 5, "ours: a set"),
        ("kind:$", 12, "kind: arithmetic"),
        ('paraphrase: ""', 13, "paraphrase: a thing"),
        ('is: ""', 15, "is: 1"),
    ):
        code, _, error = told("check", draft)
        assert (code, error.count("\n"), f"claims.yaml:{line}: " in error) == (2, 1, True)
        text = re.sub(empty, filled, text, flags=re.MULTILINE)
        draft.write_text(text, encoding="utf-8")
    assert sum(as_json(draft)["counts"]["all"].values()) == 3
    assert told("new", report, "--output", draft)[0] == 2, "it would be overwritten"
    report.write_text("no figure", encoding="utf-8")
    assert told("new", report)[0] == 2


def test_the_columns_of_a_baseline_are_what_claims_can_name(
    tmp_path: Path, dataset: Path, repository: Path
) -> None:
    root = tmp_path / "baselines"
    freeze(dataset, "test-runs", None, root)
    shutil.copytree(repository / "resources/baselines/tr113", root / "tr113")

    def listed(name: str) -> dict[tuple[str, str], dict[str, Any]]:
        arguments = "baseline", "show", name, "--columns", "--root", str(root), "--format", "json"
        rows = json.loads(CliRunner().invoke(main, list(arguments)).stdout)
        return {(row["table"], row["name"]): row for row in rows}

    runs = listed("test-runs")
    tables = run_tables(load_dataset(dataset).runs, load_dataset(dataset).executions)
    for (table, name), row in runs.items():
        there = tables[table == "executions"]
        assert row["unit"]
        assert row["description"]
        assert name in there or row["values"] == 0
        assert row["values"] in (None, 0) or there[name].notna().any()
    assert {name for table, name in runs if table == "runs"} >= {"wall_s", "num_gpu", "load_min_s"}
    assert runs["runs", "config_id"]["levels"] == ["dual", "serial"]
    printed = listed("tr113")["printed", "efficiency_estimate"]
    assert (printed["unit"], printed["values"] > 50) == ("1", True)


def test_the_manual_holds_what_it_says(tmp_path: Path, repository: Path) -> None:
    """Its five claims can be checked as they stand, and it names what there is."""
    manual = (repository / "resources/claims/README.md").read_text(encoding="utf-8")
    path = tmp_path / "five.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)[0], encoding="utf-8")
    contexts = [
        block(f"c{n}", [seconds] * 2, topology=topology, options_asked=f'{{"num_ctx": {n}}}')
        for n, seconds, topology in ((512, 1.2, "dual"), (1024, 1.0, "dual"), (2048, 3, "single"))
    ]
    runs = write_dataset(tmp_path / "ours", rounds(8, *contexts), study="ours-runs")
    verdicts = {one["id"]: one["verdicts"] for one in as_json(path, "--data", runs)["claims"]}
    assert verdicts == {
        "mean-speedup": ["contradicted"] * 2,
        "best-context": ["not_distinguishable"],
        "two-are-faster": ["reproduced"],
        "half": ["reproduced"],
        "latency": [],
    }
    words = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", manual, flags=re.DOTALL)))
    assert words >= {*STATISTICS, *KINDS, *VERDICTS, *get_args(Relation)} - {"rows"}
    (printed,) = re.findall(r"^- `printed`: (.*?) A whole", manual, re.MULTILINE)
    for figure in re.findall(r"`([^`]+)`", printed):
        assert read_figure(figure), figure


def test_texts_of_the_file_are_data(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=y> | # [a](http://b) `c` {{ 7 * 7 }} **d** $e$ @f"
    text = claims_file(tmp_path, WRONG, paraphrase=hostile).read_text(encoding="utf-8")
    text = text.replace("A report", f"'{hostile}'").replace("results", f"'{hostile}'")
    (tmp_path / "claims.yaml").write_text(text, encoding="utf-8")
    code, page, _ = told("check", tmp_path / "claims.yaml")
    assert code == 0
    html = MarkdownIt().enable("table").render(page)
    assert html.count("&lt;img src=x onerror=y&gt; | # [a](http://b) `c`") == 3
    assert "{{ 7 * 7 }}" in html
    for markup in ("<img", "<a ", "<strong>d<", "<code>c<", "49"):
        assert markup not in html
    assert html.count("<h1>") == 1
    assert html.count("<tr>") == 1 + 6 + 2  # kinds, and the one claim
