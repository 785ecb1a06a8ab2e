"""What one study needs: its files, its servers as they answer now, threads, and a calibration."""

import asyncio
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tandembench.calibrate.record import read_instruments
from tandembench.doctor.rows import Row, Seen, State, refusal, row
from tandembench.errors import TandemError
from tandembench.measure.machine import fingerprint
from tandembench.measure.run import ignored_proxies
from tandembench.project import load_hypotheses, load_study, open_plan
from tandembench.servers.attach import Instance, check_locked, port_here
from tandembench.servers.deployment import Server, Settings, deployments, server_index
from tandembench.servers.embedded import check_files, files_of, model_file
from tandembench.servers.launch import Launch, launch
from tandembench.servers.lock import MODELS
from tandembench.servers.managed import program
from tandembench.servers.open import ASKERS, confirm
from tandembench.study.expand import Study
from tandembench.study.lock import LOCK_FILE
from tandembench.study.plan import Plan
from tandembench.system import cores, listener
from tandembench.text import counted
from tandembench.wire import Client, open_client

# All servers are asked at once; who has not answered by then hangs.
_PATIENCE_S = 3.5
_OLD_DAYS = 30
# What takes longer to hash is left to the run.
_HASHED_BYTES = 1 << 30
_OLLAMA_VERSION = re.compile(r"version is (\S+)")


def in_short() -> list[Row]:
    """A row for each study in config/: whether it can be read, and what it measures."""
    files = sorted(str(file) for file in Path("config").glob("*.yaml") if str(file) != LOCK_FILE)
    return list(dict.fromkeys(_readable(file, "s1", "warning")[0] for file in files))


def of_study(study_file: str, session: str) -> list[Row]:
    """The rows of ``study_file``; what cannot be known while it has a mistake is left out."""
    first, plan = _readable(study_file, session, "fault")
    rows = [first]
    study = plan.study if plan else None
    with suppress(TandemError):
        study = study or load_study(study_file)
    if study and any(config.servers for config in study.configs):
        rows += asyncio.run(_running(study, plan))
    elif plan:
        rows += _started(plan)
    looks: dict[str, Callable[[Plan], Seen]] = {
        "threads": _threads,
        "slots": _slots,
        "ports": _ports,
        "calibration": _calibration,
    }
    rows += [row(what, partial(look, plan)) for what, look in looks.items() if plan]
    # What a run says of a server knows no file of a study.
    return [
        replace(one, fix=one.fix and one.fix.replace("lock STUDY", f"lock {study_file}"))
        for one in rows
    ]


def _readable(study_file: str, session: str, state: State) -> tuple[Row, Plan | None]:
    try:
        plan = open_plan(study_file, session)
        load_hypotheses(plan.study.hypotheses)
    except TandemError as error:
        if error.where.startswith(LOCK_FILE):  # without it there is no study at all
            return refusal("lock file", error), None
        return refusal("study", error, state), None
    blocks = plan.run_files()
    missing = sum(not Path(file).exists() for file in blocks)
    what = f"{study_file}: {counted(len(plan.study.configs), 'config')}, {missing} of "
    return Row("study", "ok", f"{what}{counted(len(blocks), 'block')} to measure", None), plan


def _locked(plan: Plan) -> dict[str, Any]:
    """What the lock pins for all comparisons together."""
    locks = [spec.lock for spec in plan.specs.values()]
    return {
        **locks[0],
        "models": {name: digest for one in locks for name, digest in one["models"].items()},
        "files": {name: digest for one in locks for name, digest in one.get("files", {}).items()},
    }


