"""Details, "Options", "Sensitivity" and "Validation", and what page one says of options."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.answer import served
from tandembench.analysis.choices import Again, Group, Phase, groups, measured_again
from tandembench.analysis.options import Option, options
from tandembench.analysis.settings import Check
from tandembench.report.formats import bounded, listed
from tandembench.report.words import say

# Options that page one tells of; the details have all.
_MOST = 12


@dataclass(frozen=True, slots=True)
class OptionsSection:
    """What options change, whether any config differs, and configs that were measured again."""

    options: tuple[Option, ...]
    groups: tuple[Group, ...]
    again: tuple[Again, ...]


def options_section(
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    settings: Sequence[Check],
    phases: Sequence[Phase],
    margin: float,
) -> OptionsSection | None:
    """None where no two configs can be compared."""
    sides = served(executions)
    section = OptionsSection(
        options(runs, executions, settings, sides, margin),
        groups(runs, margin, sides, settings),
        measured_again(runs, phases, margin, sides),
    )
    return section if section.options or section.groups or section.again else None


def option_sentences(section: OptionsSection | None) -> tuple[str, ...]:
    """One sentence for each option that was varied with all else equal."""
    result = section.options if section else ()
    applied = [one for one in result if one.outcome != "not_applied"]
    names = dict.fromkeys(one.option for one in result if one.outcome == "not_applied")
    rest = [say("option", "not_applied", options=listed(list(names)))] if names else []
    return (*map(_sentence, applied[:_MOST]), *rest)


def _sentence(one: Option) -> str:
    places = {
        "option": one.option,
        "levels": listed([level.level for level in one.levels]),
        "topology": one.topology,
        "scenario": one.scenario,
    }
    if one.outcome == "differs":
        shown = [
            say(
                "option",
                "level",
                level=level.level,
                ratio=bounded(ratio.value, ratio.low, ratio.high),
            )
            for level in one.levels
            if level.against and level.against.verdict in ("better", "worse")
            for ratio in [level.against.ratio]
            if ratio
        ]
        places |= {"shown": listed(shown), "lowest": one.levels[0].level}
        places |= {"what": say("option_metric", one.metric)}
    return say("option", one.outcome, **places)
