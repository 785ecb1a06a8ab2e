"""What Linux has and others lack: taken away, the fallback does."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tandembench import system
from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.measure.machine import fingerprint

# A child that dies with its parent, and the parent, which leaves before it.
CHILD = """
import ctypes, os, signal, sys
from tandembench import system
if sys.argv[2] == "without":
    ctypes.CDLL = lambda *_, **__: object()
system.die_with(int(sys.argv[1]))
print("ready", flush=True)
signal.pause()
"""
PARENT = """
import os, subprocess, sys
words = [sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2]]
child = subprocess.Popen(words, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("prctl", ["with", "without"])
def test_a_process_ends_with_its_parent_whether_the_kernel_helps_or_not(prctl: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, prctl], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
    if psutil.pid_exists(pid):  # else it is gone already
        assert psutil.wait_procs([psutil.Process(pid)], timeout=10)[1] == []


def test_without_linux_the_machine_is_described_and_its_cores_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(path: Path, *_: object, **__: object) -> str:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    allowed = len(os.sched_getaffinity(0))
    assert system.cores() == allowed
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    system.boot_id.cache_clear()
    assert {"cpu": "arm", "cores": 7}.items() <= fingerprint().items()
    assert system.boot_id() == system.boot_id() != ""
    system.sharp_timers()
    system.boot_id.cache_clear()


def test_a_system_without_file_locks_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(system, "fcntl", None)
    with (tmp_path / "lock").open("w") as file, pytest.raises(TandemError, match="WSL") as caught:
        system.take(file.fileno(), wait=True)
    assert caught.value.exit_code == EXIT_ENVIRONMENT
