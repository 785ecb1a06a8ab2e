"""200 hostile texts wherever foreign text can stand: nothing is forged, and nothing acts."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hostile_texts import HOSTILE
from markdown_it import MarkdownIt
from markdown_it.token import Token
from raw_blocks import MACHINE, block, calibration, failed, rounds, write_dataset

from tandembench.analysis.answer import answers
from tandembench.cli import main
from tandembench.dataset.descriptor import read_descriptor, seal
from tandembench.dataset.load import load_dataset
from tandembench.project import load_hypotheses
from tandembench.report.details import details
from tandembench.report.front import front
from tandembench.report.page import page
from tandembench.report.write import page_one, page_two
from tandembench.text import as_json, plain, sanitise

REPOSITORY = Path(__file__).parents[2]
# Stands where a hostile text will, in a context with the number of its place.
FOREIGN = "FOREIGN"
NUMBERED = re.compile(rf"{FOREIGN}(\d+)x")
# How often each place gets another text.
ROUNDS = 24
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


def context_with(folder: Path, text: str) -> dict[str, Any]:
    """The context of a dataset that holds ``text`` in every field that may hold any."""
    said = {
        "model": text,
        "model_digest": text,
        "engine_version": text,
        "clock": text,
        "wait_policy": text,
        "endpoint": text,
        "invocation": text,
        "options_asked": json.dumps({text: text, "num_ctx": 512}),
        "options_effective": json.dumps({text: f"{text} too"}),
    }
    blocks = [
        [row | said | ({"agent": text} if row["agent_index"] else {}) for row in rows]
        for rows in rounds(3, block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25)))
    ]
    blocks.append(failed(block("single"), "insight", "solo", text))
    machine = {**MACHINE, **dict.fromkeys(("cpu", "system", "kernel", "architecture"), text)}
    machine |= {"python": text, "clients": {"httpx": text, "h11": text}}
    calibrations = [calibration(clock=text)]
    dataset = write_dataset(
        folder, blocks, machines=[machine], calibrations=calibrations, title=text
    )
    asked = replace(
        load_hypotheses("config/hypotheses/tr114.yaml", REPOSITORY)[0], question=text, note=text
    )
    data = load_dataset(dataset)
    found = details(data, [asked])
    every = answers(data.runs, data.executions, found.margin, "serial")
    # Figures are tested by themselves, and would draw every text.
    return {"page": front(data, every, found, ()), "details": found}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report's context, its foreign texts numbered place by place."""
    places = count()
    found = context_with(tmp_path_factory.mktemp("foreign"), FOREIGN)
    return replaced(found, FOREIGN, lambda _: f"{FOREIGN}{next(places)}x")


