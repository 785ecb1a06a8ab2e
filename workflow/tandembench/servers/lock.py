"""Makes lock entries of running servers: what `tandembench servers lock` does."""

import asyncio
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tandembench.errors import TandemError
from tandembench.files import replacing
from tandembench.servers.address import normalised, unusable
from tandembench.servers.attach import ask_instance, shown
from tandembench.study.expand import Study
from tandembench.wire import Client, open_client


def live_entry(study: Study) -> dict[str, Any]:
    """The lock entry of the servers that ``study`` names, asked now: version, model digests."""
    if study.engine == "embedded":
        raise TandemError(
            "engine embedded has no running servers to ask",
            where=study.name,
            fix="edit the entry 'embedded' in config/servers.lock.yaml by hand",
        )
    urls = [url for config in study.configs for url in config.servers]
    models = [agent.model for config in study.configs for agent in config.agents]

    async def ask() -> dict[str, Any]:
        async with open_client(keyed=study.engine == "openai") as client:
            return await lock_entry(study.engine, client, urls, models)

    return asyncio.run(ask())


async def lock_entry(
    engine: str, client: Client, urls: Iterable[str], models: Iterable[str]
) -> dict[str, Any]:
    """The lock entry of the running instances: their version and the models' digests.

    A model must be on one of them at least. TandemError if they do not agree with each other.
    """
    distinct = dict.fromkeys(normalised(url) for url in urls)
    instances = [await ask_instance(engine, client, url) for url in distinct]
    if not instances:
        raise TandemError(
            "no server is named", where="servers", fix="list the URLs of running servers"
        )
    return {
        "version": _agreed({one.url: one.version for one in instances}, "the server's version"),
        "models": {
            model: _agreed(
                {one.url: one.digest(model) for one in instances if one.has(model)}
                # None has it: the first one's error says so, and what is installed there.
                or {instances[0].url: instances[0].digest(model)},
                model,
            )
            for model in sorted(set(models))
        },
    }


def _agreed(values: Mapping[str, str | None], what: str) -> str | None:
    if len(set(values.values())) > 1:
        each = ", ".join(f"{shown(value)} at {url}" for url, value in values.items())
        raise unusable(f"{what} is not the same: {each}", "servers", "install the same on all")
    return next(iter(values.values()))


def write_entry(engine: str, entry: Mapping[str, Any], lock_file: Path) -> None:
    """Put ``entry`` into the lock file as that of ``engine``; comments and other models stay."""
    yaml = YAML(typ="rt")
    content = yaml.load(lock_file.read_text(encoding="utf-8"))
    known = dict(content.get(engine, {}).get("models", {}))
    content[engine] = {**entry, "models": known | dict(entry["models"])}
    text = io.StringIO()
    yaml.dump(content, text)
    with replacing(lock_file) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
