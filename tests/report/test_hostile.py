"""200 hostile texts wherever foreign text can stand: nothing is forged, and nothing acts."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hostile_texts import HOSTILE
from markdown_it import MarkdownIt
from markdown_it.token import Token
from raw_blocks import MACHINE, block, calibration, failed, rounds, write_dataset

from tandembench.cli import main
from tandembench.dataset.descriptor import read_descriptor, seal
from tandembench.dataset.load import load_dataset
from tandembench.report.context import report_context
from tandembench.report.page import page
from tandembench.report.plain import as_json, plain
from tandembench.report.render import harmless, render
from tandembench.text import sanitise

# Stands where a hostile text will; it has no meaning anywhere.
FOREIGN = "FOREIGN"
# What GitHub's Markdown has and more: HTML is told apart, which our own pages never pass.
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
TAGS = frozenset(
    ("html", "head", "meta", "title", "style", "script", "body", "nav", "main", "details")
    + ("summary", "h1", "h2", "h3", "h4", "h5", "h6", "p", "ol", "ul", "li", "a", "strong", "em")
    + ("code", "pre", "blockquote", "hr", "br", "div", "table", "thead", "tbody", "tr", "th", "td")
    + ("figure", "figcaption", "img")
)
ATTRIBUTES = frozenset(
    ("lang", "charset", "http-equiv", "content", "name", "class", "aria-label", "href", "id")
    + ("role", "tabindex", "scope", "src", "alt", "title", "start")
)
# What may be an id, and so is one.
IDS = [text for text in HOSTILE if re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", text)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with foreign text in every field that may hold any."""
    said = {
        "model": FOREIGN,
        "model_digest": FOREIGN,
        "engine_version": FOREIGN,
        "clock": FOREIGN,
        "wait_policy": FOREIGN,
        "options_asked": json.dumps({FOREIGN: FOREIGN, "num_ctx": 512}),
        "options_effective": json.dumps({FOREIGN: f"{FOREIGN} too"}),
    }
    blocks = [
        [row | said for row in rows]
        for rows in rounds(3, block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25)))
    ]
    blocks.append(failed(block("single"), "insight", "solo", FOREIGN))
    machine = {**MACHINE, **dict.fromkeys(("cpu", "system", "kernel", "architecture"), FOREIGN)}
    machine |= {"python": FOREIGN, "clients": {"httpx": FOREIGN, "h11": FOREIGN}}
    return write_dataset(
        tmp_path_factory.mktemp("hostile"),
        blocks,
        machines=[machine],
        calibrations=[calibration(clock=FOREIGN)],
        title=FOREIGN,
    )


@pytest.fixture(scope="module")
def context(dataset: Path) -> dict[str, Any]:
    return report_context(load_dataset(dataset))


