"""importers: other people's result folders -> runs, as their source timed them.

Each layout is a module with ``read(root) -> Imported``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from tandembench.dataset.importers import chimeraforge_python, chimeraforge_rust
from tandembench.dataset.importers.source import Imported

LAYOUTS: Mapping[str, Callable[[Path], Imported]] = {
    "chimeraforge-rust": chimeraforge_rust.read,
    "chimeraforge-python": chimeraforge_python.read,
}
