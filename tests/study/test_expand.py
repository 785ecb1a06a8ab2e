"""Expansion: axes, ids, comparisons, each agent's options, work; and what cannot be measured."""

import pytest
from study_texts import BASE, HEAD, complaint, read, swapped, with_configs

from tandembench.study.model import Agent, Config

HERE = "phases.one.configs"


def configs(*entries: str) -> tuple[Config, ...]:
    return read(with_configs(*entries)).configs


def ids(*entries: str) -> list[str]:
    return [config.id for config in configs(*entries)]


def told(*entries: str) -> str:
    return complaint(with_configs(*entries))


# Axes and ids


def test_axes_become_every_combination_the_last_changing_fastest() -> None:
    found = configs(
        "{scenario: chimera_homo, options: {temperature: 0.8},"
        " axes: {num_ctx: [512, 1024], num_gpu: [0, 80], topology: [dual, serial]}}"
    )

    assert [config.id for config in found] == [
        "homo-g0-c512-dual",
        "homo-g0-c512-serial",
        "homo-g80-c512-dual",
        "homo-g80-c512-serial",
        "homo-g0-c1024-dual",
        "homo-g0-c1024-serial",
        "homo-g80-c1024-dual",
        "homo-g80-c1024-serial",
    ]
    assert [config.topology for config in found] == ["dual", "serial"] * 4
    assert found[2].agents[1].options == {"num_gpu": 80, "num_ctx": 512, "temperature": 0.8}
    assert {config.line for config in found} == {14}


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
    ],
)
def test_ids(entry: str, identifier: str) -> None:
    assert ids(entry) == [identifier]
    # A generated id is one that could be written: read back, it is taken as it stands.
    assert ids(f"{{scenario: chimera_homo, id: {identifier}}}") == [identifier]


def test_two_configs_with_one_id_name_both_lines() -> None:
    entry = "{scenario: chimera_homo, options: {num_gpu: 1}}"
    fix = "give one of them an id of its own: key id, in an entry without axes"

    assert told(entry, "{scenario: chimera_homo}", entry) == (
        f"my.yaml:16: {HERE}: two configs have the id 'homo-g1' (the other is in line 14); {fix}"
    )
    text = with_configs(entry) + "  two:\n    configs:\n" + f"      - {entry}\n"
    assert complaint(text) == (
        "my.yaml:17: phases.two.configs: two configs have the id 'homo-g1' "
        f"(the other is in line 14); {fix}"
    )
    assert told("{scenario: chimera_homo, axes: {model: ['a/b', 'a:b']}}") == (
        f"my.yaml:14: {HERE}: two configs have the id 'homo-a.b' (the other is in line 14); {fix}"
    )


def test_two_ids_with_equal_contents_are_replicates() -> None:
    one, other = configs("{id: a, scenario: chimera_homo}", "{id: b, scenario: chimera_homo}")
    assert one.agents == other.agents


def test_an_id_has_64_characters_at_most() -> None:
    entry = "{{scenario: chimera_hetero, axes: {{model: [[{}, {}]]}}}}"
    one, other = "m" * 28, "n" * 28

    assert [len(identifier) for identifier in ids(entry.format(one, other))] == [64]
    assert told(entry.format(one, other + "n")) == (
        f"my.yaml:14: {HERE}: the generated id 'hetero-{one}x{other}n' is over 64 characters; "
        "write it as an entry without axes and with an id of its own"
    )
    assert ids(f"{{scenario: chimera_homo, id: {'a' * 64}}}") == ["a" * 64]
    assert told(f"{{scenario: chimera_homo, id: {'a' * 65}}}").endswith("64 characters at most")


