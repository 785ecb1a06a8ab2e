"""A report's files: Markdown, JSON, figures and page belong together, or nothing is changed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, write_dataset

import tandembench.report.write
from tandembench.cli import main
from tandembench.errors import TandemError
from tandembench.report.figures.figure import Figure
from tandembench.report.page import named
from tandembench.report.write import write_page, write_pages, write_report

MEBI = 2**20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 50 configs with long ids, two rounds of each."""
    folder = tmp_path_factory.mktemp("large")
    serial = block("serial")
    others = [
        block(
            f"{topology}-with-a-long-id-g{n:03}-c{512 * n}",
            (1.0, 0.8),
            (1.2 + 0.01 * n, 1.1),
            options_asked=json.dumps({"num_ctx": 512 * n, "temperature": 0.8}),
            content=f"{topology}-{n}",
        )
        for topology, count in (("dual", 25), ("single", 24))
        for n in range(1, count + 1)
    ]
    return write_dataset(folder, rounds(2, serial, *others))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "small", rounds(2, block("serial"), block("dual")))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One figure, and no time spent on drawing it."""
    figure = Figure("drawn", "Drawn", "What it shows", "How to read it", "<svg/>", (), ())
    monkeypatch.setattr(tandembench.report.write, "draw", lambda *_: (figure,))


def files(folder: Path) -> dict[str, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def test_the_same_dataset_gives_the_same_bytes_and_they_are_few(
    large: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two"):
        write_pages(write_report(large, tmp_path / name / "technical_report.md"))
        found.append(files(tmp_path / name))
    assert found[0] == found[1]
    figures = {name for name in found[0] if name.startswith("figures/")}
    pages = {
        f"{page}.{kind}" for page in ("technical_report", "details") for kind in ("md", "html")
    }
    rest = pages | {"report.json"}
    assert set(found[0]) == rest | figures
    assert len(figures) >= 4
    shown = [named(found[0][name].decode())[1] for name in ("technical_report.md", "details.md")]
    assert figures == set(shown[0] + shown[1])
    assert max(len(found[0][name]) for name in figures) <= 100_000
    assert all(len(found[0][page]) <= 1.5 * MEBI for page in pages)


@pytest.mark.usefixtures("drawn")
def test_what_an_earlier_report_showed_and_this_does_not_is_gone(
    small: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out/technical_report.md"
    write_report(small, output)
    stale = output.parent / "figures/stale.svg"
    stale.write_text("<svg/>")
    before = files(output.parent)
    write_report(small, output)
    del before["figures/stale.svg"]
    assert files(output.parent) == before


@pytest.mark.usefixtures("drawn")
def test_figures_of_someone_else_are_left_alone(small: Path, tmp_path: Path) -> None:
    holiday = tmp_path / "figures/holiday.svg"
    holiday.parent.mkdir()
    holiday.write_text("<svg/>")
    with pytest.raises(TandemError, match="not figures of a report"):
        write_report(small, tmp_path / "x.md")
    assert holiday.read_text() == "<svg/>"
    assert not (tmp_path / "x.md").exists()


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("broken", ["draw", "render", "as_json"])
def test_a_report_that_fails_changes_nothing(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    output = tmp_path / "out/technical_report.md"
    write_report(small, output)
    before = files(output.parent)

    def fail(*_: object) -> None:
        raise TandemError("broken", where="here", fix="mend it")

    monkeypatch.setattr(tandembench.report.write, broken, fail)
    with pytest.raises(TandemError, match="broken"):
        write_report(small, output)
    assert files(output.parent) == before


@pytest.mark.usefixtures("drawn")
def test_where_a_report_goes_by_itself(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["report", "small"])
    assert (done.exit_code, done.output) == (0, "reports/test/technical_report.md\n")
    done = CliRunner().invoke(main, ["page", "reports/test/technical_report.md"])
    assert (done.exit_code, done.output) == (0, "reports/test/technical_report.html\n")
    html = Path("reports/test/technical_report.html").read_text(encoding="utf-8")
    assert "<title>A test study</title>" in html


def test_a_pdf_beside_a_new_page_is_left_alone_and_told(tmp_path: Path) -> None:
    source, printed = tmp_path / "a.md", tmp_path / "a.pdf"
    source.write_text("text\n")
    assert CliRunner().invoke(main, ["page", str(source)]).stderr == ""
    printed.write_bytes(b"anyone's")
    done = CliRunner().invoke(main, ["page", str(source)])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'a.html'}\n")
    assert done.stderr == f"tandembench: {printed}: not of this page; --pdf prints it again\n"
    assert printed.read_bytes() == b"anyone's"


def test_a_page_of_any_markdown(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text\n")
    assert write_page(tmp_path / "a.md", tmp_path / "deep/b.html").is_file()
    assert "<title>a</title>" in (tmp_path / "deep/b.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["page", "nix.md"], "nix.md: no such file; name a page"),
        (["page", "lost.md"], "figures/x.svg: no such file; make"),
        (["page", "latin.md"], "latin.md:1: not UTF-8 text"),
        (["page", "lost.md", "--output", "a.md"], "a.md: not a name for HTML; end it in .html"),
        (["report", "nix"], "resources/baselines: no baseline 'nix'; baselines: none"),
        (["report", "."], ".: no dataset; name a baseline"),
        (["report", "small", "--output", "x.html"], "x.html: not a name for Markdown; end it"),
    ],
)
def test_mistakes_are_one_line(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lost.md").write_text("![x](figures/x.svg)\n")
    Path("latin.md").write_bytes(b"\xe9")
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"tandembench: {line}")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))
