"""A complaint is one line with file, line, key, what is wrong and what to write."""

import json

import pytest
from study_texts import BASE, complaint, read, swapped, with_configs

from tandembench.study.urls import one_spelling

CONFIG = "phases.one.configs"
NEW = "\n        "  # another key of the config


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        # a key misspelt, in the wrong place, or left out
        ("model: m\n", "modle: m\n", "2: modle: unknown key; did you mean 'model'?"),
        ("num_gpu", "nun_gpu", f"15: {CONFIG}.options.nun_gpu: unknown key; did you mean"),
        (", tokens:", ", token:", "3: work.token: unknown key; did you mean 'tokens'?"),
        ("task: inventory", "a: b", "6: agents.collector.a: unknown key; known keys: task, steps,"),
        ("    task: inventory\n", "", "5: agents.collector: key 'task' is missing; add it:"),
        ("scenario: chimera_homo", "id: a", f"14: {CONFIG}: key 'scenario' is missing; add it:"),
        # names, of keys too
        ("  insight:", "  Insight:", '8: agents.Insight: "Insight" is not allowed'),
        ("  one:", "  a b:", '12: phases.a b: "a b" is not allowed'),
        ("- scen", f"- id: A/B{NEW}scen", f'14: {CONFIG}.id: "A/B" is not allowed'),
        *(
            ("name: small", f"name: {name}", "1: name: ")
            for name in ("Small Study", "a__b", "-a", "a-", "../up", "5", "a" * 65)
        ),
        # something else than a mapping or a list, or an empty one
        ("[insight.j2]", "i.j2", '10: agents.insight.steps: "i.j2" is not allowed'),
        ("[insight.j2]", "[]", "10: agents.insight.steps: [] is not allowed"),
        ("{num_gpu: 80, num_ctx: 512}", "5", f"15: {CONFIG}.options: 5 is not allowed"),
        # a path that leads out of config/agents
        *(
            ("[insight.j2]", f"[a.j2, {path}]", f'10: agents.insight.steps: "{path}" is not')
            for path in ("../x.j2", "a/../../x.j2", "/etc/x.j2", "x.txt", ".j2")
        ),
        *(
            ("tokens: 32", f"tokens: {value}", f"3: work.tokens: {value} is not allowed")
            for value in ("0", "32.0", "true", "[1, 2]", "{}")
        ),
        ("tokens: 32", "tokens: {insight: 1e3}", "3: work.tokens.insight: 1000.0 is not allowed;"),
    ],
)
def test_each_misuse_is_one_line(old: str, new: str, line: str) -> None:
    assert complaint(swapped(old, new)).startswith(f"my.yaml:{line}")


@pytest.mark.parametrize(
    ("axis", "shown"),
    [
        ("num_gpu: 3", "3"),
        ("num_gpu: []", "[]"),
        ("num_gpu: [1, 2, 1]", "[1, 2, 1]"),
        ("num_gpu: [[1, 2], [1, 2]]", "[[1, 2], [1, 2]]"),
        ("temperature: [1, 1.0]", "[1, 1.0]"),
        ("topology: [dual, dual]", '["dual", "dual"]'),
        ("num_gpu: [1, 2.0]", "2.0"),
        ("num_gpu: [1, [2, no]]", '"no"'),
        ("topology: [dual, duo]", '"duo"'),
    ],
)
def test_faults_inside_axes_name_the_axis(axis: str, shown: str) -> None:
    line = complaint(with_configs(f"{{scenario: chimera_hetero, axes: {{{axis}}}}}"))
    name = axis.partition(":")[0]
    assert line.startswith(f"my.yaml:14: {CONFIG}.axes.{name}: {shown} is not allowed; expected ")


@pytest.mark.parametrize(
    ("key", "bad", "good"),
    [
        ("seed", ["-1", "1.0", "9007199254740992", "x", ""], ["0", "9007199254740991"]),
        ("repetitions", ["0", "1001", "5.0", "1e3", "no", "true"], ["1", "1000"]),
        ("rounds", ["0", "51", "1.0", "[1]"], ["1", "50"]),
        ("retries", ["-1", "6"], ["0", "5"]),
        ("order", ["shuffled", "Random"], ["random", "by_config"]),
        ("margin", ["0", "0.51", ".nan", ".inf", "5 %"], ["0.001", "0.5"]),
        ("reference", ["baseline"], ["serial", "dual"]),
        ("engine", ["vllm"], ["embedded"]),
        ("threads_total", ["0", "4097", "2.0", "~"], ["2", "4096"]),
        ("deadline_s", ["0", "86401", ".inf", "true"], ["0.5", "86400"]),
        ("idle_s", ["0", "86401", ".nan"], ["0.5", "86400"]),
        ("telemetry", ["1", "no"], []),
        ("title", ["5", "''", "x" * 121], ["x", "x" * 120]),
        ("hypotheses", ["''", "~", "[a]"], ["a.yaml"]),
        ("criteria", ["[memory, memory]", "[speed]", "memory"], []),
        ("baselines", ["['a b']", "[../x]", "[TR114]", "[a@1]", "[a@]", "[a@1.0.0.0]"], []),
        ("servers", ["alone", "Together", "3", "[]", "true", "{}"], ["together", "in_turn"]),
    ],
)
def test_ranges_of_the_study_itself(key: str, bad: list[str], good: list[str]) -> None:
    for value in bad:
        line = complaint(swapped("model: m\n", f"model: m\n{key}: {value}\n"))
        assert line.startswith(f"my.yaml:3: {key}: ")
        assert "; expected " in line or value == "{}"
    for value in good:
        study = read(swapped("model: m\n", f"model: m\n{key}: {value}\n"))
        assert str(getattr(study.comparisons[0] if key == "rounds" else study, key)) == value


