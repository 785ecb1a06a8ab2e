"""Calibration files -> the descriptor's instrument: what is taken, and what is refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, calibration, write_dataset

from tandembench.dataset import descriptor
from tandembench.dataset.calibrations import read_calibrations
from tandembench.dataset.load import load_dataset
from tandembench.errors import TandemError

Row = dict[str, Any]


def test_a_dataset_carries_its_calibrations_by_session(tmp_path: Path) -> None:
    files = [calibration("s2"), calibration("s1", stamp_us=11.0)]
    dataset = load_dataset(write_dataset(tmp_path, [block()], calibrations=files))
    assert dataset.descriptor["instrument"] == {"s1": files[1], "s2": files[0]}


def test_a_dataset_without_one_loads(tmp_path: Path) -> None:
    assert load_dataset(write_dataset(tmp_path, [block()])).descriptor["instrument"] is None


FAULTS: Mapping[str, Callable[[Row], object]] = {
    "a figure less": lambda one: one.pop("gap_error_us"),
    "a figure more": lambda one: one.update(luck=1),
    "a text": lambda one: one.update(seconds="28"),
    "below zero": lambda one: one["ttft_error_us"].update(median=-1.0),
    "no n": lambda one: one["control"]["ttft_error_us"].pop("n"),
    "nan": lambda one: one.update(load_before=float("nan")),
    "infinite": lambda one: one.update(tokens_per_s_sustained=float("inf")),
    "no id": lambda one: one.update(session="s1](x)\n# PASS"),
    "no time": lambda one: one.update(when="yesterday"),
    "no machine": lambda one: one.update(machine={}),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_file_that_is_no_calibration_is_refused(
    tmp_path: Path, fault: Callable[[Row], object]
) -> None:
    path = tmp_path / "s1.json"
    content = json.loads(json.dumps(calibration()))
    path.write_text(json.dumps(content))
    assert read_calibrations([str(path)]) == {"s1": content}
    fault(content)
    path.write_text(json.dumps(content))
    with pytest.raises(TandemError, match="no calibration") as caught:
        read_calibrations([str(path)])
    assert caught.value.exit_code == 3
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "s1.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TandemError, match="no calibration") as caught:
        read_calibrations([str(path)])
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "instrument",
    ["20 us", [], {"s2": calibration("s1")}, {"s1": calibration() | {"clock": ""}}],
    ids=["a text", "a list", "another session's", "no clock"],
)
def test_a_descriptor_with_a_made_up_instrument_is_refused(
    tmp_path: Path, instrument: object
) -> None:
    folder = write_dataset(tmp_path, [block()], calibrations=[calibration()])
    path = folder / "datapackage.json"
    content = descriptor.read_descriptor(folder) | {"instrument": instrument}
    # by someone who made the digest fit
    path.write_text(json.dumps(content | {"digest": descriptor._digest(content)}))
    with pytest.raises(TandemError, match="no calibration") as caught:
        load_dataset(folder)
    assert caught.value.exit_code == 3
