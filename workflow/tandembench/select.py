"""From measured phases, the configs to measure once more: YAML to paste into a study."""

import math
from collections.abc import Sequence

import pandas as pd

from tandembench.analysis.compare import compare
from tandembench.analysis.rounds import rounds
from tandembench.analysis.settings import Check, unapplied
from tandembench.errors import TandemError
from tandembench.report.copied import study_entry
from tandembench.report.factors import checks
from tandembench.report.formats import counted
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
_WITHOUT_BEST = {
    "equivalent": "all configs are equivalent, so this takes the first",
    "inconclusive": "no config is shown to differ, so this takes the first",
    "not_measured": "too few rounds to compare, so this takes the first",
}
_NEEDS = {
    "makespan_ratio": "it needs fixed work and a config of the reference topology with that work",
}


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
    settings = checks(executions)
    for group, own in known.groupby(within, sort=False):
        config_id, remark = _choice(str(group), own, metric, settings, margin)
        of_config = executions[executions["config_id"] == config_id]
        name = f"validation-{config_id}"[:64].rstrip("-._")
        lines += [f"      # {remark}", *study_entry(config_id, of_config, name)]
    return "\n".join(lines) + "\n"


def _choice(
    group: str, runs: pd.DataFrame, metric: str, settings: Sequence[Check], margin: float
) -> tuple[str, str]:
    """The id of the config to take, and how sure that is.

    Where configs differ only in what no server is known to have applied, none is better.
    """
    table = rounds(runs, metric, more_is_better=True).undisturbed()
    names = [str(name) for name in table.logs.columns]
    of = f"{counted(len(names), 'config')}, {counted(len(table.logs), 'round')}"
    first = names[0]
    if len(names) == 1:
        return first, f"{group}: the only config ({of})"
    compared = compare(table, first, margin)
    p = "" if compared.adjusted_p is None else f"p = {compared.adjusted_p:.2g}, "
    if compared.best is None:
        return first, f"{group}: {_WITHOUT_BEST[compared.outcome]} ({p}{of})"
    loose = unapplied([(settings, [name]) for name in names])
    doubt = f"not known to have been applied: {', '.join(loose.factors)}" if loose else ""
    if loose and loose.all:
        why = f"the configs differ only in what is {doubt}"
        return first, f"{group}: {why} ({p}{of}), so this takes the first"
    value = math.exp(table.logs[compared.best].median())
    rivals = ", ".join(compared.rivals)
    beside = f"; not shown to be worse: {rivals}" if rivals else "; better than every other"
    known = f"; {doubt}" if doubt else ""
    return compared.best, f"{group}: {metric} {value:.2f} ({p}{of}){beside}{known}"
