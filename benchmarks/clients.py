"""How far HTTP clients are off: this project's, plain httpx, aiohttp, ollama's client, aiperf.

All but aiperf by turns, against the same fake servers, which log every send: two streams, 50 ms to
the first token, then 20 tokens at 10 +- 2 ms. Prints one table, or JSON; see README.md.
"""

import json
import math
import os
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click
from aiperf_client import measure_aiperf, program, release

from tandembench.calibrate.clients import PATH, SUBJECTS, Opener, Seen, Subject
from tandembench.calibrate.record import Spread
from tandembench.calibrate.session import Findings, Phase, measure_clients
from tandembench.errors import TandemError
from tandembench.measure.exclusive import exclusive

ERRORS = {"token_stamp": "token stamp, us", "ttft": "TTFT, us", "gap": "gap, us"}
STREAMS, IN_TURN = 2, 2


@asynccontextmanager
async def open_aiohttp() -> AsyncIterator[Subject]:
    """aiohttp as its documentation shows it: lines of the body, stamped as they come."""
    import aiohttp  # noqa: PLC0415 - optional

    async with aiohttp.ClientSession() as session:

        async def ask(url: str, body: bytes) -> Seen:
            request_ns = time.monotonic_ns()
            chunks = []
            async with session.post(url + PATH, data=body) as response:
                async for line in response.content:
                    at_ns = time.monotonic_ns()
                    if json.loads(line)["response"]:
                        chunks.append(at_ns)
            return Seen(request_ns, tuple(chunks), time.monotonic_ns())

        yield Subject(ask, lambda: "aiohttp lines")


@asynccontextmanager
async def open_ollama() -> AsyncIterator[Subject]:
    """Ollama's own client: ``generate(stream=True)``, its parts stamped as they come."""
    import ollama  # noqa: PLC0415 - optional

    clients: dict[str, ollama.AsyncClient] = {}

    async def ask(url: str, body: bytes) -> Seen:
        if url not in clients:
            clients[url] = ollama.AsyncClient(url, trust_env=False)
        words = json.loads(body)
        request_ns = time.monotonic_ns()
        chunks = []
        async for part in await clients[url].generate(
            words["model"], words["prompt"], stream=True, options=words["options"]
        ):
            at_ns = time.monotonic_ns()
            if part.response:
                chunks.append(at_ns)
        return Seen(request_ns, tuple(chunks), time.monotonic_ns())

    async with AsyncExitStack() as stack:
        yield Subject(ask, lambda: "ollama parts")
        for client in clients.values():
            await stack.enter_async_context(client)  # closes it


# client -> the package whose version it has, and how it is opened
CLIENTS: dict[str, tuple[str, Opener]] = {
    "tandembench": ("tandembench", SUBJECTS["client"]),
    "httpx": ("httpx", SUBJECTS["control"]),
    "aiohttp": ("aiohttp", open_aiohttp),
    "ollama": ("ollama", open_ollama),
}


def installed() -> tuple[dict[str, str], list[str]]:
    """The versions of the clients that are here, and the names of those that are not."""
    result: dict[str, str] = {}
    for name, (package, _) in CLIENTS.items():
        try:
            result[name] = version(package)
        except PackageNotFoundError:
            continue
    return result, [name for name in CLIENTS if name not in result]


def measure(names: Sequence[str], requests: int) -> dict[str, Findings]:
    """What the clients ``names`` saw, ``requests`` (rounded up) of each on the exact schedule."""
    rounds = math.ceil(requests / (STREAMS * IN_TURN))
    phases = [
        Phase("two", 0, "exact", streams=STREAMS, requests=IN_TURN, rounds=rounds),
        Phase("flood", 0, "flood", streams=STREAMS, requests=1, rounds=3),
        Phase("paced", 0, "paced", streams=STREAMS, requests=1, rounds=3),
    ]
    return measure_clients({name: CLIENTS[name][1] for name in names}, phases, 0)


def row(name: str, known: str, result: Findings) -> dict[str, Any]:
    """One client's figures; errors in microseconds."""
    errors = {f"{key}_error_us": asdict(result.errors["two"][key]) for key in ERRORS}
    return {
        "client": name,
        "version": known,
        **errors,
        "tokens_per_s_sustained": statistics.median(result.rates),
        "cpu_s_per_10k_tokens": statistics.median(result.cpu),
        "clock": result.clock,
        "requests": len(result.seen),
    }


def aiperf_row(program: str, requests: int) -> dict[str, Any]:
    """aiperf's figures; what its records do not tell is None."""
    errors = measure_aiperf(program, requests)
    return {
        "client": "aiperf",
        "version": release(program),
        **{f"{key}_error_us": asdict(errors[key]) for key in ERRORS},
        "tokens_per_s_sustained": None,
        "cpu_s_per_10k_tokens": None,
        "clock": "aiperf records",
        "requests": errors["ttft"].n,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    head = ["client", "version", *ERRORS.values(), "tokens/s", "CPU s per 10k tokens", "n"]
    lines = [head, ["---"] * len(head)]
    for one in rows:
        rate, cpu = one["tokens_per_s_sustained"], one["cpu_s_per_10k_tokens"]
        figures = "-" if rate is None else f"{rate:,.0f}", "-" if cpu is None else f"{cpu:.2f}"
        spreads = [_cell(Spread(**one[f"{key}_error_us"])) for key in ERRORS]
        lines.append([one["client"], one["version"], *spreads, *figures, str(one["requests"])])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(spread: Spread) -> str:
    return " / ".join(
        "-" if value is None else f"{value:,.0f}" for value in (spread.median, spread.p99)
    )


@click.command()
@click.option("--requests", default=100, show_default=True, help="Requests of each client.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def main(requests: int, style: str) -> None:
    """Measure the errors of the HTTP clients that are installed, by turns."""

    def tell(line: str) -> None:
        click.echo(line, err=True)

    result, missing = installed()
    skipped = {name: f"python -m pip install {CLIENTS[name][0]}" for name in missing}
    aiperf = program()
    if aiperf is None:
        skipped["aiperf"] = "python -m pip install aiperf (best in an environment of its own)"
    for name, fix in skipped.items():
        tell(f"skipped: {name} is not installed; {fix}")
    try:
        with exclusive("benchmarks/clients.py", tell):
            load = os.getloadavg()[0]
            measured = measure(list(result), requests)
            rows = [row(name, known, measured[name]) for name, known in result.items()]
            if aiperf is not None:
                tell("aiperf: starts slowly")
                rows.append(aiperf_row(aiperf, requests))
    except (TandemError, RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
        raise click.ClickException(str(error)) from None
    if style == "json":
        click.echo(json.dumps({"load_before": load, "clients": rows, "skipped": skipped}, indent=2))
        return
    click.echo(table(rows))
    click.echo(f"\nErrors: median / p99. Load average before: {load:.2f}.")


if __name__ == "__main__":
    main()
