"""The studies that are shipped: Technical Report 114's configs, and the quick ones."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest
from study_texts import REPOSITORY, read

from tandembench.study.model import Agent, Study

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

    def options(agent: Agent) -> tuple[str, ...]:
        if not agent.options:
            return ("default", "default", "default")
        assert set(agent.options) == set(OPTIONS)
        return tuple(str(agent.options[name]) for name in OPTIONS)

    expanded = Counter(
        (config.phase, config.scenario, *options(config.agents[0]), *options(config.agents[1]))
        for config in study.configs
        if config.phase in PHASES.values()
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


def test_counts_ids_and_agents_of_the_whole_study() -> None:
    study = shipped("study")
    names = [config.id for config in study.configs]

    counts = Counter(config.phase for config in study.configs)
    assert (counts["core"], counts["temperature"], counts["validation"]) == (18, 9, 3)
    assert list(study.phases)[:3] == ["core", "temperature", "validation"]
    assert study.repetitions == 5
    assert len(set(names)) == len(names)
    for name in (
        "bvc-g60-c512",
        "hetero-g80x100-c512x1024",
        "homo-g120-c1024",
        "homo-g80-c2048-t1.0",
        "validation-homo-g80-c2048-t1.0",
        "hetero-g80x100-c512x1024-single_parallel",
        "homo-g80-c512-serial",
    ):
        assert name in names
    for config in study.configs:
        if config.phase in PHASES.values():
            assert config.topology == "dual"
            assert [agent.name for agent in config.agents] == ["collector", "insight"]
        if config.scenario == "baseline_vs_chimera":
            assert config.agents[0].options == {}
            assert set(config.agents[1].options) == set(OPTIONS)
        elif config.scenario == "chimera_homo":
            assert config.agents[0].options == config.agents[1].options != {}
        else:
            assert config.agents[0].options != config.agents[1].options


def test_answer_caps_keep_the_ratio_of_answer_lengths_of_technical_report_114() -> None:
    for config in shipped("study").configs:
        if config.phase in PHASES.values():
            collector, insight = config.agents
            ratio = collector.max_tokens / insight.max_tokens
            assert config.work_policy == "natural"
            assert ratio == pytest.approx(398 / 610, rel=0.01)
        else:
            assert config.work_policy == "fixed"
            assert len({agent.max_tokens for agent in config.agents}) == 1


def test_the_quick_study_is_one_comparison_of_all_topologies_at_equal_work() -> None:
    (comparison,) = shipped("quick").comparisons

    topologies = ["serial", "single", "single_parallel", "dual"]
    assert [config.topology for config in comparison.configs] == topologies
    assert comparison.rounds > 1
    assert {config.work_policy for config in comparison.configs} == {"fixed"}
    assert len({agent.max_tokens for config in comparison.configs for agent in config.agents}) == 1


def test_the_whole_study_compares_topologies_in_each_scenario() -> None:
    study = shipped("study")
    compared = [one for one in study.comparisons if len(one.configs) > 1]

    assert [one.configs[0].scenario for one in compared] == [
        "baseline_vs_chimera",
        "chimera_hetero",
        "chimera_homo",
    ]
    assert {(one.phase, one.rounds, len(one.configs)) for one in compared} == {
        ("architecture", 3, 4)
    }
    # what TR114 measured stands alone, as it did there
    assert all(one.phase == "architecture" for one in compared)
    assert len(study.comparisons) == 30 + 3 + 1
