"""Makes lock entries of running servers: what `tandembench servers lock` does."""

import asyncio
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tandembench.errors import TandemError
from tandembench.files import replacing
from tandembench.servers.attach import lock_entry
from tandembench.study.model import Study
from tandembench.wire import open_client


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
