"""The schema's complaints: one line with file, line, key, what is wrong and what to write."""

from collections.abc import Iterator
from typing import Any

import pytest
from study_texts import BASE, REPOSITORY, SCHEMA, complaint, read, swapped, with_configs

from tandembench.dataset.versions import PUBLISHED
from tandembench.errors import TandemError
from tandembench.study.check import check
from tandembench.study.read import checked_yaml
from tandembench.study.strict_yaml import parse

OPTIONS = "phases.one.configs.options"
AXES = "phases.one.configs.axes"
NAME_RULE = (
    "expected small letters and digits, joined by single '_', '.' or '-', 64 characters at most"
)
LAYERS = "expected a whole number from 0 to 1000, layers on the GPU"
TOKENS = (
    "expected a whole number from 1 to 100000, the answer tokens of each step; "
    "or one per agent, such as {collector: 64, insight: 98}"
)


def test_a_study_that_is_right_is_read() -> None:
    assert [config.id for config in read(BASE).configs] == ["homo-g80-c512"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        # A key misspelt or in the wrong place
        ("model: m\n", "modle: m\n", "2: modle: unknown key; did you mean 'model'?"),
        ("num_gpu", "num_gpus", f"15: {OPTIONS}.num_gpus: unknown key; did you mean 'num_gpu'?"),
        (", tokens:", ", token:", "3: work.token: unknown key; did you mean 'tokens'?"),
        (
            "    task: inventory",
            "    task: inventory\n    model: m",
            "7: agents.collector.model: unknown key; known keys: task, steps, data",
        ),
        # A key left out
        (
            "model: m\n",
            "",
            "1: key 'model' is missing; add it: "
            "the name of a model that config/servers.lock.yaml pins for this engine",
        ),
        (
            "    task: inventory\n",
            "",
            "5: agents.collector: key 'task' is missing; add it: "
            "inventory (the collector's task) or figures (the insight agent's)",
        ),
        (
            "policy: fixed, ",
            "",
            "3: work: key 'policy' is missing; add it: "
            "fixed (exactly so many tokens) or natural (the model ends, at the cap at the latest)",
        ),
        (
            "scenario: chimera_homo",
            "topology: dual",
            "14: phases.one.configs: key 'scenario' is missing; add it: "
            "baseline_vs_chimera, chimera_hetero or chimera_homo",
        ),
        # A name that cannot be a file's
        ("name: small", "name: Small Study", f'1: name: "Small Study" is not allowed; {NAME_RULE}'),
        ("name: small", "name: a__b", f'1: name: "a__b" is not allowed; {NAME_RULE}'),
        ("name: small", "name: -a", f'1: name: "-a" is not allowed; {NAME_RULE}'),
        ("name: small", "name: a-", f'1: name: "a-" is not allowed; {NAME_RULE}'),
        ("name: small", "name: ../up", f'1: name: "../up" is not allowed; {NAME_RULE}'),
        ("name: small", "name: 5", f"1: name: 5 is not allowed; {NAME_RULE}"),
        (
            "name: small",
            f"name: {'a' * 65}",
            f'1: name: "{"a" * 56}... is not allowed; {NAME_RULE}',
        ),
        ("  insight:", "  Insight:", f'8: agents.Insight: "Insight" is not allowed; {NAME_RULE}'),
        ("  one:", "  a b:", f'12: phases.a b: "a b" is not allowed; {NAME_RULE}'),
        (
            "- scenario",
            "- id: A/B\n        scenario",
            f'14: phases.one.configs.id: "A/B" is not allowed; {NAME_RULE}',
        ),
        # Something else than a mapping or a list
        (
            "{num_gpu: 80, num_ctx: 512}",
            "5",
            f"15: {OPTIONS}: 5 is not allowed; expected a mapping of model options: "
            "one value each, or in chimera_hetero a list with one value per agent",
        ),
        (
            "[insight.j2]",
            "insight.j2",
            '10: agents.insight.steps: "insight.j2" is not allowed; '
            "expected a list of 1 to 8 Jinja files in config/agents, one per LLM call",
        ),
        (
            "[insight.j2]",
            "[]",
            "10: agents.insight.steps: [] is not allowed; "
            "expected a list of 1 to 8 Jinja files in config/agents, one per LLM call",
        ),
        # A path that leads out of config/agents
        *(
            (
                "[insight.j2]",
                f"[collector.j2, {path}]",
                f'10: agents.insight.steps: "{path}" is not allowed; '
                "expected the name of a Jinja file in config/agents that ends in .j2",
            )
            for path in ("../x.j2", "a/../../x.j2", "/etc/x.j2", "x.txt", ".j2")
        ),
        # Work
        ("tokens: 32", "tokens: 0", f"3: work.tokens: 0 is not allowed; {TOKENS}"),
        ("tokens: 32", "tokens: 32.0", f"3: work.tokens: 32.0 is not allowed; {TOKENS}"),
        ("tokens: 32", "tokens: true", f"3: work.tokens: true is not allowed; {TOKENS}"),
        ("tokens: 32", "tokens: [1, 2]", f"3: work.tokens: [1, 2] is not allowed; {TOKENS}"),
        ("tokens: 32", "tokens: {}", f"3: work.tokens: {{}} is not allowed; {TOKENS}"),
        (
            "tokens: 32",
            "tokens: {collector: 5, insight: 1e3}",
            f"3: work.tokens.insight: 1000.0 is not allowed; {TOKENS}",
        ),
        (
            "policy: fixed",
            "policy: exact",
            '3: work.policy: "exact" is not allowed; expected fixed (exactly so many tokens) '
            "or natural (the model ends, at the cap at the latest)",
        ),
    ],
)
def test_each_misuse_is_one_line(old: str, new: str, line: str) -> None:
    assert complaint(swapped(old, new)) == f"my.yaml:{line}"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("80.0", "80.0"),
        ("1e3", "1000.0"),
        ("8e1", "80.0"),
        ("true", "true"),
        ("no", '"no"'),
        ("'80'", '"80"'),
        ("", "null"),
        ("~", "null"),
        (".nan", "NaN"),
        (".inf", "Infinity"),
        ("-1", "-1"),
        ("1001", "1001"),
        ("[]", "[]"),
        ("{a: 1}", '{"a": 1}'),
        ("[80, 1.0]", "1.0"),
        ("[80, true]", "true"),
        ("[-1, 80]", "-1"),
    ],
)
def test_no_other_value_passes_for_a_whole_number(written: str, shown: str) -> None:
    told = complaint(swapped("num_gpu: 80", f"num_gpu: {written}"))

    assert told == f"my.yaml:15: {OPTIONS}.num_gpu: {shown} is not allowed; {LAYERS}"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (".nan", "NaN"),
        (".inf", "Infinity"),
        ("-.inf", "-Infinity"),
        ("1e400", "Infinity"),
        ("5.1", "5.1"),
        ("-0.1", "-0.1"),
        ("true", "true"),
        ("warm", '"warm"'),
        ("[0.8, .nan]", "NaN"),
        ("[6, 0.8]", "6"),
    ],
)
def test_only_finite_numbers_in_range_pass_for_a_temperature(written: str, shown: str) -> None:
    told = complaint(swapped("num_gpu: 80", f"temperature: {written}"))

    what = f"{OPTIONS}.temperature: {shown} is not allowed; expected a number from 0 to 5"
    assert told == f"my.yaml:15: {what}"


