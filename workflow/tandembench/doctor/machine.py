"""The machine and the checkout: what any run needs of them, and who else is at work there."""

import os
import re
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

import psutil
import pynvml

from tandembench.doctor.rows import Row, Seen, row
from tandembench.files import read_text
from tandembench.measure.exclusive import holder
from tandembench.measure.machine import Others, fingerprint
from tandembench.measure.run import ignored_proxies
from tandembench.measure.sampler import open_gpus
from tandembench.measure.telemetry import throttled
from tandembench.study.spec import DISTURBED_CORES
from tandembench.text import counted, sanitise
from tandembench.wire.clocks import (
    ANCILLARY_BYTES,
    ask_for_stamps,
    keep_stamping,
    kernel_stamp_ns,
)

# What a run writes into, and the least that a small study and the model that it fetches take.
_FOLDERS = ("results", "reports", "resources/models", ".snakemake")
_NEEDED_BYTES = 300 << 20
_LOOK_S = 0.5
_LOCK = "requirements.lock"
_PINNED = re.compile(r"^([a-z0-9.-]+)==([^ ]+)", re.MULTILINE)
_CPUS = Path("/sys/devices/system/cpu")
_CLOCK = Path("/sys/devices/system/clocksource/clocksource0")
# They cost a microsecond and more a reading.
_SLOW_CLOCKS = {"hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies"}
# Drivers that leave the clock to the CPU: there `powersave` is as fast as the load asks for.
_SELF_CLOCKED = {"intel_pstate", "amd-pstate-epp"}
# Our own server, whose next word is the process that it works for, and what Ollama starts.
_SERVER = re.compile(r"^tandembench\.servers\.[a-z]+_process$")
_RUNNER = re.compile(r"/blobs/sha256-[0-9a-f]{64}$")


class Load:
    """What others do on this machine from now until ``seen``, half a second at least."""

    def __init__(self) -> None:
        self._others = Others([])
        self._others.look()
        self._began_s, self._before, self._swapped = time.monotonic(), _cpu_seconds(), _swapped()

    def seen(self) -> list[Row]:
        """The rows of it."""
        time.sleep(max(0.0, self._began_s + _LOOK_S - time.monotonic()))
        cores, elapsed_s = self._others.look(), time.monotonic() - self._began_s
        used = {
            pid: (seconds - self._before.get(pid, 0.0)) / elapsed_s
            for pid, seconds in _cpu_seconds().items()
        }
        return [
            row("foreign load", lambda: _foreign(cores, used)),
            row("memory", lambda: _memory(_swapped() - self._swapped)),
        ]


def _foreign(cores: float, used: Mapping[int, float]) -> Seen:
    what = f"others use {cores:.2f} cores; above {DISTURBED_CORES:g} rounds are disturbed"
    if cores <= DISTURBED_CORES:
        return "ok", what, None
    most = sorted(used, key=lambda pid: -used[pid])[:3]
    named = [f"{_name(pid)} (process {pid}, {used[pid]:.2f} cores)" for pid in most if used[pid]]
    return "warning", what, f"end or pause {', '.join(named) or 'what top shows'}"


def _memory(swapped: int) -> Seen:
    free, swap = psutil.virtual_memory().available, psutil.swap_memory()
    what = f"{_size(free)} available, {_size(swap.used)} of {_size(swap.total)} swap in use"
    if swapped:
        return "warning", f"{what}, and it swaps now", "end what top shows to take most memory"
    return "ok", what, None


def _cpu_seconds() -> dict[int, float]:
    """The CPU seconds of each process but this one."""
    used = {}
    for process in psutil.process_iter(["cpu_times"]):
        if (times := process.info["cpu_times"]) and process.pid != os.getpid():
            used[process.pid] = times.user + times.system
    return used


def _swapped() -> int:
    with suppress(OSError, RuntimeError, psutil.Error):
        swap = psutil.swap_memory()
        return swap.sin + swap.sout
    return 0


