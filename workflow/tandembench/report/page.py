"""Markdown of ours -> one strict HTML file: nothing in it runs or loads but its own sort script."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from tandembench.report.formats import NOTHING
from tandembench.report.render import environment, slug
from tandembench.report.words import TEMPLATES

# A column of such cells is one of numbers: "1.55 [1.15, 2.10]", "20.4 / 61.2 (720)", "1 to 2 %".
_NUMBER = re.compile(r"[-+±]?\d(?:[^A-Za-z]| to )*")
_LONGEST_ID, _BRIEF = 40, 18
_INSIDE = re.compile(r"[#\w.][^:\\]*")
# Another page of ours beside this one, which is HTML too.
_SIBLING = re.compile(r"(\w[\w-]*)\.md(#[\w-]*)?")
# What an SVG may hold as it is in a URL that stands in an attribute.
_UNQUOTED = " !$'()*+,-./:;=?@[]^_`{|}~"
# A figure that lies beside the page, or in a folder beside it.
_FIGURE = re.compile(r"(\w[\w.-]*/)*\w[\w.-]*\.svg")
_NO_NUMBER = ("", NOTHING, "reference", "not reported", "not known")


def page(markdown: str, title: str, figures: Mapping[str, str] | None = None) -> str:
    """``markdown`` as one HTML file that needs no network, no script and no other file.

    ``figures`` holds the text of each SVG by the relative path under which the Markdown shows it;
    an image that is not there, and a link that leaves the page's own folder, become plain text.
    Headings get the ids that GitHub gives them, so that links inside the page work in both.
    """
    parser = _parser()
    tokens = parser.parse(markdown)
    _name_headings(tokens)
    _mark_tables(tokens)
    _frame_figures(tokens)
    _keep_inside(tokens, figures or {})
    body = parser.renderer.render(tokens, parser.options, {})
    files = {name: _source(name) for name in ("page.css", "page.js")}
    return (
        environment(autoescape=True)
        .get_template("page.html.j2")
        .render(
            title=title,
            body=Markup(body),  # noqa: S704 - markdown-it escapes all text, and passes no HTML
            contents=_contents(tokens),
            style=Markup(files["page.css"]),  # noqa: S704 - our own file
            script=Markup(files["page.js"]),  # noqa: S704 - our own file
            style_hash=_hash(files["page.css"]),
            script_hash=_hash(files["page.js"]),
            has_figures=bool(figures),
        )
    )


def named(markdown: str) -> tuple[str, list[str]]:
    """(text of the first heading, paths of the figures that are shown) of a Markdown page."""
    tokens = _parser().parse(markdown)
    headings = (i for i, token in enumerate(tokens) if token.type == "heading_open")
    first = next(headings, None)
    title = "" if first is None else _text(tokens[first + 1])
    return title, list(dict.fromkeys(_shown(tokens)))


def _shown(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "image" and _FIGURE.fullmatch(path := str(token.attrGet("src"))):
            yield path
        yield from _shown(token.children or ())


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _open_table)
    parser.add_render_rule("table_close", _close_table)
    return parser


def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _name_headings(tokens: Sequence[Token]) -> None:
    seen: dict[str, int] = {}
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open":
            name = slug(_text(inline))
            seen[name] = seen.get(name, -1) + 1
            opened.attrSet("id", f"{name}-{seen[name]}" if seen[name] else name)


def _contents(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """The headings of levels 2 and 3 as a tree, for the table of contents."""
    result: list[dict[str, Any]] = []
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open" and opened.tag in ("h2", "h3"):
            entry: dict[str, Any] = {"id": opened.attrGet("id"), "text": _text(inline), "parts": []}
            if opened.tag == "h3" and result:
                result[-1]["parts"].append(entry)
            else:
                result.append(entry)
    return result


def _text(inline: Token) -> str:
    """What a reader sees of an inline token."""
    return "".join(
        _text(child) if child.children else " " if child.type == "softbreak" else child.content
        for child in inline.children or ()
    )


def _mark_tables(tokens: Sequence[Token]) -> None:
    """Columns get classes for their alignment, since the policy allows no style attributes."""
    heading = ""
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _text(tokens[index + 1])
        elif token.type == "table_open":
            token.meta["label"] = heading
            _align(tokens, index)


def _align(tokens: Sequence[Token], start: int) -> None:
    columns: list[list[int]] = []
    column = 0
    for index in range(start, len(tokens)):
        token = tokens[index]
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            column = 0
        elif token.type in ("th_open", "td_open"):
            columns += [[]] * (column == len(columns))
            columns[column] = [*columns[column], index]
            column += 1
    for cells in columns:
        texts = [_text(tokens[i + 1]).strip() for i in cells if tokens[i].type == "td_open"]
        kind = _kind(texts)
        for i in cells:
            asked = str(tokens[i].attrs.pop("style", "")).removeprefix("text-align:")
            if asked or kind:
                tokens[i].attrSet("class", asked or kind)
            if tokens[i].type == "th_open":
                tokens[i].attrSet("scope", "col")


def _kind(texts: Sequence[str]) -> str:
    """How a column is set: numbers to the right, ids and brief texts in one piece, the rest as
    text.
    """
    if not any(texts):
        return ""
    if all(text in _NO_NUMBER or _NUMBER.fullmatch(text) for text in texts):
        return "right"
    if all(len(text) <= _BRIEF for text in texts):
        return "word"
    return "" if any(" " in text or len(text) > _LONGEST_ID for text in texts) else "word"


def _open_table(self: RendererHTML, tokens: Sequence[Token], index: int, *_: object) -> str:
    label = escape(tokens[index].meta.get("label", ""))
    return f'<div class="wide" role="group" tabindex="0" aria-label="Table: {label}"><table>\n'


def _close_table(*_: object) -> str:
    return "</table></div>\n"


def _frame_figures(tokens: list[Token]) -> None:
    """A paragraph of one image is a figure; one of nothing but emphasis after it, its caption."""
    for start in reversed(range(len(tokens) - 2)):
        opened, inline, closed = tokens[start : start + 3]
        if opened.type != "paragraph_open" or _kinds(inline) != ["image"]:
            continue
        opened.tag = closed.tag = "figure"
        after = tokens[start + 3 : start + 6]
        if [token.type for token in after[:1]] == ["paragraph_open"] and _is_emphasis(after[1]):
            after[0].tag = after[2].tag = "figcaption"
            after[1].children = (after[1].children or [])[1:-1]
            tokens[start + 2 : start + 6] = [*after, closed]


def _is_emphasis(inline: Token) -> bool:
    kinds = _kinds(inline)
    return kinds[:1] == ["em_open"] and kinds.index("em_close") == len(kinds) - 1


def _kinds(inline: Token) -> list[str]:
    return [child.type for child in inline.children or ()]


def _keep_inside(tokens: Sequence[Token], figures: Mapping[str, str]) -> None:
    """Only our figures are shown, and only what lies beside or in the page is linked."""
    outside: list[str] = []
    for token in tokens:
        if token.type == "image":
            path = str(token.attrGet("src"))
            if path in figures:
                token.attrSet("src", "data:image/svg+xml," + quote(figures[path], safe=_UNQUOTED))
            else:
                _be_text(token, f"[figure: {_text(token)}]")
        elif token.type == "link_open":
            target = str(token.attrGet("href"))
            outside.append("" if _INSIDE.fullmatch(target) else target)
            if outside[-1]:
                _be_text(token, "")
            elif sibling := _SIBLING.fullmatch(target):
                token.attrSet("href", f"{sibling[1]}.html{sibling[2] or ''}")
        elif token.type == "link_close" and (target := outside.pop()):
            _be_text(token, "" if token.info == "auto" else f" ({target})")
        elif token.children:
            _keep_inside(token.children, figures)


def _be_text(token: Token, text: str) -> None:
    token.type, token.tag, token.nesting, token.content, token.children = "text", "", 0, text, None
