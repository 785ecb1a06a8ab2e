"""What cannot be measured as it is written: one line each, which names the place."""

from contextlib import nullcontext

import pytest
from study_texts import REPOSITORY, complaint, read, swapped, with_configs

from tandembench.errors import TandemError
from tandembench.study.lock import LOCK_FILE, locked, read_lock

HERE = "phases.one.configs"
HOMO, HETERO = "scenario: chimera_homo", "scenario: chimera_hetero"
OLLAMA, OPENAI = "engine: ollama\n", "engine: openai\n"


def cases(table: str) -> list[list[str]]:
    """The cells of a table whose rows are lines."""
    return [[cell.strip() for cell in row.split(" => ")] for row in table.strip().splitlines()]


@pytest.mark.parametrize(
    ("entry", "line"),
    cases("""
    HOMO, id: a, axes: {num_gpu: [1]} => id: an entry with axes gets generated ids
    HOMO, options: {top_k: 3}, axes: {top_k: [1]} => axes.top_k: also set beside the axes
    HOMO, topology: dual, axes: {topology: [single]} => axes.topology: also set beside the axes
    HOMO, compare: [topology] => compare: 'topology' is not an axis of this entry; its axes: none
    HOMO, axes: {num_ctx: [64, 65], top_k: [1]}, compare: [seed] => compare: 'seed' is not an axis
    HOMO, axes: {num_ctx: [1, 2]} => axes.num_ctx: 1 is not allowed
    HOMO, axes: {num_ctx: [64]}, compare: [num_ctx, num_ctx] => compare: ["num_ctx", "num_ctx"] is
    HOMO, options: {num_gpu: [1, 2]} => options.num_gpu: one value per agent, but chimera_homo has
    scenario: baseline_vs_chimera, options: {top_k: [1, 2]} => options.top_k: one value per agent
    HOMO, axes: {num_ctx: [64, [64, 65]]} => axes.num_ctx: one value per agent, but chimera_homo
    HETERO, options: {num_gpu: [1, 2, 3]} => options.num_gpu: a list of 3 for 2 agents
    HETERO, axes: {num_gpu: [[1]]} => axes.num_gpu: a list of 1 for 2 agents
    HETERO, options: {} => scenario: chimera_hetero, but all agents have equal options
    HETERO, options: {num_gpu: 3} => scenario: chimera_hetero, but all agents have equal options
    HETERO, options: {num_gpu: [3, 3]} => scenario: chimera_hetero, but all agents have equal
    HETERO, options: {top_p: [1, 1.0], seed: 2} => scenario: chimera_hetero, but all agents have
    HOMO, agents: [collector, insihgt] => agents: 'insihgt' is not an agent of this study; known
    HOMO, agents: [collector, collector] => agents: ["collector", "collector"] is not allowed
    scenario: baseline_vs_chimera, agents: [insight] => agents: baseline_vs_chimera with one agent
    HETERO, agents: [insight], options: {num_gpu: [1]} => agents: chimera_hetero with one agent
    HETERO, options: {model: [x, y]}, topology: serial => topology: serial has one server, which
    HETERO, options: {model: [x, y]}, topology: single => topology: single has one server, which
    HETERO, options: {model: [x, y]}, axes: {topology: [single_parallel]} => topology: single_par
    scenario: baseline_vs_chimera, options: {model: x}, topology: single => topology: single has
    HOMO, options: {num_ctx: 64}, work: {policy: fixed, tokens: 63} => options.num_ctx: agent 'coll
    HOMO, axes: {num_ctx: [64]}, work: {policy: natural, tokens: 900} => axes.num_ctx: agent 'coll
    """),
)
def test_an_entry_that_cannot_be_measured_is_one_line(entry: str, line: str) -> None:
    text = with_configs(f"{{{entry.replace('HOMO', HOMO).replace('HETERO', HETERO)}}}")
    assert complaint(text).startswith(f"my.yaml:14: {HERE}.{line}")


