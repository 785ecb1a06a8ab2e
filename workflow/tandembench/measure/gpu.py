"""NVIDIA GPUs through NVML, where there are any.

Source: NVIDIA's NVML API reference; nvidia-ml-py is its binding by NVIDIA.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pynvml

# By bit: two of the names mean the same.
_REASONS = {
    value: name.removeprefix("nvmlClocksEventReason")
    for name, value in vars(pynvml).items()
    if name.startswith("nvmlClocksEventReason") and isinstance(value, int)
    # neither slows a GPU that has work to do
    if not name.endswith(("All", "None", "GpuIdle"))
}


@contextmanager
def open_gpus() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A function that samples every GPU; it finds none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield list
        return
    try:
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        yield lambda: [_sample(index, handle) for index, handle in enumerate(handles)]
    finally:
        pynvml.nvmlShutdown()


def _sample(index: int, handle: Any) -> dict[str, Any]:  # noqa: ANN401 - an opaque pointer
    def asked(question: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        with contextlib.suppress(pynvml.NVMLError):  # not supported by this GPU: not known
            return question(handle, *arguments)
        return None

    use = asked(pynvml.nvmlDeviceGetUtilizationRates)
    memory = asked(pynvml.nvmlDeviceGetMemoryInfo)
    milliwatts = asked(pynvml.nvmlDeviceGetPowerUsage)
    bits = asked(pynvml.nvmlDeviceGetCurrentClocksEventReasons)
    return {
        "subject": f"gpu {index}",
        "utilisation": None if use is None else use.gpu / 100,
        "memory_bytes": None if memory is None else int(memory.used),
        "power_w": None if milliwatts is None else milliwatts / 1000,
        "clock_mhz": asked(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM),
        "temperature_c": asked(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
        "throttle": None if bits is None else throttle_reasons(bits),
    }


def throttle_reasons(bits: int) -> str:
    """What holds the clocks down, by NVML's names, joined by ", "; "" if nothing does."""
    return ", ".join(sorted(name for bit, name in _REASONS.items() if bits & bit))
