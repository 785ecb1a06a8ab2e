"""What is printed and what comes out: half a unit, ranges, bounds, and floats' dust."""

import pytest

from tandembench.analysis.rounding import Relation, agrees


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (0.8926, True),
        (0.893, True),
        (0.8935, True),
        (0.89351, False),
        (0.8925, True),
        (0.89249, False),
    ],
)
def test_half_a_unit_either_way_is_rounding(found: float, wanted: bool) -> None:
    assert agrees((found, found), (0.893, 0.893), 0.0005) is wanted


def test_what_was_counted_has_no_rounding_but_floats_have_dust() -> None:
    assert agrees((0.1 + 0.2, 0.1 + 0.2), (0.3, 0.3), 0.0)
    assert not agrees((3.0, 3.0), (4.0, 4.0), 0.0)
    assert not agrees((3.000001, 3.000001), (3.0, 3.0), 0.0)


def test_ranges_agree_where_they_meet() -> None:
    assert agrees((0.16, 0.16), (0.15, 0.18), 0.0)
    assert agrees((0.10, 0.15), (0.15, 0.18), 0.0)
    assert agrees((0.10, 0.147), (0.15, 0.18), 0.005)
    assert not agrees((0.10, 0.14), (0.15, 0.18), 0.005)
    assert not agrees((0.19, 0.20), (0.15, 0.18), 0.005)


@pytest.mark.parametrize(
    ("relation", "less", "same", "more"),
    [
        ("equal", False, True, False),
        ("above", False, False, True),
        ("at_least", False, True, True),
        ("below", True, False, False),
        ("at_most", True, True, False),
    ],
)
def test_a_bound_has_a_side(relation: Relation, less: bool, same: bool, more: bool) -> None:
    told = [agrees((one, one), (0.87, 0.87), 0.0, relation) for one in (0.8, 0.87, 0.9)]
    assert told == [less, same, more]


def test_nothing_known_agrees_with_nothing() -> None:
    nan = float("nan")
    assert not agrees((nan, nan), (0.9, 0.9), 0.5)