def test_a_context_holds_prompt_and_answer_and_so_does_the_default_one() -> None:
    fits = f"{{{HOMO}, options: {{num_ctx: 64}}, work: {{policy: fixed, tokens: 62}}}}"
    assert len(read(with_configs(fits)).configs) == 1  # a nonce, and a prompt of one word
    lock = read_lock((REPOSITORY / LOCK_FILE).read_text(encoding="utf-8"))
    model = next(iter(lock.embedded.models))
    default = lock.embedded.default_num_ctx
    for tokens, refused in ((default - 2, False), (default - 1, True)):
        entry = f"{{{HOMO}, work: {{policy: fixed, tokens: {tokens}}}}}"
        study = read(with_configs(entry).replace("model: m\n", f"model: {model}\n"))
        with pytest.raises(TandemError) if refused else nullcontext() as caught:
            locked(lock, study, study.comparisons[0], "my.yaml")
        assert not caught or str(caught.value).startswith("my.yaml:14: ")


G1 = f"{{{HOMO}, options: {{num_gpu: 1}}}}"
TWICE = "two configs have the id 'homo-g1' (the other is in line 14); give one of them an id"
LONG = "m" * 56


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (with_configs(G1, f"{{{HOMO}}}", G1), f"16: {HERE}: {TWICE}"),
        (with_configs(f"{{id: homo-g1, {HOMO}}}", G1), f"15: {HERE}: {TWICE}"),
        (with_configs(G1, top=f"  two: {{configs: [{G1}]}}\n"), f"15: phases.two.configs: {TWICE}"),
        (with_configs(f"{{{HOMO}, axes: {{model: ['a/b', 'a:b']}}}}"), f"14: {HERE}: two configs"),
        (
            with_configs(f"{{{HETERO}, axes: {{model: [[{LONG}, n]]}}}}"),
            f"14: {HERE}: the generated id 'hetero-{LONG}xn' is over 64 characters;",
        ),
        (
            with_configs(f"{{{HOMO}, axes: {{topology: [dual, single], model: [{'m' * 45}]}}}}"),
            f"14: {HERE}: the comparison's generated id 'homo-{'m' * 45}-by-topology' is too long;",
        ),
    ],
)
def test_an_id_that_cannot_be_used_is_one_line(text: str, line: str) -> None:
    assert complaint(text).startswith(f"my.yaml:{line}")


NO_NUMBER = "no number for agent 'collector' of the config in line"
PER_AGENT = "work:\n{0}  policy: fixed\n{0}  tokens: {{insight: 5}}\n"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("work: {policy: fixed, tokens: 32}\n", "", f"13: {HERE}.work: no work policy;"),
        ("tokens: 32", "tokens: {insight: 5}", f"3: work.tokens: {NO_NUMBER} 14; add one"),
        ("tokens: 32", "tokens: {insihgt: 6}", "3: work.tokens.insihgt: 'insihgt' is not an"),
        (
            "    configs:\n",
            "    " + PER_AGENT.format("    ") + "    configs:\n",
            f"15: phases.one.work.tokens: {NO_NUMBER} 17; add one",
        ),
        (
            "        options: {num_gpu: 80, num_ctx: 512}\n",
            "        " + PER_AGENT.format("        "),
            f"17: {HERE}.work.tokens: {NO_NUMBER} 14; add one",
        ),
        ("num_gpu: 80", "num_gpu: [80, 90]", f"15: {HERE}.options.num_gpu: one value per agent"),
    ],
)
def test_a_fault_names_its_own_line(old: str, new: str, line: str) -> None:
    assert complaint(swapped(old, new)).startswith(f"my.yaml:{line}")


SINGLE = "servers: {single: ['http://a:1', 'http://a:2'], dual: ['http://a:1']}"
TWO = "servers: {dual: ['http://a:1', 'http://a:2']}"
UNEVEN = "threads do not split evenly over the 2 servers of the dual config in line 14; write a"


