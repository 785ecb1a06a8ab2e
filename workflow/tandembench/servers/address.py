"""Where running servers are: one spelling of a URL, and which URLs are one server."""

import asyncio
import socket
from collections.abc import Sequence
from itertools import combinations
from urllib.parse import urlsplit

from tandembench.errors import EXIT_ENVIRONMENT, TandemError

# A server that listens everywhere is reached here. localhost may be ::1 first, where Ollama does
# not listen by default: it is settled once, and the address is what rows record.
_LOOPBACK = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def normalised(url: str) -> str:
    """One spelling for one address: ``http://localhost:11434/`` is ``http://127.0.0.1:11434``."""
    ports = {"http": 80, "https": 443}
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or ports[parts.scheme]
    except (ValueError, KeyError):
        host, port = None, 0
    if not host:
        raise unusable("not a server's URL", url, "write it like http://127.0.0.1:11434")
    host = _LOOPBACK.get(host, host)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


async def check_distinct(urls: Sequence[str]) -> None:
    """TandemError if two of ``urls`` are one server under two names."""
    addresses = [await _addresses(url) for url in urls] if len(urls) > 1 else []
    for (one, at), (other, also_at) in combinations(zip(urls, addresses, strict=False), 2):
        if at & also_at:
            raise unusable(
                f"{one} and {other} are one server, but topology dual needs one per agent",
                "servers.dual",
                "start another, such as: OLLAMA_HOST=127.0.0.1:11435 ollama serve",
            )


async def _addresses(url: str) -> set[tuple[str, int]]:
    parts = urlsplit(url)
    try:
        entries = await asyncio.get_running_loop().getaddrinfo(
            parts.hostname, parts.port, type=socket.SOCK_STREAM
        )
    except OSError as error:
        raise unusable(f"the name cannot be resolved ({error})", url, "write its address") from None
    return {(str(at[0]), int(at[1])) for *_, at in entries}


def unusable(what: str, where: str, fix: str) -> TandemError:
    """The error of servers that cannot be measured as they are."""
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_ENVIRONMENT)
