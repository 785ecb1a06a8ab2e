"""The embedded engine, with real server processes."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.servers.embedded import effective, layout, running
from tandembench.servers.model import Effective, Server, ServerFault
from tandembench.wire import open_client

Make = Callable[..., dict[str, Any]]
PREFIX = "homo-g80-c512-"


def gone(pids: list[int], within_s: float = 5.0) -> bool:
    """Whether none of ``pids`` runs any more, or will within a deadline."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        alive = [pid for pid in pids if psutil.pid_exists(pid) and _runs(pid)]
        if not alive:
            return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("topology", "cores", "expected"),
    [
        ("dual", 2, [(1, 1, "brief"), (1, 1, "brief")]),
        ("serial", 2, [(2, 1, "brief")]),
        ("single", 2, [(2, 1, "brief")]),
        ("single_parallel", 2, [(2, 2, "brief")]),
        # One core of more than two is the client's; what does not split evenly is nobody's.
        ("dual", 8, [(3, 1, "brief"), (3, 1, "brief")]),
        ("single", 8, [(6, 1, "brief")]),
        ("dual", 5, [(2, 1, "brief"), (2, 1, "brief")]),
        ("single_parallel", 5, [(4, 2, "brief")]),
        ("serial", 3, [(2, 1, "brief")]),
        ("dual", 1, [(1, 1, "brief"), (1, 1, "brief")]),
    ],
)
def test_every_topology_gets_the_same_hardware(
    small_spec: Make, topology: str, cores: int, expected: list[tuple[int, int, str]]
) -> None:
    settings = layout(small_spec(PREFIX + topology), cores)
    assert [(one["threads"], one["slots"], one["wait_policy"]) for one in settings] == expected


def test_threads_that_outnumber_the_cores_do_not_spin(small_spec: Make) -> None:
    settings = layout(small_spec(PREFIX + "dual", threads_total=8), cores=2)
    assert [(one["threads"], one["wait_policy"]) for one in settings] == [(4, "passive")] * 2


def test_a_shared_server_holds_what_its_largest_agent_asks_for(small_spec: Make) -> None:
    name = "hetero-g80x100-c512x1024-"
    (shared,) = layout(small_spec(name + "single"), cores=2)
    assert (shared["num_ctx"], shared["num_gpu"]) == (1024, 100)
    assert [one["num_ctx"] for one in layout(small_spec(name + "dual"), cores=2)] == [512, 1024]
    # agent A of this scenario sends nothing: the lock's default stands in
    assert layout(small_spec("bvc-g80-c512-dual"), cores=2)[0]["num_ctx"] == 2048


def test_servers_answer_say_who_they_are_and_stop(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    spec = small_spec(PREFIX + "single_parallel")

    async def asked(server: Server) -> Effective:
        async with open_client() as client:
            return await effective(client, server)

    with (
        (tmp_path / "log").open("w") as log,
        running(spec, model_file.parent, log) as servers,
    ):
        (server,) = servers
        heard = asyncio.run(asked(server))
        pid = server.pid
        assert pid is not None
        assert not gone([pid], 0.01)
    assert gone([pid])
    assert (heard.num_ctx, heard.slots) == (512, 2)
    assert server.model_digests == spec["lock"]["models"]
    assert server.version == spec["lock"]["version"]


def test_servers_stop_when_the_block_raises(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    pids: list[int] = []

    def block() -> None:
        with (
            (tmp_path / "log").open("w") as log,
            running(small_spec(PREFIX + "dual"), model_file.parent, log) as servers,
        ):
            pids.extend(server.pid for server in servers if server.pid is not None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert len(pids) == 2
    assert gone(pids)


def test_a_server_that_cannot_start_is_a_result_and_leaves_no_other_behind(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and nothing more")
    whole = tmp_path / f"{model_file.name}"
    whole.symlink_to(model_file)
    spec = small_spec(PREFIX + "dual")
    spec["agents"][1]["model"] = "broken"
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    spec["lock"] = {**spec["lock"], "models": {**spec["lock"]["models"], "broken": digest}}
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with (
        (tmp_path / "log").open("w") as log,
        pytest.raises(ServerFault) as fault,
        running(spec, tmp_path, log),
    ):
        pytest.fail("a broken model was served")
    assert fault.value.reason == "server_start"
    # Other tests have browsers and stores running: only what this one started must be gone.
    after = {child.pid for child in psutil.Process().children(recursive=True)}
    assert gone(sorted(after - before), within_s=0.5)


@pytest.mark.parametrize("changed", ["version", "sha256", "missing"])
def test_another_engine_or_model_than_the_locked_one_stops_with_both_values(
    small_spec: Make, tmp_path: Path, changed: str
) -> None:
    spec = small_spec(PREFIX + "serial")
    (model,) = spec["lock"]["models"]
    if changed == "version":
        spec["lock"] = {**spec["lock"], "version": "1999.1"}
    if changed != "missing":
        (tmp_path / f"{model}.gguf").write_bytes(b"another model")
    with (
        (tmp_path / "log").open("w") as log,
        pytest.raises(TandemError) as error,
        running(spec, tmp_path, log),
    ):
        pytest.fail("an unlocked server was measured")
    assert error.value.exit_code == EXIT_ENVIRONMENT
    live = {
        "version": "xllamacpp is ",
        "sha256": hashlib.sha256(b"another model").hexdigest(),
        "missing": "no model file",
    }
    locked = {"version": "1999.1", "sha256": spec["lock"]["models"][model], "missing": model}
    assert live[changed] in str(error.value)
    assert locked[changed] in str(error.value)
    assert "\n" not in str(error.value)


def test_servers_die_with_a_parent_that_is_killed(
    small_spec: Make, model_file: Path, tmp_path: Path
) -> None:
    program = (
        "import json, sys, time; from pathlib import Path\n"
        "from tandembench.servers.embedded import running\n"
        "with running(json.loads(sys.argv[1]), Path(sys.argv[2]), sys.stderr) as servers:\n"
        "    print(*[server.pid for server in servers], flush=True)\n"
        "    time.sleep(60)\n"
    )
    arguments = [json.dumps(small_spec(PREFIX + "dual")), str(model_file.parent)]
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
