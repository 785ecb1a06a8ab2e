"""Pages that a real browser opens: skipped where there is none, unless one was named."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, browsing
from outside import Outside, listening
from studies import blocks, study

from tandembench.errors import TandemError
from tandembench.report.pdf import chromium
from tandembench.report.write import write_pages, write_report


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
    """The page of a study of every topology, with its details beside it."""
    folder = tmp_path_factory.mktemp("page")
    title = "A study <b>of</b> & on pages"
    dataset = study(folder, blocks(3, 3), title=title)
    return write_pages(write_report(dataset, folder / "technical_report.md"))
