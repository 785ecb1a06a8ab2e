"""Processes that tests start, and their end."""

import time
from collections.abc import Callable

import psutil


def until(condition: Callable[[], object], within_s: float = 30.0) -> bool:
    """Whether ``condition`` comes to hold within a deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pids: list[int], within_s: float = 5.0) -> bool:
    """Whether none of ``pids`` runs any more, or will within a deadline."""
    return until(lambda: not any(map(_runs, pids)), within_s)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
