"""Makes lock entries of running servers: what `tandembench servers lock` does."""

import asyncio
import io
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypedDict

from ruamel.yaml import YAML

from tandembench.errors import TandemError
from tandembench.files import read_text, write_text
from tandembench.servers.attach import normalised, shown, unusable
from tandembench.servers.deployment import Deployment, ServerFault, Settings
from tandembench.servers.embedded import model_file
from tandembench.servers.fetch import fetch_model
from tandembench.servers.managed import running
from tandembench.servers.open import ASKERS
from tandembench.study.expand import Study
from tandembench.study.lock import LOCK_FILE, NO_LOCK, read_lock
from tandembench.study.strict_yaml import parse
from tandembench.wire import Client, open_client

MODELS = Path("resources/models")


class LockEntry(TypedDict):
    """What a study's servers are: their version, and the digests of its models."""

    version: str | None
    models: dict[str, str | None]


def live_entry(study: Study) -> LockEntry:
    """The lock entry of the servers that ``study`` names, asked now."""
    if study.engine == "embedded":
        raise TandemError(
            "engine embedded has no running servers to ask",
            where=study.name,
            fix="edit the entry 'embedded' in config/servers.lock.yaml by hand",
        )
    urls = [url for config in study.configs for url in config.servers]
    models = {agent.model for config in study.configs for agent in config.agents}

    async def ask() -> LockEntry:
        async with open_client(keyed=study.engine == "openai") as client:
            if urls:
                return await lock_entry(study.engine, client, urls, models)
            async with _started(models, client) as started:
                return await lock_entry(study.engine, client, started, models)

    return asyncio.run(ask())


@asynccontextmanager
async def _started(models: Collection[str], client: Client) -> AsyncIterator[list[str]]:
    """The URLs of Ollama servers that have ``models``, started to be asked."""
    pinned = read_lock(read_text(Path(LOCK_FILE), NO_LOCK)).embedded.models
    files = {model: pinned[model] for model in sorted(models) if model in pinned}
    for model, entry in files.items():
        if not model_file(MODELS, model).is_file():
            fetch_model(entry.model_dump(), model_file(MODELS, model))
    stores = (tuple(files), tuple(sorted(set(models) - set(files))))
    settings = [Settings(store, 0, 0, 1, 1, "brief") for store in stores if store]
    place = Deployment("lock", tuple(settings))
    lock = {"models": {}, "files": files}
    with NamedTemporaryFile("w", suffix=".log") as log:
        async with running([place], lock, MODELS, log, client) as there:
            standing = there[place.key]
            if isinstance(standing, ServerFault):
                fix = "see that `ollama serve` starts, and run this again"
                raise unusable(standing.detail, "ollama serve", fix)
            yield list(standing.urls)


async def lock_entry(
    engine: str, client: Client, urls: Iterable[str], models: Iterable[str]
) -> LockEntry:
    """The lock entry of the running instances: their version and the models' digests.

    A model must be on one of them at least. TandemError if they do not agree with each other.
    """
    there = [await ASKERS[engine](client, url) for url in dict.fromkeys(map(normalised, urls))]
    if not there:
        fix = "list the URLs of running servers"
        raise TandemError("no server is named", where="servers", fix=fix)
    digests = {}
    for model in sorted(set(models)):
        # If none has it, the first one's error says so, and what is installed there.
        having = [one for one in there if one.has(model)] or there[:1]
        digests[model] = _agreed({one.url: one.digest(model) for one in having}, model)
    versions = {one.url: one.version for one in there}
    return {"version": _agreed(versions, "the server's version"), "models": digests}


def _agreed(values: Mapping[str, str | None], what: str) -> str | None:
    if len(set(values.values())) > 1:
        each = ", ".join(f"{shown(value)} at {url}" for url, value in values.items())
        raise unusable(f"{what} is not the same: {each}", "servers", "install the same on all")
    return next(iter(values.values()))


def write_entry(engine: str, entry: LockEntry, lock_file: Path) -> None:
    """Put ``entry`` into the lock file as that of ``engine``; comments and other models stay.

    An entry of ``engine`` that is none is replaced; TandemError for a file that is no mapping.
    """
    yaml = YAML(typ="rt")
    written = read_text(lock_file, NO_LOCK)
    before = parse(written, str(lock_file))[0].get(engine)
    models = before.get("models") if isinstance(before, dict) else None
    models = models if isinstance(models, dict) else {}
    content = yaml.load(written)
    content[engine] = {"version": entry["version"], "models": models | entry["models"]}
    text = io.StringIO()
    yaml.dump(content, text)
    write_text(lock_file, text.getvalue())
