"""RunSpecs: what is in a digest and what is not, and the order in which blocks are measured."""

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from study_texts import BASE, REPOSITORY, read, swapped, with_configs

from tandembench.project import open_plan
from tandembench.study.model import Agent, Comparison, Config, Study
from tandembench.study.spec import (
    AgentSpec,
    ConfigSpec,
    RunSpec,
    block_order,
    canonical,
    comparison_spec,
    digest,
)

LOCK = {"version": "1", "models": {"m": "d" * 64}}
PROMPTS = {"collector": ("Count.",), "insight": ("Read.",)}


def spec(
    study: Study,
    prompts: dict[str, tuple[str, ...]] = PROMPTS,
    lock: dict[str, Any] = LOCK,
    code: str = "c0de",
) -> RunSpec:
    """The RunSpec of the study's first comparison."""
    comparison = study.comparisons[0]
    by_config = {config.id: prompts for config in comparison.configs}
    return comparison_spec(study, comparison, by_config, lock, code)


def spec_of(text: str) -> RunSpec:
    return spec(read(text))


def workload(text: str) -> str:
    run = spec_of(text)
    return run.workload_digest(run.configs[0])


def test_canonical_json_is_one_string_for_one_value() -> None:
    assert canonical({"b": [1, 1.5, "ü", None, True], "a": {}}) == (
        '{"a":{},"b":[1,1.5,"\\u00fc",null,true]}'
    )
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="JSON"):
        canonical(math.nan)
    # Known: the first digits of sha256('{"a":1}').
    assert digest({"a": 1}) == "015abd7f5cc5"


def test_key_order_and_comments_change_nothing() -> None:
    shuffled = """\
# a comment
phases: # another
  one:
    configs:
      - options:
          num_ctx: 512 # tokens
          num_gpu: 80
        scenario: 'chimera_homo'
agents:
  collector: {steps: [collector.j2], task: inventory}
  insight: {steps: ["insight.j2"], task: figures}
work:
  tokens: 32
  policy: fixed
model: m
name: small
"""
    assert spec_of(shuffled) == spec_of(BASE)
    assert spec_of(shuffled).to_json() == spec_of(BASE).to_json()


@pytest.mark.parametrize(
    "text",
    [
        swapped("  one:", "  another:"),
        swapped("  one:", "  one:\n    title: A new headline"),
        BASE + "repetitions: 9\n",
        BASE + "order: by_config\n",
        BASE + "margin: 0.2\n",
        BASE + "title: A new headline\n",
        BASE + "reference: dual\n",
        BASE + "baselines: [mine, tr114@1.0.0]\n",
        BASE + "criteria: [memory]\n",
        BASE + "servers: together\n",
        swapped("name: small", "name: other"),
        swapped("- scenario", "- agents: [collector, insight]\n        scenario"),
        swapped("phases:", "  unused: {task: figures, steps: [insight.j2]}\nphases:"),
        BASE + "      - {id: one-more, scenario: chimera_homo}\n",
        "\n\n" + BASE,
    ],
)
def test_what_measures_nothing_is_not_in_the_digest(text: str) -> None:
    assert text != BASE
    assert spec_of(text).digest == spec_of(BASE).digest


