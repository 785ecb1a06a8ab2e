"""Page one and the details: tidy, in order, led to by links, and page one is short."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from report_scenes import SCENES
from report_tables import cells, tables
from studies import blocks, study

from tandembench.dataset.load import load_dataset
from tandembench.report.render import slug
from tandembench.report.write import rendered

Pages = Callable[[str], tuple[str, str]]
# The sections of page one, of which those that have nothing to say are left out.
SECTIONS = [
    "Why",
    "What to set",
    "How far to trust it",
    "Your options and your questions",
    "What an overlap estimator would have said",
    "Method and provenance",
]
MOST_WORDS = 1800


def words(markdown: str) -> int:
    """What a reader reads: neither drawings nor the lines of tables."""
    shown = re.sub(r"!\[.*?\]\(.*?\)", "", markdown, flags=re.DOTALL)
    return len(re.sub(r"[|#*`-]+", " ", shown).split())


@pytest.mark.parametrize("name", SCENES)
def test_every_page_is_tidy(pages_of: Pages, name: str) -> None:
    for text in pages_of(name):
        assert text.endswith("\n")
        assert "\n\n\n" not in text
        assert not re.search(r"[ \t]$", text, re.MULTILINE)
        assert not re.search(r"\b(None|nan|NaN|NaT|inf|Undefined)\b", text)
        body = text.split("\n## Provenance")[0]
        assert not re.search(r"\.\d{5,}", body), "an unrounded number"
        assert not re.search(r"\b1 (configs|runs|rounds|comparisons)\b", text)
        assert not re.search(r"\b(?!1\b)\d+ (config|run|round|comparison)\b(?! id)", text)
        assert not re.search(r"^- .*\n\n- ", text, re.MULTILINE), "a list with a gap"
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        assert not re.search(r"^- .*\n(?!- |\n|$)", prose, re.MULTILINE), "a list that runs on"
        sentences = "\n".join(line for line in prose.splitlines() if not line.startswith("|"))
        quiet = re.sub(r"`[^`\n]+`", "code", sentences)
        assert not re.search(r"  |\( | \)| [,.;:]|[:;,] ?[.;,]|\.\.", quiet), "a gap in a sentence"
        assert "{" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL), "a place left open"
        for heading in re.finditer(r"^## .*\n\n(.*)", text, re.MULTILINE):
            assert not heading[1].startswith("## "), f"an empty section: {heading[0]}"
        for header, rows in tables(text):
            assert rows, header
            assert {len(row) for row in rows} <= {len(cells(header))}


@pytest.mark.parametrize("name", SCENES)
def test_page_one_has_its_sections_in_order_and_is_short(pages_of: Pages, name: str) -> None:
    first, _ = pages_of(name)
    headings = re.findall(r"^## (.*)", first, re.MULTILINE)
    assert headings == [one for one in SECTIONS if one in headings]
    assert {"How far to trust it", "Method and provenance"} <= set(headings)
    assert words(first) < MOST_WORDS
    lines = [line for line in first.splitlines() if line]
    assert lines[0] == "# A test study"
    assert re.fullmatch(r"\*\*[^*].*\*\*", lines[1]), "the answer, or a warning, comes first"


def test_page_one_of_the_quick_study_is_short(tmp_path: Path) -> None:
    dataset = load_dataset(study(tmp_path, blocks()))
    (first, _, _), figures = rendered(dataset, ())
    assert words(first) < 1500
    shown = [re.escape(figure.name) for figure in figures]
    order = re.findall(rf"figures/({'|'.join(shown)})\.svg", first)
    assert order == ["makespan", "timeline", "slowdown", "order", "estimator"]


@pytest.mark.parametrize("name", SCENES)
def test_links_lead_somewhere(pages_of: Pages, name: str) -> None:
    texts = dict(zip(("technical_report.md", "details.md"), pages_of(name), strict=True))
    for own, text in texts.items():
        for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)]*)\)", text):
            file, _, anchor = target.partition("#")
            assert (file or own) in texts, target
            heads = re.findall(r"^#+ (.*)$", texts[file or own], re.MULTILINE)
            assert not anchor or anchor in map(slug, heads), target


def test_the_first_screen_says_what_the_terminal_says(tmp_path: Path) -> None:
    from tandembench.report.show import show  # noqa: PLC0415

    folder = study(tmp_path, blocks())
    (first, _, _), _ = rendered(load_dataset(folder), ())
    screen = first.split("\n## ")[0]
    said = " ".join(show(folder, None, "text").split())
    headline = re.search(r"^\*\*(.*)\*\*$", screen, re.MULTILINE)
    assert headline
    assert said.startswith(headline[1])
    for ratio in re.findall(r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]", said):
        assert ratio in screen.replace("\\", "")
    for command in re.findall(r"snakemake .*?session=\w+", said):
        assert command in screen
