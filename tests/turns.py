"""Tests marked ``alone`` run while no other of this checkout does, in whatever process it runs."""

import fcntl
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside the timeout of a test: it may wait
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    folder = item.config.rootpath / ".pytest_cache/turns"
    folder.mkdir(parents=True, exist_ok=True)
    alone = item.get_closest_marker("alone") is not None
    with (folder / "running").open("w") as running:
        with (folder / "next").open("w") as following:  # none may pass one that waits to be alone
            fcntl.flock(following, fcntl.LOCK_EX)
            fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            fcntl.flock(running, fcntl.LOCK_UN)  # also where a process that it forked lives on
