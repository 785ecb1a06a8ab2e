"""The commands: what --data may name, both formats, exit codes, and texts that mean harm."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt
from raw_blocks import block, rounds, write_dataset
from tandembench.claims.check import check_claims

from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.dataset.descriptor import read_descriptor, seal

HEAD = """\
title: A report
data: {test: this project's test study, other: something else}
sections: {"1": results}
claims:
"""
MEAN = "{from: test, where: {config_id: dual}, of: wall_s, statistic: mean}"
RIGHT = f'{{printed: "1.0s", is: {MEAN}}}'
WRONG = f'{{printed: "3.0s", is: {MEAN}}}'
OTHER = '{printed: "3.0s", is: {from: other, of: wall_s, statistic: mean}}'


def claims_file(folder: Path, *values: str, paraphrase: str = "a thing", head: str = HEAD) -> Path:
    text = head + "".join(
        f'  - {{id: c{n}, section: "1", kind: aggregate, paraphrase: "{paraphrase}",'
        f" values: [{value}]}}\n"
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


def test_the_json_is_what_the_readme_says(tmp_path: Path, dataset: Path) -> None:
    found = as_json(claims_file(tmp_path, RIGHT, WRONG, OTHER), "--data", dataset)
    assert found.keys() == {"claims", "counts"}
    assert [one["verdict"] for one in found["claims"]] == [
        "reproduced",
        "contradicted",
        "not_checkable",
    ]
    assert found["claims"][0] == {
        "id": "c0",
        "section": "1",
        "kind": "aggregate",
        "verdict": "reproduced",
        "published": ["1.0s"],
        "recomputed": [1.0],
        "how": f"1.000 s from mean wall_s, n = 3 ({dataset}: config_id dual) = 1",
    }
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


def test_published_tables_are_found_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.chdir(repository)
    how = "{from: tr113, table: printed, where: {section: '9.4', metric: efficiency_estimate,"
    how += " statistic: mean}, of: value, statistic: mean}"
    head = HEAD.replace("test:", "tr113:")
    path = claims_file(tmp_path, f'{{printed: "72.0%", is: {how}}}', head=head)
    (found,) = as_json(path)["claims"]
    assert (found["verdict"], found["recomputed"]) == ("reproduced", [72.0])
    assert "tr113@1.0.0" in found["how"]
    assert as_json(path, "--data", "tr113") == as_json(path)
    monkeypatch.chdir(tmp_path)
    (found,) = as_json(path)["claims"]
    assert (found["verdict"], found["how"]) == (
        "not_checkable",
        "needs the published table of tr113",
    )


def test_the_newest_published_table_is_the_one(tmp_path: Path, repository: Path) -> None:
    how = "{from: tr113, table: printed, statistic: rows}"
    head = HEAD.replace("test:", "tr113:")
    path = claims_file(tmp_path, f"{{expected: 1, is: {how}}}", head=head)
    for version in ("1.0.0", "1.2.0", "1.10.0"):
        folder = tmp_path / "baselines/tr113" / version
        shutil.copytree(repository / "resources/baselines/tr113/1.0.0", folder)
        seal(folder, read_descriptor(folder) | {"version": version})
    (_, (found,)) = check_claims(path, (), tmp_path / "baselines")
    assert "(tr113@1.10.0: all)" in found.how


def test_a_dataset_is_of_the_longest_name_that_fits(tmp_path: Path) -> None:
    more = write_dataset(tmp_path / "more", rounds(3, block("dual")), study="test-more-runs")
    path = claims_file(tmp_path, RIGHT, RIGHT.replace("from: test", "from: test-more"))
    text = path.read_text(encoding="utf-8").replace("other:", "test-more:")
    path.write_text(text, encoding="utf-8")
    found = as_json(path, "--data", more)["claims"]
    assert [one["verdict"] for one in found] == ["not_checkable", "reproduced"]


def test_the_page_has_the_contradicted_first(tmp_path: Path, dataset: Path) -> None:
    path = claims_file(tmp_path, RIGHT, WRONG, OTHER)
    out = tmp_path / "reports/claims.md"
    code, text, _ = told("check", path, "--data", dataset, "--output", out)
    assert (code, text) == (0, "")
    page = out.read_text(encoding="utf-8")
    assert "| aggregate | 1 | 0 | 1 | 0 | 1 | 3 |" in page
    rows = [line for line in page.splitlines() if line.startswith("| `c")]
    assert [row.split("`")[1] for row in rows] == ["c1", "c0", "c2"]
    assert page.index("## Contradicted") < page.index("## 1: results")
    assert "| 3.0s | 1.000 s |" in rows[0]
    assert "only the report's own figures" in told("check", path)[1]


def test_fail_on_contradicted(tmp_path: Path, dataset: Path) -> None:
    wrong, flag = claims_file(tmp_path, WRONG), "--fail-on"
    assert told("check", wrong, "--data", dataset, flag, "contradicted")[0] == 1
    assert told("check", wrong, "--data", dataset)[0] == 0
    assert told("check", wrong, flag, "contradicted")[0] == 0


def test_what_is_wrong_is_one_line(tmp_path: Path, dataset: Path) -> None:
    path = claims_file(tmp_path, RIGHT)
    code, _, error = told("check", tmp_path / "no.yaml")
    assert (code, error.count("\n")) == (2, 1)
    assert "no such file" in error
    renamed = write_dataset(tmp_path / "mine", rounds(1, block("dual")), study="mine")
    code, _, error = told("check", path, "--data", renamed)
    assert code == 2
    assert error == (
        f"tandembench: --data {renamed}: no claim is about 'mine'; say which it is,"
        f" NAME={str(renamed)[:60]}, with NAME one of test, other\n"
    )
    code, _, error = told("check", path, "--data", f"tests={dataset}")
    assert (code, error) == (
        2,
        f"tandembench: --data tests={dataset}: no claim is about 'tests'; names: test, other\n",
    )
    code, _, error = told("check", path, "--data", dataset, dataset)
    assert (code, error) == (
        2,
        f"tandembench: --data {dataset}: a second dataset for 'test'; name one of each kind\n",
    )
    assert told("check", path, "--data", "nothing")[0] == 2
    (dataset / "runs.parquet").write_bytes(b"PAR1")
    code, text, error = told("check", path, "--data", dataset)
    assert (code, text, error.count("\n")) == (3, "", 1)
    out = tmp_path / "out.md"
    assert told("check", path, "--data", dataset, "--output", out)[0] == 3
    assert not out.exists()


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
    for markup in ("<img", "<a ", "<strong>d", "<code>c<", "49"):
        assert markup not in html
    assert html.count("<h1>") == 1
    assert html.count("<tr>") == 1 + 6 + 2  # kinds, and the one claim


def test_the_list_has_a_line_for_each_claim(tmp_path: Path) -> None:
    code, text, _ = told("list", claims_file(tmp_path, RIGHT, WRONG))
    assert (code, text) == (0, "c0  1  aggregate  a thing\nc1  1  aggregate  a thing\n")
