"""RunSpecs: what is in a digest and what is not, and the order in which blocks are measured."""

import json
import math
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from study_texts import BASE, read, swapped, with_configs

from tandembench.study.expand import Study
from tandembench.study.plan import block_order, run_spec
from tandembench.study.spec import RunSpec, canonical, digest

RUNNING = "engine: ollama\nservers: {dual: ['http://a:1', 'http://a:2'], single: ['http://a:3']}\n"
LOCK = {"version": "1", "models": {"m": "d" * 64}}


def spec(text: str, lock: dict[str, Any] = LOCK, code: str = "c0de") -> RunSpec:
    """The RunSpec of the study's first comparison."""
    study = read(text)
    return run_spec(study, study.comparisons[0], lock, code)


def workload(text: str) -> str:
    run = spec(text)
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


def test_key_order_and_comments_change_nothing_and_a_known_study_has_a_known_digest() -> None:
    assert spec(BASE).digest == "08f2a5d24caa"
    (agents,) = re.findall("agents:\n(?:  .*\n)+", BASE)
    shuffled = swapped(agents, "") + agents.replace("task: inventory", "task: 'inventory' # a word")
    shuffled = shuffled.replace("{policy: fixed, tokens: 32}", "{tokens: 32, policy: fixed}")
    assert spec(shuffled).to_json() == spec(BASE).to_json()


@pytest.mark.parametrize(
    "text",
    [
        swapped("  one:", "  another:"),
        swapped("  one:", "  one:\n    title: A new headline"),
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
    assert spec(text).digest == spec(BASE).digest


def test_every_field_is_in_the_digest() -> None:
    one = spec(BASE)
    config, agent = one.configs[0], one.configs[0].agents[0]
    variants = [replace(one, **{field.name: "other"}) for field in fields(one)]
    variants += [
        replace(one, configs=(replace(config, **{field.name: "other"}),))
        for field in fields(config)
        if field.name != "agents"
    ]
    variants += [
        replace(one, configs=(replace(config, agents=agents),))
        for agents in [
            *((replace(agent, **{field.name: "other"}),) for field in fields(agent)),
            config.agents[:1],
            config.agents[::-1],
        ]
    ]
    assert len({one.digest, *(variant.digest for variant in variants)}) == len(variants) + 1


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
        return {run_spec(study, one, LOCK, "c0de").digest for one in study.comparisons}

    assert digests(with_configs(entry)) == digests(with_configs(SIDE_BY_SIDE % ""))


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
    one = spec(text)
    again = RunSpec.from_json(one.to_json())

    assert (again, again.digest, again.to_json()) == (one, one.digest, one.to_json())
    assert "repetition" not in json.loads(one.to_json())


def test_every_key_of_a_study_is_in_the_spec_or_named_here_as_left_out() -> None:
    left_out = {"name", "title", "hypotheses", "repetitions", "order", "margin", "reference"}
    left_out |= {"criteria", "baselines", "phases", "comparisons"}
    # These act through what each config is.
    through = {"agents", "model", "work", "servers"}
    assert set(Study.model_fields) - {one.name for one in fields(RunSpec)} == left_out | through


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (swapped("- scenario", "- id: other\n        scenario"), True),
        (swapped("- scenario", "- topology: serial\n        scenario"), True),
        (swapped("tokens: 32", "tokens: 31"), False),
        (swapped("policy: fixed", "policy: natural"), False),
        (swapped("- scenario", "- agents: [insight, collector]\n        scenario"), False),
        (BASE + RUNNING, False),
    ],
)
def test_a_workload_is_what_agents_do_whatever_serves_them(text: str, same: bool) -> None:
    assert (workload(text) == workload(BASE)) is same
    other = text.replace("a:1", "b:1")
    assert workload(other) == workload(text)
    assert (spec(other).digest == spec(text).digest) is (other == text)


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
