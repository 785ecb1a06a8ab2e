"""What cannot be measured as it is written: one line each, which names the place."""

import pytest
from study_texts import complaint, swapped, with_configs

HERE = "phases.one.configs"
OLLAMA = "engine: ollama\n"
HOMO = "{scenario: chimera_homo, "


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("{id: a, scenario: chimera_homo, axes: {num_gpu: [1]}}", "id: an entry with axes"),
        (HOMO + "options: {top_k: 3}, axes: {top_k: [1]}}", "axes.top_k: also set beside the axes"),
        (HOMO + "topology: dual, axes: {topology: [single]}}", "axes.topology: also set beside"),
        (
            HOMO + "compare: [topology]}",
            "compare: 'topology' is not an axis of this entry; its axes: none",
        ),
        (
            HOMO + "axes: {num_ctx: [64, 65], top_k: [1]}, compare: [topology]}",
            "compare: 'topology' is not an axis of this entry; its axes: num_ctx, top_k",
        ),
        (HOMO + "axes: {num_ctx: [1, 2]}, compare: [num_ctx, num_ctx]}", "axes.num_ctx: 1 is not"),
        (HOMO + "axes: {num_ctx: [64]}, compare: [num_ctx, num_ctx]}", 'compare: ["num_ctx"'),
        *(
            (
                f"{{scenario: {scenario}, options: {{num_gpu: [1, 2]}}}}",
                f"options.num_gpu: one value per agent, but {scenario} has one for all;",
            )
            for scenario in ("chimera_homo", "baseline_vs_chimera")
        ),
        (HOMO + "axes: {num_ctx: [64, [64, 65]]}}", "axes.num_ctx: one value per agent, but"),
        (
            "{scenario: chimera_hetero, options: {num_gpu: [1, 2, 3]}}",
            "options.num_gpu: a list of 3 for 2 agents; write one value per agent",
        ),
        ("{scenario: chimera_hetero, axes: {num_gpu: [[1]]}}", "axes.num_gpu: a list of 1 for 2"),
        *(
            (
                f"{{scenario: chimera_hetero, options: {options}}}",
                "scenario: chimera_hetero, but all agents have equal options;",
            )
            for options in ("{}", "{num_gpu: 3}", "{num_gpu: [3, 3]}", "{top_p: [1, 1.0], seed: 2}")
        ),
        (
            HOMO + "agents: [collector, insihgt]}",
            "agents: 'insihgt' is not an agent of this study; known agents: collector, insight",
        ),
        (
            HOMO + "agents: [collector, collector]}",
            'agents: ["collector", "collector"] is not allowed',
        ),
        ("{scenario: baseline_vs_chimera, agents: [insight]}", "agents: baseline_vs_chimera with"),
        (
            "{scenario: chimera_hetero, agents: [insight], options: {num_gpu: [1]}}",
            "agents: chimera_hetero with one agent; name two agents or more",
        ),
        *(
            (
                "{scenario: chimera_hetero, options: {model: [x, y]}, topology: " + shared + "}",
                f"topology: {shared} has one server, which holds one model, not x and y;",
            )
            for shared in ("serial", "single", "single_parallel")
        ),
        (
            "{scenario: baseline_vs_chimera, options: {model: x}, axes: {topology: [single]}}",
            "topology: single has one server, which holds one model, not m and x;",
        ),
    ],
)
def test_an_entry_that_cannot_be_measured_is_one_line(entry: str, line: str) -> None:
    assert complaint(with_configs(entry)).startswith(f"my.yaml:14: {HERE}.{line}")


