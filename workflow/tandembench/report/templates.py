"""Where the templates are: headings, tables and sentences that no code holds."""

from pathlib import Path

TEMPLATES = Path(__file__).parents[2] / "templates"
