"""No process outlives the one that it works for, even after kill -9."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send ``death_signal`` to this process when its parent dies.

    ``parent`` is the process id that the parent had when it decided to start this one: if it is
    gone already, this process leaves at once. Linux only; elsewhere nothing is promised.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + death_signal)