@pytest.mark.parametrize(
    ("option", "bad", "good"),
    [
        (
            "num_gpu",
            ["80.0", "true", "-1", "1001", "'80'", "~", ".inf"],
            ["0", "1000"],
        ),
        ("num_ctx", ["63", "1048577", "64.0"], ["64", "1048576"]),
        *(
            (name, ["5.1", "-0.1", ".nan", "-.inf", "1e400", "true", "a", "[6, 0.8]"], ["0", "5"])
            for name in ("temperature", "repeat_penalty")
        ),
        *((name, ["1.1", "-0.1"], ["0", "1"]) for name in ("top_p", "min_p")),
        ("top_k", ["-1", "100001"], ["0", "100000"]),
        ("seed", ["-1", "4294967295"], ["0", "4294967294"]),
        (
            "model",
            ["''", "' a'", "m" * 257],
            [
                "org/M-1:b",
                "/models/Q4_K.gguf",
                "a@q4_k_m",
                "My Model",
                r"C:\m\x.gguf",
                "\u00fc",
                "m" * 256,
            ],
        ),
    ],
)
def test_ranges_of_options(option: str, bad: list[str], good: list[str]) -> None:
    entry = "{id: a, scenario: chimera_homo, options: {%s: %s}}"
    for value in bad:
        line = complaint(with_configs(entry % (option, value)))
        assert line.startswith(f"my.yaml:14: {CONFIG}.options.{option}: ")
    for value in good:
        agent = read(with_configs(entry % (option, value))).configs[0].agents[0]
        given = agent.model if option == "model" else agent.options[option]
        assert str(given).removesuffix(".0") == value


@pytest.mark.parametrize(
    "url",
    ["ftp://h:1", "h:1", "box:11434", "http://u:pw@h:1", "http://h:123456", "http://h:0"]
    + ["http://a b:1", "http://", "http://[", "http://h/a?b", "http://h/#b", "http://h/a b"],
)
def test_urls_are_those_of_servers(url: str) -> None:
    line = complaint(BASE + f"engine: ollama\nservers: {{dual: ['http://h:1', '{url}']}}\n")
    assert line.startswith(f'my.yaml:17: servers.dual: "{url}" is not allowed; expected a server')


@pytest.mark.parametrize(
    ("urls", "spelled"),
    [
        (["http://localhost:11434/", "http://LOCALHOST:11434/v1"], "http://127.0.0.1:11434"),
        (["http://0.0.0.0:11434", "http://127.0.0.1:11434"], "http://127.0.0.1:11434"),
        (["http://[::]:11434", "http://[0:0:0::1]:11434/v1/"], "http://[::1]:11434"),
        (["http://vllm_1", "http://vllm_1:80/v1/chat/completions"], "http://vllm_1:80"),
        (["https://Box.example", "https://box.example.:443/"], "https://box.example:443"),
        # its certificate says this name
        (["https://localhost/v1/models"], "https://localhost:443"),
        (["http://h:8000/LLM/v1", "http://H:8000/LLM/"], "http://h:8000/LLM"),
        (["http://h:8000/v1beta"], "http://h:8000/v1beta"),
    ],
)
def test_urls_of_one_server_have_one_spelling(urls: list[str], spelled: str) -> None:
    assert {one_spelling(url) for url in [*urls, spelled]} == {spelled}
    if len(urls) > 1:
        line = complaint(BASE + f"engine: openai\nservers: {{dual: {json.dumps(urls)}}}\n")
        assert line.startswith("my.yaml:17: servers.dual: [")


def test_the_first_fault_by_line_is_told_and_a_missing_key_last() -> None:
    text = swapped("tokens: 32", "tokens: 0") + "seed: x\n"
    assert complaint(text).startswith("my.yaml:3: work.tokens: 0")
    text = swapped("num_gpu: 80", "num_gpu: x").replace("[collector.j2]", "[]")
    assert complaint(text).startswith("my.yaml:7: agents.collector.steps: []")
    assert complaint(text.replace("model: m\n", "")).startswith("my.yaml:6: agents.collector.steps")
