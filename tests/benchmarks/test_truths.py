"""The benchmark of truths: its table, its exit code, and one truth for real.

The truths themselves are tested in tests/fake_server/test_known_truths.py, by the same functions.
"""

import pytest
import truths
from click.testing import CliRunner


def a_truth(*found: float, bar: float = 0.01, relative: bool = False) -> truths.Truth:
    tries = iter(found)
    return truths.Truth("a truth", lambda: (2.0, next(tries)), bar, relative)


def test_the_best_of_three_counts_and_all_are_shown() -> None:
    one = truths.tried(a_truth(2.5, 1.996, 2.1))
    assert (one["expected"], one["measured"], one["n"], one["met"]) == (2.0, 1.996, 3, True)
    assert one["errors"] == pytest.approx([0.5, -0.004, 0.1])
    assert truths.table([one]).splitlines()[2] == (
        "| a truth | 2.0000 | 1.9960 | -0.00400 | 0.01000 | +0.50000, -0.00400, +0.10000 |"
    )


@pytest.mark.parametrize(("found", "code"), [(2.0, 0), (2.1, 1)])
def test_the_exit_code_says_whether_a_bar_was_missed(
    monkeypatch: pytest.MonkeyPatch, found: float, code: int
) -> None:
    monkeypatch.setattr(truths, "TRUTHS", [a_truth(2.0, 2.0, 2.0), a_truth(found, found, found)])
    assert CliRunner().invoke(truths.main, []).exit_code == code


def test_a_truth_is_found_for_real() -> None:
    # generous: the bar is the benchmark's to check, on a quiet machine
    known, found = truths.equal_gain(1.6)
    assert known == 1.6
    assert found == pytest.approx(known, rel=0.1)
