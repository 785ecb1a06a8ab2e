"""Measured configs as lines to copy: into a study's YAML, or to start Ollama servers with."""

import json
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from tandembench.analysis.answer import served
from tandembench.analysis.choices import Best, best
from tandembench.analysis.settings import Scalar, checks
from tandembench.dataset.versions import is_name
from tandembench.errors import TandemError
from tandembench.report.formats import listed, number
from tandembench.report.words import say
from tandembench.study.ids import OPTIONS
from tandembench.text import counted, sanitise

# What `proposal` can choose by; in all of them more is better.
METRICS = (
    "makespan_ratio",
    "speedup_true",
    "efficiency_true",
    "stp",
    "aggregate_tokens_per_s",
    "speedup_estimate",
    "efficiency_estimate",
)
_Asked = Mapping[str, Scalar]
_Yaml = Scalar | Sequence["_Yaml"] | Mapping[str, "_Yaml"]


def proposal(
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    metric: str,
    within: str,
    phases: Sequence[str] = (),
    margin: float = 0.05,
) -> str:
    """A phase ``validation`` with the best config by ``metric`` of every group ``within``.

    Comments say how sure each choice is, and where no config is better than another: then the one
    that the study lists first stands there. ``phases`` limits what is chosen from; none means
    all. TandemError if the metric is unknown, or known of no config.
    """
    if metric not in METRICS:
        fix = f"one of {', '.join(METRICS)}"
        raise TandemError(f"unknown metric '{sanitise(metric, 40)}'", where="--best", fix=fix)
    unknown = set(phases) - set(runs["phase"])
    if unknown:
        fix = f"measured phases: {', '.join(dict.fromkeys(runs['phase']))}"
        what = f"no phase '{sanitise(min(unknown), 40)}'"
        raise TandemError(what, where="--phase", fix=fix)
    valid = runs[runs["valid"] & (runs["phase"].isin(phases) | (not phases))]
    sides, settings = served(executions), checks(executions)
    chosen = {
        str(group): result
        for group, part in valid.groupby(within, sort=False)
        if (result := best(part, metric, margin, sides, settings))
    }
    if not chosen:
        needs = "it needs valid runs and agents that were measured alone"
        if metric == "makespan_ratio":
            needs = "it needs fixed work and a config of the reference topology with that work"
        fix = f"choose another --best ({', '.join(METRICS)}) or other phases"
        raise TandemError(f"no config has a {metric}: {needs}", where="select", fix=fix)
    lines = [
        "phases:",
        "  validation:",
        f'    title: "Validation: the choice of each {within} by {metric}, once more"',
        "    configs:",
    ]
    for group, one in chosen.items():
        part = executions[executions["config_id"] == one.config_id]
        name = f"validation-{one.config_id}"[:64].rstrip("-._")
        lines += [f"      # {_remark(group, one)}", *study_entry(one.config_id, part, name)]
    return "\n".join(lines) + "\n"


def _remark(group: str, one: Best) -> str:
    """Why this config, and how sure that is."""
    of = f"{counted(one.configs, 'config')}, {counted(one.rounds, 'round')}"
    if one.configs == 1:
        return say("choice", "only", group=group, of=of)
    of += "" if one.p is None else f", p = {one.p:.2g}"
    settings = listed(one.doubt.factors) if one.doubt else ""
    if one.doubt and one.doubt.all and one.doubt.reported:
        return say("choice", "unapplied", group=group, settings=settings, of=of)
    places = {"group": group, "of": of}
    if one.compared.best:
        places |= {"metric": one.metric, "value": number(one.value)}
    if one.compared.rivals:
        places["rivals"] = listed(one.compared.rivals)
    doubt = say("choice", "doubt", settings=settings) if settings else ""
    return say("choice", one.compared.outcome, **places) + doubt


def study_entry(config_id: str, executions: pd.DataFrame, name: str | None = None) -> list[str]:
    """A config as the study's YAML lists it, from what its agents were asked.

    ``executions`` are its own; ``name`` is the id to give it, its own if left out. Imported runs
    may name what no study can: options that it does not have are left out, and an agent whose
    name is none leaves nothing to copy.
    """
    agents = executions.sort_values("agent_index").drop_duplicates("agent_index")
    if not all(is_name(str(agent)) for agent in agents["agent"]):
        return []
    one = agents.iloc[0]
    asked = [
        _asked(options, model)
        for options, model in zip(agents["options_asked"], agents["model"], strict=True)
    ]
    fields: dict[str, _Yaml] = {
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


def _asked(options: str, model: str | None) -> _Asked:
    """What a study can ask for; the model too, since that of another study may be another."""
    known = {
        name: value
        for name, value in json.loads(options).items()
        if name in OPTIONS and isinstance(value, int | float)
    }
    if isinstance(model, str) and model.isprintable() and re.fullmatch(r"\S(.*\S)?", model):
        return known | {"model": model}
    return known


def _work(agents: pd.DataFrame) -> _Yaml:
    """None where no cap is known, as in imported runs."""
    if agents["max_tokens"].isna().any():
        return None
    tokens = dict(zip(agents["agent"], (int(n) for n in agents["max_tokens"]), strict=True))
    same = len(set(tokens.values())) == 1
    return {
        "policy": str(agents["work_policy"].iloc[0]),
        "tokens": next(iter(tokens.values())) if same else tokens,
    }


def _options(scenario: str, asked: Sequence[_Asked]) -> _Yaml:
    """The agents' options as the scenario writes them: the study room's expansion, undone."""
    if scenario != "chimera_hetero":
        return asked[-1 if scenario == "baseline_vs_chimera" else 0]
    shared = [key for key in asked[0] if all(key in options for options in asked)]
    by_agent = {key: [options[key] for options in asked] for key in shared}
    return {key: values[0] if len(set(values)) == 1 else values for key, values in by_agent.items()}


def _flow(value: _Yaml) -> str:
    """YAML in one line; names of this project need no quotes, those of models may."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    text = str(value)
    plain = not isinstance(value, str) or re.fullmatch(r"[A-Za-z][\w./-]*", text)
    return text if plain else json.dumps(text, ensure_ascii=False)
