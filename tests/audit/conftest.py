"""What the tests of printed numbers share: the data beside the checkout, and the report's text."""

import os
import re
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