async def _running(study: Study, plan: Plan | None) -> list[Row]:
    """The rows of running servers: who answers, and whether they are the locked ones."""
    wanted: dict[str, set[str]] = {}
    for config in study.configs:
        for index, agent in enumerate(config.agents):
            url = config.servers[server_index(config, index)]
            wanted.setdefault(url, set()).add(agent.model)
    lock = _locked(plan) if plan else None
    async with open_client(keyed=study.engine == "openai") as client:
        of_each = await asyncio.gather(
            *(_server(study.engine, url, wanted[url], lock, client) for url in sorted(wanted))
        )
        rows = list(dict.fromkeys(one for rows in of_each for one in rows))
        if plan and all(one.state == "ok" for one in rows):
            # The last word is the run's own, which also sees that two URLs are one server.
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    for spec in plan.specs.values():
                        for place in dict.fromkeys(deployments(spec, cores())):
                            await confirm(spec, client, place)
            except TandemError as error:
                rows.append(refusal("servers", error))
            except TimeoutError:
                rows.append(Row("servers", "warning", "they answer slowly", "ask once more"))
    return rows


async def _server(
    engine: str, url: str, models: Collection[str], lock: Mapping[str, Any] | None, client: Client
) -> list[Row]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            there = await ASKERS[engine](client, url)
    except TimeoutError:
        what = f"{url}: not all questions answered within {_PATIENCE_S:g} s"
        return [Row("servers", "fault", what, "start it again")]
    except TandemError as error:
        names = ignored_proxies()
        unused = f" ({names} is not used: servers are asked directly)" if names else ""
        return [Row("servers", "fault", f"{error.where}: {error.what}{unused}", error.fix)]

    def digest(model: str) -> Seen:
        known = there.digest(model)
        if lock:
            check_locked(there, {model: known}, {**lock, "version": there.version})
        short = (known or "does not tell its digest").removeprefix("sha256:")[:24]
        return "ok", f"{model} {short}", None

    return [
        Row("servers", "ok", f"{url} answers", None),
        row("versions", partial(_version, there, engine, lock)),
        *(row("models", partial(digest, model)) for model in sorted(models)),
    ]


def _version(there: Instance, engine: str, lock: Mapping[str, Any] | None) -> Seen:
    if lock:
        check_locked(there, {}, lock)
    return "ok", f"{engine} {there.version or 'does not tell its version'}", None


