"""Expansion: axes, ids, comparisons, each agent's options, work, servers."""

import pytest
from study_texts import BASE, HEAD, read, with_configs

from tandembench.study.expand import PROTOCOLS
from tandembench.study.spec import AgentSpec
from tandembench.wire import DRIVERS

OLLAMA = "engine: ollama\n"
TWO = "servers: {dual: ['http://h:1', 'http://h:2']}\n"


def compared(*entries: str, top: str = "") -> dict[str, list[str]]:
    """The ids of each comparison's configs, by its own."""
    study = read(with_configs(*entries, top=top))
    return {one.id: [config.id for config in one.configs] for one in study.comparisons}


# Axes and ids


def test_axes_become_every_combination_the_last_changing_fastest() -> None:
    configs = read(
        with_configs(
            "{scenario: chimera_homo, options: {temperature: 0.8},"
            " axes: {num_ctx: [512, 1024], num_gpu: [0, 80], topology: [dual, serial]}}"
        )
    ).configs
    assert [config.id for config in configs] == [
        f"homo-g{layers}-c{context}-{topology}"
        for context in (512, 1024)
        for layers in (0, 80)
        for topology in ("dual", "serial")
    ]
    assert [config.topology for config in configs] == ["dual", "serial"] * 4
    assert configs[2].agents[1].options == {"num_gpu": 80, "num_ctx": 512, "temperature": 0.8}


@pytest.mark.parametrize(
    ("entry", "identifier"),
    [
        ("{scenario: chimera_homo}", "homo"),
        ("{scenario: chimera_homo, options: {temperature: 0.5, num_ctx: 512}}", "homo-c512"),
        ("{scenario: chimera_homo, topology: dual, options: {num_gpu: 1}}", "homo-g1"),
        ("{scenario: chimera_homo, topology: single_parallel}", "homo-single_parallel"),
        ("{scenario: baseline_vs_chimera, axes: {temperature: [1]}}", "bvc-t1.0"),
        ("{scenario: chimera_hetero, options: {num_ctx: [512, 64]}}", "hetero-c512x64"),
        (
            "{scenario: chimera_hetero, options: {num_gpu: 9}, axes: {temperature: [[0, 1.5]]}}",
            "hetero-g9-t0.0x1.5",
        ),
        (
            "{scenario: chimera_homo, axes: {seed: [7], top_p: [0.9], top_k: [40], min_p: [0.05],"
            " repeat_penalty: [1.1], model: ['Org/Gemma3_a.-b:1B']}}",
            "homo-p0.9-k40-m0.05-r1.1-s7-org.gemma3.a.b.1b",
        ),
        ("{scenario: chimera_homo, id: my.own_name-1, topology: serial}", "my.own_name-1"),
        (f"{{scenario: chimera_homo, id: {'a' * 64}}}", "a" * 64),
        (
            f"{{scenario: chimera_hetero, axes: {{model: [[{'m' * 28}, {'n' * 28}]]}}}}",
            f"hetero-{'m' * 28}x{'n' * 28}",
        ),
    ],
)
def test_ids(entry: str, identifier: str) -> None:
    # A comparison of one has the id of its config, and a generated id is one that can be written.
    assert compared(entry) == {identifier: [identifier]}
    written = f"{{scenario: chimera_homo, id: {identifier}}}"
    assert compared(written) == {identifier: [identifier]}


def test_equal_fractions_are_one_value_however_they_are_written() -> None:
    one, other, both = read(
        with_configs(
            "{id: a, scenario: chimera_homo, options: {temperature: 1, min_p: -0.0}}",
            "{id: b, scenario: chimera_homo, options: {temperature: 1.0, min_p: 0}}",
            "{id: c, scenario: chimera_hetero, options: {top_p: [1, 0]}}",
        )
    ).configs
    assert str(one.agents) == str(other.agents)
    assert repr(one.agents[0].options["temperature"]) == "1.0"
    assert repr([agent.options["top_p"] for agent in both.agents]) == "[1.0, 0.0]"


# Comparisons

THREE_AXES = "axes: {num_ctx: [512, 1024], topology: [serial, dual], temperature: [0.0, 1.0]}"
TEMPERATURES = ("0.0", "1.0")


@pytest.mark.parametrize(
    ("compare", "names"),
    [
        ("", [f"homo-c{c}-t{t}-by-topology" for c in (512, 1024) for t in TEMPERATURES]),
        (
            ", compare: [num_ctx]",
            [f"homo-t{t}-{name}-by-num_ctx" for name in ("serial", "dual") for t in TEMPERATURES],
        ),
        (
            ", compare: [topology, num_ctx]",
            [f"homo-t{t}-by-topology-num_ctx" for t in TEMPERATURES],
        ),
        (
            ", compare: [num_ctx, topology]",
            [f"homo-t{t}-by-topology-num_ctx" for t in TEMPERATURES],
        ),
        (", compare: [temperature, num_ctx, topology]", ["homo-by-topology-num_ctx-temperature"]),
    ],
)
def test_what_is_compared_can_be_chosen(compare: str, names: list[str]) -> None:
    by_id = compared(f"{{scenario: chimera_homo, {THREE_AXES}{compare}}}")
    assert list(by_id) == names
    assert sum(len(configs) for configs in by_id.values()) == 8
    assert len({len(configs) for configs in by_id.values()}) == 1


