"""GPUs through NVML: what is asked, with a driver of the test's own, and none where there is none.

No GPU of any kind was at hand: what a real driver answers is not tested here.
"""

from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from tandembench.measure.gpu import open_gpus, throttle_reasons


class Use:
    gpu = 37


class Memory:
    used = 5_000_000_000


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """One GPU that answers NVML's questions; what is taken out of it is not supported."""
    answers: dict[str, Any] = {
        "nvmlDeviceGetUtilizationRates": Use(),
        "nvmlDeviceGetMemoryInfo": Memory(),
        "nvmlDeviceGetPowerUsage": 123_456,
        "nvmlDeviceGetClockInfo": 1980,
        "nvmlDeviceGetTemperature": 61,
        "nvmlDeviceGetCurrentClocksEventReasons": (
            pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonGpuIdle
        ),
    }
    opened: list[str] = []

    def answer(name: str) -> Any:
        def asked(handle: str, *_: int) -> Any:
            assert handle == "handle 0"
            if name not in answers:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return answers[name]

        return asked

    for name in list(answers):
        monkeypatch.setattr(pynvml, name, answer(name))
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: opened.append("open"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: opened.append("shut"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 1)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: f"handle {index}")
    yield answers
    assert opened == ["open", "shut"]


def test_a_gpu_tells_in_the_units_of_the_table(driver: dict[str, Any]) -> None:
    with open_gpus() as gpus:
        assert gpus() == [
            {
                "subject": "gpu 0",
                "utilisation": 0.37,
                "memory_bytes": 5_000_000_000,
                "power_w": 123.456,
                "clock_mhz": 1980,
                "temperature_c": 61,
                "throttle": "SwPowerCap",
            }
        ]


def test_what_a_gpu_does_not_support_is_not_known(driver: dict[str, Any]) -> None:
    driver.clear()
    with open_gpus() as gpus:
        (found,) = gpus()
    assert found.pop("subject") == "gpu 0"
    assert set(found.values()) == {None}


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)
    with open_gpus() as gpus:
        assert gpus() == []


def test_reasons_have_names_and_idle_is_none() -> None:
    both = pynvml.nvmlClocksEventReasonHwSlowdown | pynvml.nvmlClocksEventReasonSwThermalSlowdown
    assert throttle_reasons(both) == "HwSlowdown, SwThermalSlowdown"
    assert throttle_reasons(pynvml.nvmlClocksEventReasonGpuIdle) == ""
    assert throttle_reasons(0) == ""
