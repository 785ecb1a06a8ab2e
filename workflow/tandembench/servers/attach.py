"""Attaches to running servers, and checks that they are the locked ones."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.servers.deployment import Deployment, Server
from tandembench.system import listeners
from tandembench.text import sanitise
from tandembench.wire import Client, Json

ANSWER_TIMEOUT_S = 2.0
_LOCK_FILE = "config/servers.lock.yaml"
_RELOCK = "install that again, or lock on purpose: tandembench servers lock STUDY --write"


@dataclass(frozen=True, slots=True)
class Instance:
    """A running server that was asked who it is; ``version`` is None if it does not say.

    ``digests`` maps models to what identifies their weights, None if it does not say, or to why
    they cannot be measured. ``full_name`` is the name of a model there. ``advice`` says, with
    ``{model}``, how a missing one is got, ``share`` how one is that ``{other}`` has.
    """

    url: str
    version: str | None
    digests: Mapping[str, str | TandemError | None]
    advice: str
    share: str
    full_name: Callable[[str], str] = str

    def has(self, model: str) -> bool:
        """Whether it has ``model``."""
        return self.full_name(model) in self.digests

    def digest(self, model: str) -> str | None:
        """What identifies the weights of ``model``; TandemError if it cannot be measured there."""
        if not self.has(model):
            names = sanitise(", ".join(sorted(self.digests)), 400) or "none"
            what = f"no model '{model}' (models there: {names})"
            raise unusable(what, self.url, self.advice.format(model=model))
        digest = self.digests[self.full_name(model)]
        if isinstance(digest, TandemError):
            raise digest
        return digest


Asker = Callable[[Client, str], Awaitable[Instance]]


async def attach(
    deployment: Deployment, engine: str, ask: Asker, lock: Mapping[str, Any], client: Client
) -> list[Server]:
    """The servers of ``deployment``, in the order of its URLs; ``ask`` is the engine's.

    TandemError (exit 4) if one does not answer, is no server of the engine, lacks a model, is not
    the one that the lock entry pins, or is the same as another one.
    """
    servers: list[Server] = []
    await check_apart(deployment.urls)
    for index, (url, models) in enumerate(zip(deployment.urls, deployment.models, strict=True)):
        there = await ask(client, url)
        digests = {model: there.digest(model) for model in models}
        check_locked(there, digests, lock)
        threads = deployment.num_thread
        servers.append(
            Server(
                index,
                engine,
                there.url,
                there.version,
                digests,
                threads=threads,
                num_thread=threads,
            )
        )
    return servers


def life(url: str) -> str | None:
    """What tells this life of the server at ``url`` from the one after a restart.

    It is the sockets that listen at its port of this machine, by the kernel's numbers; None of
    servers elsewhere, and where the kernel does not tell.
    """
    port = port_here(url)
    return ",".join(listeners(port)) or None if port else None


def port_here(url: str) -> int | None:
    """The port of this machine at which ``url``, normalised, is; None of one elsewhere."""
    place = urlsplit(url)
    here = place.hostname in ("127.0.0.1", "::1")
    return place.port if here else None


async def check_apart(urls: Sequence[str]) -> None:
    """TandemError (exit 4) if two of ``urls`` are one server: same address, port and prefix."""
    places: dict[tuple[str, int, str], str] = {}
    for url in urls if len(urls) > 1 else ():
        for place in await _addresses(url):
            if place in places:
                raise unusable(
                    f"{places[place]} and {url} are one server, but topology dual needs one "
                    "per agent",
                    "servers.dual",
                    "start another one, on a port of its own, and name that",
                )
            places[place] = url


async def _addresses(url: str) -> set[tuple[str, int, str]]:
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    try:
        entries = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise unusable(f"the name cannot be resolved ({error})", url, "write its address") from None
    return {(str(at[0]), int(at[1]), parts.path) for *_, at in entries}


def check_locked(
    there: Instance, digests: Mapping[str, str | None], lock: Mapping[str, Any]
) -> None:
    """TandemError (exit 4) if its version, or the digest of a model, is not the locked one."""
    # `ollama list` shows the first twelve digits of a digest, and so may the lock.
    live = {"the server's version": (there.version, lock["version"], False)}
    live |= {model: (digest, lock["models"][model], True) for model, digest in digests.items()}
    for what, (value, locked, may_be_short) in live.items():
        same = value == locked
        if may_be_short and value and locked:
            same = value.removeprefix("sha256:").startswith(locked.removeprefix("sha256:"))
        if not same:
            said = f"{what} is {shown(value)}, but {_LOCK_FILE} says {shown(locked)}"
            raise unusable(said, there.url, _RELOCK)


def shown(value: str | None) -> str:
    """A version or digest as an error shows it."""
    return "not known" if value is None else sanitise(value)


def unusable(what: str, where: str, fix: str) -> TandemError:
    """The error of servers that cannot be measured as they are."""
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_ENVIRONMENT)


def listed(answer: Json, name: str, where: str, fix: str) -> list[Json]:
    """The list of models under ``name`` in an answer; TandemError if it is none."""
    entries = answer.get(name)
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise unusable("no list of models", where, fix)
    return entries


def whole(entry: Json, name: str) -> int | None:
    """The whole number, 0 or more, under ``name``; None if there is none."""
    value = entry.get(name)
    return value if type(value) is int and value >= 0 else None
