"""Pages that a real browser opens: skipped where there is none, unless one was named."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, browsing
from outside import Outside, listening
from raw_blocks import block, rounds, write_dataset

from tandembench.errors import TandemError
from tandembench.report.pdf import chromium
from tandembench.report.write import write_page, write_report


@pytest.fixture(scope="session")
def outside() -> Iterator[Outside]:
    """Where every request of the browser ends that is not for a file."""
    with listening() as found:
        yield found


@pytest.fixture(scope="session")
def browser(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests."""
    profile = tmp_path_factory.mktemp("profile")
    try:
        chromium(profile)
    except TandemError as error:
        if "TANDEMBENCH_CHROMIUM" in os.environ:
            raise
        pytest.skip(str(error))
    with browsing(profile, f"--proxy-server={outside.address}") as found:
        yield found


@pytest.fixture(scope="session")
def technical_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with every topology, two replicates and long ids."""
    serial = block("serial")
    dual = block("dual", (1.0, 1.0), (1.25, 1.25))
    other = block("dual-with-a-long-name-of-its-own-and-more", (1.0, 0.5), (1.25, 1.0))
    blocks = rounds(3, serial, dual, block("single", (1.0, 1.0), (1.9, 1.8)), other)
    folder = tmp_path_factory.mktemp("page")
    dataset = write_dataset(folder, blocks, title="A study <b>of</b> & on pages")
    return write_page(write_report(dataset, folder / "technical_report.md"))
