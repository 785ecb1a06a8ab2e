"""``python -m tandembench``."""

from tandembench.cli import main

main()