@pytest.mark.parametrize(
    ("topology", "top", "line"),
    [
        ("dual", f"{OLLAMA}servers: {{}}", f"14: {HERE}.topology: dual needs 2 URLs here"),
        ("dual", f"{OLLAMA}{SINGLE}", f"14: {HERE}.topology: dual needs 2 URLs here, but"),
        ("single", f"{OLLAMA}{SINGLE}", f"14: {HERE}.topology: single needs one URL here"),
        ("serial", f"{OLLAMA}{SINGLE}", f"14: {HERE}.topology: serial needs one URL here"),
        ("single_parallel", f"{OLLAMA}{SINGLE}", f"14: {HERE}.topology: single_parallel needs one"),
        ("dual", f"{OLLAMA}servers: {{dual: ['http://a', 'http://a']}}", "16: servers.dual: ["),
        ("dual", "servers: {single: ['http://a:1']}", "15: servers: engine embedded starts its"),
        ("dual", f"{OPENAI}servers: in_turn", "16: servers: servers of engine openai are not"),
        ("dual", f"{OPENAI}", f"14: {HERE}.topology: dual needs 2 URLs here"),
        ("dual", f"{OPENAI}threads_total: 2", "16: threads_total: OpenAI's protocol has no word"),
        ("dual", f"{OLLAMA}threads_total: 3", f"16: threads_total: 3 {UNEVEN}"),
        ("dual", f"{OLLAMA}{TWO}\nthreads_total: 3", f"17: threads_total: 3 {UNEVEN}"),
        ("dual", "protocol: chat", "15: protocol: engine embedded does not speak 'chat'; leave"),
        ("dual", f"{OLLAMA}protocol: completions", "16: protocol: engine ollama does not speak"),
        ("dual", f"{OPENAI}protocol: generate", "16: protocol: engine openai does not speak"),
        ("dual", "lock: other", "15: lock: 'other' is no entry of engine embedded; leave it out"),
        ("dual", f"{OPENAI}lock: ollama", "16: lock: 'ollama' is no entry of engine openai; write"),
        *(("dual", f"threads_total: {n}", f"15: threads_total: {n} {UNEVEN}") for n in (1, 3, 9)),
        ("dual, options: {num_ctx: 512}", OPENAI, f"14: {HERE}.options.num_ctx: OpenAI's protocol"),
        ("dual, axes: {num_gpu: [0]}", OPENAI, f"14: {HERE}.axes.num_gpu: OpenAI's protocol has"),
    ],
)
def test_engines_refuse_what_they_cannot_do(topology: str, top: str, line: str) -> None:
    text = with_configs(f"{{{HOMO}, topology: {topology}}}", top=f"{top}\n")
    assert complaint(text).startswith(f"my.yaml:{line}")


DUAL, ONE, SLOTS = "dual: ['{}', '{}']", "single: ['{}']", "single_parallel: ['{}']"
LOCAL = "http://127.0.0.1"


@pytest.mark.parametrize(
    ("engine", "urls", "blamed"),
    [
        ("ollama", "1 2 1 3", "single"),
        ("ollama", "1 2 2 3", "single"),
        ("ollama", "1 2 3 1", "single_parallel"),
        ("ollama", "1 2 3 3", "single_parallel"),
        ("ollama", "1 2 3 4", None),
        # on a GPU threads do not matter, and dual's servers may have slots
        ("openai", "1 2 1 2", None),
        ("openai", "1 2 3 3", "single_parallel"),
    ],
)
def test_one_server_cannot_stand_for_two_topologies(
    engine: str, urls: str, blamed: str | None
) -> None:
    def study(*ports: str) -> str:
        # one spelling of the address more
        places = [f"{LOCAL if n else 'http://LOCALHOST'}:{port}" for n, port in enumerate(ports)]
        servers = ", ".join((DUAL, ONE, SLOTS)).format(*places)
        entry = f"{HOMO}, axes: {{topology: [serial, single_parallel, dual]}}"
        return with_configs(f"{{{entry}}}", top=f"engine: {engine}\nservers: {{{servers}}}\n")

    ports = urls.split()
    if blamed is None:
        assert read(study(*ports)).configs
        return
    line = complaint(study(*ports))
    assert line.startswith(f"my.yaml:16: servers.{blamed}: http://127.0.0.1:")
    if engine == "ollama":  # the command starts one more where nobody listens: that is the fix
        new = line.partition("OLLAMA_HOST=127.0.0.1:")[2].split()[0]
        ports[2 if blamed == "single" else 3] = new
        assert new not in urls
        assert ("OLLAMA_NUM_PARALLEL=2" in line) == (blamed == "single_parallel")
        assert read(study(*ports)).configs


def test_agents_of_other_numbers_have_other_shares_of_the_threads() -> None:
    configs = [f"{{{HOMO}{more}}}" for more in ("", ", id: alone, agents: [insight]")]
    text = with_configs(*configs, top=f"{OLLAMA}{TWO}\n")
    assert read(text).configs
    assert complaint(f"{text}threads_total: 4\n").startswith(
        "my.yaml:18: threads_total: http://a:1"
    )
