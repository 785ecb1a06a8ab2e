"""The numbers of a report are those of the tables, worked out another way."""

import numpy as np
import pandas as pd
import pytest
from raw_blocks import block, failed, unsteady, write_dataset
from report_scenes import AGAIN, DUAL, SERIAL, changed
from report_tables import percentage, t_interval, table

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.render import render


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("numbers")
    blocks = [
        *unsteady(SERIAL, 1.0, 0.98, 1.03),
        *unsteady(block("dual", (1.0, 0.7), (1.3, 1.2), tokens=(8, 12)), 1.0, 1.1, 0.95),
        *unsteady(block("single", (0.9, 0.8), (1.5, 1.6), steps=2, between_s=0.05), 1.0, 1.2, 1.05),
        *unsteady(AGAIN, 1.02, 1.07, 0.97),
        failed(changed(DUAL, repetition=4), "insight", "concurrent", "oom"),
    ]
    dataset = write_dataset(folder, blocks)
    text = render(details(load_dataset(dataset)))
    tables = (pd.read_parquet(dataset / f"{name}.parquet") for name in ("runs", "executions"))
    return text, *tables  # type: ignore[return-value]


def test_the_numbers_of_phases_are_those_of_the_tables(
    measured: tuple[str, pd.DataFrame, pd.DataFrame],
) -> None:
    text, runs, _ = measured
    own = dict(iter(runs[runs["valid"]].groupby("config_id")))
    rows = table(text, "| config | n |")
    assert [row[0] for row in rows] == ["serial", "dual", "single", "dual-again"]
    for config_id, n, speedup, efficiency, peak, ttft, rule in rows:
        group = own[config_id]
        assert (n, ttft) == ("3", "0/3")
        assert speedup == f"{group['speedup_estimate'].mean():.2f}"
        assert efficiency == percentage(group["efficiency_estimate"])
        assert peak == f"{100 * group['efficiency_estimate'].max():.1f} %"
        assert rule == f"{(group['speedup_estimate'] < 1.5).sum()}/3"
    for config_id, speedup, _, efficiency, slowdown, worst, contended, basis in table(
        text, "| config | speedup_true |"
    ):
        group = own[config_id]
        assert speedup == t_interval(np.log(group["speedup_true"]))
        assert efficiency == percentage(group["efficiency_true"])
        assert slowdown == t_interval(group["slowdown_log_mean"])
        assert worst == f"{group['slowdown_max'].max():.2f}"
        assert contended == ("yes" if config_id != "serial" else "not shown")
        assert basis == "paired"
    for config_id, *found in table(text, "| config | imbalance |"):
        parts = [f"imbalance_{part}" for part in ("loss", "token", "rate", "first_token", "rest")]
        parts += ["sequencing_loss", "orchestration_loss"]
        assert found == [percentage(own[config_id][part], 2) for part in parts]
    for config_id, *found in table(text, "| config | unequal work |"):
        parts = ["work_imbalance", "sequencing_loss", "queueing", "contention"]
        parts.append("orchestration_true")
        assert found == [percentage(own[config_id][part], 2) for part in parts]
        loss = 100 * (1 - own[config_id]["efficiency_true"].mean())
        assert sum(float(cell[:-2]) for cell in found) == pytest.approx(loss, abs=0.03)