@pytest.mark.parametrize(
    ("axis", "line"),
    [
        ("num_gpu: 3", "num_gpu: 3 is not allowed; expected a list of different num_gpu values"),
        ("num_gpu: []", "num_gpu: [] is not allowed; expected a list of different num_gpu values"),
        (
            "num_gpu: [1, 2, 1]",
            "num_gpu: [1, 2, 1] is not allowed; expected a list of different num_gpu values",
        ),
        (
            "temperature: [1, 1.0]",
            "temperature: [1, 1.0] is not allowed; expected a list of different temperatures",
        ),
        (
            "topology: [dual, dual]",
            'topology: ["dual", "dual"] is not allowed; expected a list of different topologies',
        ),
        ("num_gpu: [1, 2.0]", f"num_gpu: 2.0 is not allowed; {LAYERS}"),
        ("num_gpu: [1, [2, no]]", f'num_gpu: "no" is not allowed; {LAYERS}'),
        (
            "topology: [dual, duo]",
            'topology: "duo" is not allowed; expected serial, single, single_parallel or dual',
        ),
        ("num_gpuu: [1]", "num_gpuu: unknown key; did you mean 'num_gpu'?"),
    ],
)
def test_faults_inside_axes_name_the_axis(axis: str, line: str) -> None:
    told = complaint(with_configs(f"{{scenario: chimera_hetero, axes: {{{axis}}}}}"))

    assert told == f"my.yaml:14: {AXES}.{line}"


