"""A fake server in a process of its own, as ``fake_process`` starts it."""

import sys

from tandembench.fake_server.process import serve_child

if __name__ == "__main__":
    serve_child(*sys.argv[1:])
