"""One spelling for the URL of one server. Pure."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
# A server that listens everywhere is reached here. localhost may be ::1 first, where Ollama does
# not listen by default: it is settled once, and the address is what rows record.
_LOOPBACK = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
_HOST = re.compile("[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# What a prefix may hold (RFC 3986); what asks for a part or a query is none.
_PREFIX = re.compile("(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")
# What is of the protocol, as people copy it from a program's settings.
_PROTOCOL = re.compile("(/v1)+(/models|(/chat)?/completions)?$")


def one_spelling(url: str) -> str:
    """The root of the server that is meant: scheme, host, port and the prefix before ``/v1``.

    ``http://localhost:8000/llm/v1/`` is ``http://127.0.0.1:8000/llm``: the protocol's paths, and
    those that stand beside them, begin there. ValueError for what is no URL of a server, or holds
    more than that, such as a user's name or a query. With TLS a host keeps its name, since its
    certificate says that. The port is always there.
    """
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
    more = parts.username is not None or "?" in url or "#" in url
    if parts.scheme not in _PORTS or more or parts.port == 0:
        raise ValueError("no server's URL")
    if "[" in parts.netloc:
        host = str(ip_address(host))  # one of the many spellings
    elif not _HOST.fullmatch(host):
        raise ValueError("no host")
    if parts.scheme == "http":
        host = _LOOPBACK.get(host, host)
    prefix = _PROTOCOL.sub("", parts.path.rstrip("/")).rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("no prefix")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{prefix}"
