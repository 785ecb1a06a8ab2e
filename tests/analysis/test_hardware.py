"""Equal, unequal or unknown: what executions say of the hardware of a comparison's configs."""

from typing import Any

import pandas as pd
import pytest

from tandembench.analysis.hardware import Hardware, hardware

A, B, C, D = (f"http://127.0.0.1:{port}" for port in range(11434, 11438))
FAR = "http://gpu-1:11434"
Servers = tuple[tuple[str, int | None], ...]
DUAL: Servers = ((A, 1), (B, 1))


def executions(session: str = "s1", **changes: Any) -> pd.DataFrame:
    """Rows of serial, single, single_parallel and dual; of each topology, or of all, changed."""
    places = {"serial": [(C, 2)], "single": [(C, 2)], "single_parallel": [(D, 2)], "dual": DUAL}
    rows = []
    for topology, servers in places.items():
        of_all = {key: value for key, value in changes.items() if key not in places}
        change: dict[str, Any] = of_all | changes.get(topology, {})
        for agent in range(2):
            at = change.get("servers", servers)
            endpoint, threads = at[agent % len(at)]
            rows.append(
                {
                    **{"session": session, "config_id": topology, "topology": topology},
                    **{"n_agents": 2, "engine": "ollama", "mode": "concurrent", "valid": True},
                    **{"twin": False, "endpoint": endpoint, "server": agent % len(at)},
                    **{"threads": threads, "slots": 2 if topology == "single_parallel" else 1},
                    **{"model_bytes": 100, "model_gpu_bytes": 0, "options_asked": "{}"},
                }
                | {key: value for key, value in change.items() if key != "servers"}
            )
    return pd.DataFrame(rows)


WHOLE = {"model_gpu_bytes": 100}
NO_LAYER = {"model_gpu_bytes": 0, "options_asked": '{"num_gpu": 0}'}
NOBODY = {"threads": None}


def at(*servers: tuple[str, int | None], **more: Any) -> dict[str, Any]:
    return {"servers": servers, **more}


@pytest.mark.parametrize(
    ("changes", "verdict", "basis", "total"),
    [
        ({}, "equal", "threads", None),
        # all threads for every server, as they take them by default
        ({"dual": at((A, 2), (B, 2))}, "unequal", "threads", 2),
        ({"dual": at((A, 3), (B, 3)), "serial": at((C, 5))}, "unequal", "threads", 2),
        ({"dual": at((A, 2), (B, 2)), "engine": "openai"}, "unequal", "threads", None),
        ({"dual": at((A, 2), (B, 2)), "single": NOBODY}, "unequal", "threads", 2),
        ({"single": NOBODY}, "unknown", "threads", None),
        ({"threads": None}, "unknown", "threads", None),
        # one server has one number of threads, whatever it is
        ({"threads": None, "single": at((A, None))}, "unequal", "shared", None),
        ({"threads": None, "single": at((A, None)), **WHOLE}, "equal", "gpu", None),
        # wholly on a GPU threads do not matter, in part they do
        ({"dual": at((A, 2), (B, 2)), **WHOLE}, "equal", "gpu", None),
        ({"threads": None, "model_gpu_bytes": 60}, "unknown", "threads", None),
        ({"threads": None, "model_gpu_bytes": None}, "unknown", "threads", None),
        ({**WHOLE, "dual": {"model_gpu_bytes": 0}}, "unequal", "gpu", None),
        # layers that were asked for are what is compared
        ({**WHOLE, "dual": NO_LAYER}, "equal", "threads", None),
        ({"dual": at((A, 1), (FAR, 1))}, "unequal", "hosts", None),
        ({"dual": at((FAR, 1), (FAR + "5", 1)), **WHOLE}, "unequal", "hosts", None),
        ({"dual": at(("http://[::1]:1", 1), (B, 1))}, "equal", "threads", None),
        ({"single": {"slots": 2}}, "unequal", "slots", None),
        ({"single_parallel": {"slots": 1}}, "unequal", "slots", None),
        # one agent after the other needs one, and an agent alone on a server too
        ({"serial": {"slots": 4}, "dual": {"slots": 4}}, "equal", "threads", None),
        ({"slots": None}, "equal", "threads", None),
        ({"single": {"valid": False, "threads": 9}}, "equal", "threads", None),
        ({"single": {"twin": True, "threads": 9}}, "equal", "threads", None),
        ({"single": {"mode": "solo", "threads": 9}}, "equal", "threads", None),
    ],
)
def test_hardware_is_equal_unequal_or_unknown(
    changes: Any, verdict: str, basis: str, total: int | None
) -> None:
    one = hardware(executions(**changes))
    assert (one.verdict, one.basis, one.threads_total) == (verdict, basis, total)
    assert (one.more is None) == (one.less is None) == (verdict != "unequal")


def test_the_configs_that_differ_most_are_named_with_their_numbers() -> None:
    one = hardware(executions(dual=at((A, 2), (B, 2)), single=at((C, 3))))
    assert one.more
    assert one.less
    assert (one.more.config_id, one.more.threads) == ("dual", 4)
    assert one.less.threads == 2
    assert one.less.hosts == ("",)


def test_every_session_must_be_equal_and_none_alike_another() -> None:
    tables = [executions(), executions("s2").eval("threads = 2 * threads")]
    assert hardware(pd.concat(tables)).verdict == "equal"
    for worse, verdict in ((NOBODY, "unknown"), (at((C, 9)), "unequal")):
        tables.append(executions(f"s{len(tables) + 1}", single=worse))
        assert hardware(pd.concat(tables)).verdict == verdict


def test_where_nothing_was_valid_or_nothing_is_told_nothing_is_known() -> None:
    assert hardware(executions(valid=False)) == Hardware("unknown", "threads")
    bare = executions().drop(columns=["endpoint", "slots", "model_bytes", "model_gpu_bytes"])
    assert hardware(bare.assign(threads=None)).verdict == "unknown"
