"""Attaches to running servers, and checks that they are the locked ones."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from tandembench.errors import TandemError
from tandembench.servers import ollama, openai
from tandembench.servers.address import check_distinct, normalised, unusable
from tandembench.servers.deployment import Deployment
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


async def attach(
    deployment: Deployment, engine: str, lock: Mapping[str, Any], client: Client
) -> list[Server]:
    """The servers of ``deployment``, in the order of its URLs.

    TandemError (exit 4) if one does not answer, is no server of the engine, lacks a model, is not
    the one that the lock entry pins, or is the same as another one.
    """
    servers = []
    for index, (url, models) in enumerate(zip(deployment.urls, deployment.models, strict=True)):
        instance = await ask_instance(engine, client, url)
        digests = {model: instance.digest(model) for model in models}
        _check_locked(instance, digests, lock)
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


async def ask_instance(engine: str, client: Client, url: str) -> Instance:
    """Who is at ``url``; TandemError if it is no server of ``engine``."""
    return await _INSTANCE[engine](client, normalised(url))


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What ``server`` says that it applies to ``model``, once it is loaded."""
    return await _EFFECTIVE[server.engine](client, server, model)


async def memory_bytes(client: Client, server: Server) -> int | None:
    """The memory that ``server`` says its models take; None if it does not say."""
    return await ollama.memory_bytes(client, server) if server.engine == "ollama" else None


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


def _mismatch(what: str, live: str | None, locked: str | None, url: str) -> TandemError:
    said = f"{what} is {shown(live)}, but {_LOCK_FILE} says {shown(locked)}"
    return unusable(said, url, _RELOCK)


def shown(value: str | None) -> str:
    """A version or digest as an error shows it."""
    return "not known" if value is None else sanitise(value)
