"""What tests share: the repository, the real model, and the data behind the reports."""

import subprocess
import sys
from pathlib import Path

import pytest
from authors_runs import imported
from fault_table import (  # noqa: F401 - hooks
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from turns import pytest_runtest_protocol  # noqa: F401 - a hook

from tandembench.dataset.load import Dataset

REPOSITORY = Path(__file__).parents[1]
MODEL = "smollm2-135m-instruct-q4_1"
sys.path[:0] = [str(Path(__file__).parent), str(REPOSITORY / "benchmarks")]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout under test."""
    return REPOSITORY


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The real model, fetched by the workflow's own rule if it is not there yet."""
    target = f"resources/models/{MODEL}.gguf"
    if not (REPOSITORY / target).exists():
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock"]
            + ["--configfile", "config/quick.yaml", "--", target],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return REPOSITORY / target


@pytest.fixture(scope="session")
def tr114(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The 150 runs behind Technical Report 114, not to be changed."""
    return imported(tmp_path_factory.mktemp("tr114"), "tr114")


@pytest.fixture(scope="session")
def tr113(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Those behind 113."""
    return imported(tmp_path_factory.mktemp("tr113"), "tr113")


@pytest.fixture(scope="session")
def tr110(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Those behind 110."""
    return imported(tmp_path_factory.mktemp("tr110"), "tr110")
