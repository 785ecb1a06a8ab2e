"""A headless Chromium on a pipe: opens pages, measures them, and tells what they asked for."""

import base64
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tandembench.report.pdf import chromium

Message = dict[str, Any]


class Browser:
    """One page of a Chromium that is spoken to by the DevTools protocol.

    ``events`` are what it told since the page was opened.
    """

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader, self._writer = reader, writer
        self._sent = 0
        self._session: str | None = None
        self.events: list[Message] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> Message:
        """The result of one command; events that come meanwhile are kept."""
        self._sent += 1
        message: Message = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer)
                result: Message = answer["result"]
                return result

    def open(
        self, url: str, width: int, height: int = 900, *, dark: bool = False, media: str = "screen"
    ) -> None:
        """Load ``url`` at ``width`` x ``height`` CSS pixels, and wait until all of it is there."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read()

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, a promise's if it is one."""
        found = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def told(self, *methods: str) -> list[Message]:
        """The parameters of the events of these names."""
        self.run("0")  # what came before the answer is read
        return [event["params"] for event in self.events if event["method"] in methods]

    def picture(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def _read(self) -> Message:
        received = bytearray()
        while (byte := self._reader.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            received += byte
        message: Message = json.loads(received)
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def browsing(profile: Path, *flags: str) -> Iterator[Browser]:
    """A Chromium of its own, ended with the block. It reads commands at descriptor 3."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    arguments = shlex.join([*chromium(profile), *flags, "--remote-debugging-pipe", "about:blank"])
    # Duplicated first: a pipe's own descriptor may be 3 or 4.
    shell = f"exec 8<&{command_read} 9>&{answer_write}; exec {arguments} 3<&8 4>&9"
    process = subprocess.Popen(
        ["bash", "-c", shell],
        pass_fds=(command_read, answer_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        with os.fdopen(answer_read, "rb") as reader, os.fdopen(command_write, "wb") as writer:
            yield Browser(reader, writer)
    finally:
        process.terminate()
        process.wait()
