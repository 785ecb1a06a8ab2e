"""Engines: the servers of each topology, protocols, and keys that only one of them knows."""

import pytest
from study_texts import BASE, HEAD, complaint, read, with_configs

from tandembench.study.model import PROTOCOLS
from tandembench.wire import DRIVERS

HERE = "phases.one.configs"
OLLAMA = "engine: ollama\n"


def test_servers_follow_from_the_topology() -> None:
    top = OLLAMA + (
        "servers:\n"
        "  dual: ['http://a:1', 'http://a:2', 'http://a:3']\n"
        "  single: ['http://b:1']\n"
        "  single_parallel: ['http://c:1']\n"
    )
    text = with_configs(
        "{scenario: chimera_homo, axes: {topology: [serial, single, single_parallel, dual]}}",
        "{scenario: chimera_hetero, id: two, topology: single, options: {model: [x, y]}}",
        top=top,
    )

    assert [config.servers for config in read(text).configs] == [
        ("http://b:1",),
        ("http://b:1",),
        ("http://c:1",),
        ("http://a:1", "http://a:2"),
        ("http://b:1",),
    ]
    assert read(BASE).configs[0].servers == ()


@pytest.mark.parametrize(
    ("topology", "servers", "line"),
    [
        *(
            (
                "dual",
                servers,
                f"14: {HERE}.topology: dual needs 2 URLs here, but servers.dual has {n}; "
                "list 2 under servers.dual, such as http://127.0.0.1:11434",
            )
            for servers, n in (
                ("{}", 0),
                ("{single: ['http://a:1']}", 0),
                ("{dual: ['http://a']}", 1),
            )
        ),
        *(
            (
                topology,
                "{single: ['http://a:1', 'http://a:2'], dual: ['http://a:1']}",
                f"14: {HERE}.topology: {topology} needs one URL here, but servers.{key} has {n}; "
                f"list 1 under servers.{key}, such as http://127.0.0.1:11434",
            )
            for topology, key, n in (
                ("single", "single", 2),
                ("serial", "single", 2),
                ("single_parallel", "single_parallel", 0),
            )
        ),
        (
            "dual",
            "{dual: ['http://a:1', 'http://a:1']}",
            "16: servers.dual: one URL twice is one server, not two; "
            "list the URLs of different servers",
        ),
    ],
)
def test_each_topology_needs_its_servers(topology: str, servers: str, line: str) -> None:
    entry = f"{{scenario: chimera_homo, topology: {topology}}}"
    assert complaint(with_configs(entry, top=f"{OLLAMA}servers: {servers}\n")) == f"my.yaml:{line}"


def test_keys_of_the_other_engine_are_refused() -> None:
    assert complaint(BASE + "servers: {single: ['http://a:1']}\n") == (
        "my.yaml:16: servers: engine embedded starts its own servers; "
        "write together or in_turn, or set engine: ollama or openai"
    )
    assert complaint(BASE + OLLAMA + "servers: in_turn\n") == (
        "my.yaml:17: servers: running servers are not started here; "
        "list the URLs of your servers there"
    )
    assert complaint(BASE + OLLAMA + "threads_total: 2\n") == (
        "my.yaml:17: threads_total: running servers set their own threads; leave it out"
    )
    assert read(BASE + "threads_total: 2\n").threads_total == 2


def test_embedded_servers_stay_up_together_or_run_in_turn() -> None:
    assert read(BASE).placement == "together"
    assert read(BASE + "servers: together\n").placement == "together"
    assert read(BASE + "servers: in_turn\n").placement == "in_turn"
    running = read(BASE + OLLAMA + "servers: {dual: ['http://a:1', 'http://a:2']}\n")
    assert running.placement == "together"


@pytest.mark.parametrize(
    ("total", "fix"), [("1", "write 2"), ("3", "write 2 or 4"), ("9", "write 8 or 10")]
)
def test_threads_that_do_not_split_evenly_are_refused(total: str, fix: str) -> None:
    entry = "{scenario: chimera_homo, axes: {topology: [serial, dual]}}"
    line = f"my.yaml:15: threads_total: {total} threads do not split evenly over the 2 servers of "
    line += f"the dual config in line 14; {fix}"

    assert complaint(with_configs(entry, top=f"threads_total: {total}\n")) == line


@pytest.mark.parametrize(
    "entry",
    [
        "{scenario: chimera_homo, axes: {topology: [serial, single, single_parallel]}}",
        "{scenario: chimera_homo, agents: [insight]}",
    ],
)
def test_threads_that_nothing_splits_may_be_odd(entry: str) -> None:
    assert read(with_configs(entry, top="threads_total: 3\n")).threads_total == 3


OPENAI = HEAD.replace("model: m", "model: org/M-1") + "      - {scenario: chimera_homo%s}\n"
OPENAI += "engine: openai\nservers: {dual: ['http://h:1', 'http://h:2']}\n"


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        (BASE, None),
        (BASE + OLLAMA + "servers: {dual: ['http://h:1', 'http://h:2']}\n", "generate"),
        (OPENAI % "", "chat"),
        (OPENAI % "" + "protocol: completions\n", "completions"),
    ],
)
def test_a_protocol_is_the_engines_first_or_the_one_that_is_named(
    text: str, protocol: str | None
) -> None:
    assert read(text).protocol == protocol


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            BASE + "protocol: chat\n",
            "16: protocol: engine embedded does not speak 'chat'; leave it",
        ),
        (
            BASE + OLLAMA + "protocol: completions\n",
            "17: protocol: engine ollama does not speak 'completions'; write generate or chat",
        ),
        (
            OPENAI % "" + "protocol: generate\n",
            "17: protocol: engine openai does not speak 'generate'; write chat or completions",
        ),
    ],
)
def test_a_protocol_of_another_engine_is_refused(text: str, line: str) -> None:
    assert complaint(text).startswith(f"my.yaml:{line}")


def test_protocols_are_those_that_have_a_driver() -> None:
    named = {(engine, protocol) for engine in PROTOCOLS for protocol in PROTOCOLS[engine]}

    assert named | {("embedded", None)} == set(DRIVERS)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (", options: {num_ctx: 512}", "options.num_ctx"),
        (", axes: {num_gpu: [0, 99]}", "axes.num_gpu"),
    ],
)
def test_what_openais_protocol_cannot_carry_is_refused(more: str, key: str) -> None:
    assert complaint(OPENAI % more) == (
        f"my.yaml:14: {HERE}.{key}: OpenAI's protocol has no word for it; "
        "leave it out, and start the server with it"
    )
    carried = ", options: {temperature: 0.8, top_p: 0.9, top_k: 9, min_p: 0.1, repeat_penalty: 1.1}"
    assert len(read(OPENAI % carried).configs) == 1
