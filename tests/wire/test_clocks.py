"""Kernel stamps become monotonic times, all of them or none."""

import pytest

from tandembench.wire.clocks import DATA_RECEIVED, KERNEL, monotonic_stamps

OFFSET = 1_700_000_000 * 10**9
HOUR = 3600 * 10**9


def reads(*stamps: tuple[int | None, int]) -> list[tuple[int, int]]:
    """Reads by the kernel's time (None: no stamp) and the loop's, both monotonic."""
    return [(0 if kernel is None else OFFSET + kernel, loop) for kernel, loop in stamps]


@pytest.mark.parametrize(
    ("stamps", "stepped", "times", "clock"),
    [
        ([(100, 150), (200, 900)], 0, [100, 200], KERNEL),
        ([(100, 150), (100, 160)], 15_000, [100, 100], KERNEL),
        # one has no stamp
        ([(100, 150), (None, 900)], 0, [150, 900], DATA_RECEIVED),
        # the wall clock was stepped: seen at the end, by a stamp after the loop's, by one before
        ([(100, 150), (200, 900)], HOUR, [150, 900], DATA_RECEIVED),
        ([(100, 150), (HOUR, 900)], 0, [150, 900], DATA_RECEIVED),
        ([(100, 150), (-HOUR, 900)], 0, [150, 900], DATA_RECEIVED),
        ([(200, 250), (100, 900)], 0, [250, 900], DATA_RECEIVED),
        ([], 0, [], KERNEL),
    ],
)
def test_stamps_are_the_kernels_for_all_reads_or_for_none(
    stamps: list[tuple[int | None, int]], stepped: int, times: list[int], clock: str
) -> None:
    assert monotonic_stamps(reads(*stamps), OFFSET, OFFSET + stepped) == (times, clock)
