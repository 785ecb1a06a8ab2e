"""Telemetry by subject, agents alone and together; and a study without any."""

from dataclasses import replace
from statistics import fmean
from typing import Any

import pandas as pd
import pytest
from raw_blocks import block, failed, rounds, write_dataset
from report_tables import table

from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.details import details
from tandembench.report.render import render

Row = dict[str, Any]
GIB = 2**30
GPU = {"cores": None, "utilisation": 0.5, "power_w": 50.0, "temperature_c": 60.0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    lost = failed(block("single"), "insight", "concurrent", "oom")
    blocks = [*rounds(2, block("dual")), lost]
    return load_dataset(write_dataset(tmp_path_factory.mktemp("hardware"), blocks))


def sample(subject: str, mode: str = "concurrent", **values: Any) -> Row:
    """One sample of the first block, unless ``values`` say otherwise."""
    return {
        "session": "s1",
        "comparison": "w1",
        "repetition": 1,
        "round": 1,
        "config_id": "dual",
        "twin": False,
        "attempt": 1,
        "phase": "main",
        "mode": mode,
        "agent": "collector" if mode == "solo" else None,
        "t_ns": 1000,
        "subject": subject,
        "cores": 0.5,
        "memory_bytes": 2 * GIB,
        "clock_mhz": None,
        "utilisation": None,
        "power_w": None,
        "temperature_c": None,
        "throttle": None,
    } | values


def told(dataset: Dataset, *samples: Row) -> str:
    columns = list(sample("client"))
    telemetry = pd.DataFrame(samples, columns=columns).astype(
        dict.fromkeys(("cores", "memory_bytes", "clock_mhz"), float)
    )
    telemetry = telemetry.astype({"repetition": int, "round": int, "attempt": int, "twin": bool})
    return render(details(replace(dataset, telemetry=telemetry)))


def test_without_telemetry_there_is_no_section(dataset: Dataset) -> None:
    assert "Hardware utilisation" not in render(details(dataset))


def test_means_and_peaks_by_subject_and_mode(dataset: Dataset) -> None:
    cores = [0.25, 0.5, 1.75]
    text = told(
        dataset,
        *(sample("server 0", cores=value, memory_bytes=k * GIB) for k, value in enumerate(cores)),
        sample("server 0", "solo", cores=1.5),
        sample("machine", cores=1.9, clock_mhz=2400.0),
        sample("machine", repetition=2, cores=1.1, clock_mhz=3000.0),
    )
    rows = table(text, "| subject | agents |")
    mean = f"{fmean(cores):.2f}"
    assert rows == [
        ["server 0", "alone", "1", "1.50", "1.50", "2.00", "2.00", "-", "-"],
        ["server 0", "in the run", "3", mean, "1.75", "1.00", "2.00", "-", "-"],
        ["machine", "in the run", "2", "1.50", "1.90", "2.00", "2.00", "2700", "3000"],
    ]
    assert not table(text, "| GPU |")
    assert "Taking these samples" not in text


def test_subjects_come_in_one_order(dataset: Dataset) -> None:
    subjects = ["server 2", "server 10", "client", "telemetry", "others", "machine", "gpu 0", "fan"]
    text = told(dataset, *map(sample, sorted(subjects)))
    assert [row[0] for row in table(text, "| subject | agents |")] == subjects


def test_a_gpu_has_a_table_of_its_own(dataset: Dataset) -> None:
    text = told(
        dataset,
        sample("machine"),
        sample("gpu 1", "solo", **GPU),
        sample("gpu 1", **GPU | {"throttle": "sw_power_cap, hw_slowdown"}),
        sample("gpu 1", **GPU | {"throttle": "hw_slowdown", "power_w": 71.0, "utilisation": 0.9}),
    )
    steady = ["50.0 %", "50.0 %", "50", "50", "60", "60"]
    assert table(text, "| GPU |") == [
        ["gpu 1", "alone", *steady, "none reported"],
        [
            "gpu 1",
            "in the run",
            "70.0 %",
            "90.0 %",
            "60",
            "71",
            "60",
            "60",
            "hw_slowdown, sw_power_cap",
        ],
    ]


def test_telemetry_says_what_it_cost(dataset: Dataset) -> None:
    text = told(
        dataset,
        sample("telemetry", "solo", cores=0.001),
        sample("telemetry", cores=0.005),
        sample("client", cores=0.9),
    )
    assert "\nTaking these samples cost 0.3 % of one core.\n" in text


def test_samples_of_void_blocks_are_left_out(dataset: Dataset) -> None:
    lost = sample("client", config_id="single", cores=9.0)
    text = told(dataset, lost)
    assert "Hardware utilisation" not in text
    rows = table(told(dataset, lost, sample("client")), "| subject | agents |")
    assert [(row[2], row[4]) for row in rows] == [("1", "0.50")]


def test_foreign_text_in_samples_forges_nothing(dataset: Dataset) -> None:
    hostile = "gpu 0 | a\n# b `c`"
    text = told(dataset, sample(hostile, **GPU, throttle=hostile))
    assert "\n# b" not in text
    (row,) = table(text, "| GPU |")
    assert (row[0], row[-1]) == (r"gpu 0 \| a \# b \`c\`", r"gpu 0 \| a \# b \`c\`")
