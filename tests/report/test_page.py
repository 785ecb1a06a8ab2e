"""Markdown -> HTML: what a page holds, what it never holds, and that its numbers are the same."""

from tandembench.report.page import page


def test_a_page_is_whole() -> None:
    text = page("# A\n\n## 1. One\n\n| a | b |\n|---|---|\n| x | 1.5 |\n", "A <title>")
    assert "<title>A &lt;title&gt;</title>" in text
    assert '<h2 id="1-one">1. One</h2>' in text
    assert '<td class="right">1.5</td>' in text
    assert "style=" not in text
