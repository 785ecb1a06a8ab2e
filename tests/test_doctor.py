"""`tandembench doctor`: what is wrong is a row whose fix, when it is followed, makes it well."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest
from attached_servers import TINY, ollama
from checkouts import attached_study, copy_checkout
from click.testing import CliRunner
from configs import SMALL, Checkout, copied
from raw_blocks import calibration, write_calibration
from raw_servers import Handler, faked_thread, free_port, listening, serves

from tandembench.cli import main
from tandembench.doctor import machine
from tandembench.doctor import study as doctor_study
from tandembench.measure.exclusive import exclusive
from tandembench.measure.machine import fingerprint
from tandembench.servers.launch import Launch

MODEL = "smollm2-135m-instruct-q4_1"
GGUF = f"resources/models/{MODEL}.gguf"
LOCK = "config/servers.lock.yaml"
Rows = dict[str, dict[str, Any]]
Doing = Callable[[Checkout], object]


def doctor(*arguments: str) -> tuple[int, Rows]:
    """The exit code, and of each thing that was looked at the worst row."""
    result = CliRunner().invoke(main, ["doctor", *arguments, "--format", "json"])
    assert result.exit_code in (0, 4), result.output
    worst = ("ok", "warning", "fault")
    rows = sorted(json.loads(result.output), key=lambda row: worst.index(row["state"]))
    assert all(bool(row["fix"]) == (row["state"] != "ok") for row in rows)
    assert (result.exit_code == 4) == (rows[-1]["state"] == "fault")
    return result.exit_code, {row["what"]: row for row in rows}


@pytest.fixture
def checkout(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout with all that its small study needs, and the folder that commands run in."""
    made = copied(repository, tmp_path)
    for file in ("workflow/Snakefile", "requirements.lock"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy2(repository / file, tmp_path / file)
    (tmp_path / GGUF).parent.mkdir(parents=True)
    (tmp_path / GGUF).write_bytes(b"GGUF")
    digest = sha256(b"GGUF").hexdigest()
    lock = tmp_path / LOCK
    lock.write_text(re.sub("sha256: .*", f"sha256: {digest}", lock.read_text(encoding="utf-8")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TANDEMBENCH_LOCK", str(tmp_path / "measure.lock"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(machine, "_LOOK_S", 0.05)
    return made


def replaced(file: str, old: str, new: str) -> Doing:
    return lambda checkout: checkout.edit(file, old, new)


def written(file: str, content: str) -> Doing:
    def write(checkout: Checkout) -> None:
        (checkout.root / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout.root / file).write_text(content, encoding="utf-8")

    return write


def removed(file: str) -> Doing:
    return lambda checkout: (checkout.root / file).unlink()


def calibrated(**changes: Any) -> Doing:
    def write(checkout: Checkout) -> None:
        file = checkout.root / checkout.plan().calibration_file()
        own = {**calibration()["machine"], **fingerprint()}
        today = datetime.now(UTC).isoformat("T", "seconds")
        file.parent.mkdir(parents=True)
        write_calibration(file, calibration(**{"machine": own, "when": today, **changes}))

    return write


def nothing(_: Checkout) -> None:
    """As it is."""


@pytest.mark.parametrize(
    ("breaking", "what", "state", "mending"),
    [
        (replaced(SMALL, "repetitions", "repetition"), "study", "fault", (SMALL, "repetition")),
        (removed(SMALL), "study", "fault", None),
        (written(LOCK, "embedded: ["), "lock file", "fault", None),
        (removed(LOCK), "lock file", "fault", None),
        (replaced(LOCK, "version: ", "version: 1"), "versions", "fault", None),
        (written(GGUF, "other"), "models", "fault", removed(GGUF)),
        (removed(GGUF), "models", "warning", written(GGUF, "GGUF")),
        (replaced(SMALL, "seed: 7", "threads_total: 64"), "threads", "warning", None),
        (calibrated(when="2026-01-01T00:00:00+00:00"), "calibration", "warning", "run"),
        (calibrated(machine={"cores": 999}), "calibration", "warning", "run"),
        (calibrated(), "calibration", "ok", nothing),
        (written("results", ""), "folders", "fault", "run"),
        (replaced("requirements.lock", "click==", "click==0"), "packages", "warning", None),
        (removed("requirements.lock"), "packages", "fault", None),
        (written(".snakemake/locks/0.output.lock", "x"), "folder lock", "fault", None),
    ],
)
def test_a_fault_of_the_checkout_has_a_fix_that_mends_it(
    checkout: Checkout, breaking: Doing, what: str, state: str, mending: Any
) -> None:
    kept = {file: file.read_bytes() for file in checkout.root.rglob("*") if file.is_file()}
    breaking(checkout)
    row = doctor(SMALL)[1][what]
    assert row["state"] == state, row
    if mending == "run":  # the fix is a command
        command = row["fix"].rpartition(": ")[2]
        subprocess.run(["sh", "-c", command], cwd=checkout.root, check=True)
    elif callable(mending):
        mending(checkout)
    else:
        for file, content in kept.items():
            file.write_bytes(content)
        shutil.rmtree(checkout.root / ".snakemake", ignore_errors=True)
    after = doctor(SMALL)[1].get(what, {"state": "ok"})
    assert after["state"] == ("warning" if what == "models" and state == "fault" else "ok")


def test_a_damaged_calibration_is_a_fault(checkout: Checkout) -> None:
    written(checkout.plan().calibration_file(), "{")(checkout)
    assert doctor(SMALL)[1]["calibration"]["state"] == "fault"


def test_a_locked_folder_is_freed_by_the_command_that_is_named(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_checkout(repository, tmp_path)
    monkeypatch.chdir(folder)
    locks = folder / ".snakemake/locks"
    locks.mkdir(parents=True)
    for name in ("0.input.lock", "0.output.lock"):
        (locks / name).write_text("results/quick/x\n")
    row = doctor("config/quick.yaml")[1]["folder lock"]
    assert row["state"] == "fault"
    subprocess.run([sys.executable, "-m", *row["fix"].split()[1:]], cwd=folder, check=True)
    assert doctor("config/quick.yaml")[1]["folder lock"]["state"] == "ok"


# Servers


@contextmanager
def running(handler: Handler | None, port: int) -> Iterator[None]:
    """A server at ``port``; one that takes connections and says nothing if there is no handler."""
    if handler is None:
        with socket.create_server(("127.0.0.1", port)):
            yield
    else:
        with faked_thread(listening, handle=handler, port=port):
            yield


@pytest.mark.parametrize(
    ("servers", "version", "model", "states"),
    [
        ((ollama(), ollama()), "0.12.10", "tiny", {}),
        ((ollama(), ollama("0.13.0")), "0.12.10", "tiny", {"versions": "fault"}),
        ((ollama(tiny="9" * 64), ollama()), "0.12.10", "tiny", {"models": "fault"}),
        ((ollama(), ollama(other=TINY)), "0.12.10", "tiny", {"models": "fault"}),
        ((ollama(), None), "0.12.10", "tiny", {"servers": "fault"}),
        ((None, None), "0.12.10", "tiny", {"servers": "fault"}),
        ((ollama(), {}), "0.12.10", "tiny", {"servers": "fault"}),
        ((ollama(), "gone"), "0.12.10", "tiny", {"servers": "fault"}),
        ((ollama(), "same"), "0.12.10", "tiny", {"study": "fault"}),
        ((ollama(), ollama()), None, "tiny", {"study": "fault"}),  # nothing is locked
        ((ollama(), ollama()), "0.12.10", "none", {"study": "fault", "models": "fault"}),
    ],
)
def test_running_servers_are_those_of_the_study_or_say_what_is_missing(
    checkout: Checkout, servers: Any, version: str | None, model: str, states: Mapping[str, str]
) -> None:
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        for one, port in zip(servers, ports, strict=True):
            if not isinstance(one, str):
                stack.enter_context(running(None if one is None else serves(one), port))
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        if "same" in servers:
            urls[1] = urls[0].replace("127.0.0.1", "localhost")
        study = attached_study("own", urls, "topology: dual", model=model)
        written("config/own.yaml", study)(checkout)
        if version:
            lock = f"ollama:\n  version: {version}\n  models: {{tiny: '{TINY}'}}\n"
            written(LOCK, (checkout.root / LOCK).read_text(encoding="utf-8") + lock)(checkout)
        began = time.monotonic()
        code, rows = doctor("config/own.yaml")
    assert time.monotonic() - began < 6
    wrong = {row["what"]: row["state"] for row in rows.values() if row["state"] != "ok"}
    wrong.pop("foreign load", None)
    assert wrong == states
    assert code == (4 if states else 0)


@pytest.mark.parametrize(
    ("single", "dual", "what", "state"),
    [
        ((2, 1), (1, 1), "threads", "ok"),
        ((1, 1), (1, 1), "threads", "warning"),
        ((2, 4), (1, 1), "slots", "warning"),
        ((None, None), (1, None), "threads", "ok"),
        ((None, None), (1, None), "slots", "ok"),
    ],
)
def test_what_running_servers_were_started_with_is_equal_hardware_or_a_warning(
    checkout: Checkout,
    monkeypatch: pytest.MonkeyPatch,
    single: tuple[int | None, int | None],
    dual: tuple[int | None, int | None],
    what: str,
    state: str,
) -> None:
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    text = attached_study("own", urls[:2], "topology: dual", "topology: single")
    text = text.replace(f"single: [{urls[0]}]", f"single: [{urls[2]}]")
    lock = f"ollama:\n  version: 0.12.10\n  models: {{tiny: '{TINY}'}}\n"
    written("config/own.yaml", text)(checkout)
    written(LOCK, (checkout.root / LOCK).read_text(encoding="utf-8") + lock)(checkout)
    known = [Launch(threads, slots, None, None) for threads, slots in (dual, dual, single)]
    monkeypatch.setattr(doctor_study, "_launched", lambda _: dict(zip(urls, known, strict=True)))
    assert doctor("config/own.yaml")[1][what]["state"] == state
    if (what, state) == ("threads", "warning"):
        replaced("config/own.yaml", "repetitions", "threads_total: 2\nrepetitions")(checkout)
        assert doctor("config/own.yaml")[1][what]["state"] == "ok"


# The machine


def test_who_disturbs_and_who_was_left_over_are_named_by_their_process(checkout: Checkout) -> None:
    program = "while True: pass"
    blob = f"/m/blobs/sha256-{'a' * 64}"
    with subprocess.Popen([sys.executable, "-c", program, "--model", blob]) as process:
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                rows = doctor()[1]
                if f"process {process.pid}" in str(rows["foreign load"]["fix"]):
                    break
            assert rows["foreign load"]["state"] == "warning"
            left = rows["left-over servers"]
            assert left["state"] == "warning"
            subprocess.run(["sh", "-c", left["fix"].rpartition(": ")[2]], check=True)
            process.wait(10)
        finally:
            process.kill()
    assert str(process.pid) not in str(doctor()[1]["left-over servers"]["fix"])


def test_the_lock_is_held_while_somebody_measures_and_stale_text_holds_nothing(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor()[1]["measuring lock"]["state"] == "ok"
    assert not (checkout.root / "measure.lock").exists()
    with exclusive("results/quick/runs/s1/a.parquet", pytest.fail):
        row = doctor()[1]["measuring lock"]
    assert row["state"] == "warning"
    assert f"process {os.getpid()}" in row["found"]
    assert (checkout.root / "measure.lock").read_text(encoding="utf-8")
    assert doctor()[1]["measuring lock"]["state"] == "ok"
    monkeypatch.setenv("TANDEMBENCH_LOCK", str(checkout.root / "config"))
    assert doctor()[1]["measuring lock"]["state"] == "fault"


def battery(plugged: bool | None) -> Callable[[], Any]:
    return lambda: SimpleNamespace(power_plugged=plugged, percent=50)


def fails(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("target", "name", "value", "what", "state"),
    [
        (psutil, "sensors_battery", battery(False), "power", "warning"),
        (psutil, "sensors_battery", battery(True), "power", "ok"),
        (shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20), "disk", "fault"),
        (os, "access", lambda *_: False, "folders", "fault"),
        (machine, "_swapped", iter(range(9)).__next__, "memory", "warning"),
        (shutil, "which", lambda _: None, "snakemake", "fault"),
        (shutil, "which", lambda _: "/elsewhere/snakemake", "snakemake", "fault"),
        (pynvml, "nvmlInit", fails(pynvml.NVMLError(18)), "gpu", "warning"),
        (pynvml, "nvmlInit", fails(pynvml.NVMLError(12)), "gpu", "ok"),
        (machine, "keep_stamping", lambda: None, "kernel timestamps", "ok"),
        # what other systems lack
        (psutil, "sensors_battery", fails(AttributeError("no such")), "power", "ok"),
        (psutil, "swap_memory", fails(OSError(2, "no /proc")), "memory", "ok"),
        (machine, "_CLOCK", Path("nowhere"), "clock source", "ok"),
        (machine, "_CPUS", Path("nowhere"), "clock", "ok"),
    ],
)
def test_what_the_machine_says(
    checkout: Checkout,
    monkeypatch: pytest.MonkeyPatch,
    target: Any,
    name: str,
    value: Any,
    what: str,
    state: str,
) -> None:
    monkeypatch.setattr(target, name, value)
    assert doctor()[1][what]["state"] == state


@pytest.mark.parametrize(
    ("files", "what", "state"),
    [
        ({"current_clocksource": "hpet", "available_clocksource": "tsc hpet"}, "source", "warning"),
        ({"current_clocksource": "hpet", "available_clocksource": "hpet"}, "source", "ok"),
        ({"current_clocksource": "tsc", "available_clocksource": "tsc hpet"}, "source", "ok"),
        ({"scaling_governor": "powersave", "scaling_driver": "acpi-cpufreq"}, "", "warning"),
        ({"scaling_governor": "powersave", "scaling_driver": "intel_pstate"}, "", "ok"),
        ({"scaling_governor": "performance", "scaling_driver": "acpi-cpufreq"}, "", "ok"),
    ],
)
def test_what_linux_says_of_its_clocks(
    checkout: Checkout,
    monkeypatch: pytest.MonkeyPatch,
    files: Mapping[str, str],
    what: str,
    state: str,
) -> None:
    for file, content in files.items():
        written(f"sys/cpu0/cpufreq/{file}", f"{content}\n")(checkout)
    monkeypatch.setattr(machine, "_CPUS", checkout.root / "sys")
    monkeypatch.setattr(machine, "_CLOCK", checkout.root / "sys/cpu0/cpufreq")
    assert doctor()[1][f"clock {what}".strip()]["state"] == state


# What is printed


def test_without_a_study_those_that_can_be_read_are_listed(checkout: Checkout) -> None:
    written("config/bad.yaml", "nmae: x\n")(checkout)
    code, rows = doctor()
    assert (code, rows["study"]["state"]) == (0, "warning")
    assert "config/bad.yaml" in CliRunner().invoke(main, ["doctor"]).output


def test_the_table_fits_a_terminal_and_shows_faults_first(checkout: Checkout) -> None:
    written("results", "")(checkout)
    result = CliRunner().invoke(main, ["doctor", SMALL])
    lines = result.output.splitlines()
    assert result.exit_code == 4
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("fault")
    assert "snakemake" not in lines[-1]
    (checkout.root / "results").unlink()
    lines = CliRunner().invoke(main, ["doctor", SMALL, "--session", "s2"]).output.splitlines()
    assert lines[-1] == f"  snakemake --cores 1 --configfile {SMALL} --config session=s2"


def test_it_changes_nothing_and_outside_of_a_checkout_it_is_one_line(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    doctor(SMALL)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    monkeypatch.chdir(tmp_path / "config")
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