def test_comparisons_of_one_name_are_numbered_and_configs_keep_theirs() -> None:
    entry = "{{scenario: chimera_homo, axes: {{topology: [{}]}}}}"
    assert compared(
        "{id: homo-by-topology-3, scenario: chimera_homo}",
        entry.format("serial, single"),
        entry.format("single_parallel, dual"),
    ) == {
        "homo-by-topology-3": ["homo-by-topology-3"],
        "homo-by-topology": ["homo-serial", "homo-single"],
        "homo-by-topology-2": ["homo-single_parallel", "homo-dual"],
    }
    assert compared(
        entry.format("serial, dual"), "{id: homo-by-topology, scenario: chimera_homo}"
    ) == {
        "homo-by-topology-2": ["homo-serial", "homo-dual"],
        "homo-by-topology": ["homo-by-topology"],
    }


@pytest.mark.parametrize(("top", "rounds"), [("", [3, 1]), ("rounds: 5\n", [3, 5])])
def test_rounds_are_the_entrys_else_the_studys(top: str, rounds: list[int]) -> None:
    entries = ["{id: a, scenario: chimera_homo, rounds: 3}", "{id: b, scenario: chimera_homo}"]
    study = read(with_configs(*entries, top=top))
    assert [one.rounds for one in study.comparisons] == rounds
    assert [one.line for one in study.comparisons] == [14, 15]


# Scenarios, agents, work


def test_scenarios_give_each_agent_its_options() -> None:
    third = "  third:\n    task: figures\n    steps: [a.j2, sub/b.j2]\n    data: my/data\nphases:"
    a, b, c, d = read(
        with_configs(
            "{id: a, scenario: baseline_vs_chimera, agents: [third, insight, collector],"
            " options: {top_k: 1}}",
            "{id: b, scenario: chimera_hetero, agents: [insight, third],"
            " options: {top_k: [1, 2], seed: 3, model: [x, y]}}",
            "{id: c, scenario: chimera_homo, options: {model: z}}",
            "{id: d, scenario: chimera_homo, agents: [third]}",
        ).replace("phases:", third)
    ).configs

    def given(agents: tuple[AgentSpec, ...]) -> list[tuple[str, str, dict[str, int]]]:
        return [(agent.name, agent.model, dict(agent.options)) for agent in agents]

    assert given(a.agents) == [
        ("third", "m", {}),
        ("insight", "m", {"top_k": 1}),
        ("collector", "m", {"top_k": 1}),
    ]
    assert given(b.agents) == [
        ("insight", "x", {"top_k": 1, "seed": 3}),
        ("third", "y", {"top_k": 2, "seed": 3}),
    ]
    assert given(c.agents) == [("collector", "z", {}), ("insight", "z", {})]
    assert d.agents == (
        AgentSpec("third", "figures", "m", {}, max_tokens=32, prompts=("a.j2", "sub/b.j2")),
    )


def test_the_nearest_work_policy_counts() -> None:
    configs = read(
        HEAD
        + """\
      - {id: a, scenario: chimera_homo}
      - {id: b, scenario: chimera_homo, work: {policy: natural, tokens: {collector: 1, insight: 2}}}
  two:
    work: {policy: natural, tokens: 7}
    configs:
      - {id: c, scenario: chimera_homo}
      - {id: d, scenario: chimera_homo, work: {policy: fixed, tokens: 9}}
"""
    ).configs
    assert [
        (config.id, config.work_policy, *(agent.max_tokens for agent in config.agents))
        for config in configs
    ] == [
        ("a", "fixed", 32, 32),
        ("b", "natural", 1, 2),
        ("c", "natural", 7, 7),
        ("d", "fixed", 9, 9),
    ]


# Engines


def test_servers_follow_from_the_topology() -> None:
    text = with_configs(
        "{scenario: chimera_homo, axes: {topology: [serial, single, single_parallel, dual]}}",
        "{scenario: chimera_hetero, id: two, topology: single, options: {model: [x, y]}}",
        top=OLLAMA + "servers:\n  dual: ['http://a', 'https://h.x-y:2', 'http://a:3']\n"
        "  single: ['HTTP://[::1]:11434/']\n  single_parallel: ['http://ollama_a:1']\n",
    )
    study = read(text)
    assert [config.servers for config in study.configs] == [
        ("http://[::1]:11434",),
        ("http://[::1]:11434",),
        ("http://ollama_a:1",),
        ("http://a:80", "https://h.x-y:2"),
        ("http://[::1]:11434",),
    ]
    assert study.placement == "together"
    assert read(BASE).configs[0].servers == ()
    assert read(BASE + "servers: in_turn\n").placement == "in_turn"


@pytest.mark.parametrize(
    ("top", "protocol"),
    [
        ("", None),
        (OLLAMA + TWO, "generate"),
        (OLLAMA + TWO + "protocol: chat\n", "chat"),
        ("engine: openai\n" + TWO, "chat"),
        ("engine: openai\n" + TWO + "protocol: completions\n", "completions"),
    ],
)
def test_a_protocol_is_the_engines_first_or_the_one_that_is_named(
    top: str, protocol: str | None
) -> None:
    options = "{temperature: 0.8, top_p: 0.9, top_k: 9, min_p: 0.1, repeat_penalty: 1.1}"
    text = with_configs(f"{{scenario: chimera_homo, options: {options}}}", top=top)
    assert read(text).protocol == protocol


def test_protocols_are_those_that_have_a_driver() -> None:
    named = {(engine, protocol) for engine in PROTOCOLS for protocol in PROTOCOLS[engine]}
    assert named | {("embedded", None)} == set(DRIVERS)


@pytest.mark.parametrize(
    "entry",
    [
        "{scenario: chimera_homo, axes: {topology: [serial, single, single_parallel]}}",
        "{scenario: chimera_homo, agents: [insight]}",
    ],
)
def test_threads_that_nothing_splits_may_be_odd(entry: str) -> None:
    assert read(with_configs(entry, top="threads_total: 3\n")).threads_total == 3
