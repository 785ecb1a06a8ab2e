"""Pages in a real browser: they fit, ask for nothing, break no policy, and sort their tables."""

import re
from pathlib import Path

import pytest
from browser import Browser
from outside import Outside

from tandembench.report.page import page
from tandembench.report.pdf import print_pdf

WIDTHS = (1280, 390)
LONG = "a" * 300


def asked_for(browser: Browser) -> list[str]:
    """Every address that the page asked for, its own left out."""
    sent = [event["request"]["url"] for event in browser.told("Network.requestWillBeSent")]
    return [url for url in sent[1:] if not url.startswith("data:")]


def complaints(browser: Browser) -> list[str]:
    found = [str(event) for event in browser.told("Log.entryAdded", "Runtime.exceptionThrown")]
    issues = [event["issue"] for event in browser.told("Audits.issueAdded")]
    return [*found, *(str(issue) for issue in issues if "Content" in issue["code"])]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("page_name", "tables"), [("technical_report", 4), ("details", 12)])
def test_a_report_fits_and_keeps_to_itself(
    browser: Browser,
    outside: Outside,
    technical_report: Path,
    width: int,
    dark: bool,
    page_name: str,
    tables: int,
) -> None:
    outside.asked.clear()
    browser.open(technical_report.with_stem(page_name).as_uri(), width, dark=dark)
    assert browser.run("document.querySelectorAll('.wide table').length") > tables
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert asked_for(browser) == []
    assert outside.asked == []
    assert complaints(browser) == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) < 200) is dark


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_first_screen_holds_answer_table_and_figure(
    browser: Browser, technical_report: Path, width: int, height: int
) -> None:
    browser.open(technical_report.as_uri(), width, height)
    ends = "[...document.querySelectorAll('main > p, .wide, figure')].slice(0, 3)"
    kinds = browser.run(f"{ends}.map((one) => one.className || one.tagName)")
    assert kinds == ["P", "wide", "FIGURE"]
    assert (
        browser.run(f"{ends}.at(-1).querySelector('img').getBoundingClientRect().bottom") < height
    )
    # What is asked first needs no scrolling to the side: who, when done, against what.
    cells = "[...document.querySelector('tbody tr').cells].slice(0, 4)"
    assert browser.run(f"{cells}.at(-1).getBoundingClientRect().right") <= width


@pytest.mark.parametrize("name", ["technical_report", "details"])
def test_links_between_the_pages_are_to_pages(
    browser: Browser, technical_report: Path, name: str
) -> None:
    browser.open(technical_report.with_stem(name).as_uri(), 1280)
    found = browser.run("""[...document.querySelectorAll("main a")].map(
      (a) => a.getAttribute("href")).filter((href) => !href.startsWith("#"))""")
    assert set(found) == {"details.html" if name == "technical_report" else "technical_report.html"}


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_too_wide_scrolls_by_itself(browser: Browser, tmp_path: Path, width: int) -> None:
    text = (
        f"# {LONG}\n\n{LONG} `{LONG}`\n\n```\n{LONG}\n```\n\n| {LONG} | b |\n|---|---|\n| c | d |\n"
    )
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="3000" height="20"/>'
    text += f"\n## {LONG}\n\n![wide](wide.svg)\n\n*{LONG}*\n"
    file = tmp_path / "wide.html"
    file.write_text(page(text, "Wide", {"wide.svg": svg}), encoding="utf-8")
    browser.open(file.as_uri(), width)
    assert browser.run("document.querySelector('img').naturalWidth") == 3000
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelector('.wide').scrollWidth") > width


def test_these_checks_can_fail(browser: Browser, outside: Outside, tmp_path: Path) -> None:
    outside.asked.clear()
    file = tmp_path / "bad.html"
    image = '<img src="http://tandembench.example/x.png">'
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    file.write_text(f"{viewport}<p>{LONG}</p>{image}", encoding="utf-8")
    browser.open(file.as_uri(), 390)
    assert browser.run("document.documentElement.scrollWidth") > 390
    assert asked_for(browser) == ["http://tandembench.example/x.png"]
    assert outside.asked == ["GET http://tandembench.example/x.png HTTP/1.1"]
    good = page("# A\n", "A")
    for broken in (image, "<script>1</script>", '<p style="color: red">', "<style>p {}</style>"):
        file.write_text(good.replace("</main>", f"{broken}</main>"), encoding="utf-8")
        browser.open(file.as_uri(), 390)
        assert complaints(browser), broken


