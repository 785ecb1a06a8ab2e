"""Factor check: the settings that were asked for, against those that the servers report."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tandembench.report.numbers import Values


def factors(executions: pd.DataFrame) -> Values:
    """``asked``: whether any setting was; ``rows``: those not applied, or not reported.

    One row per factor, value asked for and value effective, with the number of configs and one of
    them. Executions that failed are left out: their servers did not get to say anything.
    """
    configs: dict[tuple[str, str, str | None], list[str]] = {}
    values: dict[tuple[str, str, str | None], Any] = {}
    complete = executions[executions["error"].isna()]
    anything = False
    for (config_id, _), own in complete.groupby(["config_id", "agent"], sort=False):
        for factor, asked in json.loads(own["options_asked"].iloc[0]).items():
            anything = True
            effective = _effective(factor, own)
            if effective and all(_same(asked, value) for value in effective):
                continue
            said = ", ".join(map(option_text, effective)) or None
            key = (factor, option_text(asked), said)
            values[key] = asked
            if config_id not in configs.setdefault(key, []):
                configs[key].append(str(config_id))
    rows = [
        {"factor": key[0], "asked": key[1], "effective": key[2], "n": len(ids), "example": ids[0]}
        for key, ids in sorted(configs.items(), key=lambda item: _order(item[0], values))
    ]
    return {"asked": anything, "rows": rows}


def _effective(factor: str, own: pd.DataFrame) -> list[Any]:
    """The distinct values of ``factor`` that the server reported, smallest first."""
    if factor == "num_ctx":
        return sorted(int(value) for value in own["num_ctx_effective"].dropna().unique())
    reported = [json.loads(text) for text in own["options_effective"].dropna().unique()]
    known = {
        option_text(said[factor]): said[factor] for said in reported if said.get(factor) is not None
    }
    return [known[text] for text in sorted(known)]


def _same(asked: Any, effective: Any) -> bool:  # noqa: ANN401 - JSON scalars
    # Servers hold 32-bit numbers, and give six digits back.
    if isinstance(asked, int | float) and isinstance(effective, int | float):
        return math.isclose(asked, effective, rel_tol=1e-5)
    return bool(asked == effective)


def option_text(value: Any) -> str:  # noqa: ANN401 - a JSON scalar
    """The value of an option, as a table shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(key: tuple[str, str, str | None], values: Mapping[Any, Any]) -> tuple[Any, ...]:
    asked = values[key]
    number = asked if isinstance(asked, int | float) else math.inf
    return key[0], number, key[1], key[2] or ""
