"""The server process: ``python -m tandembench.servers.llama_process PARENT SETTINGS``.

Prints its URL when it is ready, and serves until it is told to stop or its parent dies. Imports
nothing that it does not need, since blocks wait for it.
"""

import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

import xllamacpp

from tandembench.system import die_with


def _serve(settings: Mapping[str, Any]) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["num_ctx"] * settings["slots"]
    params.n_gpu_layers = settings["num_gpu"]
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["threads"]
    params.n_batch = params.n_ubatch = 512
    params.endpoint_metrics = params.endpoint_props = params.endpoint_slots = True
    params.ui = False
    params.fit_params = False
    params.cache_ram_mib = 0
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    # Ctrl-C is the parent's to handle; SIGTERM keeps its default, which ends every thread at once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(int(sys.argv[1]))
    _serve(json.loads(sys.argv[2]))
