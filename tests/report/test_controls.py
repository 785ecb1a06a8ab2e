"""Controls, serial and equal configs: passed, failed, or too noisy to tell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, no_server, rounds, scaled, unsteady
from reporting import context

from tandembench.report.controls import _no_gain
from tandembench.stats.intervals import Interval

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
SERIAL, DUAL = block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25))


@pytest.mark.parametrize(
    ("gain", "passed"),
    [
        (None, None),
        (Interval(1.0, 0.98, 1.02, 3), True),
        (Interval(1.09, 0.6, 1.97, 3), True),
        (Interval(1.22, 0.52, 2.87, 3), None),  # a noisy machine, not a broken instrument
        (Interval(0.8, 0.7, 0.95, 3), None),
        (Interval(1.3, 1.2, 1.4, 3), False),
        (Interval(0.7, 0.6, 0.85, 3), False),
        (Interval(1.3, None, None, 1), False),
    ],
)
def test_serial_control(gain: Interval | None, passed: bool | None) -> None:
    assert _no_gain(gain) is passed


def test_equal_configs_of_other_invocations_are_not_compared(tmp_path: Path) -> None:
    again = block("dual-again", (1.0, 1.0), (1.25, 1.25))
    (pair,) = context(tmp_path, [*rounds(3, DUAL), *rounds(3, again, invocation="inv2")])[
        "controls"
    ]["pairs"]
    assert (pair["ratio"], pair["passed"]) == (None, None)
    assert pair["reason"] == "different sessions"


def test_controls_of_serial(tmp_path: Path) -> None:
    good = context(tmp_path / "good", rounds(3, SERIAL))["controls"]
    assert good["serial"]["gain"] == Interval(*[pytest.approx(1.0)] * 3, 3)
    assert (good["serial"]["passed"], good["failed"]) == (True, 0)
    for name, factor in (("slow", 1.2), ("fast", 0.8)):
        bad = context(tmp_path / name, rounds(3, scaled(SERIAL, factor)))["controls"]
        assert (bad["serial"]["passed"], bad["failed"]) == (False, 1)
    none = context(tmp_path / "none", rounds(3, DUAL))["controls"]
    assert (none["serial"]["listed"], none["serial"]["passed"], none["failed"]) == (False, None, 0)
    alone = context(tmp_path / "alone", rounds(3, block("serial", (1.0,))))["controls"]
    assert (alone["serial"]["listed"], alone["serial"]["passed"]) == (True, None)


def test_controls_of_equal_configs(tmp_path: Path) -> None:
    def pair(name: str, again: Blocks) -> Row:
        blocks = [*rounds(3, DUAL), *again]
        found = context(tmp_path / name, blocks)["controls"]
        (only,) = found["pairs"]
        assert (only["first"], only["second"]) == ("dual", "dual-again")
        assert found["failed"] == (only["passed"] is False)
        return dict(only)

    again = block("dual-again", (1.0, 1.0), (1.25, 1.25))
    equal = pair("equal", rounds(3, again))
    assert (equal["verdict"], equal["passed"], equal["pairs"]) == ("equivalent", True, 3)
    unclear = pair("unclear", unsteady(again, 0.5, 1.0, 2.0))
    assert (unclear["verdict"], unclear["passed"]) == ("inconclusive", True)
    noisy = pair("noisy", unsteady(again, 0.8, 1.2, 1.8))
    assert (noisy["verdict"], noisy["passed"], noisy["noisy"]) == ("inconclusive", None, True)
    slower = pair("slower", rounds(3, scaled(again, 1.5)))
    assert (slower["verdict"], slower["passed"]) == ("worse", False)
    assert slower["ratio"].mean == pytest.approx(1 / 1.5)
    once = pair("once", rounds(1, again))
    assert (once["pairs"], once["passed"]) == (1, None)
    never = pair("never", [[row | {"repetition": 9} for row in again]])
    assert (never["pairs"], never["ratio"], never["passed"]) == (0, None, None)
    lost = pair("lost", [no_server(again)])
    assert (lost["pairs"], lost["passed"]) == (0, None)


def test_the_controls_are_one_family(tmp_path: Path) -> None:
    """Of three pairs one is off by what one pair in thirty is off by chance: none has failed."""
    blocks = []
    for name, factors in (
        ("dual-a", (1.00, 1.00, 1.00)),
        ("dual-b", (1.20, 1.10, 1.15)),
        ("dual-c", (1.00, 1.25, 1.10)),
        ("dual-d", (1.20, 1.00, 1.15)),
    ):
        blocks += unsteady(block(name), *factors)
    found = context(tmp_path, blocks)["controls"]
    assert [pair["p"] < 0.05 for pair in found["pairs"]] == [True, False, False]
    assert [pair["passed"] for pair in found["pairs"]] == [None, True, True]
    assert [pair["noisy"] for pair in found["pairs"]] == [True, False, False]
    assert found["pairs"][0]["adjusted_p"] == pytest.approx(3 * found["pairs"][0]["p"])


def test_three_equal_configs_are_two_pairs(tmp_path: Path) -> None:
    blocks = rounds(2, block("dual-c"), block("dual-a"), block("dual-b"))
    pairs = context(tmp_path, blocks)["controls"]["pairs"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == [
        ("dual-a", "dual-b"),
        ("dual-b", "dual-c"),
    ]
