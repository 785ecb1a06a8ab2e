"""Whether the configs of a comparison had the same hardware, by what their executions say. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Literal
from urllib.parse import urlsplit

import pandas as pd

Evenness = Literal["equal", "unequal", "unknown"]
# What the verdict rests on, in the order in which it is asked: slots of single and single_parallel,
# the machines of the servers, whether models lie on a GPU, one server in two places, threads.
Basis = Literal["slots", "hosts", "gpu", "shared", "threads"]
_LOOPBACK = ("127.0.0.1", "::1")
_COLUMNS = ["session", "config_id", "topology", "n_agents", "engine", "endpoint", "server"]
_COLUMNS += ["threads", "slots", "model_bytes", "model_gpu_bytes", "options_asked"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one config had in one session.

    ``hosts``: the machines of its servers, "" for this one; ``threads``: of all of them together,
    None where one is not known; ``slots``: of each, None where not known; ``gpu``: how much of the
    models is there; ``endpoints``: its servers.
    """

    config_id: str
    topology: str
    n_agents: int
    hosts: tuple[str, ...]
    threads: int | None
    slots: int | None
    gpu: Literal["all", "part", "none"] | None
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hardware:
    """``more`` and ``less`` are the configs that differ most, None where none do.

    ``threads_total`` is what a study may set that makes threads equal; None where its engine takes
    no such key, or no number is known. ``engine`` is what served the models.
    """

    verdict: Evenness
    basis: Basis
    engine: str = ""
    more: Share | None = None
    less: Share | None = None
    threads_total: int | None = None


def hardware(executions: pd.DataFrame) -> Hardware:
    """What holds of one comparison, whose executions these are: of its sessions the worst."""
    known = executions["valid"].astype(bool) & ~executions["twin"].astype(bool)
    table = executions[known & executions["mode"].eq("concurrent")].reindex(columns=_COLUMNS)
    # Rounds say the same thing again.
    table = table.drop_duplicates()
    judged = [next(_judged(group)) for _, group in table.groupby("session", sort=False)]
    severity: tuple[Evenness, ...] = ("unequal", "unknown", "equal")
    judged.sort(key=lambda one: severity.index(one.verdict))
    return judged[0] if judged else Hardware("unknown", "threads")


def _judged(table: pd.DataFrame) -> Iterator[Hardware]:
    """What holds of one session of a comparison; the first counts."""
    shares = [_share(group) for _, group in table.groupby("config_id", sort=False)]
    engine, first = str(table["engine"].iloc[0]), shares[0]
    for one in shares:
        n = one.n_agents if one.topology == "single_parallel" else 1
        exact = one.topology == "single" and one.n_agents > 1
        if one.slots and (one.slots < n or (exact and one.slots > n)):
            yield Hardware("unequal", "slots", engine, one, one)
    for one in shares:
        if one.hosts != first.hosts:
            yield Hardware("unequal", "hosts", engine, one, first)
    by_place = {one.gpu: one for one in shares}
    if by_place.keys() == {"all"}:
        yield Hardware("equal", "gpu", engine)
    if {"all", "none"} <= by_place.keys() and table["options_asked"].map(_layers).nunique() == 1:
        yield Hardware("unequal", "gpu", engine, by_place["all"], by_place["none"])
    known = sorted((one for one in shares if one.threads), key=lambda one: one.threads or 0)
    if known and known[0].threads != known[-1].threads:
        most = max(len(one.endpoints) for one in shares)
        total = max((known[0].threads or 0) // most, 1) * most if engine != "openai" else None
        yield Hardware("unequal", "threads", engine, known[-1], known[0], total)
    if len(known) == len(shares):
        yield Hardware("equal", "threads", engine)
    for many, one in permutations(shares, 2):
        fewer = len(one.endpoints) < len(many.endpoints)
        if fewer and set(one.endpoints) & set(many.endpoints):
            yield Hardware("unequal", "shared", engine, many, one)
    yield Hardware("unknown", "threads", engine)


def _share(group: pd.DataFrame) -> Share:
    servers = [of for _, of in group.groupby("server", dropna=False)]
    threads = [_only(of["threads"]) for of in servers]
    hosts = {urlsplit(str(url)).hostname or "" for url in group["endpoint"].dropna()}
    slots = group["slots"].dropna()
    sizes, there = group["model_bytes"], group["model_gpu_bytes"]
    gpu: Literal["all", "part", "none"] | None = None
    if there.notna().all() and sizes.notna().all():
        gpu = "none" if there.eq(0).all() else "all" if (there >= sizes).all() else "part"
    first = group.iloc[0]
    return Share(
        config_id=str(first["config_id"]),
        topology=str(first["topology"]),
        n_agents=int(first["n_agents"]),
        hosts=tuple(sorted({"" if host in _LOOPBACK else host for host in hosts})),
        threads=None if None in threads else sum(one or 0 for one in threads),
        slots=int(slots.max()) if len(slots) else None,
        gpu=gpu,
        endpoints=tuple(sorted(map(str, group["endpoint"].dropna().unique()))),
    )


def _layers(options: object) -> str:
    """The layers that an agent asked for: if configs differ in it, that is what they compare."""
    asked = json.loads(options) if isinstance(options, str) else {}
    return str(asked.get("num_gpu"))


def _only(values: "pd.Series[float]") -> int | None:
    """The one number that all of them are; None where some are not known, or others."""
    return int(values.iloc[0]) if values.notna().all() and values.nunique() == 1 else None
