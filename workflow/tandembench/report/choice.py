"""Section "What to set": declared criteria, and the lines of the choice to copy."""

from collections.abc import Sequence

import pandas as pd

from tandembench.analysis.criteria import Judged
from tandembench.analysis.findings import Answer
from tandembench.report.copied import ollama_servers, study_entry
from tandembench.report.formats import bounded, listed
from tandembench.report.said import called
from tandembench.report.sections import Code, Points, Section, section
from tandembench.report.words import say


def choice(
    answer: Answer, judged: Sequence[Judged], executions: pd.DataFrame, engine: str
) -> Section:
    """What to copy of ``answer``, best first; empty where there is nothing to say."""
    chosen = answer.best is not None and answer.outcome in ("fastest", "among")
    named = [answer.best, *answer.rivals] if chosen and answer.best else []
    entry: list[str] = []
    servers: list[str] = []
    for config_id in named:
        own = executions[executions["config_id"] == config_id]
        entry += study_entry(config_id, own) if len(own) else []
        if engine == "ollama" and len(own):
            servers.append(f"# {called(answer, config_id)}")
            topology = answer.row(config_id).topology
            servers += ollama_servers(topology, int(own["n_agents"].iloc[0]))
    names = listed([called(answer, one) for one in named], "and")
    copied = entry and servers
    return section(
        say("title", "choice"),
        Points(tuple(_criterion(answer, one) for one in judged)),
        say("copy", "chosen", names=names) if entry else None,
        Code("yaml", tuple(entry)) if entry else None,
        say("copy", "servers") if copied else None,
        Code("sh", tuple(servers)) if copied else None,
        level=2,
    )


def _criterion(answer: Answer, one: Judged) -> str:
    compared = one.compared
    finding = f"criterion_{one.criterion}"
    if compared.best is None:
        return say(finding, compared.outcome)
    best = called(answer, compared.best)
    rivals = {"rivals": listed([called(answer, rival) for rival in compared.rivals], "and")}
    if compared.best == compared.reference:
        if compared.rivals:
            return say(finding, "reference_among", best=best, **rivals)
        return say(finding, "reference", best=best)
    ratio = next((of.ratio for of in compared.against if of.subject == compared.best), None)
    if ratio is None:
        return say(finding, "inconclusive")
    places = {
        "best": best,
        "reference": called(answer, compared.reference),
        "ratio": bounded(ratio.value, ratio.low, ratio.high),
    }
    if compared.rivals:
        return say(finding, "among", **rivals, **places)
    return say(finding, "fastest", **places)
