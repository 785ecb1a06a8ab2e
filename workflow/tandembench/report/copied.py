"""Measured configs as lines to copy: into a study's YAML, or to start Ollama servers with."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tandembench.study.ids import OPTIONS

_NAME = re.compile(r"[a-z0-9]+([_.-][a-z0-9]+)*")
# Models that need no quotes in a line of YAML.
_MODEL = re.compile(r"[A-Za-z0-9][\w.:/-]{0,126}\w")


def study_entry(config_id: str, executions: pd.DataFrame, name: str | None = None) -> list[str]:
    """A config as the study's YAML lists it, from what its agents were asked.

    ``executions`` are its own; ``name`` is the id to give it, its own if left out. Imported runs
    may name what no study can: options that it does not have are left out, and an agent whose
    name is none leaves nothing to copy.
    """
    agents = executions.sort_values("agent_index").drop_duplicates("agent_index")
    if not all(_NAME.fullmatch(str(agent)) for agent in agents["agent"]):
        return []
    one = agents.iloc[0]
    asked = [
        _known(json.loads(options)) | _model(model)
        for options, model in zip(agents["options_asked"], agents["model"], strict=True)
    ]
    fields: dict[str, Any] = {
        "id": name or config_id,
        "scenario": one["scenario"],
        "topology": one["topology"],
        "agents": list(agents["agent"]),
        "options": _options(str(one["scenario"]), asked),
        "work": _work(agents),
    }
    texts = [f"{key}: {_flow(value)}" for key, value in fields.items() if value]
    return [f"      - {texts[0]}", *(f"        {text}" for text in texts[1:])]


def ollama_servers(topology: str, n_agents: int) -> list[str]:
    """Commands that start the servers of ``topology`` for so many agents."""
    if topology == "dual":
        return [f"OLLAMA_HOST=127.0.0.1:{11434 + i} ollama serve" for i in range(n_agents)]
    slots = n_agents if topology == "single_parallel" else 1
    return [f"OLLAMA_HOST=127.0.0.1:11434 OLLAMA_NUM_PARALLEL={slots} ollama serve"]


def _known(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in asked.items()
        if name in OPTIONS and isinstance(value, int | float)
    }


def _model(model: object) -> dict[str, Any]:
    """The model as an option, since the study that it is copied to may have another."""
    known = isinstance(model, str) and _MODEL.fullmatch(model)
    return {"model": model} if known else {}


def _work(agents: pd.DataFrame) -> dict[str, Any] | None:
    """None where no cap is known, as in imported runs."""
    if agents["max_tokens"].isna().any():
        return None
    tokens = dict(zip(agents["agent"], (int(n) for n in agents["max_tokens"]), strict=True))
    same = len(set(tokens.values())) == 1
    return {
        "policy": agents["work_policy"].iloc[0],
        "tokens": next(iter(tokens.values())) if same else tokens,
    }


def _options(scenario: str, asked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The agents' options as the scenario writes them: the study room's expansion, undone."""
    if scenario == "baseline_vs_chimera":
        return dict(asked[-1])
    if scenario == "chimera_hetero":
        return {
            key: values[0] if len(set(values)) == 1 else values
            for key in asked[0]
            if all(key in options for options in asked)
            for values in [[options[key] for options in asked]]
        }
    return dict(asked[0])


def _flow(value: Any) -> str:  # noqa: ANN401 - YAML
    """YAML in one line; names of this project need no quotes."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value)
