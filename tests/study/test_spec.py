"""RunSpecs: what is in a digest and what is not, and the order in which blocks are measured."""

import math
from dataclasses import fields

import pytest
from study_texts import BASE, REPOSITORY, read, swapped, with_configs

from tandembench.project import open_plan
from tandembench.study.model import Agent, Config, Study
from tandembench.study.spec import (
    Spec,
    block_order,
    canonical,
    config_spec,
    content_digest,
    digest,
    workload_digest,
)

LOCK = {"version": "1", "models": {"m": "d" * 64}}
PROMPTS = {"collector": ("Count.",), "insight": ("Read.",)}


def spec(study: Study, config: Config | None = None) -> Spec:
    return config_spec(study, config or study.configs[0], PROMPTS, LOCK, "c0de")


def spec_of(text: str) -> Spec:
    return spec(read(text))


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
    assert canonical(spec_of(shuffled)) == canonical(spec_of(BASE))


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
        swapped("name: small", "name: other"),
        swapped("- scenario", "- agents: [collector, insight]\n        scenario"),
        swapped("phases:", "  unused: {task: figures, steps: [insight.j2]}\nphases:"),
        BASE + "      - {id: one-more, scenario: chimera_homo}\n",
        "\n\n" + BASE,
    ],
)
def test_what_measures_nothing_is_not_in_the_digest(text: str) -> None:
    assert text != BASE
    assert digest(spec_of(text)) == digest(spec_of(BASE))


@pytest.mark.parametrize(
    "text",
    [
        BASE + "seed: 1\n",
        BASE + "retries: 2\n",
        BASE + "threads_total: 3\n",
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
    assert digest(spec_of(text)) != digest(spec_of(BASE))


def test_prompts_lock_and_code_are_in_the_digest() -> None:
    study = read(BASE)
    config = study.configs[0]
    variants = [
        config_spec(study, config, PROMPTS, LOCK, "c0de"),
        config_spec(study, config, PROMPTS | {"insight": ("Read!",)}, LOCK, "c0de"),
        config_spec(study, config, PROMPTS | {"insight": ("Read.", "Again.")}, LOCK, "c0de"),
        config_spec(study, config, PROMPTS, LOCK | {"version": "2"}, "c0de"),
        config_spec(study, config, PROMPTS, LOCK | {"models": {"m": "e" * 64}}, "c0de"),
        config_spec(study, config, PROMPTS, LOCK, "c0df"),
    ]

    assert len({digest(one) for one in variants}) == len(variants)


RUNNING = "engine: ollama\nservers: {dual: ['http://a:1', 'http://a:2']}\n"


def test_the_embedded_engine_has_one_protocol_and_others_say_which() -> None:
    assert "protocol" not in spec_of(BASE)
    assert spec_of(BASE + RUNNING)["protocol"] == "generate"
    chat = spec_of(BASE + RUNNING + "protocol: chat\n")
    assert chat["protocol"] == "chat"
    assert digest(chat) != digest(spec_of(BASE + RUNNING))


def test_every_field_of_the_model_is_in_the_spec_or_named_here_as_left_out() -> None:
    whole = spec_of(BASE + RUNNING)

    def left_out(kind: type, kept: Spec) -> set[str]:
        return {one.name for one in fields(kind)} - set(kept)

    assert left_out(Study, whole) == {
        "name",
        "title",
        "repetitions",
        "order",
        "margin",
        "reference",
        "baselines",
        "phases",
        "configs",
    }
    assert left_out(Config, whole | {"id": whole["config_id"]}) == {"phase", "line"}
    # Steps and data act through the prompts that they give.
    assert left_out(Agent, whole["agents"][0]) == {"steps", "data"}


def test_an_aa_pair_has_one_content_and_two_names() -> None:
    specs = open_plan("config/quick.yaml", root=REPOSITORY).specs
    one, again = specs["homo-g80-c512-dual"], specs["homo-g80-c512-dual-again"]

    assert content_digest(one) == content_digest(again)
    assert digest(one) != digest(again)
    assert len({content_digest(spec) for spec in specs.values()}) == len(specs) - 1
    assert content_digest(one | {"repetition": 2}) == content_digest(one)
    assert content_digest(one | {"retries": 3}) != content_digest(one)


def test_a_workload_is_what_agents_do_whatever_serves_them() -> None:
    plan = open_plan("config/study.yaml", root=REPOSITORY)
    groups: dict[str, set[str]] = {}
    topologies: dict[str, set[str]] = {}
    for config in plan.study.configs:
        if config.phase == "architecture" and "two-step" not in config.id:
            key = workload_digest(plan.specs[config.id])
            groups.setdefault(config.scenario, set()).add(key)
            topologies.setdefault(config.scenario, set()).add(config.topology)

    assert [len(keys) for keys in groups.values()] == [1, 1, 1]
    assert len(set.union(*groups.values())) == 3
    assert {len(names) for names in topologies.values()} == {4}


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
    assert (workload_digest(spec_of(text)) == workload_digest(spec_of(BASE))) is same


def test_other_servers_are_no_other_workload() -> None:
    one, other = (
        spec_of(BASE + f"engine: ollama\nservers: {{dual: ['http://{h}:1', 'http://{h}:2']}}\n")
        for h in "ab"
    )
    assert workload_digest(one) == workload_digest(other)
    assert content_digest(one) != content_digest(other)
    assert workload_digest(one) != workload_digest(spec_of(BASE))  # another engine is


# The order of measuring

FIVE = [f"{{id: {name}, scenario: chimera_homo}}" for name in "abcde"]


def test_a_random_order_is_a_shuffle_of_all_configs_round_by_round() -> None:
    order = block_order(read(with_configs(*FIVE, top="repetitions: 40\n")))
    rounds = [order[start : start + 5] for start in range(0, len(order), 5)]

    assert len(order) == len(set(order)) == 200
    for number, one in enumerate(rounds, 1):
        assert sorted(one) == [(name, number) for name in "abcde"]
    permutations = {"".join(name for name, _ in one) for one in rounds}
    assert len(permutations) > 20
    # Each config comes first in about a fifth of the rounds.
    assert all(2 <= sum(one[0][0] == name for one in rounds) <= 16 for name in "abcde")


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
