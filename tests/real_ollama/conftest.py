"""Tests on a real Ollama, which `make test-ollama` builds and names; elsewhere they are skipped."""

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what stands here where no Ollama is named."""
    if not os.environ.get("TANDEMBENCH_OLLAMA"):
        for item in items:
            if item.path.parent == Path(__file__).parent:
                item.add_marker(pytest.mark.skip(reason="TANDEMBENCH_OLLAMA names no Ollama"))
