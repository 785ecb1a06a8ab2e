"""Markdown -> HTML: what a page makes of headings, tables, figures and links, and its policy."""

import base64
import hashlib
import re

import pytest

from tandembench.report.page import named, page

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="3"><text>1 &amp; "2" %</text></svg>'
)


def body(markdown: str, figures: dict[str, str] | None = None) -> str:
    html = page(markdown, "A", figures)
    return html.split("<main>\n")[1].split("</main>")[0]


def test_a_page_stands_alone() -> None:
    html = page("# A\n\n## 1. One\n\n### Two\n", "A <title> & more")
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">\n')
    assert "<title>A &lt;title&gt; &amp; more</title>" in html
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert not re.search(r"https?:", html)
    assert page("# A\n", "A") == page("# A\n", "A")


@pytest.mark.parametrize("figures", [None, {"a.svg": SVG}])
def test_the_policy_allows_what_the_page_holds_and_nothing_else(
    figures: dict[str, str] | None,
) -> None:
    html = page("# A\n\n![a](a.svg)\n", "A", figures)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for tag in ("style", "script"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert rules.pop(f"{tag}-src") == f"'sha256-{digest}'"
    none = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    assert rules == none | ({"img-src": "data:"} if figures else {})
    assert " style=" not in html
    assert not re.search(r"<[^>]* on\w+=", html)


def test_headings_have_the_ids_that_github_gives_them() -> None:
    html = page(
        "# A\n\n## 1. One, `two_2` - three!\n\n## Same\n\n## Same\n\n### É & *so* on\n", "A"
    )
    assert re.findall(r'<h\d id="(.*?)"', html) == [
        "a",
        "1-one-two_2---three",
        "same",
        "same-1",
        "é--so-on",
    ]
    contents = re.findall(r'<a href="#(.*?)">(.*?)</a>', html.split('<nav class="aside"')[1])
    assert contents[:4] == [
        ("1-one-two_2---three", "1. One, two_2 - three!"),
        ("same", "Same"),
        ("same-1", "Same"),
        ("é--so-on", "É &amp; so on"),
    ]


def test_a_page_without_sections_has_no_contents() -> None:
    assert "<nav" not in page("# A\n\ntext\n\n## Only one\n", "A")


def test_columns_of_numbers_stand_to_the_right_and_ids_in_one_piece() -> None:
    rows = ("dual-1 | a text of several words | 1.50 [1.40, 1.60] | 3/5 | x | - | 1 to 2 %",)
    rows += ("dual-2 | c | - | -0.5 ± 0.1 | 1 | - | reference",)
    table = f"| id | text | n | m | mixed | none | of |\n|{'---|' * 7}\n" + "".join(
        f"| {row} |\n" for row in rows
    )
    cells = re.findall(r"<td(?: class=\"(\w+)\")?>", body(table))
    assert cells == ["word", "", "right", "right", "word", "right", "right"] * 2
    heads = re.findall(r"<th(?: class=\"(\w+)\")? scope=\"col\">", body(table))
    assert heads == cells[:7]


def test_alignment_that_was_asked_for_is_kept() -> None:
    html = body("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | x y |\n")
    assert re.findall(r'<td class="(\w+)">', html) == ["left", "center", "right"]


def test_a_table_is_named_after_its_section_and_scrolls_by_itself() -> None:
    html = body('# A\n\n## All <of> "it"\n\n| a |\n|---|\n| 1 |\n')
    label = 'aria-label="Table: All &lt;of&gt; &#34;it&#34;"'
    assert f'<div class="wide" role="group" tabindex="0" {label}><table>' in html
    assert html.count("<div") == html.count("</div>") == 1


def test_a_figure_is_inside_the_page_with_its_words() -> None:
    text = '![What "it" shows](figures/a.svg)\n\n***Title.** And the caption, 5 %.*\n\nNext.\n'
    html = body(text, {"figures/a.svg": SVG})
    data = "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 width=%224%22 "
    assert f'<figure><img src="{data}' in html
    assert "<text" not in html
    assert 'alt="What &quot;it&quot; shows" />' in html
    caption = "<figcaption><strong>Title.</strong> And the caption, 5 %.</figcaption>"
    assert re.search(rf"{re.escape(caption)}\s*</figure>", html)
    assert html.endswith("<p>Next.</p>\n")


def test_a_figure_without_a_caption_takes_none() -> None:
    for after in ("Not *all* of it.\n", "*One* and *two*\n", "## A heading\n", "- *a list*\n"):
        html = body(f"![x](a.svg)\n\n{after}", {"a.svg": SVG})
        assert "figcaption" not in html
        assert "</figure>" in html


def test_an_image_from_elsewhere_is_words() -> None:
    text = "![one](http://x.example/a.png) ![two](b.svg) ![three](data:image/png;base64,AAAA)\n"
    html = body(text, {"a.svg": SVG})
    assert html == "<p>[figure: one] [figure: two] [figure: three]</p>\n"


@pytest.mark.parametrize("target", ["#1-one", "report.json", "../other/page.html", "a/b.md#x"])
def test_a_link_inside_is_a_link(target: str) -> None:
    assert body(f"[x]({target})\n") == f'<p><a href="{target}">x</a></p>\n'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[x](https://x.example/a)", "x (https://x.example/a)"),
        ("[**x** y](//x.example)", "<strong>x</strong> y (//x.example)"),
        ("<https://x.example>", "https://x.example"),
        ("[x](mailto:a@x.example)", "x (mailto:a@x.example)"),
        ("[x](/etc/passwd)", "x (/etc/passwd)"),
        ("[in](#a) [out](ftp://x.example)", '<a href="#a">in</a> out (ftp://x.example)'),
    ],
)
def test_a_link_to_elsewhere_is_words(text: str, shown: str) -> None:
    assert body(f"{text}\n") == f"<p>{shown}</p>\n"


def test_html_in_markdown_is_text() -> None:
    assert body("<b>x</b>\n\n<script>1</script>\n") == (
        "<p>&lt;b&gt;x&lt;/b&gt;</p>\n<p>&lt;script&gt;1&lt;/script&gt;</p>\n"
    )


def test_what_a_page_names() -> None:
    text = "# The `title` & *more*\n\n![x](figures/a.svg) ![x](http://e.example/b.svg)\n\n"
    text += "- ![y](c.svg) ![x](figures/a.svg) ![z](../up.svg) ![z](/abs.svg)\n"
    assert named(text) == ("The title & more", ["figures/a.svg", "c.svg"])
    assert named("no heading") == ("", [])
