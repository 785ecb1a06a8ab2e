"""The studies that are shipped: Technical Report 114's configs, and the quick ones."""

import csv
import os
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from study_texts import REPOSITORY, read

from tandembench.study.expand import Study
from tandembench.study.spec import AgentSpec, Topology

OPTIONS = ("num_gpu", "num_ctx", "temperature")
PHASES = {"1": "core", "2": "temperature", "3": "validation"}


def shipped(name: str) -> Study:
    return read((REPOSITORY / f"config/{name}.yaml").read_text(encoding="utf-8"))


def test_phases_1_to_3_are_the_30_configs_of_technical_report_114() -> None:
    folder = os.environ.get("TANDEMBENCH_SHARED_DATA")
    if not folder:
        pytest.skip("TANDEMBENCH_SHARED_DATA names no folder with config_matrix_published.csv")
    with Path(folder, "config_matrix_published.csv").open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    study = shipped("study")

    def options(agent: AgentSpec) -> tuple[str, ...]:
        if not agent.options:
            return ("default", "default", "default")
        assert set(agent.options) == set(OPTIONS)
        return tuple(str(agent.options[name]) for name in OPTIONS)

    expanded = Counter(
        (one.phase, config.scenario, *options(config.agents[0]), *options(config.agents[1]))
        for one in study.comparisons
        for config in one.configs
        if one.phase in PHASES.values()
    )
    wanted = Counter(
        (
            PHASES[row["phase"]],
            row["scenario"],
            *(row[f"{agent}_{name}"] for agent in "ab" for name in OPTIONS),
        )
        for row in published
    )
    assert len(published) == 30
    assert expanded == wanted
    assert {row["runs"] for row in published} == {str(study.repetitions)}


def test_what_tr114_measured_stands_alone_and_the_topologies_are_compared() -> None:
    study = shipped("study")
    assert list(study.phases)[:3] == list(PHASES.values())
    compared = [one for one in study.comparisons if len(one.configs) > 1]
    assert [(one.configs[0].scenario, one.phase, len(one.configs)) for one in compared] == [
        (scenario, "architecture", 4)
        for scenario in ("baseline_vs_chimera", "chimera_hetero", "chimera_homo")
    ]


def test_answer_caps_keep_the_ratio_of_answer_lengths_of_technical_report_114() -> None:
    for one in shipped("study").comparisons:
        for config in one.configs:
            caps = [agent.max_tokens for agent in config.agents]
            if one.phase in PHASES.values():
                assert config.work_policy == "natural"
                assert caps[0] / caps[1] == pytest.approx(398 / 610, rel=0.01)
            else:
                assert config.work_policy == "fixed"
                assert len(set(caps)) == 1


def test_the_quick_study_is_one_comparison_of_all_topologies_at_equal_work() -> None:
    (one,) = shipped("quick").comparisons
    assert [config.topology for config in one.configs] == list(get_args(Topology))
    assert one.rounds > 1
    assert {config.work_policy for config in one.configs} == {"fixed"}
    assert len({agent.max_tokens for config in one.configs for agent in config.agents}) == 1
