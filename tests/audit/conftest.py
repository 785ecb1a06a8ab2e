"""What the tests of printed numbers share: the data beside the checkout, and the report's text."""

import csv
import os
import re
from itertools import chain
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the reports' tables and runs."""
    folder = os.environ.get("TANDEMBENCH_SHARED_DATA")
    if not folder:
        pytest.skip("TANDEMBENCH_SHARED_DATA names no folder with chimeraforge/ and published/")
    return Path(folder)


@pytest.fixture(scope="session")
def sections(shared: Path) -> dict[str, str]:
    """Technical Report 114 by section, each with its head, without emphasis."""
    path = shared.parent / "seed/technical_report_114.md"
    if not path.is_file():
        pytest.skip("no text of the report beside the data")
    text = path.read_text(encoding="utf-8").replace("**", "")
    heading = r"^(?=#{2,4} (?:(\d[\d.]*)\.? |(Executive Summary)).*$)"
    first, *rest = re.split(heading, text, flags=re.MULTILINE)
    triples = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    named = {(number or name).rstrip("."): body for number, name, body in triples}
    return {"Title page": first} | named


@pytest.fixture(scope="session")
def printed(shared: Path, sections: dict[str, str]) -> dict[str, dict[str, str]]:
    """What each report prints, by section: of TR110 and TR113 their tables."""
    result: dict[str, dict[str, str]] = {"tr110": {}, "tr113": {}, "tr114": sections}
    for path in sorted((shared / "published").glob("tr11[03]_*.csv")):
        name, _, rest = path.stem.partition("_")
        section = rest.partition("_")[0]
        with path.open(encoding="utf-8", newline="") as file:
            cells = [row[2:4] + row[6:] for row in csv.reader(file)]
        text = "\n".join(chain.from_iterable(cells))
        result[name][section] = f"{result[name].get(section, '')}\n{text}"
    return result
