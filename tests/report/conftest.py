"""What tests of reports share, made once: the report of each scene, and a study's figures."""

from collections.abc import Callable
from functools import cache

import pytest
from figure_studies import Drawn, drawn, loaded, study
from report_scenes import SCENES
from reporting import pages

from tandembench.dataset.load import Dataset


@pytest.fixture(scope="session")
def pages_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """Page one and the details of a scene, by its name."""

    @cache
    def rendered(name: str) -> tuple[str, str]:
        blocks, study = SCENES[name]
        return pages(tmp_path_factory.mktemp("scene"), blocks, **study)

    return rendered


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small study of every topology."""
    return loaded(tmp_path_factory.mktemp("figures"), study())


@pytest.fixture(scope="session")
def whole(data: Dataset) -> Drawn:
    """Its figures, and the answer that they are of."""
    return drawn(data)
