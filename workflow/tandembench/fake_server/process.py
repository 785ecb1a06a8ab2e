"""Serving as the one thing that a process does: a sharp clock, no garbage collection in between."""

import asyncio
import gc
import signal
import socket
from pathlib import Path

from tandembench.fake_server.behaviour import Behaviour
from tandembench.fake_server.clock import sharp_loop
from tandembench.fake_server.server import serving


def serve(behaviour: Behaviour, listener: socket.socket, log: Path | None) -> None:
    """Serve until SIGTERM or, unless it is ignored, SIGINT; then write the rest of the log."""

    async def until_told() -> None:
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, told.set)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGINT, told.set)
        async with serving(behaviour, listener, log):
            gc.collect()
            gc.freeze()
            await told.wait()

    with asyncio.Runner(loop_factory=sharp_loop) as runner:
        runner.run(until_told())