G1 = HOMO + "options: {num_gpu: 1}}"
TWICE = "two configs have the id 'homo-g1' (the other is in line 14); give one of them an id"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (with_configs(G1, "{scenario: chimera_homo}", G1), f"16: {HERE}: {TWICE}"),
        (with_configs("{id: homo-g1, scenario: chimera_homo}", G1), f"15: {HERE}: {TWICE}"),
        (
            with_configs(G1) + f"  two:\n    configs:\n      - {G1}\n",
            f"17: phases.two.configs: {TWICE}",
        ),
        (with_configs(HOMO + "axes: {model: ['a/b', 'a:b']}}"), f"14: {HERE}: two configs have"),
        (
            with_configs(f"{{scenario: chimera_hetero, axes: {{model: [[{'m' * 56}, n]]}}}}"),
            f"14: {HERE}: the generated id 'hetero-{'m' * 56}xn' is over 64 characters;",
        ),
        (
            with_configs(HOMO + f"axes: {{topology: [dual, single], model: [{'m' * 45}]}}}}"),
            f"14: {HERE}: the comparison's generated id 'homo-{'m' * 45}-by-topology' is too long;",
        ),
    ],
)
def test_an_id_that_cannot_be_used_is_one_line(text: str, line: str) -> None:
    assert complaint(text).startswith(f"my.yaml:{line}")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("work: {policy: fixed, tokens: 32}\n", "", f"13: {HERE}.work: no work policy;"),
        (
            "tokens: 32",
            "tokens: {collector: 5}",
            "3: work.tokens: no number for agent 'insight' of the config in line 14; add one",
        ),
        (
            "tokens: 32",
            "tokens: {collector: 5, insight: 5, insihgt: 6}",
            "3: work.tokens.insihgt: 'insihgt' is not an agent of this study;",
        ),
        (
            "    configs:\n",
            "    work:\n      policy: fixed\n      tokens: {insight: 5}\n    configs:\n",
            "15: phases.one.work.tokens: no number for agent 'collector' of the config in line 17",
        ),
        (
            "        options: {num_gpu: 80, num_ctx: 512}\n",
            "        work: {policy: fixed, tokens: {insight: 5}}\n",
            f"15: {HERE}.work.tokens: no number for agent 'collector' of the config in line 14",
        ),
        ("num_gpu: 80", "num_gpu: [80, 90]", f"15: {HERE}.options.num_gpu: one value per agent"),
    ],
)
def test_a_fault_names_its_own_line(old: str, new: str, line: str) -> None:
    assert complaint(swapped(old, new)).startswith(f"my.yaml:{line}")


@pytest.mark.parametrize(
    ("topology", "top", "line"),
    [
        *(
            (
                "dual",
                f"{OLLAMA}servers: {servers}\n",
                f"14: {HERE}.topology: dual needs 2 URLs here",
            )
            for servers in ("{}", "{single: ['http://a:1']}", "{dual: ['http://a']}")
        ),
        *(
            (
                topology,
                OLLAMA + "servers: {single: ['http://a:1', 'http://a:2'], dual: ['http://a:1']}\n",
                f"14: {HERE}.topology: {topology} needs one URL here, but servers.{key} has {n};",
            )
            for topology, key, n in (
                ("single", "single", 2),
                ("serial", "single", 2),
                ("single_parallel", "single_parallel", 0),
            )
        ),
        (
            "dual",
            OLLAMA + "servers: {dual: ['http://a:1', 'http://a:1']}\n",
            '16: servers.dual: ["http://a:1", "http://a:1"] is not allowed; expected a list',
        ),
        ("dual", "servers: {single: ['http://a:1']}\n", "15: servers: engine embedded starts its"),
        ("dual", OLLAMA + "servers: in_turn\n", "16: servers: running servers are not started"),
        ("dual", OLLAMA + "threads_total: 2\n", "16: threads_total: running servers set their own"),
        ("dual", "protocol: chat\n", "15: protocol: engine embedded does not speak 'chat'; leave"),
        (
            "dual",
            OLLAMA + "protocol: completions\n",
            "16: protocol: engine ollama does not speak 'completions'; write generate or chat",
        ),
        (
            "dual",
            "engine: openai\nprotocol: generate\n",
            "16: protocol: engine openai does not speak 'generate'; write chat or completions",
        ),
        *(
            (
                "dual",
                f"threads_total: {total}\n",
                f"15: threads_total: {total} threads do not split evenly over the 2 servers of the"
                " dual config in line 14; write a multiple of 2",
            )
            for total in (1, 3, 9)
        ),
    ],
)
def test_engines_refuse_what_they_cannot_do(topology: str, top: str, line: str) -> None:
    entry = f"{{scenario: chimera_homo, topology: {topology}}}"
    assert complaint(with_configs(entry, top=top)).startswith(f"my.yaml:{line}")


@pytest.mark.parametrize("more", ["options: {num_ctx: 512}", "axes: {num_gpu: [0, 99]}"])
def test_what_openais_protocol_cannot_carry_is_refused(more: str) -> None:
    line = complaint(with_configs(HOMO + more + "}", top="engine: openai\n"))
    key = more.replace(": {", ".").partition(":")[0]
    assert line.startswith(f"my.yaml:14: {HERE}.{key}: OpenAI's protocol has no word for it; ")
