"""Makes lock entries of running servers: what `tandembench servers lock` does."""

import asyncio
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from ruamel.yaml import YAML

from tandembench.errors import TandemError
from tandembench.files import read_text, write_text
from tandembench.servers.attach import normalised, shown, unusable
from tandembench.servers.open import ASKERS
from tandembench.study.expand import Study
from tandembench.study.lock import NO_LOCK
from tandembench.study.strict_yaml import parse
from tandembench.wire import Client, open_client


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
    models = [agent.model for config in study.configs for agent in config.agents]

    async def ask() -> LockEntry:
        async with open_client(keyed=study.engine == "openai") as client:
            return await lock_entry(study.engine, client, urls, models)

    return asyncio.run(ask())


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
