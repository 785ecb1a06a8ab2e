"""Copies of this checkout in which tests run Snakemake and change what they like."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from raw_blocks import calibration, write_calibration
from raw_servers import digest_of
from ruamel.yaml import YAML
from warm_snakemake import snakemake as run_snakemake

from tandembench.fake_server.server import VERSION
from tandembench.project import open_plan

# What the workflow is asked for: these rules make nothing themselves.
TARGETS = ("default", "all")


def snakemake(folder: Path, study: str, *arguments: str, ok: bool = True) -> str:
    """What Snakemake says; it must end well, or must not."""
    code, said = run_snakemake(folder, ["--cores", "1", "--configfile", study, *arguments])
    assert (code == 0) is ok, said
    return said


def command(folder: Path, words: str, process_group: int | None = None) -> "subprocess.Popen[str]":
    """Start a command as a person types it in the checkout; both its streams are stdout."""
    tools = Path(sys.executable).parent
    return subprocess.Popen(
        # As from a terminal, also where the tests themselves run without one.
        ["env", "--default-signal=HUP,INT", *shlex.split(words)],
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=process_group,
    )


def command_said(folder: Path, words: str, ok: bool = True) -> str:
    """What a command says, from its start to its end; it must end well, or must not."""
    with command(folder, words) as process:
        told, _ = process.communicate()
    assert (process.returncode == 0) is ok, told
    return told


def planned(folder: Path, study: str, *arguments: str) -> list[str]:
    """The jobs of a dry run, sorted: the rule and its wildcards, short of the digest."""
    told = snakemake(folder, study, "--dry-run", *arguments)
    if "Nothing to be done" in told:
        return []
    jobs = []
    for rule, about in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", told, re.MULTILINE):
        found = re.search(r"^    wildcards: (.*)$", about, re.MULTILINE)
        wildcards = found[1].split(", ") if found else []
        jobs.append(" ".join([rule, *(w for w in wildcards if not w.startswith("digest="))]))
    total = re.search(r"^total +(\d+)$", told, re.MULTILINE)
    assert total, told
    assert len(jobs) == int(total[1]), told
    return sorted(job for job in jobs if job not in TARGETS)


def attached_study(name: str, urls: Sequence[str], *entries: str, **top: object) -> str:
    """A study of chimera_homo on running servers, or none, whose answers have 5 tokens by default.

    The first of ``urls`` serves topologies of one server, the last two serve dual. ``entries`` are
    what its configs say; one that ends in a colon is the next phase's name.
    """
    keys = {"name": name, "repetitions": 1, "engine": "ollama", "model": "tiny"}
    keys["work"] = "{policy: fixed, tokens: 5}"
    if urls:
        dual = f", dual: [{', '.join(urls[-2:])}]" if len(urls) > 1 else ""
        keys["servers"] = f"{{single: [{urls[0]}]{dual}}}"
    lines = [f"{key}: {value}" for key, value in {**keys, **top}.items()]
    lines += ["agents:", "  collector: {task: inventory, steps: [collector.j2]}"]
    lines += ["  insight: {task: figures, steps: [insight.j2]}", "phases:"]
    for entry in entries if entries[0].endswith(":") else ("only:", *entries):
        phase = [f"  {entry}", "    configs:"]
        lines += phase if entry.endswith(":") else [line_of(entry)]
    return "\n".join(lines) + "\n"


def line_of(entry: str) -> str:
    """The line of an entry in the study that ``attached_study`` makes."""
    return f"      - {{scenario: chimera_homo, {entry}}}"


def simulated_checkout(repository: Path, target: Path, file: str, study: str) -> Path:
    """A copy of the checkout with ``study`` in ``file``, and the stand-in's model in the lock."""
    folder = copy_checkout(repository, target)
    (folder / file).write_text(study, encoding="utf-8")
    with (folder / "config/servers.lock.yaml").open("a", encoding="utf-8") as lock:
        lock.write(f"ollama:\n  version: {VERSION}\n")
        lock.write(f"  models: {{tiny: {digest_of('tiny:latest')}}}\n")
    calibrated(folder, str(YAML(typ="safe").load(study)["name"]))
    return folder


def calibrated(folder: Path, study: str, session: str = "s1") -> None:
    """Put a calibration there, made up, for tests that are about something else: it takes 28 s."""
    name = Path(open_plan("config/quick.yaml", session, folder).calibration_file()).name
    write_calibration(folder / "results" / study / "calibration" / name, calibration(session))


def edit(file: Path, old: str, new: str) -> None:
    """Replace ``old``, which stands there once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def tandembench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a command of the package comes to in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "tandembench", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def copy_checkout(repository: Path, target: Path) -> Path:
    """The files under version control, or about to be, and the model."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (repository / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, target / name)
    (target / "resources").mkdir(exist_ok=True)
    (target / "resources/models").symlink_to(repository / "resources/models")
    return target
