"""Reading a rendered report: its tables, and its numbers worked out another way."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats


def tables(text: str) -> Iterable[tuple[str, list[list[str]]]]:
    """Every table: its header as it stands, and the cells of its rows."""
    for found in re.finditer(r"^(\|.*)\n\|[-|:]+\|\n((?:\|.*\n)*)", text, re.MULTILINE):
        yield found[1], [cells(line) for line in found[2].splitlines()]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def table(text: str, header: str) -> list[list[str]]:
    """The rows of all tables whose header begins so."""
    found = [(" ".join(head.split()), rows) for head, rows in tables(text)]
    return [row for head, rows in found if head.startswith(header) for row in rows]


def t_interval(logs: "pd.Series[Any]") -> str:
    low, high = stats.t.interval(0.95, len(logs) - 1, loc=logs.mean(), scale=stats.sem(logs))
    mean, low, high = np.exp([logs.mean(), low, high])
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def geometric(values: "pd.Series[Any]") -> str:
    return f"{np.exp(np.log(values).mean()):.2f}"


def percentage(values: "pd.Series[Any]", digits: int = 1) -> str:
    return f"{100 * values.mean() + 0.0:.{digits}f} %".replace("-0.00 %", "0.00 %")
