"""The rest of the world, as a browser sees it through a proxy: answers nothing, counts all."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Chromium's maker, whom it asks things of its own; no page of ours names these.
_MAKER = re.compile(r"\b(google|gstatic|googleapis|gvt1)\.com\b")


class Outside:
    """What was asked of the proxy at ``address``: the first line of every request of a page."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.asked: list[str] = []
        host, port = listener.getsockname()
        self.address = f"http://{host}:{port}"

    def serve(self) -> None:
        """Refuse every request, until the listener is shut."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                line = connection.recv(4096).decode("latin-1").split("\r\n")[0]
                self.asked += [] if _MAKER.search(line) else [line]
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def listening() -> Iterator[Outside]:
    """A proxy on a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Outside(listener)
        thread = threading.Thread(target=found.serve)
        thread.start()
        try:
            yield found
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