def test_every_figure_shows(browser: Browser, tmp_path: Path) -> None:
    text = (
        '# A\n\n![One, 5 % & "more" #2](figures/a.svg)\n\n*Its caption.*\n\n![Two](figures/b.svg)\n'
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><style>rect {{ fill:'
        ' {0} }}</style><defs><clipPath id="c"><rect width="20" height="30"/></clipPath></defs>'
        '<rect clip-path="url(#c)" width="40" height="30"/><text>100 % "é"</text></svg>'
    )
    figures = {"figures/a.svg": svg.format("#ff0000"), "figures/b.svg": svg.format("#0000ff")}
    file = tmp_path / "figures.html"
    file.write_text(page(text, "A", figures), encoding="utf-8")
    browser.open(file.as_uri(), 390)
    shown = browser.run("[...document.images].map((i) => [i.naturalWidth, i.naturalHeight, i.alt])")
    assert shown == [[40, 30, 'One, 5 % & "more" #2'], [40, 30, "Two"]]
    colours = browser.run("""Promise.all([...document.images].map(async (image) => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [40, 30];
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      return [5, 35].map((x) => [...context.getImageData(x, 25, 1, 1).data].join());
    }))""")
    # Each is clipped and coloured by its own rules, though ids are the same.
    assert colours == [["255,0,0,255", "0,0,0,0"], ["0,0,255,255", "0,0,0,0"]]
    assert complaints(browser) == []


def test_tables_sort_by_a_pressed_heading(browser: Browser, tmp_path: Path) -> None:
    rows = ("b | 9.0 [1, 2]", "a | -", "c | 10.5 %", "d | -3.0")
    text = "# A\n\n| id | value |\n|---|---|\n" + "".join(f"| {row} |\n" for row in rows)
    file = tmp_path / "sort.html"
    file.write_text(page(text, "A"), encoding="utf-8")
    browser.open(file.as_uri(), 1280)
    ids = "[...document.querySelectorAll('tbody td:first-child')].map((d) => d.innerText).join('')"
    press = "document.querySelectorAll('th button')[{}].click()"
    assert browser.run(ids) == "bacd"
    for column, order in ((1, "dbca"), (1, "cbda"), (0, "abcd"), (0, "dcba")):
        browser.run(press.format(column))
        assert browser.run(ids) == order
    marked = "[...document.querySelectorAll('th')].map((h) => h.getAttribute('aria-sort'))"
    assert browser.run(marked) == ["descending", None]


def test_every_entry_of_the_contents_leads_somewhere(
    browser: Browser, technical_report: Path
) -> None:
    browser.open(technical_report.with_stem("details").as_uri(), 1280)
    found = browser.run("""[...document.querySelectorAll("a[href^='#']")].map((a) => [
      a.innerText, document.getElementById(decodeURIComponent(a.hash.slice(1)))?.innerText])""")
    assert len(found) > 20
    assert all(target for _, target in found), found


def test_a_page_without_script_reads_the_same(browser: Browser, technical_report: Path) -> None:
    texts = []
    for disabled in (False, True):
        browser.ask("Emulation.setScriptExecutionDisabled", value=disabled)
        browser.open(technical_report.as_uri(), 1280)
        texts.append(browser.run("document.querySelector('main').innerText"))
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert texts[0] == texts[1]


def test_a_page_is_printed_without_what_only_a_screen_needs(
    browser: Browser, technical_report: Path, tmp_path: Path
) -> None:
    browser.open(technical_report.as_uri(), 700, dark=True, media="print")
    for hidden in ("nav.aside", "details.contents"):
        assert browser.run(f"document.querySelector('{hidden}').offsetHeight") == 0
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("document.documentElement.scrollWidth") <= 700
    written = print_pdf(technical_report, tmp_path / "report.pdf")
    assert written.read_bytes().startswith(b"%PDF-")
