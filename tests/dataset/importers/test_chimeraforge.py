"""The authors' own result folders against the figures that their raw data gives.

The figures are those of the shared data's README, to their last digit.
"""

import csv
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from authors_runs import in_turn, on_one_server, rewritten, shared

from tandembench.dataset.baseline import import_runs
from tandembench.dataset.load import Dataset, load_dataset

OPTIONS = ("num_gpu", "num_ctx", "temperature")
IMBALANCE = ["imbalance_token", "imbalance_rate", "imbalance_first_token", "imbalance_rest"]


def test_tr114_gives_the_figures_of_its_raw_data(tr114: Dataset) -> None:
    runs = tr114.runs
    efficiency = 100 * runs["efficiency_estimate"]
    assert len(runs) == 150
    moments = efficiency.agg(["mean", "median", "std", "min", "max"]).round(4)
    assert moments.to_list() == [89.2626, 90.3689, 5.4551, 65.4549, 95.6797]
    by_phase = efficiency.groupby(runs["phase"]).mean().round(4).to_dict()
    assert by_phase == {"core": 89.3268, "temperature": 89.6760, "validation": 87.6370}
    assert round(100 * runs["orchestration_loss"].mean(), 4) == 0.0056
    assert round(100 * runs["imbalance_loss"].mean(), 4) == 10.7318
    assert int(runs["contention_speedup_rule"].sum()) == 9
    assert round(runs["wall_s"].mean(), 2) == 12.51


def test_the_client_of_each_report_is_named(tr114: Dataset, tr113: Dataset, tr110: Dataset) -> None:
    for runs, version in ((tr114.runs, "rust 1.90.0"), (tr113.runs, "rust 1.90.0")):
        assert set(runs["client_version"]) == {version}
        assert set(runs["client_platform"]) == {"windows x86_64"}
    # one process made the five runs of each config
    assert tr114.runs["process_run"].equals(tr114.runs["repetition"])
    assert tr110.runs[["client_version", "process_run"]].isna().all(axis=None)


def test_tr113_and_tr110_too(tr113: Dataset, tr110: Dataset) -> None:
    assert (len(tr113.runs), len(tr110.runs)) == (19, 150)
    assert round(100 * tr113.runs["efficiency_estimate"].mean(), 4) == 72.0070
    by_config = 100 * tr110.runs.groupby("config_id")["efficiency_estimate"].mean()
    assert round(100 * tr110.runs["efficiency_estimate"].mean(), 4) == 93.2139
    assert round(by_config.max(), 4) == 99.2508


def test_every_config_of_the_raw_matrix_is_there(tr114: Dataset) -> None:
    options = [json.loads(text) for text in tr114.executions["options_asked"]]
    asked = tr114.executions.assign(options=options).sort_values("agent_index")
    kept = Counter()
    for config_id, runs in tr114.runs.groupby("config_id"):
        agents = asked[asked["config_id"] == config_id].drop_duplicates("agent")
        efficiency = 100 * runs["efficiency_estimate"]
        kept[
            runs["scenario"].iloc[0],
            *(str(one.get(name, "default")) for one in agents["options"] for name in OPTIONS),
            str(len(runs)),
            str(int(runs["cold"].sum())),
            f"{efficiency.mean():.3f}",
            f"{efficiency.max():.3f}",
            str(int(runs["contention_speedup_rule"].sum())),
        ] += 1
    with shared("config_matrix_raw.csv").open(encoding="utf-8", newline="") as file:
        listed = Counter(
            (
                row["scenario"],
                *(row[f"{agent}_{name}"] for agent in "ab" for name in OPTIONS),
                row["runs"],
                row["cold_runs"],
                f"{float(row['eff_mean']):.3f}",
                f"{float(row['eff_max']):.3f}",
                row["contention"],
            )
            for row in csv.DictReader(file)
        )
    assert kept == listed


def test_durations_tokens_and_options_are_kept_to_the_last_digit(tr114: Dataset) -> None:
    source = shared("chimeraforge/tr114/phase3/chimera-hetero/gpu80_ctx512/run_2/metrics.json")
    content = json.loads(source.read_text(encoding="utf-8"))
    key = {"config_id": "validation-hetero-g80x80-c512x1024", "repetition": 2}
    run = tr114.runs.loc[(tr114.runs[list(key)] == pd.Series(key)).all(axis=1)].iloc[0]
    assert run["wall_s"] == content["summary"]["concurrent_wall_time_s"]
    assert run["speedup_estimate"] == pytest.approx(
        content["summary"]["concurrency_speedup"], rel=1e-12
    )
    executions = tr114.executions
    agents = executions.loc[(executions[list(key)] == pd.Series(key)).all(axis=1)]
    for _, row in agents.iterrows():
        agent = content[row["agent"]]
        (call,) = agent["result"]["individual_runs"]
        assert row["duration_s"] == agent["execution_time_s"]
        assert row["answer_tokens"] == call["tokens_generated"]
        assert row["ttft_s"] == pytest.approx(call["ttft_ms"] / 1000, rel=1e-12)
        options = json.loads(row["options_asked"])
        assert options["temperature"] == 0.8
        assert options["repeat_penalty"] == (1.1 if row["agent"] == "collector" else 1.05)
        assert row["endpoint"] == agent["config"]["base_url"]
    started = datetime(2025, 11, 13, 2, 0, 8, 372612, tzinfo=UTC)
    assert abs((run["started_at"] - started).total_seconds()) < 2e-6