@pytest.mark.parametrize(
    "text",
    [
        BASE + "seed: 1\n",
        BASE + "retries: 2\n",
        BASE + "threads_total: 4\n",
        BASE + "rounds: 2\n",
        BASE + "servers: in_turn\n",
        BASE + "telemetry: false\n",
        swapped("scenario: chimera_homo", "scenario: chimera_homo\n        rounds: 2"),
        BASE + "deadline_s: 121\n",
        BASE + "idle_s: 61\n",
        BASE + "engine: ollama\nservers: {dual: ['http://a:1', 'http://a:2']}\n",
        swapped("model: m", "model: n"),
        swapped("policy: fixed", "policy: natural"),
        swapped("tokens: 32", "tokens: 33"),
        swapped("tokens: 32", "tokens: {collector: 32, insight: 31}"),
        swapped("scenario: chimera_homo", "scenario: baseline_vs_chimera"),
        swapped("scenario: chimera_homo", "scenario: chimera_homo\n        topology: serial"),
        swapped("scenario: chimera_homo", "scenario: chimera_homo\n        id: other"),
        swapped("scenario: chimera_homo", "scenario: chimera_homo\n        agents: [collector]"),
        swapped(
            "scenario: chimera_homo", "scenario: chimera_homo\n        agents: [insight, collector]"
        ),
        swapped("num_gpu: 80, ", ""),
        *(
            swapped("num_gpu: 80", option)
            for option in (
                "num_gpu: 81",
                "num_gpu: 80, temperature: 0.8",
                "num_gpu: 80, temperature: 0.9",
                "num_gpu: 80, top_p: 0.9",
                "num_gpu: 80, top_k: 9",
                "num_gpu: 80, min_p: 0.1",
                "num_gpu: 80, repeat_penalty: 1.1",
                "num_gpu: 80, seed: 1",
                "num_gpu: 80, model: n",
            )
        ),
        swapped("num_ctx: 512", "num_ctx: 513"),
        swapped("task: inventory", "task: figures"),
    ],
)
def test_every_measured_option_is_in_the_digest(text: str) -> None:
    assert spec_of(text).digest != spec_of(BASE).digest


def test_prompts_lock_and_code_are_in_the_digest() -> None:
    study = read(BASE)
    variants = [
        spec(study),
        spec(study, PROMPTS | {"insight": ("Read!",)}),
        spec(study, PROMPTS | {"insight": ("Read.", "Again.")}),
        spec(study, lock=LOCK | {"version": "2"}),
        spec(study, lock=LOCK | {"models": {"m": "e" * 64}}),
        spec(study, code="c0df"),
    ]

    assert len({one.digest for one in variants}) == len(variants)


SIDE_BY_SIDE = "{scenario: chimera_homo, axes: {topology: [serial, dual], num_ctx: [512, 1024]}%s}"


@pytest.mark.parametrize(
    "entry",
    [
        SIDE_BY_SIDE % "",
        "{axes: {num_ctx: [1024, 512], topology: [dual, serial]}, scenario: chimera_homo}",
        SIDE_BY_SIDE % ", compare: [topology]",
    ],
)
def test_the_order_of_axes_and_values_measures_nothing_again(entry: str) -> None:
    def digests(text: str) -> set[str]:
        study = read(text)
        return {spec(replace(study, comparisons=(one,))).digest for one in study.comparisons}

    assert digests(with_configs(entry)) == digests(with_configs(SIDE_BY_SIDE % ""))


def test_one_more_topology_is_another_comparison() -> None:
    two, three = (
        spec_of(with_configs(f"{{scenario: chimera_homo, axes: {{topology: [{names}]}}}}"))
        for names in ("serial, dual", "serial, dual, single")
    )

    assert two.comparison == three.comparison
    assert all(config in three.configs for config in two.configs)
    assert two.digest != three.digest


RUNNING = "engine: ollama\nservers: {dual: ['http://a:1', 'http://a:2'], single: ['http://a:3']}\n"


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        BASE + RUNNING,
        with_configs(SIDE_BY_SIDE % ", rounds: 7", top="threads_total: 4\nservers: in_turn\n"),
        with_configs("{scenario: chimera_hetero, options: {top_p: [0.5, 1], model: [m, n]}}"),
    ],
)
def test_a_run_spec_is_read_back_from_its_one_string(text: str) -> None:
    one = spec_of(text)
    again = RunSpec.from_json(one.to_json())

    assert (again, again.digest, again.to_json()) == (one, one.digest, one.to_json())
    assert "repetition" not in json.loads(one.to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '"a"',
        "null",
        '{"configs": [1]}',
        spec_of(BASE).to_json().replace('"seed":', '"sed":'),
        spec_of(BASE).to_json().replace('"max_tokens":', '"tokens":'),
    ],
)
def test_what_is_no_run_spec_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        RunSpec.from_json(text)


