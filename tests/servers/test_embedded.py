"""The embedded engine, with real server processes."""

import asyncio
import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import gone
from run_specs import EMBEDDED, MODEL, TOPOLOGIES, run_spec

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.servers.deployment import (
    Deployment,
    Effective,
    Server,
    ServerFault,
    Standing,
    deployments,
)
from tandembench.servers.embedded import effective, running
from tandembench.servers.open import memory_bytes
from tandembench.wire import open_client


def places_of(*topologies: str, **changes: Any) -> tuple[Deployment, ...]:
    """The deployments of these topologies on two cores."""
    return deployments(run_spec(*topologies, **changes), cores=2)


@contextmanager
def up(
    places: Sequence[Deployment],
    models: Path,
    tmp_path: Path,
    lock: Mapping[str, Any] = EMBEDDED,
) -> Iterator[dict[str, Standing]]:
    """All of these servers, in real processes."""
    with (tmp_path / "log").open("w") as log, running(places, lock, models, log) as standing:
        yield standing


def servers_of(standing: Standing) -> Sequence[Server]:
    assert not isinstance(standing, ServerFault), standing
    return standing


def test_servers_answer_say_who_they_are_and_stop_when_their_block_fails(
    model_file: Path, tmp_path: Path
) -> None:
    (place,) = places_of("single_parallel")

    async def asked(server: Server) -> tuple[Effective, int | None]:
        async with open_client() as client:
            heard = await effective(client, server)
            return heard, await memory_bytes(client, [server, server])

    def block() -> None:
        with up([place], model_file.parent, tmp_path) as standing:
            (server,) = servers_of(standing[place.key])
            assert server.pid is not None
            assert not gone([server.pid], 0.01)
            resident = psutil.Process(server.pid).memory_info().rss
            seen.append((server, server.pid, resident, asyncio.run(asked(server))))
            raise ZeroDivisionError

    seen: list[tuple[Server, int, int, tuple[Effective, int | None]]] = []
    with pytest.raises(ZeroDivisionError):
        block()
    ((server, pid, resident, (heard, memory)),) = seen
    assert gone([pid])
    assert (heard.num_ctx, heard.slots) == (512, 2)
    assert server.model_digests == EMBEDDED["models"]
    assert server.version == EMBEDDED["version"]
    assert memory == pytest.approx(2 * resident, rel=0.2)


def test_all_servers_of_a_block_start_together(model_file: Path, tmp_path: Path) -> None:
    places = dict.fromkeys([*places_of(*TOPOLOGIES), places_of("dual")[0].twin()])
    with up(list(places), model_file.parent, tmp_path) as standing:
        servers = [server for one in standing.values() for server in servers_of(one)]
        assert len({server.url for server in servers}) == len(servers) == 6
        pids = [server.pid for server in servers if server.pid is not None]
        began = [psutil.Process(pid).create_time() for pid in pids]
        answered = time.time()
        # the last one was started before the first one could have answered
        assert max(began) - min(began) < (answered - min(began)) / 2
    assert gone(pids)


def test_a_server_that_cannot_start_is_a_fault_of_its_deployment_alone(
    model_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and nothing more")
    (tmp_path / model_file.name).symlink_to(model_file)
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    lock = EMBEDDED | {"models": EMBEDDED["models"] | {"broken": digest}}
    single, dual = places_of("single", "dual")
    lost = replace(dual, settings=(dual.settings[0], replace(dual.settings[1], models=("broken",))))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with up([single, lost], tmp_path, tmp_path, lock) as standing:
        fault = standing[lost.key]
        assert isinstance(fault, ServerFault)
        assert fault.reason == "server_start"
        # its partner is gone, and the other deployment stands
        (server,) = servers_of(standing[single.key])
        children = {child.pid for child in psutil.Process().children(recursive=True)}
        assert children - before == {server.pid}
    # Other tests have browsers and stores running: only what this one started must be gone.
    after = {child.pid for child in psutil.Process().children(recursive=True)}
    assert gone(sorted(after - before), within_s=0.5)


def test_a_system_without_processes_left_is_a_fault_too(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "no process")

    monkeypatch.setattr("tandembench.servers.processes.subprocess.Popen", none_left)
    (place,) = places_of("single")
    with up([place], model_file.parent, tmp_path) as standing:
        assert isinstance(standing[place.key], ServerFault)


OTHER = b"another model"


@pytest.mark.parametrize(
    ("lock", "file", "live", "locked"),
    [
        (EMBEDDED | {"version": "1999.1"}, OTHER, "xllamacpp is ", "1999.1"),
        (EMBEDDED, OTHER, hashlib.sha256(OTHER).hexdigest(), EMBEDDED["models"][MODEL]),
        (EMBEDDED, None, "no model file", MODEL),
    ],
    ids=["version", "sha256", "missing"],
)
def test_another_engine_or_model_than_the_locked_one_stops_with_both_values(
    tmp_path: Path, lock: Mapping[str, Any], file: bytes | None, live: str, locked: str
) -> None:
    if file:
        (tmp_path / f"{MODEL}.gguf").write_bytes(file)
    with pytest.raises(TandemError) as error, up(places_of("serial"), tmp_path, tmp_path, lock):
        pytest.fail("an unlocked server was measured")
    assert error.value.exit_code == EXIT_ENVIRONMENT
    assert live in str(error.value)
    assert locked in str(error.value)


def test_servers_die_with_a_parent_that_is_killed(model_file: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tandembench.servers.deployment import deployments\n"
        "from tandembench.servers.embedded import running\n"
        "from tandembench.study.spec import RunSpec\n"
        "spec = RunSpec.from_json(sys.argv[1])\n"
        "places = deployments(spec, 2)\n"
        "with running(places, spec.lock, Path(sys.argv[2]), sys.stderr) as standing:\n"
        "    print(*[one.pid for servers in standing.values() for one in servers], flush=True)\n"
        "    time.sleep(60)\n"
    )
    arguments = [run_spec("dual").to_json(), str(model_file.parent)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not gone(pids, 0.05)
        os.kill(parent.pid, signal.SIGKILL)
    assert gone(pids)
