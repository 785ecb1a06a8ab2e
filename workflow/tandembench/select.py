"""From measured phases, the configs to measure once more: YAML to paste into a study."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandembench.errors import TandemError
from tandembench.stats.intervals import MIN_SESSIONS
from tandembench.stats.ranking import Ranking, ranking
from tandembench.text import sanitise

# In all of them more is better.
METRICS = (
    "makespan_ratio",
    "speedup_true",
    "efficiency_true",
    "stp",
    "aggregate_tokens_per_s",
    "speedup_estimate",
    "efficiency_estimate",
)
_NEEDS = {
    "makespan_ratio": "it needs fixed work and a config of the reference topology with that work",
}


def proposal(
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    metric: str,
    within: str,
    phases: Sequence[str] = (),
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
    chosen_from = runs[runs["phase"].isin(phases)] if phases else runs
    known = chosen_from[chosen_from["valid"] & chosen_from[metric].notna()]
    # One of an A/A pair is enough.
    first_ids = known.groupby("content", sort=False)["config_id"].first()
    known = known[known["config_id"].isin(first_ids)]
    if known.empty:
        needs = _NEEDS.get(metric, "it needs a valid block with solos")
        raise TandemError(
            f"no config has a {metric}: {needs}",
            where="select",
            fix=f"choose another --best ({', '.join(METRICS)}) or other phases",
        )
    lines = [
        "phases:",
        "  validation:",
        f'    title: "Validation: the choice of each {within} by {metric}, once more"',
        "    configs:",
    ]
    for group, own in known.groupby(within, sort=False):
        config_id, remark = _choice(str(group), own, metric)
        of_config = executions[executions["config_id"] == config_id]
        lines += [f"      # {remark}", *_entry(config_id, of_config)]
    return "\n".join(lines) + "\n"


def _choice(group: str, runs: pd.DataFrame, metric: str) -> tuple[str, str]:
    """The id of the config to take, and how sure that is."""
    logs = _table(runs, metric)
    names = [str(name) for name in logs.columns]
    found = ranking(logs.to_numpy().tolist()) if names else Ranking(None, None, ())
    unit = "session" if logs.index.nlevels == 1 else "round"
    of = f"{len(names)} config{'s' * (len(names) > 1)}, {len(logs)} {unit}{'s' * (len(logs) != 1)}"
    if found.best is None:
        first = str(runs["config_id"].iloc[0])
        why = (
            "too little to compare" if found.p is None else f"no config differs, p = {found.p:.2g}"
        )
        return first, f"{group}: {why} ({of}); the first is as good as any"
    best = names[found.best]
    if found.p is None:
        return best, f"{group}: the only config ({of})"
    value = np.exp(logs.iloc[:, found.best].mean())
    rivals = ", ".join(names[rival] for rival in found.rivals)
    beside = f"; not shown to be worse: {rivals}" if rivals else "; better than every other"
    return best, f"{group}: {metric} {value:.2f} (p = {found.p:.2g}, {of}){beside}"


def _table(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Logarithms, where every config has one: a row per session from three on, else per round."""
    logs = runs.assign(log=np.log(runs[metric].astype(float)))
    order = list(dict.fromkeys(runs["config_id"]))
    by_session = logs.pivot_table("log", "session", "config_id")[order].dropna()
    if len(by_session) >= MIN_SESSIONS:
        return by_session
    known = logs.assign(invocation=logs["invocation"].fillna(""))
    rounds = ["session", "invocation", "repetition"]
    return known.pivot_table("log", rounds, "config_id")[order].dropna()


def _entry(config_id: str, executions: pd.DataFrame) -> list[str]:
    """A config as the study's YAML lists it, from what its agents were asked."""
    agents = executions.sort_values("agent_index").drop_duplicates("agent_index")
    one = agents.iloc[0]
    asked = [json.loads(options) for options in agents["options_asked"]]
    tokens = dict(zip(agents["agent"], (int(n) for n in agents["max_tokens"]), strict=True))
    same = len(set(tokens.values())) == 1
    fields: dict[str, Any] = {
        "id": f"validation-{config_id}"[:64].rstrip("-._"),
        "scenario": one["scenario"],
        "topology": one["topology"],
        "agents": list(tokens),
        "options": _options(str(one["scenario"]), asked),
        "work": {
            "policy": one["work_policy"],
            "tokens": next(iter(tokens.values())) if same else tokens,
        },
    }
    if not fields["options"]:
        del fields["options"]
    texts = [f"{key}: {_flow(value)}" for key, value in fields.items()]
    return [f"      - {texts[0]}", *(f"        {text}" for text in texts[1:])]


def _options(scenario: str, asked: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The agents' options as the scenario writes them: the study room's expansion, undone."""
    if scenario == "baseline_vs_chimera":
        return dict(asked[-1])
    if scenario == "chimera_hetero":
        return {
            key: values[0] if len(set(values)) == 1 else values
            for key in asked[0]
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
