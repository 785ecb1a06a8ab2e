"""What Ollama 0.30 and later starts as ``llama-server``: the pinned xllamacpp under its flags.

Installed as ``../lib/ollama/llama-server`` and ``llama-quantize`` beside the folder of a built
``ollama``, whose module does not hold them. Flags that change no measurement on a CPU (web pages,
flash attention, load mode) are taken and left alone.
Source: ollama, llm/llama_server.go and discover/llama_server.go, v0.32.15.
"""

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path


def _flags(arguments: list[str]) -> argparse.Namespace:
    flags = argparse.ArgumentParser(allow_abbrev=False)
    flags.add_argument("--model")
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("-c", type=int, default=2048, dest="context")
    flags.add_argument("-np", type=int, default=1, dest="slots")
    # llama.cpp takes its environment where a flag is missing.
    cores = int(os.environ.get("LLAMA_ARG_THREADS", os.cpu_count() or 1))
    flags.add_argument("-t", type=int, default=cores, dest="threads")
    flags.add_argument("-b", type=int, default=512, dest="batch")
    flags.add_argument("-ub", type=int, default=512, dest="micro_batch")
    # Its log says where the model lies: Ollama reads sizes out of it.
    flags.add_argument("--log-verbosity", type=int, default=0)
    flags.add_argument("--no-jinja", action="store_false", dest="jinja")
    flags.add_argument("--chat-template", default="")
    flags.add_argument("--list-devices", action="store_true")
    flags.add_argument("--version", action="store_true")
    return flags.parse_known_args(arguments)[0]


def _serve(flags: argparse.Namespace) -> None:
    import xllamacpp  # noqa: PLC0415 - half a second, and Ollama asks for devices first

    params = xllamacpp.CommonParams()
    params.model.path = flags.model
    params.hostnames, params.port = [flags.host], flags.port
    params.n_ctx, params.n_parallel = flags.context, flags.slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = flags.threads
    params.n_batch, params.n_ubatch = flags.batch, flags.micro_batch
    params.use_jinja, params.chat_template = flags.jinja, flags.chat_template
    params.endpoint_metrics = params.endpoint_props = params.endpoint_slots = True
    params.n_gpu_layers = 0
    params.ui = params.fit_params = False
    params.cache_ram_mib = 0
    params.verbosity = flags.log_verbosity
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.pause()


def main(arguments: list[str]) -> None:
    """Copy a GGUF file as llama-quantize does, name devices and version, or serve a model."""
    files = [one for one in arguments if one.endswith(".gguf") or Path(one).is_file()]
    flags = _flags(arguments)
    if "COPY" in arguments:
        shutil.copyfile(files[0], arguments[arguments.index("COPY") - 1])
    elif flags.version:
        print("version: xllamacpp")
    elif flags.list_devices:
        print("Available devices:")
    elif flags.model:
        _serve(flags)
    else:  # asked for devices without a model; Ollama ends it when it has read this line
        print("system_info: n_threads = 1", file=sys.stderr, flush=True)
        signal.pause()


if __name__ == "__main__":
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.SIG_DFL)
    main(sys.argv[1:])
