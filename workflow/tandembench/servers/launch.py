"""How a server of this machine was launched, by its processes: threads, slots, whether on a GPU.

Source: llama.cpp, tools/server/README.md (flags and LLAMA_ARG_ variables) and common/common.cpp
(threads: physical cores by default, as Ollama's own runner); ollama, llm/llama_server.go (0.32) and
llm/server.go (0.12), envconfig/config.go; vLLM and SGLang, their servers' arguments.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tandembench.servers.deployment import Server
from tandembench.system import Family, cores

_THREADS = ("-t", "--threads", "LLAMA_ARG_THREADS")
_SLOTS = (
    *("-np", "--parallel", "--max-num-seqs", "--max-running-requests"),
    *("LLAMA_ARG_N_PARALLEL", "OLLAMA_NUM_PARALLEL"),
)
# What a process has open that computes on a GPU: NVIDIA's, AMD's, Intel's, and those under Windows.
_GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri/render", "/dev/dxg")


@dataclass(frozen=True, slots=True)
class Launch:
    """``gpu``: whether a process that holds a model has a GPU open; None where nobody can see.

    ``threads`` and ``slots`` are None where its processes name none, or several.
    """

    threads: int | None
    slots: int | None
    gpu: bool | None
    memory_bytes: int | None


def launch(server: Server) -> Launch | None:
    """How ``server`` runs, now; None where its process is not known."""
    if server.pid is None:
        return None
    family = Family(server.pid, server.port)
    members = family.members()
    said = [_said(one) for one in members]
    threads = _agreed(said, _THREADS)
    if threads is None and any("llama-server" in Path(words[0]).name for words, _ in said if words):
        threads = default_threads()
    # Only a process that holds a model tells by opening none that it is on no GPU.
    opened = [
        _has_gpu(one.pid)
        for one, (words, _) in zip(members, said, strict=True)
        if "--model" in words
    ]
    return Launch(
        threads=threads,
        slots=_agreed(said, _SLOTS),
        gpu=True if True in opened else None if None in opened or not opened else False,
        memory_bytes=family.memory_bytes(),
    )


def default_threads() -> int:
    """What llama.cpp and Ollama take where nobody names a number: the physical cores."""
    return psutil.cpu_count(logical=False) or cores()


def _said(process: psutil.Process) -> tuple[Sequence[str], Mapping[str, str]]:
    """Its command line and its environment, as far as they may be read."""
    words: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    with suppress(psutil.Error, OSError):
        words = process.cmdline()
        environment = process.environ()
    return words, environment


def _agreed(
    said: Sequence[tuple[Sequence[str], Mapping[str, str]]], names: Sequence[str]
) -> int | None:
    """The number under any of ``names``: a flag of any process, else a variable."""
    flags = set()
    for words, _ in said:
        pairs = zip(words, [*words[1:], ""], strict=True)
        values = [
            value or following
            for (name, _, value), following in ((one.partition("="), after) for one, after in pairs)
            if name in names
        ]
        flags |= {*values[-1:]}  # the last one counts
    variables = {of[name] for _, of in said for name in names if name in of}
    numbers = {int(one) for one in flags or variables if one.isdecimal()} - {0}
    return numbers.pop() if len(numbers) == 1 else None


def _has_gpu(pid: int) -> bool | None:
    try:
        files = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return None
    return any(file.startswith(_GPUS) for file in files)