def _name(pid: int) -> str:
    """How a process was called, in short."""
    with suppress(psutil.Error, ValueError):
        program, *words = psutil.Process(pid).cmdline()
        return sanitise(" ".join([Path(program).name, *words]), 40)
    return "one of the system or of others"


def _size(size: float) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def _hardware() -> Seen:
    machine = fingerprint()
    names = ("cpu", "architecture", "system", "kernel")
    described = " ".join(str(machine[name]) for name in names if machine[name])
    return "ok", f"{described}, {machine['cores']} cores; Python {machine['python']}", None


def _packages() -> Seen:
    """The installed packages against requirements.lock, which also holds those of tests."""
    others = []
    for name, pinned in _PINNED.findall(read_text(Path(_LOCK), f"run: git checkout {_LOCK}")):
        with suppress(PackageNotFoundError):
            others += [f"{name} {there}"] if (there := version(name)) != pinned else []
    if others:
        fix = f"run: python -m pip install --no-deps --no-build-isolation -r {_LOCK}"
        return "warning", f"{', '.join(others[:5])}: not as {_LOCK} says", fix
    return "ok", f"as {_LOCK} says", None


def _snakemake() -> Seen:
    path, beside = shutil.which("snakemake"), Path(sys.executable).parent
    if path and Path(path).parent == beside:
        return "ok", path, None
    what = (
        f"the shell's is {path}, of other packages" if path else "the shell knows no such command"
    )
    there = (beside / "snakemake").exists()
    fix = f"export PATH={shlex.quote(str(beside))}:$PATH" if there else "make setup"
    return "fault", what, f"run: {fix}"


def _folder_lock(study_file: str) -> Seen:
    if not any(file.stat().st_size for file in Path(".snakemake/locks").glob("*")):
        return "ok", "Snakemake does not hold this folder", None
    for process in psutil.process_iter(["cmdline", "cwd"]):
        names = {Path(word).name for word in process.info["cmdline"] or ()}
        if "snakemake" in names and process.info["cwd"] == str(Path.cwd()):
            what = f"Snakemake works in this folder (process {process.pid})"
            return "fault", what, "wait until it is done, or end it with Ctrl-C"
    fix = f"run: snakemake --unlock --configfile {study_file}"
    return "fault", "a Snakemake that was killed left it locked", fix


def _folders() -> Seen:
    for folder in map(Path, _FOLDERS):
        there = _there(folder)
        if not there.is_dir():
            return "fault", f"{there} is no folder", f"move it away: mv {there} {there}.old"
        if not os.access(there, os.W_OK | os.X_OK):
            if os.statvfs(there).f_flag & os.ST_RDONLY:
                where = f"{there.resolve()} is on a read-only file system"
                return "fault", where, "mount that writable, or clone this elsewhere"
            fix = f'make it yours: sudo chown -R "$(id -un)" {there} && chmod -R u+rwX {there}'
            return "fault", f"you may not write into {there.resolve()}", fix
    return "ok", f"{', '.join(_FOLDERS)} can be written", None


def _disk() -> Seen:
    free = shutil.disk_usage(_there(Path("results"))).free
    if free < _NEEDED_BYTES:
        fix = f"free {_size(_NEEDED_BYTES - free)} there; what is large: du -sh results resources"
        return "fault", f"only {_size(free)} free for results", fix
    return "ok", f"{_size(free)} free for results", None


def _there(folder: Path) -> Path:
    """``folder``, or the nearest one above it that exists."""
    return next(one for one in (folder, *folder.parents) if os.path.lexists(one))


def _measuring_lock() -> Seen:
    if label := holder():
        return "warning", f"held by {label}", "wait until it is done, or end that process"
    return "ok", "free", None


def _leftovers() -> Seen:
    """Servers whose starter is gone: they take memory and cores from what is measured."""
    left = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        words, parent = process.info["cmdline"] or [], process.info["ppid"] or 0
        ours = [after for word, after in pairwise(words) if _SERVER.match(word)]
        orphaned = str(parent) not in ours if ours else not _name(parent).startswith("ollama")
        if orphaned and (ours or any(_RUNNER.search(word) for word in words)):
            left.append(process.pid)
    if left:
        what = f"{counted(len(left), 'server')} whose starter was killed"
        return "warning", what, f"run: kill {' '.join(map(str, left))}"
    return "ok", "none", None


