"""A fake server in a process of its own.

``python -m tandembench.fake_server PARENT FD LOG BEHAVIOUR``: the parent's process id, an open
listening socket, a file or nothing, JSON. Serves until SIGTERM or the parent's end.
"""

import signal
import socket
import sys
from pathlib import Path

from tandembench.fake_server.behaviour import load
from tandembench.fake_server.process import serve
from tandembench.servers.lifeline import die_with

if __name__ == "__main__":
    # Ctrl-C is the parent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(int(sys.argv[1]), signal.SIGTERM)
    serve(
        load(sys.argv[4]),
        socket.socket(fileno=int(sys.argv[2])),
        Path(sys.argv[3]) if sys.argv[3] else None,
    )