def _started(plan: Plan) -> list[Row]:
    """The rows of an engine whose servers the workflow starts: itself, and its model files."""
    lock = _locked(plan)
    ours = plan.study.engine == "embedded"
    pinned = lock["models"] if ours else lock["files"]

    def engine() -> Seen:
        if ours:
            files_of({**lock, "models": {}}, MODELS)
            try:
                import_module("xllamacpp")
            except ImportError as error:
                fix = "install libgomp1 and libstdc++6 (Debian, Ubuntu), or libgomp and libstdc++"
                return "fault", f"xllamacpp cannot be loaded ({error})", fix
            return "ok", f"xllamacpp {lock['version']}", None
        path = program()
        # At a port where nobody listens it speaks of itself.
        done = subprocess.run(  # noqa: S603 - the user's own Ollama, no shell
            [path, "--version"],
            env={**os.environ, "OLLAMA_HOST": "127.0.0.1:1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        said = _OLLAMA_VERSION.findall(done.stdout + done.stderr)
        return _version(Instance(path, said[-1] if said else None, {}, "", ""), "ollama", lock)

    def model(name: str) -> Seen:
        file = model_file(MODELS, name)
        if not file.exists():
            fix = f"a run fetches it; now: tandembench fetch-model {name} --output {file}"
            return "warning", f"{name} is not fetched yet", fix
        if file.stat().st_size > _HASHED_BYTES:
            return "ok", f"{file} is there; the run checks its digest", None
        check_files({name: file}, {"models": pinned})
        return "ok", f"{file} as locked", None

    rows = [row("versions", engine), *(row("models", partial(model, name)) for name in pinned)]
    others = ", ".join(sorted(set(lock["models"]) - set(pinned)))
    asked = Row("models", "ok", f"{others}: your own, seen when a server is started", None)
    return [*rows, asked] if others else rows


def _settings(plan: Plan) -> list[Sequence[Settings]]:
    """The servers that are started for each config."""
    wanted = (place for spec in plan.specs.values() for place in deployments(spec, cores()))
    return [place.settings for place in wanted if place.settings]


def _launched(plan: Plan) -> dict[str, Launch]:
    """How the running servers of this machine were started, as far as their processes show it."""
    known = {}
    for url in {url for config in plan.study.configs for url in config.servers}:
        port = port_here(url)
        pid = listener(port)[0] if port else None
        if seen := launch(Server(0, plan.study.engine, url, None, {}, pid=pid, port=port)):
            known[url] = seen
    return known


def _threads(plan: Plan) -> Seen:
    """Whether all configs of a comparison can have the same threads, and a core for each."""
    places = _settings(plan)
    if not places:
        if plan.study.threads_total:
            return "ok", f"{plan.study.threads_total} in a config, asked for by each request", None
        launched = _launched(plan)
        seen = {
            config.topology: [launched[url].threads or 0 for url in config.servers]
            for config in plan.study.configs
            if all(url in launched and launched[url].threads for url in config.servers)
        }
        totals = ", ".join(f"{sum(each)} in {topology}" for topology, each in seen.items())
        if len({sum(each) for each in seen.values()}) > 1 and plan.study.engine == "ollama":
            total = max(len(each) for each in seen.values())
            total *= max(1, cores() // total)
            fix = f"write threads_total: {total} into {plan.file}"
            return "warning", f"{totals}: not the same hardware", fix
        return "ok", f"the servers' own: {totals or 'not known before a model runs'}", None
    servers = max(len(place) for place in places)
    threads = max(sum(one.threads for one in place) for place in places)
    what = f"{threads} in a config, on {counted(cores(), 'core')}"
    if servers > cores():
        fix = f"measure where {servers} cores are free, or leave topology dual out"
        return "warning", f"{what}, but dual has {servers} servers: not equal hardware", fix
    if threads > cores():
        fix = f"leave threads_total out of {plan.file}, or write {cores()} at most"
        return "warning", f"{what}: they wait for each other", fix
    return "ok", what, None


def _slots(plan: Plan) -> Seen:
    slots = sorted({one.slots for place in _settings(plan) for one in place})
    if not slots:
        launched = _launched(plan)
        for config in plan.study.configs:
            wanted = len(config.agents) if config.topology == "single_parallel" else 1
            for url in config.servers:
                there = launched[url].slots if url in launched else None
                if there and there != wanted and plan.study.engine == "ollama":
                    what = f"{there} at {url}, but {config.topology} takes {wanted}"
                    start = f"OLLAMA_HOST={urlsplit(url).netloc} OLLAMA_NUM_PARALLEL={wanted}"
                    return "warning", what, f"stop it and start it so: {start} ollama serve"
        return "ok", "the servers' own: 1, and one per agent for single_parallel", None
    return "ok", f"{' or '.join(map(str, slots))} in a server, as its topology says", None


def _ports(plan: Plan) -> Seen:
    """Whether a server that is started here can have one: the system chooses it."""
    if not _settings(plan):
        return "ok", "no server is started here", None
    with socket.create_server(("127.0.0.1", 0)):
        return "ok", "servers that are started here get free ones", None


def _calibration(plan: Plan) -> Seen:
    file = plan.calibration_file()
    if not Path(file).exists():
        return "ok", f"none in session {plan.session} yet: the run makes it in half a minute", None
    one = read_instruments([file])[plan.session]
    days = (datetime.now(UTC) - datetime.fromisoformat(one.when)).days
    what = f"{counted(days, 'day')} old, error of token stamps "
    what += f"{one.token_stamp_error_us.median:.0f} us (median, clock: {one.clock})"
    machine, fix = fingerprint(), f"run: rm {shlex.quote(file)}"
    other = [name for name in ("cpu", "cores", "kernel") if machine[name] != one.machine.get(name)]
    if other:
        return "warning", f"{what}; of another {', '.join(other)} than this machine's", fix
    return ("warning", what, fix) if days > _OLD_DAYS else ("ok", what, None)
