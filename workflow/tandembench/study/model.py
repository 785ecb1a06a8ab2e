"""What a study is, once its YAML has been read: frozen values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Topology = Literal["serial", "single", "single_parallel", "dual"]
SHARED: tuple[Topology, ...] = ("serial", "single", "single_parallel")
Placement = Literal["together", "in_turn"]
Criterion = Literal["first_token", "fairness", "memory"]
# A round beside which other processes used more than this is disturbed, and measured once more.
DISTURBED_CORES = 0.1
# What running servers may be asked in, by engine; the first is the default.
PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "ollama": ("generate", "chat"),
    "openai": ("chat", "completions"),
}


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent of one config. ``options`` holds what is sent, under the study's names.

    ``steps`` are template files under config/agents, ``data`` the folder that the task reads,
    ``max_tokens`` the answer tokens of each step.
    """

    name: str
    task: str
    steps: tuple[str, ...]
    data: str | None
    model: str
    options: Mapping[str, Any]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Config:
    """One cell of a study: who runs what, on which servers. ``line`` is where YAML lists it."""

    id: str
    phase: str
    scenario: str
    topology: Topology
    agents: tuple[Agent, ...]
    work_policy: Literal["fixed", "natural"]
    servers: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Configs that are to be told apart, measured side by side: a randomised complete block.

    A config that stands alone is a comparison of one, under its own id. ``rounds`` is how often a
    block measures each of its configs; ``line`` is where YAML lists it.
    """

    id: str
    phase: str
    configs: tuple[Config, ...]
    rounds: int
    line: int


@dataclass(frozen=True, slots=True)
class Study:
    """A whole study, expanded. ``phases`` maps a phase's name to its title.

    ``baselines`` are what the report compares with, name or name@version; ``hypotheses`` the file
    that says what is expected of the study, None if nothing is; ``protocol`` is one of
    PROTOCOLS, None for the embedded engine. ``placement``: whether the servers of a comparison
    stay up together through a block, or each run starts its own. ``criteria`` are the secondary
    questions of the decision, beside which topology finishes sooner.
    """

    name: str
    title: str
    seed: int
    repetitions: int
    retries: int
    order: Literal["random", "by_config"]
    margin: float
    reference: Topology
    baselines: tuple[str, ...]
    hypotheses: str | None
    engine: Literal["embedded", "ollama", "openai"]
    protocol: str | None
    threads_total: int | None
    placement: Placement
    criteria: tuple[Criterion, ...]
    deadline_s: float
    idle_s: float
    telemetry: bool
    phases: Mapping[str, str]
    comparisons: tuple[Comparison, ...]

    @property
    def configs(self) -> tuple[Config, ...]:
        """All configs, in the order in which the study lists them."""
        return tuple(config for comparison in self.comparisons for config in comparison.configs)
