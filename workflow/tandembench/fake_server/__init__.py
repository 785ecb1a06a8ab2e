"""fake_server: a test instrument. Speaks the protocols of real servers, runs no model.

Every answer says that it is simulated (header ``Server``, model ``fake``), and so does its log.
Nothing here imports more than the standard library: it starts in a tenth of a second.
"""

from tandembench.fake_server.behaviour import SIMULATED, Behaviour
from tandembench.fake_server.process import fake_process
from tandembench.fake_server.send_log import StreamLog, read_log
from tandembench.fake_server.server import FakeServer, listen, serving, url_of

__all__ = [
    "SIMULATED",
    "Behaviour",
    "FakeServer",
    "StreamLog",
    "fake_process",
    "listen",
    "read_log",
    "serving",
    "url_of",
]
