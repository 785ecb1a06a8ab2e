"""A dataset -> what was measured on what, in words: model, machine, work, and how to go on."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tandembench.report.formats import listed
from tandembench.report.said import Setting
from tandembench.report.words import say
from tandembench.text import counted, sanitise


def setting_of(
    descriptor: Mapping[str, Any], executions: pd.DataFrame, config_ids: Iterable[str] = ()
) -> Setting:
    """The setting of a dataset, or of some of its configs. Its texts are sanitised."""
    study, ids = descriptor["study"], set(config_ids)
    group = executions[executions["config_id"].isin(ids)] if ids else executions
    started = executions.sort_values("started_at", kind="stable")["session"]
    return Setting(
        study=str(descriptor["name"]),
        command=_command(descriptor["name"], study),
        sessions=tuple(dict.fromkeys(map(str, started))),
        engine=str(study["engine"]),
        model=sanitise(listed(sorted(group["model"].dropna().astype(str).unique())), 80),
        where=_where(descriptor["fingerprints"]["machines"]),
        work=_work(group),
    )


def _command(name: str, study: Mapping[str, Any]) -> str | None:
    """What measures the study again; None of what was imported, which names no baselines."""
    if "baselines" not in study:
        return None
    file = study.get("file") or f"config/{name}.yaml"
    return f"snakemake --cores 1 --configfile {sanitise(str(file))}"


def _where(machines: list[Mapping[str, Any]]) -> str:
    cores = {machine["cores"] for machine in machines}
    if len(machines) == 1 and cores:
        return say("where", "cores", cores=counted(int(min(cores)), "core"))
    if len(machines) > 1:
        return say("where", "machines", machines=str(len(machines)))
    return say("where", "unknown")


def _work(executions: pd.DataFrame) -> str:
    tokens = sorted(executions["max_tokens"].dropna().astype(int).unique())
    if set(executions["work_policy"]) == {"fixed"} and tokens:
        return say("work", "fixed", tokens=listed([str(one) for one in tokens], "or"))
    return say("work", "natural")
