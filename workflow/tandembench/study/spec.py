"""RunSpec: everything that one block's measurement depends on, as one canonical JSON string.

A RunSpec knows nothing of phases, sessions or numbers of repetitions, so that moving, adding
and repeating comparisons measures nothing twice.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tandembench.study.model import Comparison, Config, Placement, Study, Topology

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
        configs = tuple(
            ConfigSpec(
                **{
                    **config,
                    "servers": tuple(config["servers"]),
                    "agents": tuple(
                        AgentSpec(**{**agent, "prompts": tuple(agent["prompts"])})
                        for agent in config["agents"]
                    ),
                }
            )
            for config in values["configs"]
        )
        return cls(**{**values, "configs": configs})

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


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """The first 12 hex digits of the SHA-256 of ``value`` in canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:12]


def comparison_spec(
    study: Study,
    comparison: Comparison,
    prompts: Mapping[str, Mapping[str, Sequence[str]]],
    lock: Mapping[str, Any],
    code: str,
) -> RunSpec:
    """The RunSpec of ``comparison``.

    ``prompts`` holds the rendered steps by config id and agent name, ``lock`` the entry of the
    study's engine with the digests of the models used here, ``code`` the digest of the code that
    acts in a measurement of that engine.
    """
    return RunSpec(
        comparison=comparison.id,
        # by id: the order of keys and values in the YAML measures nothing again
        configs=tuple(
            _config_spec(config, prompts[config.id])
            for config in sorted(comparison.configs, key=lambda config: config.id)
        ),
        rounds=comparison.rounds,
        placement=study.placement,
        engine=study.engine,
        protocol=study.protocol,
        threads_total=study.threads_total,
        deadline_s=study.deadline_s,
        idle_s=study.idle_s,
        retries=study.retries,
        telemetry=study.telemetry,
        seed=study.seed,
        lock=dict(lock),
        code=code,
    )


def _config_spec(config: Config, prompts: Mapping[str, Sequence[str]]) -> ConfigSpec:
    return ConfigSpec(
        id=config.id,
        scenario=config.scenario,
        topology=config.topology,
        agents=tuple(
            AgentSpec(
                name=agent.name,
                task=agent.task,
                model=agent.model,
                options=dict(agent.options),
                max_tokens=agent.max_tokens,
                prompts=tuple(prompts[agent.name]),
            )
            for agent in config.agents
        ),
        work_policy=config.work_policy,
        servers=config.servers,
    )


def block_order(study: Study) -> list[tuple[str, int]]:
    """All (comparison id, repetition) of a study in the order in which they are to be measured.

    ``random`` goes repetition by repetition, each a seeded shuffle of all comparisons, so that
    drift of the machine falls on all alike. ``by_config`` is TR114's order. Repetitions count
    from 1.
    """
    repetitions = range(1, study.repetitions + 1)
    if study.order == "by_config":
        return [(comparison.id, r) for comparison in study.comparisons for r in repetitions]
    order = []
    for r in repetitions:
        ids = sorted(comparison.id for comparison in study.comparisons)
        random.Random(f"{study.seed}/{r}").shuffle(ids)  # noqa: S311 - an order, no secret
        order += [(identifier, r) for identifier in ids]
    return order
