"""Processes behind a URL of this machine: who they are, what they use, how they were launched."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import psutil
import pytest

from tandembench import system
from tandembench.servers.deployment import Server
from tandembench.servers.launch import default_threads, launch
from tandembench.system import Family, listener

# Listens, and starts a child at each line, which computes a while, says so and ends with the next.
CHILD = "import sys; print(sum(range(10**7)), flush=True); sys.stdin.readline()"
SERVER = f"""
import socket, subprocess, sys
place = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(place.getsockname()[1], flush=True)
for line in sys.stdin:
    child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE)
    if sys.stdin.readline():
        child.communicate(b"\\n")
        print("reaped", flush=True)
"""


class Listening:
    """A small server in a process of its own; ``started`` and ``ended`` are its child's."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin
        assert process.stdout
        self.process, self._in, self._out = process, process.stdin, process.stdout
        self.port = int(self._out.readline())

    def started(self) -> None:
        self._go()

    def ended(self) -> None:
        self._go()

    def _go(self) -> None:
        self._in.write("go\n")
        self._in.flush()
        assert select.select([self._out], [], [], 60)[0]
        self._out.readline()


@contextmanager
def listening(port: int = 0, words: Sequence[str] = (), name: str = "") -> Iterator[Listening]:
    command = [name or sys.executable, "-c", SERVER, str(port), *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, executable=sys.executable, text=True, **pipes) as process:
        family = [psutil.Process(process.pid)]
        try:
            yield Listening(process)
        finally:
            family += family[0].children(recursive=True) if process.poll() is None else []
            for one in family:
                one.kill()


def test_what_children_use_counts_also_when_they_have_come_and_gone() -> None:
    with listening() as server:
        pid, why = listener(server.port)
        assert (pid, why) == (server.process.pid, None)
        family, alone = Family(pid, server.port), Family(pid, alone=True)
        before = family.cpu_s(), alone.cpu_s()
        server.started()
        assert next(one.pid for one in family.members()) == pid
        assert len(family.members()) == 2
        assert len(alone.members()) == 1
        while_it_ran = family.cpu_s()
        assert while_it_ran - before[0] >= 0.05
        assert alone.cpu_s() - before[1] < while_it_ran - before[0]
        assert (family.memory_bytes() or 0) > (alone.memory_bytes() or 0) > 1_000_000
        server.ended()
        assert len(family.members()) == 1
        assert family.cpu_s() >= while_it_ran


def test_who_listens_next_takes_the_place_of_one_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "_LOOK_S", 0.0)
    with listening() as server:
        family = Family(server.process.pid, server.port)
        server.started()
        used = family.cpu_s()
        port = server.port
    assert family.members() == []
    assert family.memory_bytes() is None
    assert family.cpu_s() == used
    with listening(port) as server:
        assert [one.pid for one in family.members()] == [server.process.pid]
        assert family.cpu_s() >= used


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return int(place.getsockname()[1])


def test_where_nobody_can_be_found_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        assert listener(ours.getsockname()[1]) == (None, "client")
    assert listener(free_port()) == (None, "elsewhere")
    with listening() as server, monkeypatch.context() as patch:
        monkeypatch.setattr(psutil.Process, "name", lambda _: "docker-proxy")
        assert listener(server.port) == (None, "forwarded")
        # what the kernel's tables say to a user who may not look into the process
        sockets = [SimpleNamespace(status="LISTEN", laddr=SimpleNamespace(port=1), pid=None)]
        patch.setattr(psutil, "net_connections", lambda _: sockets)
        assert listener(1) == (None, "permission")

        def denied(_: str) -> None:
            raise psutil.AccessDenied

        patch.setattr(psutil, "net_connections", denied)
        assert listener(1) == (None, "permission")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_user_who_may_not_look_into_the_process_is_told_so() -> None:
    with listening() as server:
        assert listener(server.port)[0] == server.process.pid
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            os.write(writing, repr(listener(server.port)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reading, 100).decode() == "(None, 'permission')"


RUNNER = ["--model", "a.gguf", "-c", "4096"]


@pytest.mark.parametrize(
    ("words", "variables", "threads", "slots"),
    [
        ([*RUNNER, "-t", "3", "-np", "2"], {}, 3, 2),  # llama-server of Ollama 0.30 and later
        ([*RUNNER, "--threads", "3", "--parallel", "2"], {}, 3, 2),  # Ollama's own runner
        (["--threads=3", "--parallel=2"], {}, 3, 2),
        (["-t", "8", "--threads", "4"], {}, 4, None),
        (["-t", "-1", "-np", "many"], {}, None, None),
        (["--max-num-seqs", "4"], {}, None, 4),
        (["--max-running-requests=1"], {}, None, 1),
        (RUNNER, {"LLAMA_ARG_THREADS": "3", "OLLAMA_NUM_PARALLEL": "2"}, 3, 2),
        ([*RUNNER, "-t", "1", "-np", "1"], {"LLAMA_ARG_THREADS": "3"}, 1, 1),
        (RUNNER, {}, None, None),
    ],
)
def test_threads_and_slots_are_read_from_the_processes(
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    variables: dict[str, str],
    threads: int | None,
    slots: int | None,
) -> None:
    for name in ("LLAMA_ARG_THREADS", "OLLAMA_NUM_PARALLEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    # a llama-server that is told nothing takes the default, of others it is not known
    for name, default in (("llama-server", default_threads()), ("", None)):
        with listening(words=words, name=name) as server:
            said = launch(Server(0, "openai", "", None, {}, pid=server.process.pid))
        assert said
        assert (said.threads, said.slots) == (threads or default, slots)
        assert said.gpu == (False if "--model" in words else None)
    assert launch(Server(0, "openai", "", None, {})) is None
