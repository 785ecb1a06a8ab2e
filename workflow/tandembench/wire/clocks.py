"""The clocks: when bytes arrived, by the kernel's stamps or by the event loop's own clock.

Source of the kernel's part: Documentation/networking/timestamping.rst.
"""

import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence

# What a stamp says: the kernel took the bytes in, or the event loop handed them over.
KERNEL = "kernel"
DATA_RECEIVED = "data_received"

# Linux, 64-bit times whatever the machine: SO_TIMESTAMPING_NEW, also the type of its message, and
# the flags SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE.
_SO_TIMESTAMPING = 65
_SOFTWARE_STAMPS = 1 << 3 | 1 << 4
# Three times of seconds and nanoseconds, of which the first is the software's.
_TIMES = struct.Struct("=6q")
ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMES.size)
# Clocks are read within less than a microsecond of each other; a step of the wall clock is more.
_STEPPED_NS = 20_000
_OFFSET_TRIES = 5


def ask_for_stamps(sock: socket.socket) -> None:
    """Have the kernel stamp what ``sock`` receives; OSError where it cannot."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _SOFTWARE_STAMPS)


def kernel_stamp_ns(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    """The kernel's stamp among what came with a read, CLOCK_REALTIME ns; 0 for none."""
    for _, kind, value in ancillary:
        if kind == _SO_TIMESTAMPING:
            seconds, nanoseconds, *_ = _TIMES.unpack(value)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def keep_stamping() -> socket.socket | None:
    """A socket for whose life the kernel stamps what arrives; None where it cannot.

    Without one, stamping begins with each connection anew, and its first packets have none.
    """
    if sys.platform != "linux":
        return None
    keeper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        ask_for_stamps(keeper)
    except OSError:
        keeper.close()
        return None
    return keeper


def realtime_offset_ns() -> int:
    """CLOCK_REALTIME less CLOCK_MONOTONIC, ns.

    The two run at one rate: only a step of the wall clock changes their distance.
    """
    return ahead_ns(time.time_ns)


def ahead_ns(clock: Callable[[], int]) -> int:
    """``clock`` less CLOCK_MONOTONIC, ns, from the tightest of a few readings."""
    readings = []
    for _ in range(_OFFSET_TRIES):
        before = time.monotonic_ns()
        other = clock()
        after = time.monotonic_ns()
        readings.append((after - before, other - (before + after) // 2))
    return min(readings)[1]


def monotonic_stamps(
    reads: Sequence[tuple[int, int]], begin_offset_ns: int, end_offset_ns: int
) -> tuple[list[int], str]:
    """When ``reads`` arrived, CLOCK_MONOTONIC ns, and the clock that says so.

    A read is its kernel stamp (CLOCK_REALTIME; 0: none) and the time at which the event loop got
    it. The kernel's are taken for all reads or for none: not if one is missing, if the wall clock
    was stepped between the two offsets, or if a stamp is later than the loop's own.
    """
    loops = [at_ns for _, at_ns in reads]
    if abs(end_offset_ns - begin_offset_ns) > _STEPPED_NS:
        return loops, DATA_RECEIVED
    kernels = [real_ns - begin_offset_ns for real_ns, _ in reads]
    latest = 0
    for (real_ns, at_ns), kernel_ns in zip(reads, kernels, strict=True):
        if not real_ns or not latest <= kernel_ns <= at_ns + _STEPPED_NS:
            return loops, DATA_RECEIVED
        latest = kernel_ns
    return kernels, KERNEL
