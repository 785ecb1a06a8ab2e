"""The two forms in which answers come: lines of JSON, and server-sent events. Bytes to messages."""

from collections.abc import Iterator
from typing import NamedTuple

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Ends an answer of OpenAI's protocol; some servers send no blank line after it.
END = b"[DONE]"


class Message(NamedTuple):
    """One message: ``data`` as it came, the ``name`` of its event, the read that completed it."""

    data: bytes
    name: bytes
    read: int


class Lines:
    """Newline-delimited JSON: every line is a message. ``waiting`` bytes are not one yet."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False
        self._first = True

    @property
    def waiting(self) -> int:
        """How many bytes are held for a message that is not whole."""
        return len(self._rest)

    def feed(self, data: bytes, read: int) -> Iterator[Message]:
        """The messages that ``data``, which came with this ``read``, completes."""
        for line in self._lines(data):
            yield from self._line(line, read)

    def close(self, read: int) -> Iterator[Message]:
        """What a whole body ends with, though no line end follows it."""
        if self._rest:
            yield from self._line(self._rest, read)

    def _lines(self, data: bytes) -> list[bytes]:
        # LF, CR and CRLF end a line; a CR does at once, and an LF right after it is no second end.
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        elif data:
            self._after_cr = False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        return lines

    def _line(self, line: bytes, read: int) -> Iterator[Message]:
        if line.strip():
            yield Message(line, b"", read)


class ServerSentEvents(Lines):
    """Server-sent events, as the standard reads them; ``id`` and ``retry`` mean nothing here.

    Two things are kinder: what a whole body ends with counts without a blank line, and ``END``
    needs none. An ``error:`` line, which older llama-servers send, is an event of that name.
    Source: WHATWG, HTML, section 9.2.6, interpreting an event stream.
    """

    def __init__(self) -> None:
        super().__init__()
        self._data: list[bytes] = []
        self._name = b""
        self._read = -1

    @property
    def waiting(self) -> int:
        """As of lines, with the lines of an event that is not whole."""
        return len(self._rest) + sum(map(len, self._data))

    def close(self, read: int) -> Iterator[Message]:
        """As of lines."""
        yield from super().close(read)
        yield from self._line(b"", read)

    def _line(self, line: bytes, read: int) -> Iterator[Message]:
        if line:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                self._data.append(value)
                self._read = read
            elif field == b"event":
                self._name = value
            elif field == b"error":
                yield Message(value, b"error", read)
            if self._data != [END]:
                return
        if self._data:
            yield Message(b"\n".join(self._data), self._name, self._read)
        self._data, self._name = [], b""
