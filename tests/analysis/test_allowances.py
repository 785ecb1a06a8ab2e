"""What is known of a ratio beforehand."""

import math

from tandembench.analysis.levels import Side, allowance, behaves_like

ONE_SLOT = Side("a", (2,), started=True)
TWO_SLOTS = Side("b", (2,), started=True)
TWO_SERVERS = Side("c", (1, 1), started=True)
RUNNING = Side("http://127.0.0.1:11434", (), started=False)


def test_configs_of_one_deployment_share_its_start_and_its_states() -> None:
    known = allowance(ONE_SLOT, ONE_SLOT)
    assert (known.start, known.sitting) == (0.0, 0.0)


def test_each_start_counts() -> None:
    both = allowance(ONE_SLOT, TWO_SLOTS).start
    one = allowance(ONE_SLOT, Side("d", (2,), started=False)).start
    assert 0 < one < both
    assert math.isclose(both, math.sqrt(2) * one)


def test_unlike_threads_have_states_of_their_own() -> None:
    assert allowance(ONE_SLOT, TWO_SERVERS).sitting > 4 * allowance(ONE_SLOT, TWO_SLOTS).sitting > 0


def test_of_running_servers_nothing_is_known() -> None:
    known = allowance(RUNNING, Side("http://127.0.0.1:11435", (), started=False))
    assert (known.start, known.sitting) == (0.0, 0.0)


def test_pairs_behave_alike_by_their_threads_and_by_sharing_a_deployment() -> None:
    assert behaves_like(ONE_SLOT, TWO_SERVERS) == behaves_like(TWO_SERVERS, TWO_SLOTS)
    assert behaves_like(ONE_SLOT, TWO_SLOTS) != behaves_like(ONE_SLOT, TWO_SERVERS)
    assert behaves_like(ONE_SLOT, TWO_SLOTS) != behaves_like(ONE_SLOT, ONE_SLOT)


def test_nothing_is_expected_of_servers_whose_threads_are_not_known() -> None:
    """Two of them may well have states that the third does not have."""
    others = [Side(url, (), started=False) for url in ("http://b", "http://c")]
    kinds = {behaves_like(RUNNING, other) for other in others}
    assert len(kinds) == 2
    assert behaves_like(RUNNING, TWO_SLOTS) not in kinds
