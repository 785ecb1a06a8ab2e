"""RunSpec: everything that one block's measurement depends on, as one canonical JSON string.

A RunSpec knows nothing of phases, sessions or numbers of repetitions, so that moving, adding
and repeating configs measures nothing twice.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from tandembench.study.model import Config, Study

Spec = dict[str, Any]
# Stands in a step's prompt for the answer of the step before, which only the run knows.
ANSWER = "[[answer]]"
_IDENTITY = ("config_id", "repetition")
_DEPLOYMENT = ("topology", "servers")


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """The first 12 hex digits of the SHA-256 of ``value`` in canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:12]


def config_spec(
    study: Study,
    config: Config,
    prompts: Mapping[str, Sequence[str]],
    lock: Mapping[str, Any],
    code: str,
) -> Spec:
    """The RunSpec of ``config``, short of the repetition.

    ``prompts`` holds each agent's rendered steps by agent name, ``lock`` the entry of the study's
    engine with the digests of the models used here, ``code`` the digest of the measuring code.
    """
    return {
        "config_id": config.id,
        "scenario": config.scenario,
        "topology": config.topology,
        "agents": [
            {
                "name": agent.name,
                "task": agent.task,
                "model": agent.model,
                "options": dict(agent.options),
                "max_tokens": agent.max_tokens,
                "prompts": list(prompts[agent.name]),
            }
            for agent in config.agents
        ],
        "work_policy": config.work_policy,
        "engine": study.engine,
        **({"protocol": study.protocol} if study.protocol else {}),
        "servers": list(config.servers),
        "threads_total": study.threads_total,
        "deadline_s": study.deadline_s,
        "idle_s": study.idle_s,
        "retries": study.retries,
        "telemetry": study.telemetry,
        "seed": study.seed,
        "lock": dict(lock),
        "code": code,
    }


def content_digest(spec: Spec) -> str:
    """What is measured, whatever its name: equal in the two configs of an A/A pair."""
    return digest({key: value for key, value in spec.items() if key not in _IDENTITY})


def workload_digest(spec: Spec) -> str:
    """What the agents do, whatever serves them: equal where topologies may be compared."""
    left_out = (*_IDENTITY, *_DEPLOYMENT)
    return digest({key: value for key, value in spec.items() if key not in left_out})


def block_order(study: Study) -> list[tuple[str, int]]:
    """All (config id, repetition) of a study in the order in which they are to be measured.

    ``random`` goes round by round, each a seeded shuffle of all configs, so that drift of the
    machine falls on all alike. ``by_config`` is TR114's order. Repetitions count from 1.
    """
    repetitions = range(1, study.repetitions + 1)
    if study.order == "by_config":
        return [(config.id, r) for config in study.configs for r in repetitions]
    order = []
    for r in repetitions:
        ids = sorted(config.id for config in study.configs)
        random.Random(f"{study.seed}/{r}").shuffle(ids)  # noqa: S311 - an order, no secret
        order += [(identifier, r) for identifier in ids]
    return order
