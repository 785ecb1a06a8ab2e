"""Makes lock entries of running servers: what `tandembench servers lock` does."""

import asyncio
import io
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NotRequired, TypedDict

from ruamel.yaml import YAML

from tandembench.errors import TandemError
from tandembench.files import read_text, write_text
from tandembench.servers.attach import check_apart, shown, unusable
from tandembench.servers.deployment import Deployment, ServerFault, Settings, server_index
from tandembench.servers.embedded import model_file
from tandembench.servers.fetch import fetch_model
from tandembench.servers.managed import running, start_fault
from tandembench.servers.open import ASKERS
from tandembench.servers.requests import accepted
from tandembench.study.expand import Study
from tandembench.study.keys import Servers
from tandembench.study.lock import LOCK_FILE, NO_LOCK, read_lock
from tandembench.study.strict_yaml import parse
from tandembench.text import sanitise
from tandembench.wire import Client, Json, open_client

# What Ollama calls itself if it was built without a version.
_UNVERSIONED = "0.0.0"

MODELS = Path("resources/models")


class LockEntry(TypedDict):
    """What a study's servers are, as its lock entry has it; ``request`` of engine openai only."""

    version: str | None
    models: dict[str, str | None]
    request: NotRequired[Mapping[str, object]]


# By URL, the models that are asked for there, each with all options that go with it.
Wanted = Mapping[str, Mapping[str, Json]]


def live_entry(study: Study) -> tuple[LockEntry, tuple[str, ...]]:
    """The lock entry of the servers that ``study`` names, asked now, and what is to be known."""
    if study.engine == "embedded":
        raise TandemError(
            "engine embedded has no running servers to ask",
            where=study.name,
            fix="edit the entry 'embedded' in config/servers.lock.yaml by hand",
        )

    async def ask() -> LockEntry:
        async with open_client(keyed=study.engine == "openai") as client:
            wanted = _wanted(study)
            if not wanted:
                models = {agent.model for config in study.configs for agent in config.agents}
                async with _started(models, client) as started:
                    return await lock_entry(study.engine, client, started)
            for config in study.configs:
                await check_apart(config.servers)
            entry = await lock_entry(study.engine, client, wanted)
            if study.engine == "openai":
                request = await accepted(client, wanted, study.protocol, study.deadline_s)
                entry["request"] = request.model_dump()
            return entry

    entry = asyncio.run(ask())
    return entry, tuple(_notes(entry))


def _wanted(study: Study) -> Wanted:
    """What the running servers of ``study`` are asked for; nothing if they are started here."""
    wanted: dict[str, dict[str, Json]] = {}
    for config in study.configs if isinstance(study.servers, Servers) else ():
        for index, agent in enumerate(config.agents):
            of = wanted.setdefault(config.servers[server_index(config, index)], {})
            of[agent.model] = {**of.get(agent.model, {}), **agent.options}
    return wanted


@asynccontextmanager
async def _started(models: Collection[str], client: Client) -> AsyncIterator[Wanted]:
    """Ollama servers that have ``models``, started to be asked."""
    pinned = read_lock(read_text(Path(LOCK_FILE), NO_LOCK)).embedded.models
    files = {model: pinned[model] for model in sorted(models) if model in pinned}
    for model, entry in files.items():
        if not model_file(MODELS, model).is_file():
            fetch_model(entry.model_dump(), model_file(MODELS, model))
    stores = [of for of in (tuple(files), tuple(sorted(set(models) - set(files)))) if of]
    settings = [Settings(store, 0, 0, 1, 1, "brief") for store in stores]
    place = Deployment("lock", tuple(settings))
    lock = {"models": {}, "files": files}
    with NamedTemporaryFile("w", suffix=".log") as log:
        async with running([place], lock, MODELS, log, client) as there:
            standing = there[place.key]
            if isinstance(standing, ServerFault):
                raise start_fault(standing)
            yield {
                url: {model: {} for model in store}
                for url, store in zip(standing.urls, stores, strict=True)
            }


async def lock_entry(engine: str, client: Client, wanted: Wanted) -> LockEntry:
    """The lock entry of the running instances: their version and the models' digests.

    TandemError if one lacks a model that is asked for there, or they do not agree.
    """
    there = [await ASKERS[engine](client, url) for url in wanted]
    if not there:
        fix = "list the URLs of running servers"
        raise TandemError("no server is named", where="servers", fix=fix)
    digests: dict[str, dict[str, str | None]] = {}
    for one in there:
        for model in wanted[one.url]:
            other = next((each.url for each in there if each.has(model)), None)
            if other and not one.has(model):
                what = f"no model '{sanitise(model)}', which {other} has"
                raise unusable(what, one.url, one.share.format(other=other))
            digests.setdefault(model, {})[one.url] = one.digest(model)
        if engine == "ollama" and one.version == _UNVERSIONED:
            what = f"it says that its version is {_UNVERSIONED}, which pins nothing"
            fix = "install a release of Ollama, or build it with -ldflags "
            fix += "'-X=github.com/ollama/ollama/version.Version=0.32.15'"
            raise unusable(what, one.url, fix)
    versions = {one.url: one.version for one in there}
    return {
        "version": _agreed(versions, "the server's version"),
        "models": {model: _agreed(digests[model], model) for model in sorted(digests)},
    }


def _notes(entry: LockEntry) -> Iterator[str]:
    """What the lock cannot hold, and what that means."""
    if entry["version"] in (None, _UNVERSIONED):
        yield "the servers do not say their version: if it changes, nobody notices"
    unknown = [model for model, digest in entry["models"].items() if digest is None]
    if unknown:
        names = sanitise(", ".join(unknown), 400)
        yield f"the servers tell no digest of {names}: if its weights change, nobody notices"
    if not entry.get("request", {}).get("ignore_eos", True):
        yield "answers end where the model ends them: fixed work is compared by what all have done"


def _agreed(values: Mapping[str, str | None], what: str) -> str | None:
    if len(set(values.values())) > 1:
        each = ", ".join(f"{shown(value)} at {url}" for url, value in values.items())
        raise unusable(f"{what} is not the same: {each}", "servers", "install the same on all")
    return next(iter(values.values()))


def write_entry(name: str, engine: str, entry: LockEntry, lock_file: Path) -> None:
    """Put ``entry`` into the lock file under ``name``; comments and other models stay.

    An entry that is none is replaced; TandemError for a file that is no mapping, or if the name is
    that of an entry of another engine.
    """
    yaml = YAML(typ="rt")
    written = read_text(lock_file, NO_LOCK)
    before = parse(written, str(lock_file))[0].get(name)
    before = before if isinstance(before, dict) else {}
    if before.get("engine", engine) != engine:
        what = f"the entry '{name}' is of engine {sanitise(str(before['engine']))}"
        fix = "write another name under the study's key lock"
        raise TandemError(what, where=str(lock_file), fix=fix)
    models = before.get("models")
    models = models if isinstance(models, dict) else {}
    content = yaml.load(written)
    named = {} if name == engine else {"engine": engine}
    content[name] = {**named, **entry, "models": models | entry["models"]}
    text = io.StringIO()
    yaml.dump(content, text)
    write_text(lock_file, text.getvalue())
