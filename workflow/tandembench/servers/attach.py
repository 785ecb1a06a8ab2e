"""Attaches to running servers, and checks that they are the locked ones; makes their lock entry."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from tandembench.errors import TandemError
from tandembench.servers import ollama, openai
from tandembench.servers.address import check_distinct, normalised, unusable
from tandembench.servers.model import Effective, Server
from tandembench.text import sanitise
from tandembench.wire import Client

_LOCK_FILE = "config/servers.lock.yaml"
_RELOCK = "install that again, or lock on purpose: tandembench servers lock STUDY"


class Instance(Protocol):
    """A running server that was asked who it is; ``version`` is None if it does not say."""

    @property
    def url(self) -> str:
        """Where it is."""

    @property
    def version(self) -> str | None:
        """What it says that it is."""

    def has(self, model: str) -> bool:
        """Whether it can serve ``model``."""

    def digest(self, model: str) -> str | None:
        """What identifies the weights, None if it does not say; TandemError without ``model``."""


_INSTANCE: Mapping[str, Callable[[Client, str], Awaitable[Instance]]] = {
    "ollama": ollama.instance,
    "openai": openai.instance,
}
_EFFECTIVE: Mapping[str, Callable[[Client, Server, str], Awaitable[Effective]]] = {
    "ollama": ollama.effective,
    "openai": openai.effective,
}


async def attach(spec: Mapping[str, Any], client: Client) -> list[Server]:
    """The servers that ``spec`` names, in its order: one per agent for ``dual``, else one for all.

    TandemError (exit 4) if one does not answer, is no server of the engine, lacks a model, is not
    the one that the lock entry pins, or is the same as another one.
    """
    engine = spec["engine"]
    models = [agent["model"] for agent in spec["agents"]]
    shares = [[model] for model in models] if spec["topology"] == "dual" else [models]
    servers = []
    for index, (url, share) in enumerate(zip(spec["servers"], shares, strict=True)):
        instance = await _INSTANCE[engine](client, normalised(url))
        digests = {model: instance.digest(model) for model in share}
        _check_locked(instance, digests, spec["lock"])
        servers.append(
            Server(
                index=index,
                engine=engine,
                url=instance.url,
                version=instance.version,
                model_digests=digests,
            )
        )
    await check_distinct([server.url for server in servers])
    return servers


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What ``server`` says that it applies to ``model``, once it is loaded."""
    return await _EFFECTIVE[server.engine](client, server, model)


async def lock_entry(
    engine: str, client: Client, urls: Iterable[str], models: Iterable[str]
) -> dict[str, Any]:
    """The lock entry of the running instances: their version and the models' digests.

    A model must be on one of them at least. TandemError if they do not agree with each other.
    """
    distinct = dict.fromkeys(normalised(url) for url in urls)
    instances = [await _INSTANCE[engine](client, url) for url in distinct]
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


def _check_locked(
    instance: Instance, digests: Mapping[str, str | None], lock: Mapping[str, Any]
) -> None:
    if instance.version != lock["version"]:
        raise _mismatch("the server's version", instance.version, lock["version"], instance.url)
    for model, digest in digests.items():
        locked = lock["models"][model]
        # `ollama list` shows the first twelve digits, and so may the lock.
        if (digest is None) != (locked is None) or not _bare(digest).startswith(_bare(locked)):
            raise _mismatch(model, digest, locked, instance.url)


def _bare(digest: str | None) -> str:
    return (digest or "").removeprefix("sha256:")


def _agreed(values: Mapping[str, str | None], what: str) -> str | None:
    if len(set(values.values())) > 1:
        told = ", ".join(f"{_told(value)} at {url}" for url, value in values.items())
        raise unusable(f"{what} is not the same: {told}", "servers", "install the same on all")
    return next(iter(values.values()))


def _mismatch(what: str, live: str | None, locked: str | None, url: str) -> TandemError:
    said = f"{what} is {_told(live)}, but {_LOCK_FILE} says {_told(locked)}"
    return unusable(said, url, _RELOCK)


def _told(value: str | None) -> str:
    return "not told" if value is None else sanitise(value)