def test_no_axis_takes_a_value_twice() -> None:
    axes = SCHEMA["$defs"]["config"]["properties"]["axes"]["properties"]
    assert {name for name, rule in axes.items() if rule["uniqueItems"]} == set(axes)


@pytest.mark.parametrize(
    ("key", "bad", "good"),
    [
        ("seed", ["-1", "1.0", "9007199254740992", "x"], ["0", "9007199254740991"]),
        ("repetitions", ["0", "1001", "5.0", "1e3", "no", "true"], ["1", "1000"]),
        ("rounds", ["0", "51", "1.0", "[1]"], ["1", "50"]),
        ("retries", ["-1", "6"], ["0", "5"]),
        ("order", ["shuffled", "Random"], ["random", "by_config"]),
        ("margin", ["0", "0.51", ".nan", ".inf", "5 %"], ["0.001", "0.5"]),
        ("reference", ["baseline"], ["serial", "dual"]),
        ("engine", ["vllm"], ["embedded"]),
        ("threads_total", ["0", "4097", "2.0"], ["2", "4096"]),
        ("deadline_s", ["0", "86401", ".inf"], ["0.5", "86400"]),
        ("idle_s", ["0", "86401", ".nan"], ["0.5", "86400"]),
        ("title", ["5", "''", "x" * 121], ["x", "x" * 120]),
    ],
)
def test_ranges_of_the_study_itself(key: str, bad: list[str], good: list[str]) -> None:
    rule = SCHEMA["properties"][key]
    rule = SCHEMA["$defs"][rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
    for value in bad:
        told = complaint(swapped("model: m\n", f"model: m\n{key}: {value}\n"))
        assert told.startswith(f"my.yaml:3: {key}: ")
        assert told.endswith(f" is not allowed; expected {rule['description']}")
    for value in good:
        study = read(swapped("model: m\n", f"model: m\n{key}: {value}\n"))
        assert str(getattr(study.comparisons[0] if key == "rounds" else study, key)) == value


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:11434/",
        "http://h/v1",
        "HTTP://h:1",
        "ftp://h:1",
        "h:11434",
        "http://user:pw@h:1",
        "http://h:123456",
        "http://a b:1",
    ],
)
def test_urls_are_plain(url: str) -> None:
    servers = f"engine: ollama\nservers: {{dual: ['http://h:1', '{url}']}}\n"
    told = complaint(BASE + servers)

    fix = "expected a URL such as http://127.0.0.1:11434, without a path"
    assert told == f'my.yaml:17: servers.dual: "{url}" is not allowed; {fix}'


@pytest.mark.parametrize("url", ["http://h", "https://h.x-y:1", "http://[::1]:11434"])
def test_urls_that_are_taken(url: str) -> None:
    study = read(BASE + f"engine: ollama\nservers: {{dual: ['{url}', 'http://h:2']}}\n")
    assert study.configs[0].servers == (url, "http://h:2")


@pytest.mark.parametrize("servers", ["alone", "Together", "3", "[]", "true"])
def test_servers_that_are_none(servers: str) -> None:
    told = complaint(BASE + f"servers: {servers}\n")
    assert told.startswith("my.yaml:16: servers: ")
    assert "together" in told
    assert "in_turn" in told


def test_a_misspelt_topology_of_servers_is_named() -> None:
    told = complaint(BASE + "engine: ollama\nservers: {sinlge: ['http://h:1']}\n")
    assert told == "my.yaml:17: servers.sinlge: unknown key; did you mean 'single'?"


@pytest.mark.parametrize(
    ("criteria", "right"),
    [
        ("[]", True),
        ("[memory, first_token, fairness]", True),
        ("[memory, memory]", False),
        ("[speed]", False),
        ("memory", False),
    ],
)
def test_criteria_are_declared(criteria: str, right: bool) -> None:
    text = BASE + f"criteria: {criteria}\n"
    if right:
        assert f"[{', '.join(read(text).criteria)}]" == criteria
    else:
        assert complaint(text).startswith("my.yaml:16: criteria: ")


def test_the_first_fault_by_line_is_told() -> None:
    text = swapped("tokens: 32", "tokens: 0") + "seed: x\n"
    assert complaint(text).startswith("my.yaml:3: work.tokens: 0")
    text = swapped("num_gpu: 80", "num_gpu: x").replace("[collector.j2]", "[]")
    assert complaint(text).startswith("my.yaml:7: agents.collector.steps: []")


