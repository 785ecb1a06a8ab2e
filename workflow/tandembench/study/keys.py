"""What may stand in a study's YAML; config/README.md is the manual of these keys.

A description says what is expected where the type does not: error messages print it.
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, Field

from tandembench.study.check import NAME, ONCE, Different, Keys, List, Maybe, Name, different
from tandembench.study.spec import Criterion, Engine, Placement, Policy, Scenario, Topology
from tandembench.study.urls import one_spelling

T = TypeVar("T")
Headline = Annotated[
    str, Field(min_length=1, max_length=120, description="a text of at most 120 characters")
]
_MODEL = "1 to 256 printable characters, such as gemma3:1b or /models/a.gguf"
Model = Annotated[
    str,
    # Invisible characters are refused wherever they stand.
    Field(pattern=r"^\S(.*\S)?$", max_length=256, description=f"a model's name: {_MODEL}"),
]
BASELINE = "[a-z0-9]+([_.-][a-z0-9]+)*(@[0-9]+[.][0-9]+[.][0-9]+)?"
Baseline = Annotated[
    str,
    Field(pattern=f"^{BASELINE}$", description="a baseline, such as tr114 or tr114@1.0.0"),
]
Rounds = Annotated[int, Field(ge=1, le=50)]
Repetitions = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[float | int, Field(gt=0, le=86400, description="seconds, above 0 to 86400")]
Tokens = Annotated[int, Field(ge=1, le=100_000)]
Url = Annotated[
    str,
    Field(
        description="a server's URL, such as http://127.0.0.1:11434 or https://host/llm/v1, "
        "without a user's name, '?' or '#'"
    ),
    AfterValidator(one_spelling),
]
Urls = Annotated[
    List[Url],
    Field(min_length=1, max_length=16, description="a list of 1 to 16 URLs, each once"),
    AfterValidator(different),
]
Template = Annotated[
    str,
    Field(
        pattern="^[A-Za-z0-9_]([.]?[A-Za-z0-9_/-])*[.]j2$",
        description="the name of a Jinja file in config/agents that ends in .j2",
    ),
]
# Model options: one value for all agents, or in chimera_hetero a list with one for each.
Each: TypeAlias = T | Annotated[List[T], Field(min_length=1, description="a list of one per agent")]
Axis = Annotated[List[T], Field(min_length=1, description=ONCE), AfterValidator(different)]
Layers = Annotated[int, Field(ge=0, le=1000)]
Context = Annotated[int, Field(ge=64, le=1 << 20)]
# abs: -0.0 is 0.0, so that equal fractions get one id and one digest
Factor = Annotated[float, Field(ge=0, le=5), AfterValidator(abs)]
Share = Annotated[float, Field(ge=0, le=1), AfterValidator(abs)]
TopK = Annotated[int, Field(ge=0, le=100_000)]
Seed = Annotated[int, Field(ge=0, le=(1 << 32) - 2)]


class Options(Keys):
    """a mapping of model options, each with one value or a list of one per agent"""

    num_gpu: Maybe[Each[Layers]] = None
    num_ctx: Maybe[Each[Context]] = None
    temperature: Maybe[Each[Factor]] = None
    top_p: Maybe[Each[Share]] = None
    top_k: Maybe[Each[TopK]] = None
    min_p: Maybe[Each[Share]] = None
    repeat_penalty: Maybe[Each[Factor]] = None
    seed: Maybe[Each[Seed]] = None
    model: Maybe[Each[Model]] = None


class Axes(Keys):
    """a mapping of options or topology, each with a list of values"""

    topology: Maybe[Axis[Topology]] = None
    num_gpu: Maybe[Axis[Each[Layers]]] = None
    num_ctx: Maybe[Axis[Each[Context]]] = None
    temperature: Maybe[Axis[Each[Factor]]] = None
    top_p: Maybe[Axis[Each[Share]]] = None
    top_k: Maybe[Axis[Each[TopK]]] = None
    min_p: Maybe[Axis[Each[Share]]] = None
    repeat_penalty: Maybe[Axis[Each[Factor]]] = None
    seed: Maybe[Axis[Each[Seed]]] = None
    model: Maybe[Axis[Each[Model]]] = None


class Work(Keys):
    """a mapping such as {policy: fixed, tokens: 64}"""

    policy: Policy
    tokens: Annotated[
        Tokens | Annotated[dict[str, Tokens], Field(min_length=1)],
        Field(
            description="a whole number from 1 to 100000, the answer tokens of each step; or one"
            " per agent, such as {collector: 64, insight: 98}"
        ),
    ]


class AgentKeys(Keys):
    """a mapping such as {task: inventory, steps: [collector.j2]}"""

    task: Literal["inventory", "figures"]
    steps: Annotated[
        List[Template],
        Field(min_length=1, max_length=8, description="a list of 1 to 8 Jinja files"),
    ]
    data: Maybe[Annotated[str, Field(min_length=1)]] = None


class Entry(Keys):
    """a mapping such as {scenario: chimera_homo}; with axes it stands for all combinations"""

    id: Maybe[Name] = None
    scenario: Scenario
    topology: Topology = "dual"
    agents: Maybe[
        Annotated[
            List[Name],
            Field(min_length=1, max_length=16, description="a list of 1 to 16 agents, each once"),
            AfterValidator(different),
        ]
    ] = None
    options: Options = Options()
    axes: Axes = Axes()
    compare: Different[str] = ("topology",)
    rounds: Maybe[Rounds] = None
    work: Maybe[Work] = None


class Phase(Keys):
    """a mapping with configs, a list"""

    title: Maybe[Headline] = None
    work: Maybe[Work] = None
    configs: Annotated[
        List[Entry],
        Field(min_length=1, description="a list of one config or more"),
    ]


class Servers(Keys):
    """a mapping of lists of URLs by topology; serial uses that of single"""

    dual: Urls = ()
    single: Urls = ()
    single_parallel: Urls = ()


class StudyKeys(Keys):
    """A study as it is written."""

    name: Annotated[Name, Field(description=f"the study's name: {NAME}")]
    title: Maybe[Headline] = None
    seed: Annotated[int, Field(ge=0, le=(1 << 53) - 1)] = 0
    repetitions: Repetitions = 5
    rounds: Rounds = 1
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    order: Literal["random", "by_config"] = "random"
    margin: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    reference: Topology = "serial"
    criteria: Different[Criterion] = ()
    baselines: Annotated[
        List[Baseline], Field(max_length=16, description=ONCE), AfterValidator(different)
    ] = ("tr110", "tr113", "tr114")
    hypotheses: Maybe[Annotated[str, Field(min_length=1, max_length=200)]] = None
    engine: Engine = "embedded"
    protocol: Maybe[Literal["generate", "chat", "completions"]] = None
    lock: Maybe[Name] = None
    model: Annotated[
        Model, Field(description=f"a model that config/servers.lock.yaml pins: {_MODEL}")
    ]
    servers: Annotated[
        Placement | Servers,
        Field(
            description="together or in_turn, where the workflow starts them, or lists of URLs by"
            " topology"
        ),
    ] = "together"
    threads_total: Maybe[Annotated[int, Field(ge=1, le=4096)]] = None
    deadline_s: Seconds = 120
    idle_s: Seconds = 60
    telemetry: bool = True
    cpu_spill: bool = False
    work: Maybe[Work] = None
    agents: Annotated[
        dict[Name, AgentKeys],
        Field(min_length=1, max_length=16, description="1 to 16 agents by name"),
    ]
    phases: Annotated[
        dict[Name, Phase], Field(min_length=1, description="one named group of configs or more")
    ]