def test_equal_fractions_are_one_value_however_they_are_written() -> None:
    (one,) = configs("{scenario: chimera_homo, options: {temperature: 1, min_p: -0.0}}")
    (other,) = configs("{scenario: chimera_homo, options: {temperature: 1.0, min_p: 0}}")
    (both,) = configs("{scenario: chimera_hetero, options: {top_p: [1, 0]}}")

    assert str(one.agents) == str(other.agents)
    assert repr(one.agents[0].options["temperature"]) == "1.0"
    assert repr([agent.options["top_p"] for agent in both.agents]) == "[1.0, 0.0]"


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            "{id: a, scenario: chimera_homo, axes: {num_gpu: [1]}}",
            "id: an entry with axes gets generated ids; leave id out",
        ),
        (
            "{scenario: chimera_homo, options: {num_gpu: 3}, axes: {num_gpu: [1]}}",
            "axes.num_gpu: also set beside the axes; keep one of the two",
        ),
        (
            "{scenario: chimera_homo, topology: dual, axes: {topology: [single]}}",
            "axes.topology: also set beside the axes; keep one of the two",
        ),
    ],
)
def test_an_axis_is_set_in_one_place(entry: str, line: str) -> None:
    assert told(entry) == f"my.yaml:14: {HERE}.{line}"


# Comparisons

AXES = "axes: {num_ctx: [512, 1024], topology: [serial, dual], temperature: [0.0, 1.0]}"


def compared(*entries: str, top: str = "") -> dict[str, list[str]]:
    """The ids of each comparison's configs, by its own."""
    study = read(with_configs(*entries, top=top))
    return {one.id: [config.id for config in one.configs] for one in study.comparisons}


def test_topologies_of_one_workload_are_compared() -> None:
    entry = "{scenario: chimera_homo, axes: {topology: [serial, single, dual]}}"
    names = ["homo-serial", "homo-single", "homo-dual"]

    assert compared(entry) == {"homo-by-topology": names}
    assert compared(entry.replace("}}", "}, compare: [topology]}")) == {"homo-by-topology": names}


def test_the_axes_that_are_not_compared_make_several_comparisons() -> None:
    entry = f"{{scenario: chimera_homo, {AXES}}}"

    assert compared(entry) == {
        f"homo-c{context}-t{temperature}-by-topology": [
            f"homo-c{context}-t{temperature}-{topology}" for topology in ("serial", "dual")
        ]
        for context in (512, 1024)
        for temperature in ("0.0", "1.0")
    }


@pytest.mark.parametrize(
    ("compare", "names"),
    [
        (
            "[num_ctx]",
            [
                f"homo-t{temperature}-{topology}-by-num_ctx"
                for topology in ("serial", "dual")
                for temperature in ("0.0", "1.0")
            ],
        ),
        ("[num_ctx, topology]", [f"homo-t{t}-by-topology-num_ctx" for t in ("0.0", "1.0")]),
        ("[topology, num_ctx]", [f"homo-t{t}-by-topology-num_ctx" for t in ("0.0", "1.0")]),
        ("[temperature, num_ctx, topology]", ["homo-by-topology-num_ctx-temperature"]),
    ],
)
def test_what_is_compared_can_be_chosen(compare: str, names: list[str]) -> None:
    found = compared(f"{{scenario: chimera_homo, {AXES}, compare: {compare}}}")

    assert list(found) == names
    assert sum(len(configs) for configs in found.values()) == 8
    assert len({len(configs) for configs in found.values()}) == 1


def test_nothing_is_compared_where_nothing_is_to_be_or_can_be() -> None:
    entries = [
        "{id: a, scenario: chimera_homo}",
        "{scenario: chimera_homo, axes: {num_ctx: [512, 1024], topology: [dual]}}",
        "{scenario: chimera_hetero, options: {num_gpu: [1, 2]}, compare: [],"
        " axes: {topology: [serial, dual]}}",
    ]
    names = [
        "a",
        "homo-c512-dual",
        "homo-c1024-dual",
        "hetero-g1x2-serial",
        "hetero-g1x2-dual",
    ]

    assert compared(*entries) == {name: [name] for name in names}


@pytest.mark.parametrize(
    ("entry", "fix"),
    [
        ("{scenario: chimera_homo, compare: [topology]}", "give the entry axes, or leave it out"),
        (
            "{scenario: chimera_homo, axes: {num_ctx: [64, 65], top_k: [1]}, compare: [topology]}",
            "its axes: num_ctx, top_k",
        ),
    ],
)
def test_only_axes_can_be_compared(entry: str, fix: str) -> None:
    line = f"my.yaml:14: {HERE}.compare: 'topology' is not an axis of this entry; {fix}"
    assert told(entry) == line


