"""`tandembench plan`: minutes until a ratio is decided, or is as precise as was asked for."""

import math

import numpy as np
import pytest
from runs_tables import SIDES, some_rounds, tables

from tandembench.analysis.findings import Next
from tandembench.errors import TandemError
from tandembench.plan import Planned, as_fraction, command, planned

MARGIN = 0.05


def rows(
    ratios: dict[str, float], precision: float | None = None, sd: float = 0.02, seed: int = 1
) -> dict[str, Planned]:
    random = np.random.default_rng(seed)
    logs = {name: math.log(ratio) + random.normal(0, sd, 12) for name, ratio in ratios.items()}
    runs, executions = tables(some_rounds(logs), SIDES)
    return {one.config_id: one for one in planned(runs, executions, MARGIN, "serial", precision)}


def test_what_is_decided_needs_no_more_and_what_is_open_needs_minutes() -> None:
    decided = rows({"serial": 1.0, "single": 1.0, "dual": 1.5})
    assert decided.keys() == {"single", "dual"}  # the reference is no ratio
    assert (decided["dual"].verdict, decided["dual"].step) == ("better", None)
    unclear = rows({"serial": 1.0, "single_parallel": 1.04}, sd=0.08)["single_parallel"]
    assert unclear.verdict == "inconclusive"
    assert unclear.step is not None
    assert unclear.step.minutes > 0
    assert (unclear.step.repetitions is None) != (unclear.step.sessions is None)


def test_a_precision_counts_whatever_is_decided_and_a_finer_one_takes_longer() -> None:
    assert rows({"serial": 1.0, "dual": 1.5}, precision=0.5)["dual"].step is None
    fine, finer = (
        rows({"serial": 1.0, "dual": 1.5}, precision=one, sd=0.06)["dual"] for one in (0.03, 0.01)
    )
    assert fine.step is not None
    assert finer.step is not None
    assert fine.half > 0.03
    assert finer.step.minutes > fine.step.minutes


def test_a_lone_config_is_an_error_with_a_fix() -> None:
    with pytest.raises(TandemError, match="side by side"):
        rows({"serial": 1.0})


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Next(3.0, 9, None, 0.02, "dual"), "repetitions=9"),
        (Next(12.0, None, 3, 0.02, "dual"), "session=s2"),
    ],
)
def test_the_command_of_a_step(step: Next, says: str) -> None:
    assert command(step, "config/a.yaml").endswith(f"--config {says}")


@pytest.mark.parametrize("text", ["0", "-1%", "60%", "three", "nan"])
def test_a_precision_is_a_percentage_or_a_fraction(text: str) -> None:
    with pytest.raises(TandemError, match="precision"):
        as_fraction(text)
    assert as_fraction("3%") == as_fraction("0.03") == pytest.approx(0.03)