def _gpu() -> Seen:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return "ok", "none with NVIDIA's driver; others are not looked for", None
    except pynvml.NVMLError as error:
        fix = "reboot, or install NVIDIA's driver again, until nvidia-smi lists the GPU"
        return "warning", f"NVIDIA's driver does not answer ({error})", fix
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        names = ", ".join(map(pynvml.nvmlDeviceGetName, handles))
        described = f"{names or 'none'}; NVIDIA's driver {pynvml.nvmlSystemGetDriverVersion()}"
    finally:
        pynvml.nvmlShutdown()
    with open_gpus() as sampled:
        samples = sampled()
    described += "".join(f"; {_size(one['memory_bytes'] or 0)} in use" for one in samples)
    if slowed := throttled(samples):
        return "warning", f"{described}; slowed down by {slowed}", "let it cool down"
    return "ok", described, None


def _clock() -> Seen:
    def said(name: str) -> set[str]:
        files = _CPUS.glob(f"cpu[0-9]*/cpufreq/{name}")
        return {file.read_text(encoding="ascii").strip() for file in files}

    governors = said("scaling_governor")
    if not governors:
        raise NotImplementedError
    what = f"governor {', '.join(sorted(governors))}"
    if "powersave" in governors and not said("scaling_driver") <= _SELF_CLOCKED:
        file = f"{_CPUS}/cpu*/cpufreq/scaling_governor"
        fix = f"run: echo performance | sudo tee {file}"
        return "warning", f"{what}, which holds the lowest clock", fix
    return "ok", what, None


def _power() -> Seen:
    battery = psutil.sensors_battery()
    if battery and battery.power_plugged is False:
        return "warning", f"on battery, {battery.percent:.0f} %", "plug the machine in"
    return "ok", "mains" if battery else "no battery is known", None


def _clock_source() -> Seen:
    current = (_CLOCK / "current_clocksource").read_text(encoding="ascii").strip()
    there = (_CLOCK / "available_clocksource").read_text(encoding="ascii").split()
    better = [name for name in there if name not in _SLOW_CLOCKS]
    if current in _SLOW_CLOCKS and better:
        fix = f"run: echo {better[0]} | sudo tee {_CLOCK}/current_clocksource"
        return "warning", f"{current}, which is slow to read", fix
    return "ok", current, None


def _kernel_stamps() -> Seen:
    """Whether datagrams to oneself come with the kernel's stamps, a moment after they are due."""
    if keeper := keep_stamping():
        with keeper, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            ask_for_stamps(sock)
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(_LOOK_S)
            until_s = time.monotonic() + _LOOK_S
            while time.monotonic() < until_s:
                sock.sendto(b"x", sock.getsockname())
                if kernel_stamp_ns(sock.recvmsg(1, ANCILLARY_BYTES)[1]):
                    return "ok", "the kernel stamps what arrives", None
    what = "none here: the client's own clock is used, which a busy machine makes late"
    return "ok", f"{what} (tandembench calibrate says by how much)", None


def _proxies() -> Seen:
    if names := ignored_proxies():
        return "ok", f"{names} is set, and not used: servers are asked directly", None
    return "ok", "none in the environment", None


def looked_at(study_file: str) -> list[Row]:
    """The rows of this machine and of this checkout, short of their load."""
    looks: Mapping[str, Callable[[], Seen]] = {
        "hardware": _hardware,
        "packages": _packages,
        "snakemake": _snakemake,
        "folder lock": partial(_folder_lock, study_file),
        "folders": _folders,
        "disk": _disk,
        "measuring lock": _measuring_lock,
        "left-over servers": _leftovers,
        "gpu": _gpu,
        "clock": _clock,
        "power": _power,
        "clock source": _clock_source,
        "kernel timestamps": _kernel_stamps,
        "proxies": _proxies,
    }
    return [row(what, look) for what, look in looks.items()]
