"""Which differences between sides may be put down to a setting."""

from tandembench.analysis.settings import Check, Unapplied, unapplied

CHECKS = [
    Check("num_ctx", "512", "512", True, ("a", "b", "c")),
    Check("num_ctx", "1024", "2048", False, ("d",)),
    Check("num_gpu", "60", None, None, ("a",)),
    Check("num_gpu", "80", None, None, ("b", "d")),
    Check("temperature", "0.8", "0.8", True, ("a", "b", "d")),
    Check("topology", "dual", "2 servers", True, ("a", "b", "d")),
    Check("topology", "single", "1 server; 2 slots each", False, ("c",)),
]


def between(*configs: str, chosen: tuple[str, ...] = ()) -> Unapplied | None:
    return unapplied([(CHECKS, {config}) for config in configs], chosen)


def test_sides_that_differ_only_in_what_is_not_reported() -> None:
    assert between("a", "b") == Unapplied(("num_gpu",), all=True, reported=False)


def test_sides_that_differ_only_in_what_was_not_applied() -> None:
    assert between("b", "d") == Unapplied(("num_ctx",), all=True, reported=True)


def test_a_setting_that_counts_beside_one_that_does_not() -> None:
    # temperature was not asked for in c, and is reported where it was
    found = between("a", "c")
    assert found == Unapplied(("num_gpu", "topology"), all=False, reported=True)


def test_equal_sides_have_nothing_between_them() -> None:
    assert between("a", "a") is None
    assert between("a", "a", chosen=("temperature",)) is None


def test_what_made_the_side_must_hold_whatever_the_other_is() -> None:
    assert between("c", chosen=("topology",)) == Unapplied(("topology",), all=True, reported=True)
    assert between("a", chosen=("topology",)) is None
    assert between("a") is None
