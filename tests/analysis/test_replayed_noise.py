"""What a real machine made of 22 minutes of rounds, in stretches as long as a quick study.

Needs the shared folder that TANDEMBENCH_SHARED_DATA names; .ci/run sets it.
"""

import math

import numpy as np
import pytest
from authors_runs import shared
from runs_tables import SIDES, tables
from sittings import Noise, read_noise

from tandembench.analysis.answer import answer
from tandembench.analysis.findings import Answer, Estimate
from tandembench.analysis.levels import Side
from tandembench.analysis.rounds import Rounds

MARGIN = 0.05
BLOCKS, ROUNDS = 6, 4
STRETCH = BLOCKS * ROUNDS
# In that file each config had servers of its own.
OWN = {name: Side(name, side.threads, started=True) for name, side in SIDES.items()}


@pytest.fixture(scope="module")
def reference() -> Noise:
    return read_noise(shared("noise", "reference-2026-11-27.csv"))


def stretch(noise: Noise, first: int, length: int = STRETCH) -> Answer:
    """The answer of so many rounds from ``first`` on, as the machine made them."""
    part = slice(first, first + length)
    real = noise.logs.iloc[part] + {name: math.log(value) for name, value in noise.ratios.items()}
    table = Rounds(
        logs=real[[*OWN]].reset_index(drop=True),
        blocks=[("s1", place // ROUNDS) for place in range(len(real))],
        sessions=["s1"] * len(real),
        seconds=noise.seconds[part] - noise.seconds[first],
        disturbed=noise.disturbed[part],
    )
    again = real["dual-again"].to_numpy()
    return answer(*tables(table, OWN, twins={"dual": again}), MARGIN, "serial")


def test_the_long_run_is_what_the_folder_says(reference: Noise) -> None:
    assert reference.ratios["dual"] == pytest.approx(1.146, abs=0.001)
    assert reference.ratios["single"] == pytest.approx(0.977, abs=0.003)
    assert len(reference.seconds) == 198


def half_width(ratio: Estimate) -> float:
    return math.log(ratio.high / ratio.low) / 2


def test_every_stretch_names_dual_and_holds_its_mean_over_all_states(reference: Noise) -> None:
    """Whichever state of the machine it saw: its two values are 1.107 and 1.227."""
    for first in range(0, len(reference.seconds) - STRETCH + 1, ROUNDS):
        one = stretch(reference, first)
        against = one.row("dual").against
        assert (one.best, against.verdict) == ("dual", "better"), first
        assert against.ratio.low < 1.146 < against.ratio.high, first
        assert half_width(against.ratio) < 0.10


def test_every_stretch_holds_the_ratios_of_like_servers_and_twins(reference: Noise) -> None:
    """One start of each: single is 2 % slower than serial there, single_parallel 3 % faster."""
    widths = []
    for first in range(0, len(reference.seconds) - STRETCH + 1, STRETCH):
        one = stretch(reference, first)
        for name in ("single", "single_parallel"):
            ratio = one.row(name).against.ratio
            assert ratio.low < reference.ratios[name] < ratio.high
            widths.append(half_width(ratio))
        assert one.twin.verdict in ("equivalent", "inconclusive")
    assert np.median(widths) < 0.04


def test_the_whole_file_shows_both_states(reference: Noise) -> None:
    found = stretch(reference, 0, 198).states
    fast, slow = found.modes
    assert fast.makespan_s == pytest.approx(1.27, abs=0.03)
    assert slow.makespan_s == pytest.approx(1.47, abs=0.05)
    assert "dual" not in found.configs
    assert found.ratios[0].value == pytest.approx(1.107, abs=0.015)
    assert found.ratios[1].value == pytest.approx(1.227, abs=0.015)