def test_the_embedded_engine_has_one_protocol_and_others_say_which() -> None:
    assert spec_of(BASE).protocol is None
    assert spec_of(BASE + RUNNING).protocol == "generate"
    chat = spec_of(BASE + RUNNING + "protocol: chat\n")
    assert chat.protocol == "chat"
    assert chat.digest != spec_of(BASE + RUNNING).digest


def test_every_field_of_the_model_is_in_the_spec_or_named_here_as_left_out() -> None:
    def names(kind: type) -> set[str]:
        return {one.name for one in fields(kind)}

    assert names(Study) - names(RunSpec) == {
        "name",
        "title",
        "hypotheses",
        "repetitions",
        "order",
        "margin",
        "reference",
        "criteria",
        "baselines",
        "phases",
        "comparisons",
    }
    assert names(Comparison) - names(RunSpec) == {"id", "phase", "line"}  # it is `comparison`
    assert names(Config) - names(ConfigSpec) == {"phase", "line"}
    # Steps and data act through the prompts that they give.
    assert names(Agent) - names(AgentSpec) == {"steps", "data"}


def test_a_workload_is_what_agents_do_whatever_serves_them() -> None:
    plan = open_plan("config/study.yaml", root=REPOSITORY)
    compared = [spec for spec in plan.specs.values() if len(spec.configs) > 1]
    workloads = [{spec.workload_digest(config) for config in spec.configs} for spec in compared]

    assert [len(spec.configs) for spec in compared] == [4, 4, 4]
    assert [len(found) for found in workloads] == [1, 1, 1]
    assert len(set.union(*workloads)) == 3


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("id: other", True),
        ("topology: serial", True),
        ("work: {policy: fixed, tokens: 31}", False),
        ("work: {policy: natural, tokens: 32}", False),
        ("agents: [insight, collector]", False),
    ],
)
def test_what_makes_another_workload(change: str, same: bool) -> None:
    text = swapped("- scenario", f"- {change}\n        scenario")
    assert (workload(text) == workload(BASE)) is same


def test_other_servers_are_no_other_workload() -> None:
    one, other = (
        BASE + f"engine: ollama\nservers: {{dual: ['http://{host}:1', 'http://{host}:2']}}\n"
        for host in "ab"
    )
    assert workload(one) == workload(other)
    assert spec_of(one).digest != spec_of(other).digest
    assert workload(one) != workload(BASE)  # another engine is


# The order of measuring

FIVE = [f"{{id: {name}, scenario: chimera_homo}}" for name in "abcde"]


def test_a_random_order_is_a_shuffle_of_all_comparisons_repetition_by_repetition() -> None:
    order = block_order(read(with_configs(*FIVE, top="repetitions: 40\n")))
    repetitions = [order[start : start + 5] for start in range(0, len(order), 5)]

    assert len(order) == len(set(order)) == 200
    for number, one in enumerate(repetitions, 1):
        assert sorted(one) == [(name, number) for name in "abcde"]
    permutations = {"".join(name for name, _ in one) for one in repetitions}
    assert len(permutations) > 20
    # Each comes first in about a fifth of the repetitions.
    assert all(2 <= sum(one[0][0] == name for one in repetitions) <= 16 for name in "abcde")


def test_the_order_follows_from_the_seed_and_not_from_the_yaml() -> None:
    order = block_order(read(with_configs(*FIVE)))

    assert block_order(read(with_configs(*reversed(FIVE)))) == order
    assert block_order(read(with_configs(*FIVE, top="seed: 0\n"))) == order
    assert block_order(read(with_configs(*FIVE, top="seed: 1\n"))) != order
    # Known: the same on every machine and in every version of Python.
    assert "".join(name for name, _ in order) == "abcdedbeaccedabbacdecaebd"


def test_more_repetitions_go_on_where_fewer_ended() -> None:
    few = block_order(read(with_configs(*FIVE, top="repetitions: 3\n")))
    many = block_order(read(with_configs(*FIVE, top="repetitions: 7\n")))
    assert many[: len(few)] == few


def test_by_config_is_the_order_of_technical_report_114() -> None:
    study = read(with_configs(*reversed(FIVE), top="repetitions: 3\norder: by_config\n"))
    assert block_order(study) == [(name, number) for name in "edcba" for number in (1, 2, 3)]
