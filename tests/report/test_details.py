"""Dataset -> findings: what the report knows of runs, servers, times and its instrument."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from raw_blocks import (
    MACHINE,
    START,
    block,
    calibration,
    failed,
    no_server,
    rounds,
    unsteady,
    where,
    write_dataset,
)
from report_tables import table
from reporting import findings, holding, second_page

from tandembench.analysis.groups import Share
from tandembench.analysis.instrument import gaps, latencies
from tandembench.analysis.measured import hours
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.details import details
from tandembench.report.write import page_two

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
SERIAL, DUAL, SINGLE = (block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25)), block("single"))


@pytest.mark.parametrize(
    ("factors", "reading", "contended"),
    [
        ((1.0, 1.0, 1.0), "overstates", Share(1, 1)),
        ((1.0, 1.02, 0.99), "overstates", Share(1, 1)),
        ((0.8, 0.8, 0.8), "right", Share(0, 1)),
        ((0.4, 0.4, 0.4), "understates", Share(0, 1)),
        ((0.3, 0.8, 2.0), "cannot_tell", Share(0, 1)),
        ((1.0,), "cannot_tell", None),
    ],
)
def test_the_estimator_and_contention_against_the_truth(
    tmp_path: Path, factors: Sequence[float], reading: str, contended: Share | None
) -> None:
    found = findings(tmp_path, unsteady(DUAL, *factors))
    (one,) = found.estimator
    assert one.reading == reading
    assert one.estimate is not None
    assert one.estimate.mean == pytest.approx(2.0)
    row = found.configs["dual"]
    assert (row["reading"], row["contended"]) == (reading, contended)


def test_without_a_solo_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    found = findings(tmp_path, [*rounds(2, block("single", (1.0,))), no_server(DUAL)])
    assert [(one.config_id, one.reading) for one in found.estimator] == [
        ("single", None),
        ("dual", None),
    ]


def test_the_true_loss_of_serial_is_unknown_without_its_solos(tmp_path: Path) -> None:
    rows = block("serial")
    where(rows, "concurrent", "insight")[0]["steps"][0]["answer_tokens"] = 17
    row = findings(tmp_path, [rows]).configs["serial"]
    assert (row["sequencing_loss"], row["true_sequencing"]) == (0.5, None)
    assert row["speedup_true"] is None


def test_servers_are_told_apart_by_topology_and_agents(tmp_path: Path) -> None:
    blocks = [no_server(SINGLE), block("single-c", num_ctx_effective=1024), SERIAL, DUAL]
    blocks.append(block("single-3", (1.0,) * 3))
    found = findings(tmp_path, blocks)
    assert [
        tuple(row[name] for name in ("topology", "n_agents", "threads", "num_ctx_effective"))
        for row in found.measured.servers
    ] == [
        ("serial", 2, "2", "512"),
        ("single", 2, "2", "1024"),
        ("single", 3, "3", "512"),
        ("dual", 2, "1", "512"),
    ]
    assert (found.measured.clocks, found.measured.prompt_tokens) == ("httpx_read", "100")
    other = {**MACHINE, "cpu": "Another"}
    text = second_page(tmp_path / "b", rounds(2, DUAL), machines=[MACHINE, other])
    assert [row[0] for row in table(text, "| processor |")] == ["A CPU", "Another"]
    assert [row[0] for row in table(text, "| engine or model |")] == ["embedded", "small-model"]


def test_attempts_configs_and_sessions_are_counted(tmp_path: Path) -> None:
    broken = failed(DUAL, "insight", "concurrent", "deadline")
    second = [row | {"attempt": 2, "session": "s2"} for row in DUAL]
    found = findings(tmp_path, [broken, second, SINGLE, no_server(SERIAL)])
    facts = found.measured
    assert (facts.attempts, facts.valid, facts.configs) == (4, 2, 3)
    assert (facts.void_configs, facts.sessions) == (("serial",), ("s1", "s2"))
    reasons = ["insight concurrent: deadline", "collector concurrent: server_start"]
    assert [row["reason"] for row in found.failures] == reasons
    assert [row["detail"] for row in found.failures] == ["it broke", "no port"]


@pytest.mark.parametrize(
    ("last", "when"),
    [
        (datetime(2026, 11, 22, 18, 5, tzinfo=UTC), "2026-11-22 17:30 to 18:05 UTC"),
        (datetime(2026, 11, 23, 1, 5, tzinfo=UTC), "2026-11-22 17:30 to 2026-11-23 01:05 UTC"),
    ],
)
def test_when_says_the_day_of_the_end_if_it_is_another(
    tmp_path: Path, last: datetime, when: str
) -> None:
    blocks = [DUAL, [row | {"repetition": 2, "started_at": last} for row in DUAL]]
    assert findings(tmp_path, blocks).measured.when == when


def test_a_phase_lists_its_configs_in_the_order_of_the_study(tmp_path: Path) -> None:
    phases = {"two": ["serial"], "one": ["single", "dual", "never-measured"]}
    found = findings(tmp_path, [DUAL, SERIAL, SINGLE], phases=phases)
    assert [(one.name, one.shown) for one in found.phases] == [
        ("two", ("serial",)),
        ("one", ("single", "dual", "never-measured")),
    ]
    never = found.configs["never-measured"]
    assert (never["n"], never["speedup_estimate"]) == (0, None)


# Gaps


def test_gaps_are_between_the_chunks_of_one_step_of_a_valid_run(tmp_path: Path) -> None:
    # two steps of 1 s, 5 s apart: three chunks each, from 0.2 to 0.9 s
    rows = block("dual", (2.0, 2.0), tokens=3, steps=2, between_s=5.0)
    lost = [row | {"repetition": 2} for row in failed(rows, "insight", "concurrent", "reset")]
    data = load_dataset(write_dataset(tmp_path, [rows, lost]))
    found = gaps(data.tokens, data.runs)
    assert found["gap_s"].to_list() == pytest.approx([0.35] * (2 * 2 * 2 * 2))
    assert set(found["agent"]) == {"collector", "insight"}
    # an older dataset has no tokens
    for none in (data.tokens.iloc[:0], data.tokens.iloc[:0, :0]):
        assert {row["kind"] for row in latencies(data.executions, none, data.runs)} == {"first"}


def test_percentiles_of_gaps_stand_where_there_are_enough(tmp_path: Path) -> None:
    found = findings(tmp_path / "a", rounds(2, block("dual", (1.0, 2.0), (2.0, 4.0), tokens=8)))
    # 0.7 d over 7 gaps, 14 gaps an agent and mode
    waits, alone, together = found.latencies[1:]
    assert (waits["kind"], waits["mode"], waits["n"]) == ("first", "concurrent", 4)
    assert waits["max_s"] == pytest.approx(0.8)
    assert (alone["mode"], alone["n"], alone["p90_s"], alone["p99_s"]) == ("solo", 28, None, None)
    assert (alone["p50_s"], alone["max_s"]) == (pytest.approx(0.15), pytest.approx(0.2))
    assert (together["mode"], together["max_s"]) == ("concurrent", pytest.approx(0.4))
    # 661 and 662 gaps in the run, one agent each
    blocks = [block(f"dual-{n}", (1.0,), tokens=n + 1) for n in (661, 662)]
    data = load_dataset(write_dataset(tmp_path / "b", blocks))
    few, enough = (
        row
        for row in latencies(data.executions, data.tokens, data.runs)
        if row["kind"] == "gap" and row["mode"] == "concurrent"
    )
    assert (few["n"], few["p99_s"]) == (661, None)
    values = gaps(data.tokens, data.runs).query("config_id == 'dual-662'")["gap_s"]
    assert enough["p99_s"] == pytest.approx(np.quantile(values, 0.99))


# Timeline


def at(rows: Sequence[Row], minutes: float, **changes: Any) -> list[Row]:
    """The block, started so many minutes after the first."""
    return [row | {"started_at": START + timedelta(minutes=minutes)} | changes for row in rows]


PHASES = {"first": ["dual"], "second": ["single"]}
PAIR = (block("dual"), SINGLE)


def test_phases_have_their_times(tmp_path: Path) -> None:
    one, two = PAIR
    blocks = [
        at(one, 0, block_s=60.0),
        at(failed(two, "insight", "solo", "oom"), 2, block_s=30.0),
        at(two, 3, attempt=2, block_s=60.0),
        at(no_server(one), 70, repetition=2, invocation="inv2"),
        at(one, 71, repetition=2, attempt=2, invocation="inv2", block_s=90.0),
        at(two, 24 * 60, session="s2", invocation="inv3", block_s=60.0),
    ]
    found = findings(tmp_path, blocks, phases=PHASES)
    assert table(page_two(found), "| phase | session |") == [
        ["first", "s1", "2026-11-22 17:29", "2026-11-22 18:41", "1:12:00", "3", "2", "1", "2"],
        ["second", "s1", "2026-11-22 17:31", "2026-11-22 17:33", "0:01:30", "2", "2", "0", "1"],
        ["second", "s2", "2026-11-23 17:29", "2026-11-23 17:30", "0:01:00", "1", "1", "0", "1"],
    ]
    took = found.timeline
    # 150 of 209 s, 90 of 91 s, 60 of 60 s: starts to ends of the three invocations
    assert (took.inside, took.overlap) == ("0:05:00", True)
    hour, minute, second = map(int, took.elapsed.split(":"))
    assert took.share == pytest.approx(300 / (3600 * hour + 60 * minute + second), abs=0.01)


@pytest.mark.parametrize(
    ("minutes", "block_s", "overlap", "share"),
    [(1, 50.0, False, True), (1, 70.0, True, False), (-0.5, 60.0, True, False)],
    ids=["one after the other", "in turns", "a clock that was set back"],
)
def test_phases_in_turns_and_a_clock_that_was_set_back(
    tmp_path: Path, minutes: float, block_s: float, overlap: bool, share: bool
) -> None:
    blocks = [at(PAIR[0], 0, block_s=50.0), at(PAIR[1], minutes, block_s=block_s)]
    took = findings(tmp_path, blocks, phases=PHASES).timeline
    assert (took.overlap, took.share is not None, len(took.phases)) == (overlap, share, 2)


def test_servers_that_never_stood_took_no_time(tmp_path: Path) -> None:
    text = second_page(tmp_path, [at(no_server(PAIR[0]), 0)])
    assert table(text, "| phase | session |")[0][4:] == ["0:00:00", "1", "0", "1", "1"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (59.4, "0:00:59"), (59.6, "0:01:00"), (3599.7, "1:00:00"), (22500, "6:15:00")],
)
def test_hours(seconds: float, text: str) -> None:
    assert hours(seconds) == text


# The instrument


def test_sessions_are_calibrated_or_missing(tmp_path: Path) -> None:
    blocks = [rows for s in ("s1", "s2", "s3") for rows in rounds(1, block(), session=s)]
    files = [calibration("s3", stamp_us=30.0), calibration("s1"), calibration("s9", stamp_us=99.0)]
    found = findings(tmp_path / "a", blocks, calibrations=files).instrument
    assert [one.session for one in found.calibrations] == ["s1", "s3"]
    assert found.missing == ("s2",)
    assert found.worst
    assert found.worst.session == "s3"
    none = findings(tmp_path / "b", [block()]).instrument
    assert (none.calibrations, none.worst, none.missing) == ((), None, ("s1",))


@pytest.mark.parametrize(
    ("machine", "foreign"),
    [({}, ()), ({"cpu": "B"}, ("s1",)), ({"python": "3.13.1"}, ("s1",))],
    ids=str,
)
def test_a_calibration_is_of_a_machine(
    tmp_path: Path, machine: Row, foreign: tuple[str, ...]
) -> None:
    own = {key: value for key, value in MACHINE.items() if key != "load_1min"}
    files = [calibration(machine=own | machine)]
    assert findings(tmp_path, [block()], calibrations=files).instrument.foreign == foreign


def test_the_clients_share_is_of_all_cores_of_the_smallest_machine(tmp_path: Path) -> None:
    # runs of 1 s and 2 s, with 0.1 s of CPU each
    blocks = [
        rows
        for rows in (block("dual"), block("serial"), block("single", (4.0,)))
        for rows in rounds(1, rows, client_cpu_s=0.1)
    ]
    large = {**MACHINE, "cores": 4}
    for machines, most in (([MACHINE], 0.05), ([large], 0.025), ([large, MACHINE], 0.05)):
        found = findings(tmp_path / str(most + len(machines)), blocks, machines=machines)
        share = found.instrument.client_share
        assert share is not None
        assert (share.max, share.median, share.n) == (
            pytest.approx(most),
            pytest.approx(most / 2),
            3,
        )


def test_start_skew_is_of_those_that_start_together(tmp_path: Path) -> None:
    blocks = [
        *rounds(1, block("serial")),
        *(
            [row | {"repetition": n} for row in block("dual", starts=(0, us / 1e6))]
            for n, us in enumerate((100, 300, 900), start=1)
        ),
    ]
    skew = findings(tmp_path, blocks).instrument.start_skew
    assert skew is not None
    assert (skew.median, skew.p99, skew.max, skew.n) == (
        pytest.approx(300e-6),
        None,
        pytest.approx(900e-6),
        3,
    )


# Telemetry

GIB = 2**30
GPU = {"cores": None, "utilisation": 0.5, "power_w": 50.0, "temperature_c": 60.0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    lost = failed(block("single"), "insight", "concurrent", "oom")
    blocks = [*rounds(2, block("dual")), lost]
    return load_dataset(write_dataset(tmp_path_factory.mktemp("hardware"), blocks))


def sample(subject: str, mode: str = "concurrent", **values: Any) -> Row:
    """One sample of the first block, unless ``values`` say otherwise."""
    key = {"session": "s1", "comparison": "w1", "repetition": 1, "round": 1, "config_id": "dual"}
    none = dict.fromkeys(("clock_mhz", "utilisation", "power_w", "temperature_c", "throttle"))
    made = key | {"twin": False, "attempt": 1, "phase": "main", "mode": mode, "t_ns": 1000}
    made |= {"agent": "collector" if mode == "solo" else None, "subject": subject}
    return made | {"cores": 0.5, "memory_bytes": 2 * GIB} | none | values


def told(dataset: Dataset, *samples: Row) -> str:
    telemetry = pd.DataFrame(samples, columns=list(sample("client")))
    numbers = ("cores", "memory_bytes", "clock_mhz", "utilisation", "power_w", "temperature_c")
    telemetry = telemetry.astype(dict.fromkeys(numbers, float) | {"twin": bool})
    return page_two(details(holding(dataset, telemetry=telemetry)))


def test_means_and_peaks_by_subject_and_mode(dataset: Dataset) -> None:
    assert not table(page_two(details(dataset)), "| subject |")
    cores = [0.25, 0.5, 1.75]
    text = told(
        dataset,
        *(sample("server 0", cores=value, memory_bytes=k * GIB) for k, value in enumerate(cores)),
        sample("server 0", "solo", cores=1.5),
        sample("machine", cores=1.9, clock_mhz=2400.0),
        sample("machine", repetition=2, cores=1.1, clock_mhz=3000.0),
        sample("client", config_id="single", cores=9.0),  # of a run that failed
    )
    assert table(text, "| subject | agents |") == [
        ["server 0", "alone", "1", "1.50", "1.50", "2.00", "2.00", "-", "-"],
        ["server 0", "in the run", "3", "0.83", "1.75", "1.00", "2.00", "-", "-"],
        ["machine", "in the run", "2", "1.50", "1.90", "2.00", "2.00", "2700", "3000"],
    ]
    assert not table(text, "| GPU |")


def test_subjects_come_in_one_order(dataset: Dataset) -> None:
    subjects = ["server 2", "server 10", "client", "telemetry", "others", "machine", "gpu 0", "fan"]
    text = told(dataset, *map(sample, sorted(subjects)))
    assert [row[0] for row in table(text, "| subject | agents |")] == subjects


def test_a_gpu_has_a_table_of_its_own_and_its_texts_forge_nothing(dataset: Dataset) -> None:
    hostile = "gpu x | a\n# b `c`"
    text = told(
        dataset,
        sample("machine"),
        sample("gpu 1", "solo", **GPU),
        sample("gpu 1", **GPU | {"throttle": "sw_power_cap, hw_slowdown"}),
        sample("gpu 1", **GPU | {"throttle": "hw_slowdown", "power_w": 71.0, "utilisation": 0.9}),
        sample(hostile, **GPU, throttle=hostile),
    )
    steady = ["50.0 %", "50.0 %", "50", "50", "60", "60"]
    foreign, alone, shared = table(text, "| GPU |")
    assert alone == ["gpu 1", "alone", *steady, "none reported"]
    assert shared[2:] == ["70.0 %", "90.0 %", "60", "71", "60", "60", "hw_slowdown, sw_power_cap"]
    assert "\n# b" not in text
    assert (foreign[0], foreign[-1]) == (r"gpu x \| a \# b \`c\`",) * 2


def test_telemetry_says_what_it_cost(dataset: Dataset) -> None:
    of = (sample("telemetry", "solo", cores=0.001), sample("telemetry", cores=0.005))
    assert "0.3 % of one core" in told(dataset, *of, sample("client", cores=0.9))