def test_nothing_true_is_invented_and_no_host_is_named(
    tr114: Dataset, tr113: Dataset, tr110: Dataset
) -> None:
    for dataset, topology in ((tr114, "dual"), (tr113, "single"), (tr110, "dual")):
        runs = dataset.runs
        assert set(runs["topology"]) == {topology}
        assert set(runs["solo_basis"]) == {"none"}
        unknown = ["speedup_true", "makespan_ratio", "slowdown_max", "disturbed", "queueing"]
        assert runs[unknown].isna().all(axis=None)
        assert "hostname" not in json.dumps(dataset.descriptor)
        for file in dataset.folder.iterdir():
            assert b"DESKTOP" not in file.read_bytes()
        # each config is a comparison of one
        for table in (runs, dataset.executions):
            assert table["comparison"].equals(table["config_id"])
            assert (table["round"] == 1).all()
            assert not table["twin"].any()
    # sums over two calls do not tell decoding from the rest, nor the first call from the second
    assert tr110.runs[[*IMBALANCE, "throughput_delta_tokens_per_s"]].isna().all(axis=None)
    unknown = ["decode_s", "rest_s", "overlap_s", "ttft_s", "first_token_start_s", "service_order"]
    assert tr110.executions[unknown].isna().all(axis=None)
    assert (tr110.executions["n_steps"] == 2).all()
    parts = tr114.runs[IMBALANCE].sum(axis=1)
    assert parts.to_list() == pytest.approx(tr114.runs["imbalance_loss"].to_list(), abs=1e-12)


def test_first_tokens_count_from_the_first_request(tr114: Dataset) -> None:
    executions = tr114.executions
    key = ["config_id", "repetition"]
    # the agents begin some milliseconds apart
    late = executions["first_token_start_s"] - executions["ttft_s"]
    assert late.groupby([executions[name] for name in key]).min().abs().max() == 0
    assert 0 < late.max() < 0.1
    served = executions.sort_values([*key, "service_order"])
    assert served["service_order"].to_list() == [1, 2] * 150
    first, second = served["first_token_start_s"][::2], served["first_token_start_s"][1::2]
    assert (first.to_numpy() <= second.to_numpy()).all()


def test_while_both_decode_they_make_three_quarters_of_one(
    tr114: Dataset, tr113: Dataset, tr110: Dataset
) -> None:
    overall = tr114.rates[tr114.rates["scenario"].isna()].iloc[0]
    assert overall["gain_overlap"] == pytest.approx(0.76, abs=0.015)
    assert overall["gain_overlap_low"] < 0.76 < overall["gain_overlap_high"]
    by_scenario = tr114.rates.dropna(subset=["scenario"]).set_index("scenario")
    assert set(by_scenario.index) == set(tr114.runs["scenario"])
    gains = {"baseline_vs_chimera": 0.7555, "chimera_hetero": 0.7516, "chimera_homo": 0.7614}
    assert by_scenario["gain_overlap"].round(4).to_dict() == gains
    # One slot never serves two, and sums over two calls do not tell who decoded when.
    assert tr113.rates.empty
    assert tr110.rates.empty


def test_configs_are_called_as_the_published_baselines_call_them(
    repository: Path, tr114: Dataset, tr113: Dataset, tr110: Dataset
) -> None:
    for name, dataset in (("tr114", tr114), ("tr113", tr113), ("tr110", tr110)):
        with (repository / f"resources/baselines/{name}/1.0.0/published.csv").open(
            encoding="utf-8", newline=""
        ) as file:
            printed = {row["subject"] for row in csv.DictReader(file) if row["scope"] == "config"}
        ids = set(dataset.runs["config_id"])
        # TR114 prints another phase 3 than was run
        other = {"validation-homo-g80-c2048-t1.0"} if name == "tr114" else set()
        assert printed - ids == other, name


def test_the_same_configs_on_one_server_are_single(tmp_path: Path, tr114: Dataset) -> None:
    rewritten(tmp_path / "in", "{path}/{config}/{run}", on_one_server)
    ((made, _),) = import_runs("chimeraforge-rust", tmp_path / "in", "one", None, tmp_path)
    runs = load_dataset(made.folder).runs
    assert set(runs["topology"]) == {"single"}
    keys = ["config_id", "phase", "repetition", "workload", "wall_s", "cold"]
    assert runs[keys].equals(tr114.runs[keys])


def test_runtimes_are_a_factor_and_no_repeats(tmp_path: Path) -> None:
    runtimes = {"tokio-default": on_one_server, "async-std": in_turn}
    for name, change in runtimes.items():
        place = f"runtime-{name}/{{scenario}}_{{config}}/{{run}}/run_1"
        rewritten(tmp_path / "in", place, change, 30)
    ((made, _),) = import_runs("chimeraforge-rust", tmp_path / "in", "five", None, tmp_path)
    dataset = load_dataset(made.folder)
    runs = dataset.runs.groupby("runner")
    assert runs.size().to_dict() == dict.fromkeys(runtimes, 30)
    assert (
        runs["repetition"].agg(lambda column: sorted({*column})).to_list() == [[*range(1, 6)]] * 2
    )
    # each is a config of its own, of the same work
    assert dataset.runs["config_id"].nunique() == dataset.runs["content"].nunique() == 12
    assert dataset.runs["workload"].nunique() == 6
    assert set(runs.get_group("async-std")["process_run"]) == {1}
    # its agents never decode at once, and the wall time contains the wait
    beside = dataset.executions.merge(dataset.runs[["config_id", "runner"]].drop_duplicates())
    shared_s = beside.groupby("runner")["overlap_s"].sum()
    assert shared_s["async-std"] < 0.01 * shared_s["tokio-default"]
    assert runs["efficiency_estimate"].max()["async-std"] == pytest.approx(0.5)