def told(value: Any, text: str) -> Any:
    """``value`` with ``text`` in place of every foreign one, keys included."""
    if isinstance(value, str):
        return value.replace(FOREIGN, text)
    if isinstance(value, dict):
        return {told(key, text): told(one, text) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(told(one, text) for one in value)
    return value


def structure(tokens: list[Token]) -> Iterator[tuple[str, ...]]:
    """What Markdown makes of a text: its tags, and the words that each block shows."""
    for token in tokens:
        if token.type in ("text", "text_special"):
            continue
        yield (token.type, token.tag, token.markup, words(token) if token.type == "inline" else "")
        yield from structure(token.children or [])


def words(inline: Token) -> str:
    return " ".join("".join(child.content or " " for child in inline.children or ()).split())


class Tags(HTMLParser):
    """Every tag of a page with its attributes; names in ``words`` are taken from headings."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(attrs)))


def tags(html: str) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    parser = Tags()
    parser.feed(html)
    parser.close()
    return parser.found


def nothing_acts(html: str) -> None:
    """Only our own script, no reference to elsewhere, and no tag or attribute that is not ours."""
    found = tags(html)
    assert {tag for tag, _ in found} <= TAGS
    assert {name for _, attributes in found for name, _ in attributes} <= ATTRIBUTES
    assert [tag for tag, _ in found].count("script") == 1
    assert [tag for tag, _ in found].count("style") == 1
    for tag, attributes in found:
        for name, value in attributes:
            if name == "href":
                assert tag == "a"
                assert re.fullmatch(r"#.*|[\w./-]+", value or ""), value
            if name == "src":
                assert tag == "img"
                assert (value or "").startswith("data:image/svg+xml,"), value


def test_there_are_enough_and_all_differ() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


def test_foreign_text_stands_in_the_report_at_all(context: dict[str, Any]) -> None:
    assert render(context).count(FOREIGN) >= 12


def test_every_text_reads_as_it_is_and_changes_nothing_else(
    context: dict[str, Any],
) -> None:
    innocent = list(structure(PARSER.parse(render(context))))
    assert len(innocent) > 1000
    for text in (text[:100] for text in HOSTILE):  # longer ones are cut where they stand
        found = structure(PARSER.parse(render(told(context, text))))
        shown = sanitise(text)
        expected = [
            (*tags, " ".join(block.replace(FOREIGN, shown).split())) for *tags, block in innocent
        ]
        assert list(found) == expected, text


def test_no_text_means_anything_on_github(context: dict[str, Any]) -> None:
    innocent = _bare(render(context)).splitlines()
    for text in HOSTILE:
        lines = _bare(render(told(context, text))).splitlines()
        assert len(lines) == len(innocent), text
        for line, plain_line in zip(lines, innocent, strict=True):
            if FOREIGN in plain_line:
                assert line.isprintable(), text
                # links without markup, footnotes, maths, mentions, issues
                more = r"(?i)://|\bwww\.|\]\(|\[\^|\$|@|#\d|~~"
                assert len(re.findall(more, line)) <= len(re.findall(more, plain_line)), text


def _bare(markdown: str) -> str:
    """Markdown without what a backslash makes plain."""
    return re.sub(r"\\[!-/:-@\[-`{-~]", "", markdown)


def test_no_text_changes_the_structure_of_the_page(context: dict[str, Any]) -> None:
    def shape(markdown: str, title: str) -> list[tuple[str, tuple[str, ...]]]:
        html = page(markdown, title)
        nothing_acts(html)
        names = ("aria-label", "id", "href")  # come from headings; a class from a column's cells
        return [
            (tag, tuple(n if n in names else f"{n}={v}" for n, v in attributes if n != "class"))
            for tag, attributes in tags(html)
        ]

    # Each text in one place of many, since Markdown has shown each in all.
    whole = render(context)
    innocent = shape(whole, "x")
    texts = cycle(map(harmless, HOSTILE))
    places = whole.count(FOREIGN)
    for _ in range(len(HOSTILE) // places + 1):
        assert shape(re.sub(FOREIGN, lambda _: next(texts), whole), "x") == innocent


def test_no_text_acts_even_as_a_page_of_its_own() -> None:
    for text in HOSTILE:
        nothing_acts(page(text, text))
        nothing_acts(
            page(f"# {text}\n\n{text}\n\n- {text}\n\n| {text} |\n|---|\n| {text} |\n", text)
        )


def test_json_holds_every_text_as_it_was_and_only_ascii(context: dict[str, Any]) -> None:
    innocent = as_json(context)
    for text in HOSTILE:
        forged = told(context, text)
        written = as_json(forged)
        assert json.loads(written) == plain(forged), text
        assert re.fullmatch(r"[ -~\n]*", written), text
        assert written.count("\n") == innocent.count("\n"), text


def test_what_may_be_an_id_is_no_link(tmp_path: Path) -> None:
    assert IDS == ["www.evil.example", "missing"]
    blocks = rounds(2, block("serial"), *(block(text, topology="dual") for text in IDS))
    markdown = render(report_context(load_dataset(write_dataset(tmp_path, blocks))))
    assert "| www\\.evil.example |" in markdown
    assert not re.search(r"\bwww\.", re.sub(r"`[^`]*`", "", markdown))


def test_no_text_is_an_id_and_refusing_it_takes_one_line(dataset: Path) -> None:
    content = read_descriptor(dataset)
    phase = content["study"]["phases"][0]
    try:
        for text in set(HOSTILE) - set(IDS):
            study = {**content["study"], "phases": [{**phase, "configs": [text]}]}
            seal(dataset, {**content, "study": study})
            refused(["report", str(dataset), "--output", str(dataset / "x.md")], 3, text)
            assert not (dataset / "x.md").exists()
    finally:
        seal(dataset, content)


@pytest.mark.parametrize("words", [["baseline", "show"], ["baseline", "verify"], ["report"]])
def test_no_text_is_a_baseline_and_refusing_it_takes_one_line(words: list[str]) -> None:
    for text in HOSTILE:
        if text and text[0] != "-":
            refused([*words, text], 2, text)


def refused(arguments: list[str], exit_code: int, text: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == exit_code, (text, done.output, done.exception)
    line = done.stderr.removesuffix("\n")
    assert line.startswith("tandembench: "), text
    assert line.isprintable(), (text, line)
    assert len(line) < 500, text
