"""Which rule a stored flag follows: one, none, several, or no telling."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from tandembench.analysis.flags import identify

Pair = tuple[float | None, float | None]


def flag(up: Sequence[bool | None], speedups: Sequence[float], first_s: Sequence[Pair]) -> Any:
    n = len(up)
    runs = pd.DataFrame(
        {
            **{"session": "s1", "config_id": "c", "attempt": 1, "repetition": range(1, n + 1)},
            "contention_source": pd.Series(up, dtype=object),
            "contention_speedup_rule": [value < 1.5 for value in speedups],
            "contention_ttft_rule": pd.Series([None] * n, dtype=object),
        }
    )
    executions = [
        runs.assign(agent=agent, ttft_s=[pair[agent == "insight"] for pair in first_s])
        for agent in ("collector", "insight")
    ]
    return identify(runs, pd.concat(executions))


STEADY: list[Pair] = [(0.3, 0.3)] * 4


@pytest.mark.parametrize(
    ("up", "speedups", "second_s", "expected"),
    [
        # the rule that agrees in every run is it
        ([True, False, False, True], [1.4, 1.8, 1.9, 1.2], (0.3, 0.3), "speedup"),
        ([False, True, False, False], [1.8] * 4, (0.3, 4.0), "first_token_usual"),
        # also where every run is flagged
        ([True] * 4, [1.4, 1.3, 1.2, 1.4], (0.3, 0.3), "speedup"),
        # two rules that fit, none that fits, and a flag that is never up are no answer
        ([False, True, False, False], [1.8, 1.2, 1.8, 1.8], (0.3, 12.0), None),
        ([True, False, True, False], [1.8, 1.2, 1.9, 1.4], (0.3, 0.3), None),
        ([False] * 4, [1.8] * 4, (0.3, 0.3), None),
        # a rule that cannot judge every run explains nothing
        ([True, False, False, False], [1.8] * 4, (None, 0.3), None),
    ],
)
def test_the_rule_that_a_flag_follows(
    up: list[bool | None], speedups: list[float], second_s: Pair, expected: str | None
) -> None:
    found = flag(up, speedups, [(0.3, second_s[0]), (0.3, second_s[1]), *STEADY[:2]])
    assert (found.rule.rule if found.rule else None) == expected


def test_how_a_rule_fits_is_counted() -> None:
    found = flag([True, False, False, True], [1.4, 1.8, 1.9, 1.2], STEADY)
    assert (found.n, found.up) == (4, 2)
    by_rule = {match.rule: match for match in found.matches}
    assert (by_rule["speedup"].agrees, by_rule["speedup"].both) == (4, 2)
    assert (by_rule["first_token_usual"].agrees, by_rule["first_token_usual"].flagged) == (2, 0)
    # without solos the rule of the text cannot be applied at all
    assert (by_rule["first_token_alone"].n, by_rule["first_token_alone"].agrees) == (0, 0)


def test_where_no_run_has_a_flag_there_is_nothing_to_explain() -> None:
    assert flag([None] * 4, [1.8] * 4, STEADY) is None
    assert identify(pd.DataFrame({"valid": [True]}), pd.DataFrame()) is None
