"""RunSpec: everything that one block's measurement depends on, as one canonical JSON string.

A RunSpec knows nothing of phases, sessions or numbers of repetitions, so that moving, adding
and repeating comparisons measures nothing twice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Scenario = Literal["baseline_vs_chimera", "chimera_hetero", "chimera_homo"]
Topology = Literal["serial", "single", "single_parallel", "dual"]
Policy = Literal["fixed", "natural"]
Placement = Literal["together", "in_turn"]
Engine = Literal["embedded", "ollama", "openai"]
Criterion = Literal["first_token", "fairness", "memory"]
# A round beside which other processes used more than this is disturbed, and measured once more.
DISTURBED_CORES = 0.1
# How the names of a phase's tables end: its runs, and what belongs to them.
TABLES = (".parquet", ".executions.parquet", ".telemetry.parquet", ".tokens.parquet")

# Stands in a step's prompt for the answer of the step before, which only the run knows.
ANSWER = "[[answer]]"


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What one agent asks: ``prompts`` are its rendered steps, ``max_tokens`` of each answer."""

    name: str
    task: str
    model: str
    options: Mapping[str, Any]
    max_tokens: int
    prompts: tuple[str, ...]

    def lacks_room(self, num_ctx: int, moves: bool = False) -> tuple[str, int] | None:
        """What cannot fit into a context of ``num_ctx`` tokens, and one that is large enough.

        With a context that ``moves`` on over an answer, one token of it must fit.
        """
        prompt = 1 + max(map(words, self.prompts), default=0)  # the nonce is a word
        answer = 1 if moves else self.max_tokens
        if answer + prompt <= num_ctx:
            return None
        what = f"agent '{self.name}' needs {answer} tokens for an answer and {prompt} or "
        # a word of a prompt with figures takes about three tokens
        enough = 1 << (answer + 4 * prompt - 1).bit_length()
        return f"{what}more for its prompt, but the context has {num_ctx}", enough


@dataclass(frozen=True, slots=True)
class ConfigSpec:
    """One config of a block; ``servers`` are URLs of running servers, empty if started here."""

    id: str
    scenario: str
    topology: Topology
    agents: tuple[AgentSpec, ...]
    work_policy: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One block, short of which repetition it is; ``configs`` are in the order of their ids.

    ``lock`` is the entry of the engine with the digests of the models used here, ``code`` the
    digest of the code that acts in a measurement of this engine.
    """

    comparison: str
    configs: tuple[ConfigSpec, ...]
    rounds: int
    placement: Placement
    engine: str
    protocol: str | None
    threads_total: int | None
    deadline_s: float
    idle_s: float
    retries: int
    telemetry: bool
    cpu_spill: bool
    seed: int
    lock: Mapping[str, Any]
    code: str

    def to_json(self) -> str:
        """The one canonical string of this RunSpec: what Snakemake tracks and a spec file holds."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """The RunSpec that ``text`` holds; ValueError, TypeError or KeyError if it holds none."""
        values = json.loads(text)
        for config in values["configs"]:
            for agent in config["agents"]:
                agent["prompts"] = tuple(agent["prompts"])
            config["agents"] = tuple(AgentSpec(**agent) for agent in config["agents"])
            config["servers"] = tuple(config["servers"])
        values["configs"] = tuple(ConfigSpec(**config) for config in values["configs"])
        return cls(**values)

    @property
    def starts_servers(self) -> bool:
        """Whether its servers are started for it; else they run already, at known URLs."""
        return not any(config.servers for config in self.configs)

    @property
    def digest(self) -> str:
        """12 hex digits of the canonical JSON: part of the names of this block's run files."""
        return digest(asdict(self))

    def workload_digest(self, config: ConfigSpec) -> str:
        """What the agents of ``config`` do, whatever serves them: equal where walls compare."""
        return digest(
            {
                "scenario": config.scenario,
                "agents": [asdict(agent) for agent in config.agents],
                "work_policy": config.work_policy,
                "engine": self.engine,
                "protocol": self.protocol,
                "lock": dict(self.lock),
            }
        )


def words(prompt: str) -> int:
    """Words of ``prompt``, short of an answer that it takes in: it has as many tokens or more.

    No common tokenizer lets a token reach over a space between two words (Sennrich et al. 2016,
    Kudo & Richardson 2018).
    """
    return len(prompt.replace(ANSWER, " ").split())


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """The first 12 hex digits of the SHA-256 of ``value`` in canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:12]
