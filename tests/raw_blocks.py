"""Raw rows of run files whose true values are known by construction, and datasets of them.

``block`` makes the rows of one config in one round, ``side_by_side`` a block of several configs.
An execution of duration d spends 0.2 d on its first token, 0.7 d on decoding and 0.1 d on the
rest, in each of its steps; stamps are whole nanoseconds.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tandembench.dataset.aggregate import aggregate_phase
from tandembench.dataset.build import build_dataset
from tandembench.files import write_text
from tandembench.study.spec import TABLES, digest
from tandembench.tables.columns import BLOCK, KEYS, RUN_FILE
from tandembench.tables.parquet import write_table

Row = dict[str, Any]
NAMES = ("collector", "insight", "third", "fourth", "fifth")
START = datetime(2026, 11, 22, 17, 30, tzinfo=UTC)
MACHINE = {
    "cpu": "A CPU",
    "cores": 2,
    "memory_bytes": 2**34,
    "system": "Linux",
    "kernel": "6.1",
    "architecture": "x86_64",
    "python": "3.11.7",
    "clients": {"httpx": "0.28.1", "httpcore": "1.0.9", "h11": "0.16.0"},
    "load_1min": 0.1,
}
# As a calibration file says; load averages are beside it.
CALIBRATED_MACHINE = {key: value for key, value in MACHINE.items() if key != "load_1min"}
# What a row holds even if its servers never stood.
_OF_STUDY = {
    *(column.name for column in (*KEYS, *BLOCK)),
    *("agent", "agent_index", "model", "options_asked", "max_tokens", "mode"),
} - {"block_s", "position"}


def block(
    config_id: str = "dual",
    solo: Sequence[float] = (1.0, 1.0),
    shared: Sequence[float] | None = None,
    *,
    topology: str | None = None,
    starts: Sequence[float] | None = None,
    tokens: Sequence[int] | int = 8,
    steps: int = 1,
    between_s: float = 0.0,
    workload: str = "w1",
    **changes: Any,
) -> list[Row]:
    """One run and its solos: agent i takes ``solo[i]`` s alone and ``shared[i]`` s in the run.

    The run's agents start at ``starts``, by default together, and in ``serial`` one after the
    other; ``tokens`` are per step (of one agent or all), ``between_s`` seconds lie between two
    steps. The topology is the first word of the id unless given; the comparison is called after
    the workload. ``changes`` hold for every row.
    """
    topology = topology or config_id.split("-", maxsplit=1)[0]
    shared = solo if shared is None else shared
    serial = topology == "serial"
    pause = between_s * (steps - 1)
    if starts is None:
        starts = [sum(shared[:i]) + i * pause if serial else 0.0 for i in range(len(shared))]
    counts = [tokens] * len(solo) if isinstance(tokens, int) else list(tokens)
    modes = [("concurrent", shared, starts)]
    if len(solo) > 1:
        modes.insert(0, ("solo", solo, [0.0] * len(solo)))
    rows = []
    for mode, durations, begins in modes:
        for index, duration in enumerate(durations):
            row = _row(config_id, topology, index, len(solo), mode, max(counts), workload)
            row["position"] = index if mode == "solo" else len(modes) // 2 * len(solo)
            row["steps"] = [
                a_step(begins[index] + k * (duration / steps + between_s), duration / steps, count)
                for k, count in enumerate([counts[index]] * steps)
            ]
            rows.append(row | changes)
    return rows


def side_by_side(
    *configs: Sequence[Row], rounds: int = 1, twin: str | None = None, **changes: Any
) -> list[Row]:
    """One block of several configs: each as ``block`` made it, in every round, in this order.

    Their solos are of round 1 alone, and none where ``serial`` shares the server. The config of
    the id ``twin`` comes once more at the end of each round, on servers of its own.
    """
    served_alone = {
        row["deployment"] for rows in configs for row in rows if row["topology"] == "serial"
    }
    again = [
        [row | {"twin": True, "deployment": f"{row['deployment']}-twin"} for row in of_twin]
        for of_twin in (where(rows, "concurrent") for rows in configs)
        if of_twin[0]["config_id"] == twin
    ]
    rows: list[Row] = []
    position = 0
    for number in range(1, rounds + 1):
        for of_config in (*configs, *again):
            places = sorted({row["position"] for row in of_config})
            for place in places:
                turn = [row for row in of_config if row["position"] == place]
                needless = number > 1 or turn[0]["deployment"] in served_alone
                if turn[0]["mode"] == "solo" and needless:
                    continue
                rows += [row | {"round": number, "position": position} | changes for row in turn]
                position += 1
    return rows


def calibration(
    session: str = "s1", stamp_us: float = 20.4, control: float = 10.0, **changes: Any
) -> Row:
    """What a calibration file holds; plain httpx is ``control`` times as far off."""

    def figures(factor: float) -> Row:
        def spread(median: float, n: int) -> Row:
            p99 = 3 * median * factor if n >= 662 else None
            return {"median": median * factor, "p99": p99, "n": n}

        return {
            "token_stamp_error_us": spread(stamp_us, 720),
            "ttft_error_us": spread(30.6, 36),
            "gap_error_us": spread(4.0, 684),
            "duration_error_us": spread(25.0, 36),
            "busy_loop_token_stamp_error_us": spread(17.0, 720),
            "tokens_per_s_sustained": 37730,
            "cpu_s_per_10k_tokens": 0.7 * factor,
            "clock": "kernel",
        }

    return {
        **figures(1.0),
        "control": figures(control),
        "session": session,
        "when": "2026-11-22T17:20:31+00:00",
        "seconds": 27.6,
        "load_before": 0.12,
        "load_after": 0.98,
        "machine": CALIBRATED_MACHINE,
        **changes,
    }


def a_step(start_s: float, duration_s: float, tokens: int) -> Row:
    """One LLM call with a chunk for every token, evenly spaced."""
    first, last = start_s + 0.2 * duration_s, start_s + 0.9 * duration_s
    gaps = max(tokens - 1, 1)
    stamps = [first + (last - first) * k / gaps for k in range(tokens)] if tokens > 1 else [last]
    return {
        "request_ns": round(start_s * 1e9),
        "chunk_ns": [round(stamp * 1e9) for stamp in stamps],
        "chunk_tokens": None,
        "end_ns": round((start_s + duration_s) * 1e9),
        "prompt_tokens": 100,
        "answer_tokens": tokens,
        "cached_tokens": 0,
        "stop_reason": "length",
        "load_s": None,
        "prompt_s": 0.15 * duration_s,
        "decode_s": 0.7 * duration_s,
        "error": None,
        "text": "word " * tokens,
    }


def failed(rows: Sequence[Row], agent: str, mode: str, reason: str) -> list[Row]:
    """The rows as they are written when one execution fails: all others go on."""
    broken = {"error": reason, "detail": "it broke"}
    return [row | broken if (row["agent"], row["mode"]) == (agent, mode) else row for row in rows]


def no_server(rows: Sequence[Row], reason: str = "server_start") -> list[Row]:
    """The rows as they are written when their servers never stood: nothing is known of them."""
    lost = {"error": reason, "detail": "no port"}
    unknown = dict.fromkeys(column.name for column in RUN_FILE if column.name not in _OF_STUDY)
    return [row | unknown | lost for row in where(rows, "concurrent")]


def where(rows: Sequence[Row], mode: str | None = None, agent: str | None = None) -> list[Row]:
    """The rows of one mode, or of one agent."""
    return [row for row in rows if mode in (None, row["mode"]) and agent in (None, row["agent"])]


def rounds(repetitions: int, *one_round: Sequence[Row], **changes: Any) -> list[list[Row]]:
    """The same blocks once a repetition, as measured in turn."""
    return [
        [row | {"repetition": repetition} | changes for row in rows]
        for rows in one_round
        for repetition in range(1, repetitions + 1)
    ]


def scaled(rows: Sequence[Row], factor: float) -> list[Row]:
    """The block with its run (not its solos) stretched ``factor`` times."""

    def stretched(step: Row) -> Row:
        ends = {key: round(step[key] * factor) for key in ("request_ns", "end_ns")}
        return step | ends | {"chunk_ns": [round(stamp * factor) for stamp in step["chunk_ns"]]}

    return [
        row | {"steps": [*map(stretched, row["steps"])]} if row["mode"] == "concurrent" else row
        for row in rows
    ]


def unsteady(rows: Sequence[Row], *factors: float) -> list[list[Row]]:
    """One block a repetition, each run stretched by its own factor."""
    return [
        [row | {"repetition": number} for row in scaled(rows, factor)]
        for number, factor in enumerate(factors, start=1)
    ]


def write_run_file(
    path: Path,
    rows: Sequence[Row],
    machine: Mapping[str, Any] = MACHINE,
    spec: Mapping[str, Any] | None = None,
) -> Path:
    """One run file, as the run command writes it, of ``spec`` or one that fits the rows."""
    note = {"spec": {**(spec or spec_of(rows)), "repetition": rows[0]["repetition"]}}
    note["machine"] = machine
    write_table(path, "raw executions of one block", RUN_FILE, rows, note)
    return path


def spec_of(rows: Sequence[Row]) -> Row:
    """As much of the RunSpec of a block as its run file is held against."""
    configs = [{"id": one} for one in dict.fromkeys(row["config_id"] for row in rows)]
    return {"code": "c0de", "comparison": rows[0]["comparison"], "configs": configs}


def block_name(rows: Sequence[Row]) -> str:
    """Where the run file of a block lies below the folder of run files."""
    session, comparison, repetition = (
        rows[0][of] for of in ("session", "comparison", "repetition")
    )
    return f"{session}/{comparison}.r{repetition}.{digest(spec_of(rows))}.parquet"


def write_block(runs: Path, rows: Sequence[Row], machine: Mapping[str, Any] = MACHINE) -> Path:
    """The same under its own name below ``runs``."""
    return write_run_file(runs / block_name(rows), rows, machine)


def write_json(folder: Path, name: str, content: Mapping[str, Any]) -> Path:
    """``content`` in a file whose name, ``{}`` in ``name``, holds its digest."""
    path = folder / name.format(digest(content))
    write_text(path, json.dumps(content))
    return path


def write_calibration(path: Path, content: Row) -> Path:
    """A calibration file, as the command writes it."""
    sealed = content | {"file": path.name}
    write_text(path, json.dumps(sealed | {"digest": digest(sealed)}))
    return path


def write_dataset(
    folder: Path,
    blocks: Sequence[Sequence[Row]],
    phases: Mapping[str, Sequence[str]] | None = None,
    machines: Sequence[Mapping[str, Any]] = (MACHINE,),
    calibrations: Sequence[Row] = (),
    **study: Any,
) -> Path:
    """Run files -> phases -> dataset under ``folder``, by the commands' own functions.

    All configs belong to the phase ``main`` unless ``phases`` says otherwise; the i-th block is
    measured on the i-th of ``machines``, in turn; ``calibrations`` are written as such files;
    ``study`` overrides what the manifest says.
    """
    phases = phases or {"main": list(dict.fromkeys(rows[0]["config_id"] for rows in blocks))}
    shared = {"study": "test", "session": "s1", "analysing_code": "ana1ys1s"}
    listing = []
    for phase, configs in phases.items():
        files: dict[str, list[Row]] = {}
        compared: dict[str, dict[str, None]] = defaultdict(dict)
        for number, rows in enumerate(blocks):
            if rows[0]["config_id"] in configs:
                for row in rows:
                    compared[row["comparison"]][row["config_id"]] = None
                # Attempts at a block stand in one file.
                path = str(folder / "runs" / block_name(rows))
                files[path] = [*files.get(path, ()), *rows]
                write_run_file(Path(path), files[path], machines[number % len(machines)])
        asked = {**shared, "phase": phase, "run_files": list(files)}
        manifest = write_json(folder / "phases", f"{phase}.{{}}.manifest.json", asked)
        tables = str(manifest).removesuffix(".manifest.json")
        aggregate_phase(manifest, *(Path(f"{tables}{end}") for end in TABLES))
        listing.append(
            {
                "name": phase,
                "title": f"Phase {phase}",
                "manifest": str(manifest),
                "tables": tables,
                "comparisons": [
                    {"id": id_, "rounds": 1, "configs": [*ids]} for id_, ids in compared.items()
                ],
                "configs": list(configs),
            }
        )
    files = []
    for one in calibrations:
        path = folder / f"calibration/{one['session']}.{digest(one)}.json"
        files.append(str(write_calibration(path, one)))
    content = {
        **shared,
        "calibrations": files,
        "title": "A test study",
        "repetitions": 3,
        "order": "random",
        "seed": 1,
        "margin": 0.05,
        "reference": "serial",
        "criteria": [],
        "baselines": [],
        "engine": "embedded",
        "phases": listing,
    }
    build_dataset(write_json(folder, "manifest.{}.json", content | study), folder / "dataset")
    return folder / "dataset"


def _row(
    config_id: str, topology: str, index: int, n: int, mode: str, tokens: int, workload: str
) -> Row:
    dual = topology == "dual"
    return {
        "session": "s1",
        "comparison": workload,
        "repetition": 1,
        "round": 1,
        "config_id": config_id,
        "twin": False,
        "attempt": 1,
        "scenario": "chimera_homo",
        "topology": topology,
        "n_agents": n,
        "work_policy": "fixed",
        "engine": "embedded",
        "workload": workload,
        "content": hashlib.sha256(f"{topology}/{workload}".encode()).hexdigest()[:12],
        "started_at": START + timedelta(seconds=index),
        "block_s": 9.5,
        "deployment": topology if dual or topology == "single_parallel" else "one-slot",
        "placement": "together",
        "invocation": "inv1",
        "boot_id": "boot1",
        "agent": NAMES[index],
        "agent_index": index,
        "mode": mode,
        "endpoint": f"http://127.0.0.1:{8000 + (index if dual else 0)}",
        "server": index if dual else 0,
        "server_life": None,
        "engine_version": "1.2.3",
        "model": "small-model",
        "model_digest": "ab" * 32,
        "options_asked": json.dumps({"num_ctx": 512, "temperature": 0.8}),
        "options_effective": json.dumps({"temperature": 0.8, "top_k": 40}),
        "num_ctx_effective": 512,
        "slots": n if topology == "single_parallel" else 1,
        "threads": 1 if dual else n,
        "wait_policy": "brief",
        "max_tokens": tokens,
        "work_effective": "fixed",
        "nonce": "000000000001",
        "seed": 1,
        "clock": "httpx_read",
        "client_cpu_s": 0.03,
        "loop_lag_s": 0.001,
        "foreign_cores": 0.02,
        "server_memory_bytes": 2**27 * (n if dual else 1),
        "model_bytes": None,
        "model_gpu_bytes": None,
        "prompt_words": 40,
        "nonce_policy": "shared",
        "process_unknown": None,
        "slept_s": 0.0,
        "clock_set_s": 0.0,
        "cold": False,
        "flags": None,
        "invalid": None,
        "error": None,
        "detail": None,
        "steps": None,
        "telemetry": None,
    }
