"""What the workflow's tests share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A lock of measuring apart from the machine's: stand-ins need not wait for real servers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEMBENCH_LOCK", str(tmp_path_factory.mktemp("tmp") / "lock"))
        yield