def test_a_long_value_and_a_long_key_are_cut() -> None:
    long = "x" * 900

    assert f': "{"x" * 56}... is not' in complaint(swapped("name: small", f"name: {long}"))
    told = complaint(swapped("name: small", f"name: small\n{long}: 1"))
    assert told.startswith(f"my.yaml:2: {'x' * 160}: unknown key; known keys: ")


@pytest.mark.parametrize("name", ["tr114", "mine@1.0.0", "a-b_c.d@10.2.3"])
def test_baselines_that_are_taken(name: str) -> None:
    assert read(BASE + f"baselines: [{name}]\n").baselines == (name,)


@pytest.mark.parametrize("name", ["TR114", "mine@1", "mine@", "../tr114", "a b", "tr114@1.0.0.0"])
def test_baselines_are_names(name: str) -> None:
    told = complaint(BASE + f"baselines: ['{name}']\n")
    assert told.startswith(f'my.yaml:16: baselines: "{name}" is not allowed; expected a baseline')
    assert read(BASE + "baselines: []\n").baselines == ()


def test_the_default_is_that_of_datasets_which_name_none() -> None:
    assert read(BASE).baselines == PUBLISHED


def test_defaults_are_the_schemas() -> None:
    study = read(BASE)

    told = {key: getattr(study, key) for key in SCHEMA["properties"] if key in study.__slots__}
    told |= {"rounds": study.comparisons[0].rounds, "servers": study.placement}
    for key, rule in SCHEMA["properties"].items():
        if "default" in rule:
            told_default = list(told[key]) if isinstance(rule["default"], list) else told[key]
            assert told_default == rule["default"]
    assert (study.repetitions, study.retries, study.margin) == (5, 1, 0.05)
    assert (study.seed, study.order, study.engine, study.reference) == (
        0,
        "random",
        "embedded",
        "serial",
    )
    assert (study.threads_total, study.title) == (None, "small")


def test_a_rule_without_description_still_gives_a_fix() -> None:
    values, lines = parse("a: 1", "x.yaml")

    with pytest.raises(TandemError) as caught:
        check(values, lines, {"properties": {"a": {"type": "string"}}}, "x.yaml")
    assert str(caught.value) == "x.yaml:1: a: 1 is not allowed; expected what config/README.md says"


def test_the_lock_file_is_checked_in_the_same_way() -> None:
    text = (REPOSITORY / "config/servers.lock.yaml").read_text(encoding="utf-8")
    file = "workflow/schemas/servers.lock.schema.yaml"
    schema = _loaded(file)
    where = "config/servers.lock.yaml"
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "bytes:" in row)

    assert checked_yaml(text, schema, where)["embedded"]["default_num_ctx"] == 2048
    with pytest.raises(TandemError) as caught:
        checked_yaml(text.replace("bytes: 9", "bytes: -9"), schema, where)
    assert str(caught.value) == (
        f"{where}:{line}: embedded.models.smollm2-135m-instruct-q4_1.bytes: -98362432 is not "
        "allowed; expected a whole number, the file's size in bytes"
    )
    with pytest.raises(TandemError, match=r":1: key 'embedded' is missing; add it: a mapping"):
        checked_yaml("ollama: {version: '1', models: {}}", schema, where)


@pytest.mark.parametrize("name", ["study", "servers.lock", "csv_mapping"])
def test_every_rule_says_what_it_expects(name: str) -> None:
    schema = _loaded(f"workflow/schemas/{name}.schema.yaml")

    checked = list(_rules(schema, schema, name))
    silent = [path for path, description in checked if not description]
    assert len(checked) > 8
    assert silent == []
    for path, description in checked:
        assert description[0] + description[-1] == (description[0] + description[-1]).strip(), path
        assert description.isprintable(), path
        assert not description.endswith("."), path


def _loaded(file: str) -> dict[str, Any]:
    return parse((REPOSITORY / file).read_text(encoding="utf-8"), file)[0]


def _rules(node: Any, root: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Every rule below ``node`` that can fail, with its description.

    A rule under anyOf or oneOf is answered with the description above it.
    """
    names = (
        dict(node.get("properties", {}))
        | node.get("else", {}).get("properties", {})
        | {
            key: node[key]
            for key in ("items", "additionalProperties", "propertyNames", "then")
            if isinstance(node.get(key), dict)
        }
    )
    names |= {f"$defs.{key}": rule for key, rule in node.get("$defs", {}).items()}
    for key, rule in names.items():
        target = root["$defs"][rule["$ref"].rpartition("/")[2]] if "$ref" in rule else {}
        yield f"{path}.{key}", rule.get("description") or target.get("description", "")
        yield from _rules(rule, root, f"{path}.{key}")
