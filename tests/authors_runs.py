"""The reports' own runs, imported from the shared folder that holds their authors' results."""

import os
from pathlib import Path

import pytest

from tandembench.dataset.baseline import import_runs, verify
from tandembench.dataset.load import Dataset, load_dataset

LAYOUTS = {
    "tr110": "chimeraforge-python",
    "tr113": "chimeraforge-rust",
    "tr114": "chimeraforge-rust",
}


def shared(*names: str) -> Path:
    """A path in the shared folder; the test is skipped where none is named."""
    folder = os.environ.get("TANDEMBENCH_SHARED_DATA")
    if not folder:
        pytest.skip("TANDEMBENCH_SHARED_DATA names no folder with chimeraforge/")
    return Path(folder, *names)


def imported(folder: Path, report: str) -> Dataset:
    """The runs of ``report`` as a baseline under ``folder``."""
    made, _ = import_runs(LAYOUTS[report], shared("chimeraforge", report), report, None, folder)
    assert verify(made) == 5
    return load_dataset(made.folder)