def replaced(value: Any, pattern: str, by: Callable[[re.Match[str]], str]) -> Any:
    """``value`` with what matches replaced in all its texts, keys included."""
    if isinstance(value, str):
        return re.sub(pattern, by, value)
    if isinstance(value, dict):
        return {replaced(k, pattern, by): replaced(v, pattern, by) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replaced(one, pattern, by) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        every = (field.name for field in fields(value))
        texts = {name: replaced(getattr(value, name), pattern, by) for name in every}
        try:
            return replace(value, **texts)
        except ValueError:  # a calibration, whose own rules refuse that text
            return value
    return value


def both_pages(context: dict[str, Any]) -> str:
    """Page one and the details, as one text."""
    return page_one(context["page"]) + "\n" + page_two(context["details"])


def told(context: dict[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """The context with a hostile text in every place."""
    by = partial(at_its_place, texts)
    return replaced(context, NUMBERED.pattern, by)


def at_its_place(texts: Sequence[str], found: re.Match[str]) -> str:
    return texts[int(found[1]) % len(texts)]


def turns() -> Iterator[list[str]]:
    """The hostile texts, each time from another one on."""
    for start in range(0, len(HOSTILE), len(HOSTILE) // ROUNDS):
        yield HOSTILE[start:] + HOSTILE[:start]


def structure(tokens: list[Token]) -> Iterator[tuple[str, ...]]:
    """What Markdown makes of a text: its tags, and the words that each block shows."""
    for token in tokens:
        if token.type in ("text", "text_special"):
            continue
        shown = words(token) if token.type == "inline" else " ".join(token.content.split())
        # Where a text stands by itself, spaces that begin it are left out.
        shown = shown.replace("( ", "(")
        yield (token.type, token.tag, token.markup, shown)
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


def test_foreign_text_stands_in_many_places_of_the_report(context: dict[str, Any]) -> None:
    assert len(set(NUMBERED.findall(both_pages(context)))) >= 19


def test_on_its_way_to_the_report_a_text_is_only_carried(tmp_path: Path) -> None:
    """So that the tests below may put the texts into a context, and need no dataset for each."""
    # Sentences are words of ours, with sanitised texts in them.
    words_ = {"page": None}
    text = "# <b> ![x](http://x.example) | `$&\n\n| a |\x1b[2J\u202e {{ x }} \\ *_~@"
    carried = context_with(tmp_path / "a", text)
    made_of_all = r"\b(sha256:)?[0-9a-f]{12,64}\b|(?<=bytes\": )\d+|,$"
    put = replaced(context_with(tmp_path / "b", FOREIGN), FOREIGN, lambda _: text)
    lines = [
        sorted(re.sub(made_of_all, "", line) for line in lines)
        for lines in (as_json({**one, **words_}).splitlines() for one in (carried, put))
    ]
    assert lines[0] == lines[1]


def test_every_text_reads_as_it_is_and_changes_nothing_else(context: dict[str, Any]) -> None:
    innocent = list(structure(PARSER.parse(both_pages(context))))
    assert len(innocent) > 1000
    for turn in turns():
        texts = [text[:60] for text in turn]  # longer ones are cut where they stand
        by = partial(at_its_place, [sanitise(text) for text in texts])
        expected = [
            (*kind, " ".join(NUMBERED.sub(by, shown).split()).replace("( ", "("))
            for *kind, shown in innocent
        ]
        assert list(structure(PARSER.parse(both_pages(told(context, texts))))) == expected


def test_no_text_means_anything_on_github(context: dict[str, Any]) -> None:
    # links without markup, footnotes, maths, mentions, issues
    meaning = re.compile(r"(?i)://|\bwww\.|\]\(|\[\^|\$|@|#\d|~~")
    innocent = _outside_code(both_pages(context))
    for texts in turns():
        lines = _outside_code(both_pages(told(context, texts)))
        assert len(lines) == len(innocent)
        for line, plain_line in zip(lines, innocent, strict=True):
            if FOREIGN in plain_line:
                assert line.isprintable(), line
                assert len(meaning.findall(line)) <= len(meaning.findall(plain_line)), line


def _outside_code(markdown: str) -> list[str]:
    """The lines outside of code blocks, without what a backslash makes plain."""
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", re.sub(r"(?ms)^```\w*$.*?^```$", "", markdown))
    return bare.splitlines()


def test_no_text_changes_the_structure_of_the_page(context: dict[str, Any]) -> None:
    def shape(markdown: str, title: str) -> list[tuple[str, tuple[str, ...]]]:
        html = page(markdown, title)
        nothing_acts(html)
        names = ("aria-label", "id", "href")  # come from headings; a class from a column's cells
        return [
            (tag, tuple(n if n in names else f"{n}={v}" for n, v in attributes if n != "class"))
            for tag, attributes in tags(html)
        ]

    innocent = shape(both_pages(context), "x")
    for texts in turns():
        assert shape(both_pages(told(context, texts)), texts[0] or "x") == innocent


def test_no_text_acts_even_as_a_page_of_its_own() -> None:
    for text in HOSTILE:
        nothing_acts(page(text, text))
        nothing_acts(
            page(f"# {text}\n\n{text}\n\n- {text}\n\n| {text} |\n|---|\n| {text} |\n", text)
        )


def test_json_holds_every_text_as_it_was_and_only_ascii(context: dict[str, Any]) -> None:
    innocent = as_json(context)
    for texts in turns():
        forged = told(context, texts)
        written = as_json(forged)
        assert json.loads(written) == plain(forged)
        assert re.fullmatch(r"[ -~\n]*", written)
        assert written.count("\n") == innocent.count("\n")


def test_what_may_be_an_id_is_no_link(tmp_path: Path) -> None:
    assert IDS == ["www.evil.example", "missing"]
    blocks = rounds(2, block("serial"), *(block(text, topology="dual") for text in IDS))
    markdown = page_two(details(load_dataset(write_dataset(tmp_path, blocks))))
    assert "| www\\.evil.example |" in markdown
    assert not re.search(r"\bwww\.", re.sub(r"`[^`]*`", "", markdown))


def test_no_text_is_an_id_and_refusing_it_takes_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.chdir(tmp_path)
    dataset = write_dataset(tmp_path, [], phases={"main": ["dual"]})
    content = read_descriptor(dataset)
    phase = content["study"]["phases"][0]
    for text in set(HOSTILE) - set(IDS):
        study = {**content["study"], "phases": [{**phase, "configs": [text]}]}
        seal(dataset, {**content, "study": study})
        refused(["baseline", "freeze", str(dataset), "--name", "x"], 3, text)
    refused(["report", str(dataset), "--output", "x.md"], 3, text)
    assert not Path("x.md").exists()
    assert not Path("resources").exists()


@pytest.mark.parametrize("words", [["baseline", "show"], ["diff", "tr114"]])
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