def test_two_comparisons_of_one_name_are_numbered() -> None:
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
    # a config's own id is kept, wherever it stands
    assert compared(
        entry.format("serial, dual"), "{id: homo-by-topology, scenario: chimera_homo}"
    ) == {
        "homo-by-topology-2": ["homo-serial", "homo-dual"],
        "homo-by-topology": ["homo-by-topology"],
    }


def test_a_comparison_has_a_name_that_fits_into_a_files() -> None:
    entry = "{{scenario: chimera_homo, axes: {{topology: [dual, single], model: [{}]}}}}"
    fits, longer = "m" * 43, "m" * 45

    assert [len(identifier) for identifier in compared(entry.format(fits))] == [60]
    assert told(entry.format(longer)) == (
        f"my.yaml:14: {HERE}: the comparison's generated id 'homo-{longer}-by-topology' is too "
        "long; compare fewer axes in one entry"
    )


def test_rounds_are_the_entrys_else_the_studys() -> None:
    entries = ["{id: a, scenario: chimera_homo, rounds: 3}", "{id: b, scenario: chimera_homo}"]

    assert [one.rounds for one in read(with_configs(*entries)).comparisons] == [3, 1]
    study = read(with_configs(*entries, top="rounds: 5\n"))
    assert [one.rounds for one in study.comparisons] == [3, 5]
    assert told("{scenario: chimera_homo, rounds: 51}").endswith(
        "rounds: 51 is not allowed; expected a whole number from 1 to 50: how often a block "
        "measures each of its configs"
    )


def test_compared_configs_have_one_phase_scenario_agents_and_work() -> None:
    entry = "{scenario: baseline_vs_chimera, axes: {topology: [serial, dual]}, options: {top_k: 9}}"
    (one,) = read(with_configs(entry)).comparisons
    first, second = one.configs

    assert (one.phase, one.line) == ("one", 14)
    assert first.agents == second.agents
    assert (first.phase, first.scenario, first.work_policy, first.line) == (
        second.phase,
        second.scenario,
        second.work_policy,
        second.line,
    )


# Scenarios and agents

THREE = "  third:\n    task: figures\n    steps: [a.j2, sub/b.j2]\n    data: my/data\n"


def test_scenarios_give_each_agent_its_options() -> None:
    text = with_configs(
        "{id: a, scenario: baseline_vs_chimera, agents: [third, insight, collector],"
        " options: {top_k: 1}}",
        "{id: b, scenario: chimera_hetero, agents: [insight, third],"
        " options: {top_k: [1, 2], seed: 3, model: [x, y]}}",
        "{id: c, scenario: chimera_homo, options: {model: z}}",
        "{id: d, scenario: chimera_homo, agents: [third]}",
    ).replace("phases:", THREE + "phases:")
    a, b, c, d = read(text).configs

    assert [(agent.name, dict(agent.options)) for agent in a.agents] == [
        ("third", {}),
        ("insight", {"top_k": 1}),
        ("collector", {"top_k": 1}),
    ]
    assert [(agent.name, agent.model, dict(agent.options)) for agent in b.agents] == [
        ("insight", "x", {"top_k": 1, "seed": 3}),
        ("third", "y", {"top_k": 2, "seed": 3}),
    ]
    assert [(agent.name, agent.model, dict(agent.options)) for agent in c.agents] == [
        ("collector", "z", {}),
        ("insight", "z", {}),
    ]
    assert d.agents == (
        Agent("third", "figures", ("a.j2", "sub/b.j2"), "my/data", "m", {}, max_tokens=32),
    )


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        *(
            (
                f"{{scenario: {scenario}, options: {{num_gpu: [1, 2]}}}}",
                f"options.num_gpu: one value per agent, but {scenario} has one for all; "
                "write one value, or scenario: chimera_hetero",
            )
            for scenario in ("chimera_homo", "baseline_vs_chimera")
        ),
        (
            "{scenario: chimera_homo, axes: {num_ctx: [64, [64, 65]]}}",
            "axes.num_ctx: one value per agent, but chimera_homo has one for all; "
            "write one value, or scenario: chimera_hetero",
        ),
        (
            "{scenario: chimera_hetero, options: {num_gpu: [1, 2, 3]}}",
            "options.num_gpu: a list of 3 for 2 agents; write one value per agent",
        ),
        (
            "{scenario: chimera_hetero, axes: {num_gpu: [[1]]}}",
            "axes.num_gpu: a list of 1 for 2 agents; write one value per agent",
        ),
        *(
            (
                f"{{scenario: chimera_hetero, options: {options}}}",
                "scenario: chimera_hetero, but all agents have equal options; "
                "give an option one value per agent, not all equal, or write chimera_homo",
            )
            for options in ("{}", "{num_gpu: 3}", "{num_gpu: [3, 3]}", "{top_p: [1, 1.0], seed: 2}")
        ),
        (
            "{scenario: chimera_homo, agents: [collector, insihgt]}",
            "agents: 'insihgt' is not an agent of this study; known agents: collector, insight",
        ),
        (
            "{scenario: chimera_homo, agents: [collector, collector]}",
            "agents: one name twice; list different agents; two alike are declared under two names",
        ),
        (
            "{scenario: baseline_vs_chimera, agents: [insight]}",
            "agents: baseline_vs_chimera with one agent; name two agents or more",
        ),
        (
            "{scenario: chimera_hetero, agents: [insight], options: {num_gpu: [1]}}",
            "agents: chimera_hetero with one agent; name two agents or more",
        ),
        *(
            (
                "{scenario: chimera_hetero, options: {model: [x, y]}, topology: " + shared + "}",
                f"topology: {shared} has one server, which holds one model, not x and y; "
                "use topology: dual, or one model",
            )
            for shared in ("serial", "single", "single_parallel")
        ),
        (
            "{scenario: baseline_vs_chimera, options: {model: x},"
            " axes: {topology: [dual, single]}}",
            "topology: single has one server, which holds one model, not m and x; "
            "use topology: dual, or one model",
        ),
    ],
)
def test_what_cannot_be_measured_is_one_line(entry: str, line: str) -> None:
    assert told(entry) == f"my.yaml:14: {HERE}.{line}"


