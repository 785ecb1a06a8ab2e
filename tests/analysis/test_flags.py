"""Which rule a stored flag follows: one, none, several, or no telling."""

from collections.abc import Sequence

import pandas as pd

from tandembench.analysis.flags import Flag, identify


def flag(
    up: Sequence[bool | None],
    speedups: Sequence[float],
    first_s: Sequence[tuple[float | None, float | None]],
) -> Flag | None:
    n = len(up)
    key = {"session": ["s1"] * n, "config_id": ["c"] * n, "attempt": [1] * n}
    runs = pd.DataFrame(
        {
            **key,
            "repetition": range(1, n + 1),
            "contention_source": pd.Series(up, dtype=object),
            "contention_speedup_rule": [value < 1.5 for value in speedups],
            "contention_ttft_rule": pd.Series([None] * n, dtype=object),
        }
    )
    executions = pd.concat(
        runs.assign(agent=agent, ttft_s=[pair[index] for pair in first_s])
        for index, agent in enumerate(("collector", "insight"))
    )
    return identify(runs, executions)


def rule(found: Flag | None) -> str | None:
    return found.rule.rule if found and found.rule else None


STEADY = [(0.3, 0.3)] * 4


def test_the_rule_that_agrees_in_every_run_is_it() -> None:
    found = flag([True, False, False, True], [1.4, 1.8, 1.9, 1.2], STEADY)
    assert rule(found) == "speedup"
    assert found is not None
    assert (found.n, found.up) == (4, 2)
    by_rule = {match.rule: match for match in found.matches}
    assert (by_rule["speedup"].agrees, by_rule["speedup"].both) == (4, 2)
    assert (by_rule["first_token_usual"].agrees, by_rule["first_token_usual"].flagged) == (2, 0)
    # without solos the rule of the text cannot be applied at all
    assert (by_rule["first_token_alone"].n, by_rule["first_token_alone"].agrees) == (0, 0)


def test_a_rule_of_first_tokens_is_found_too() -> None:
    late: list[tuple[float | None, float | None]] = [(0.3, 0.3), (0.3, 4.0), (0.3, 0.3), (0.3, 0.3)]
    assert rule(flag([False, True, False, False], [1.8] * 4, late)) == "first_token_usual"


def test_two_rules_that_fit_and_none_that_fits_are_no_answer() -> None:
    late: list[tuple[float | None, float | None]] = [
        (0.3, 0.3),
        (0.3, 12.0),
        (0.3, 0.3),
        (0.3, 0.3),
    ]
    both = flag([False, True, False, False], [1.8, 1.2, 1.8, 1.8], late)
    assert both is not None
    assert [match.explains for match in both.matches] == [True, False, True, True]
    assert both.rule is None
    assert rule(flag([True, False, True, False], [1.8, 1.2, 1.9, 1.4], STEADY)) is None


def test_a_flag_that_never_changes_tells_no_rule_apart() -> None:
    found = flag([False] * 4, [1.8] * 4, STEADY)
    assert found is not None
    assert not any(match.explains for match in found.matches)


def test_where_no_run_has_a_flag_there_is_nothing_to_explain() -> None:
    assert flag([None] * 4, [1.8] * 4, STEADY) is None
    assert identify(pd.DataFrame({"valid": [True]}), pd.DataFrame()) is None


def test_runs_that_a_rule_cannot_judge_keep_it_from_explaining() -> None:
    unknown: list[tuple[float | None, float | None]] = [
        (0.3, None),
        (0.3, 4.0),
        (0.3, 0.3),
        (0.3, 0.3),
    ]
    found = flag([False, True, False, False], [1.8] * 4, unknown)
    assert found is not None
    usual = next(match for match in found.matches if match.rule == "first_token_usual")
    assert (usual.n, usual.agrees, usual.explains) == (3, 3, False)
