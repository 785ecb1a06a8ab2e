"""Markdown, page and JSON of one context hold the same words and the same numbers."""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from raw_blocks import block, calibration, failed, rounds, scaled, write_dataset
from report_tables import tables

from tandembench.report.write import write_page, write_report

# A JSON object of so many numbers is about one thing: a row's numbers are found in one of them.
OF_ONE_THING = 150
# As a table may print what JSON holds in base units: points of per cent, ms, us, GiB.
UNITS = (1.0, 100.0, 1e3, 1e6, 2.0**-30)


class Words(HTMLParser):
    """The text that a page's ``main`` shows, in words; all text where there is no ``main``."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def words(html: str) -> list[str]:
    parser = Words()
    parser.feed(html)
    parser.close()
    return " ".join(parser.texts).split()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equal")
    shared = [
        block("serial"),
        block("single", (0.9, 0.8), (1.5, 1.6), steps=2, between_s=0.05),
        block("dual", (1.0, 0.7), (1.3, 1.2), tokens=(8, 12)),
        block("dual-again", (1.0, 0.7), (1.3, 1.2), tokens=(8, 12)),
    ]
    blocks = [
        scaled([row | {"repetition": n} for row in rows], factor)
        for rows in shared
        for n, factor in enumerate((1.0, 0.98, 1.03), start=1)
    ]
    blocks += rounds(1, failed(block("single_parallel"), "insight", "solo", "oom"))
    dataset = write_dataset(folder, blocks, calibrations=[calibration()])
    return write_report(dataset, folder / "technical_report.md")


def test_the_page_says_what_the_markdown_says(report: Path) -> None:
    for file, least in ((report, 500), (report.with_name("details.md"), 1000)):
        html = write_page(file).read_text(encoding="utf-8")
        main = html.split("<main>")[1].split("</main>")[0]
        markdown = file.read_text(encoding="utf-8")
        plain = MarkdownIt("commonmark").enable("table").render(markdown)
        assert words(main) == words(plain)
        assert len(words(main)) > least


def test_every_number_of_a_table_is_in_the_json_and_a_row_in_one_place(report: Path) -> None:
    markdown = "\n".join(
        report.with_name(name).read_text(encoding="utf-8")
        for name in ("technical_report.md", "details.md")
    )
    content = json.loads(report.with_name("report.json").read_text(encoding="utf-8"))
    places = [found for one in objects(content) if len(found := numbers(one)) <= OF_ONE_THING]
    rows = [(header, row) for header, table in tables(markdown) for row in table]
    printed = [(header, row, found) for header, row in rows if (found := in_cells(row))]
    assert len(printed) > 50
    for header, row, found in printed:
        assert any(all(is_in(one, place) for one in found) for place in places), (header, row)


def test_a_number_that_differs_in_its_last_digit_is_told_apart() -> None:
    place = sorted([0.12345, 1.95])
    assert is_in(("0.12", False), place)
    assert is_in(("12.3", True), place)
    assert not is_in(("0.13", False), place)
    assert not is_in(("12.4", True), place)
    assert in_cells(["dual-2", "1.50 [1.40, 1.60]", "-3 %", "-", "2/3", "a 5"]) == [
        ("1.50", False),
        ("1.40", False),
        ("1.60", False),
        ("-3", True),
        ("2", False),
        ("3", False),
    ]


def objects(value: Any) -> Iterator[Any]:
    """Every object of a JSON value, itself included."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, dict | list):
            yield from objects(one)


def numbers(value: Any) -> list[float]:
    """All numbers in a JSON value, sorted; those in texts and half widths of intervals too."""
    found: list[float] = []
    if isinstance(value, dict) and value.get("high") is not None:
        found.append((value["high"] - value["low"]) / 2)
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            found += numbers(one)
    elif isinstance(value, str):
        # Tables of figures are rounded already, percentages included.
        pattern = r"(?<![\w.])(-?\d+(?:\.\d+)?)(?!\w)( %)?"
        for text, percent in re.findall(pattern, value):
            found.append(float(text) / (100 if percent else 1))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found.append(float(value))
    return sorted(found)


def in_cells(row: list[str]) -> list[tuple[str, bool]]:
    """The numbers of the cells that hold nothing else, as printed, and whether in per cent."""
    cells = [cell for cell in row if not re.search(r"[A-Za-z]", re.sub(r"\bto\b|n =", "", cell))]
    pattern = r"(?<![\w.])(-?\d+(?:\.\d+)?)( %)?"
    return [(one[1], bool(one[2])) for cell in cells for one in re.finditer(pattern, cell)]


def is_in(one: tuple[str, bool], place: list[float]) -> bool:
    """Whether a printed number is one of the sorted numbers, under its own rounding."""
    text, is_percentage = one
    for unit in (100.0,) if is_percentage else UNITS:
        half = (0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9) / unit
        value = float(text) / unit
        position = bisect_left(place, value - half)
        if position < len(place) and place[position] <= value + half:
            return True
    return False