def test_a_fault_in_options_names_their_own_line() -> None:
    text = swapped("num_gpu: 80", "num_gpu: [80, 90]")
    assert complaint(text).startswith(f"my.yaml:15: {HERE}.options.num_gpu: one value per agent")


# Work


def test_the_nearest_work_policy_counts() -> None:
    study = read(
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
    )

    assert [
        (config.id, config.phase, config.work_policy, *(a.max_tokens for a in config.agents))
        for config in study.configs
    ] == [
        ("a", "one", "fixed", 32, 32),
        ("b", "one", "natural", 1, 2),
        ("c", "two", "natural", 7, 7),
        ("d", "two", "fixed", 9, 9),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "work: {policy: fixed, tokens: 32}\n",
            "",
            f"13: {HERE}.work: no work policy; "
            "add work: {policy: fixed, tokens: 64} to the study, its phase or the config",
        ),
        (
            "tokens: 32",
            "tokens: {collector: 5}",
            "3: work.tokens: no number for agent 'insight' of the config in line 14; add one",
        ),
        (
            "tokens: 32",
            "tokens: {collector: 5, insight: 5, insihgt: 6}",
            "3: work.tokens.insihgt: 'insihgt' is not an agent of this study; "
            "known agents: collector, insight",
        ),
        (
            "    configs:\n",
            "    work:\n      policy: fixed\n      tokens: {insight: 5}\n    configs:\n",
            "15: phases.one.work.tokens: "
            "no number for agent 'collector' of the config in line 17; add one",
        ),
        (
            "        options: {num_gpu: 80, num_ctx: 512}\n",
            "        work: {policy: fixed, tokens: {insight: 5}}\n",
            f"15: {HERE}.work.tokens: "
            "no number for agent 'collector' of the config in line 14; add one",
        ),
    ],
)
def test_faults_of_work_name_the_policy_that_counts(old: str, new: str, line: str) -> None:
    assert complaint(swapped(old, new)) == f"my.yaml:{line}"


def test_titles_fall_back_to_names() -> None:
    study = read(BASE)
    assert (study.title, dict(study.phases)) == ("small", {"one": "one"})
    study = read(BASE.replace("  one:\n", "  one:\n    title: First\n") + "title: All\n")
    assert (study.title, dict(study.phases)) == ("All", {"one": "First"})
